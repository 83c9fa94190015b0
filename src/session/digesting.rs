//! Message digesting: software.

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CKA_VALUE, CKO_SECRET_KEY, CKR_KEY_INDIGESTIBLE,
    CKR_OPERATION_NOT_INITIALIZED,
};

use crate::error::{Error, Result};
use crate::mechanism::Digesting;
use crate::mechanism::parameter::MechanismChoice;
use crate::object::reading::is_kept_in_tpm;
use crate::session::Call;
use crate::session::kind::Kind;
use crate::session::operation::Destination;
use crate::tpm::SecretBytes;

impl Call<'_> {
    /// Begins a digest; without a mechanism, cancels the active one. PKCS#11 v3.1, C_DigestInit.
    pub fn digest_init(&mut self, choice: Option<MechanismChoice>) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Digest) };
        self.may_begin(Kind::Digest)?;
        self.session.digesting.begin(Digesting::new(&choice)?);
        Ok(())
    }

    /// Digests `data` whole. PKCS#11 v3.1, C_Digest.
    pub fn digest(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.session.digesting.one_shot(|operation| {
            output.fill(operation.digest_len(), || {
                operation.update(data);
                Ok(operation.finish())
            })
        })
    }

    /// Takes the next part. PKCS#11 v3.1, C_DigestUpdate.
    pub fn digest_update(&mut self, data: &[u8]) -> Result<()> {
        self.session.digesting.update(|operation| {
            operation.update(data);
            Ok(())
        })
    }

    /// Takes the value of a secret key. PKCS#11 v3.1, C_DigestKey.
    ///
    /// Errors: `CKR_KEY_HANDLE_INVALID`; `CKR_KEY_INDIGESTIBLE` for a key whose value nobody is told:
    /// its digest would tell of it.
    pub fn digest_key(&mut self, key: CK_OBJECT_HANDLE) -> Result<()> {
        if !self.session.digesting.is_active() {
            return Err(Error::new(CKR_OPERATION_NOT_INITIALIZED, "no digest is active"));
        }
        let value = self.digestible(key);
        self.session.digesting.update(|operation| {
            operation.update(&value?);
            Ok(())
        })
    }

    fn digestible(&mut self, key: CK_OBJECT_HANDLE) -> Result<SecretBytes> {
        let object = self.key_object(key)?;
        let secret = object.attributes.class() == Some(CKO_SECRET_KEY);
        if !secret || !is_kept_in_tpm(&object.attributes, CKA_VALUE) {
            return Err(Error::new(CKR_KEY_INDIGESTIBLE, "nobody is told the key's value"));
        }
        self.secret(&object)
    }

    /// Ends a multi-part digest. PKCS#11 v3.1, C_DigestFinal.
    pub fn digest_final(&mut self, output: impl Destination) -> Result<()> {
        self.session
            .digesting
            .finish(|operation| output.fill(operation.digest_len(), || Ok(operation.finish())))
    }
}
