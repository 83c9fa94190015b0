//! Verifying: software with a public key, the TPM with a secret one.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Verifying;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::{BoundKey, VERIFY, in_tpm};
use crate::session::kind::Kind;
use crate::session::operation::Delivery;

/// An active verification.
pub struct Verification {
    pub(super) verifying: Verifying,
    /// The key, where it is a secret one.
    pub(super) key: Option<BoundKey>,
}

impl Call<'_> {
    /// Begins a verification with the public or secret key `key`; without a mechanism, cancels the
    /// active one. PKCS#11 v3.1, C_VerifyInit.
    pub fn verify_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Verify) };
        self.may_begin(Kind::Verify)?;
        let usable = self.usable_key(key, &choice, VERIFY)?;
        let verifying = Verifying::new(&choice, &usable.abilities, &usable.facts)?;
        let key = self.bind_secret(usable.object)?;
        self.session.verifying.begin(Verification { verifying, key });
        Ok(())
    }

    /// Verifies `signature` over `data`; always ends the operation. PKCS#11 v3.1, C_Verify.
    pub fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying.one_shot(|Verification { verifying, key }| {
            verifying.verify(data, signature, in_tpm(key, engine))?;
            Ok(Delivery::Written)
        })
    }

    /// Takes the next part of the data. PKCS#11 v3.1, C_VerifyUpdate.
    pub fn verify_update(&mut self, data: &[u8]) -> Result<()> {
        self.session.verifying.update(|operation| operation.verifying.update(data))
    }

    /// Verifies `signature` over the parts. PKCS#11 v3.1, C_VerifyFinal.
    pub fn verify_final(&mut self, signature: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying.finish(|Verification { verifying, key }| {
            verifying.finish(signature, in_tpm(key, engine))?;
            Ok(Delivery::Written)
        })
    }
}
