//! The objects that tell what the token can do: which profiles it claims, which mechanisms it offers.
//! Each is computed when it is asked for. A slot without an initialised token has those that ask
//! nothing of one: the mechanisms, the baseline and the extended provider.

// Where a CK_ULONG is narrower than the u64 of a class these conversions are needed.
#![allow(clippy::unnecessary_cast)]

use cryptoki_sys::{
    CK_PROFILE_ID, CKO_CERTIFICATE, CKO_MECHANISM, CKO_PRIVATE_KEY, CKO_PROFILE, CKO_PUBLIC_KEY,
    CKP_AUTHENTICATION_TOKEN, CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER,
    CKP_PUBLIC_CERTIFICATES_TOKEN, CKR_TOKEN_NOT_PRESENT,
};

use crate::error::Result;
use crate::mechanism;
use crate::object::profile::{self, Seen, has_public_certificates};
use crate::object::search::Search as Wanted;
use crate::object::value::AttributeSet;
use crate::object::{ObjectKey, Role};
use crate::session::Call;
use crate::store::Filter;
use crate::token::Attached;
use crate::tpm::public_key;

/// Every profile that a token may claim. (The complete provider has every mechanism there is.)
const PROFILES: [CK_PROFILE_ID; 4] = [
    CKP_BASELINE_PROVIDER,
    CKP_EXTENDED_PROVIDER,
    CKP_AUTHENTICATION_TOKEN,
    CKP_PUBLIC_CERTIFICATES_TOKEN,
];

impl Call<'_> {
    /// Those that `wanted` finds, which has to name their class. PKCS#11 v3.1, "Profile objects"
    /// and "Mechanism objects".
    pub(super) fn described(&self, wanted: &Wanted) -> Result<Vec<ObjectKey>> {
        let mut found = Vec::new();
        if wanted.class() == Some(CKO_PROFILE as u64) {
            for id in PROFILES {
                if wanted.matches(&profile::profile(id)) && self.claims(id)? {
                    found.push(ObjectKey::Profile(id));
                }
            }
        }
        if wanted.class() == Some(CKO_MECHANISM as u64) {
            match self.provider.abilities(self.cell.hierarchy) {
                Ok(abilities) => found.extend(
                    mechanism::offered(&abilities)
                        .filter(|row| wanted.matches(&profile::mechanism(row.ckm)))
                        .map(|row| ObjectKey::Mechanism(row.ckm)),
                ),
                // Without a TPM there are none.
                Err(error) if error.ck_rv() == CKR_TOKEN_NOT_PRESENT => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The attributes of the profile or mechanism at `place`; `None` where the token does not have
    /// it any more, and for every other object.
    pub(super) fn description(&self, place: ObjectKey) -> Result<Option<AttributeSet>> {
        Ok(match place {
            ObjectKey::Profile(id) => self.claims(id)?.then(|| profile::profile(id)),
            ObjectKey::Mechanism(ckm) => {
                let abilities = self.provider.abilities(self.cell.hierarchy)?;
                let row = mechanism::find(ckm, &abilities).ok();
                row.map(|row| profile::mechanism(row.ckm))
            }
            ObjectKey::Token(_) | ObjectKey::Session(_) => None,
        })
    }

    /// Whether the conditions of the profile `id` are met now. PKCS#11 Profiles v3.1, "Base
    /// Profiles".
    fn claims(&self, id: CK_PROFILE_ID) -> Result<bool> {
        if matches!(id, CKP_BASELINE_PROVIDER | CKP_EXTENDED_PROVIDER) {
            return Ok(true);
        }
        let Some(token) = self.provider.token(self.cell.hierarchy)? else { return Ok(false) };
        match id {
            CKP_AUTHENTICATION_TOKEN => Ok(token.row.user.is_some()),
            CKP_PUBLIC_CERTIFICATES_TOKEN => {
                Ok(has_public_certificates(&self.certificates_and_keys(&token)?))
            }
            _ => Ok(false),
        }
    }

    fn certificates_and_keys(&self, token: &Attached) -> Result<Vec<Seen>> {
        let keys = token.row_keys(&self.login.who);
        let mut store = self.provider.store.lock();
        let mut all = Vec::new();
        for class in [CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY] {
            let filter = Filter { class: Some(class as u64), ..Filter::default() };
            store.objects(token.row.id, &keys, &filter, &mut |row| {
                all.push(Seen::whole(&AttributeSet::from_bytes(&row.content)?));
                Ok(())
            })?;
        }
        if self.actor().role != Role::User {
            for (class, public) in store.hidden(token.row.id)? {
                // What cannot be read is the key of no certificate.
                let key = public.and_then(|public| public_key(&public).ok());
                all.push(Seen::hidden(class, key.as_ref())?);
            }
        }
        Ok(all)
    }
}
