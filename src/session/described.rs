//! The objects that tell what the token can do: which profiles it claims, which mechanisms it offers.

use cryptoki_sys::{
    CK_PROFILE_ID, CKA_ID, CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKP_AUTHENTICATION_TOKEN,
    CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER, CKP_PUBLIC_CERTIFICATES_TOKEN,
    CKR_TOKEN_NOT_PRESENT,
};

use crate::error::Result;
use crate::mechanism;
use crate::object::ObjectKey;
use crate::object::profile;
use crate::object::value::AttributeSet;
use crate::session::Call;
use crate::store::Filter;
use crate::token::{Attached, Login};

impl Call<'_> {
    /// All of them, as they are now. PKCS#11 v3.1, "Profile objects" and "Mechanism objects".
    pub(super) fn described(&self) -> Result<Vec<(ObjectKey, AttributeSet)>> {
        let profiles = self.profiles()?;
        let mut described: Vec<_> =
            profiles.into_iter().map(|id| (ObjectKey::Profile(id), profile::profile(id))).collect();
        match self.provider.abilities(self.cell.hierarchy) {
            Ok(abilities) => described.extend(
                mechanism::offered(&abilities)
                    .map(|row| (ObjectKey::Mechanism(row.ckm), profile::mechanism(row.ckm))),
            ),
            // Without a TPM there are none.
            Err(error) if error.ck_rv() == CKR_TOKEN_NOT_PRESENT => {}
            Err(error) => return Err(error),
        }
        Ok(described)
    }

    /// The profiles whose conditions are met now. PKCS#11 Profiles v3.1, "Base Profiles".
    fn profiles(&self) -> Result<Vec<CK_PROFILE_ID>> {
        let mut profiles = vec![CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER];
        let Some(token) = self.provider.token(self.cell.hierarchy)? else { return Ok(profiles) };
        if token.row.user.is_some() {
            profiles.push(CKP_AUTHENTICATION_TOKEN);
        }
        if self.certificates_are_public(&token)? {
            profiles.push(CKP_PUBLIC_CERTIFICATES_TOKEN);
        }
        Ok(profiles)
    }

    /// Whether the token has certificates, each to be found without a login, and with each the public
    /// key of the same CKA_ID.
    fn certificates_are_public(&self, token: &Attached) -> Result<bool> {
        let mut store = self.provider.store.lock();
        if store.has_private(token.row.id, CKO_CERTIFICATE)? {
            return Ok(false);
        }
        let keys = token.row_keys(&Login::Public);
        let mut ids = |class| -> Result<Vec<Vec<u8>>> {
            let filter = Filter { class: Some(class), id: None, label: None };
            let mut ids = Vec::new();
            store.objects(token.row.id, &keys, &filter, &mut |row| {
                let attributes = AttributeSet::from_bytes(&row.content)?;
                ids.push(attributes.bytes(CKA_ID).unwrap_or_default().to_vec());
                Ok(())
            })?;
            Ok(ids)
        };
        let certificates = ids(CKO_CERTIFICATE)?;
        let public_keys = ids(CKO_PUBLIC_KEY)?;
        Ok(!certificates.is_empty() && certificates.iter().all(|id| public_keys.contains(id)))
    }
}
