//! Verifying: software, with the public key.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Verifying;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::VERIFY;
use crate::session::kind::Kind;
use crate::session::operation::Delivery;

impl Call<'_> {
    /// Begins a verification with the public key `key`; without a mechanism, cancels the active
    /// one. PKCS#11 v3.1, C_VerifyInit.
    pub fn verify_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Verify) };
        self.may_begin(Kind::Verify)?;
        let usable = self.usable_key(key, &choice, VERIFY)?;
        let verifying = Verifying::new(&choice, &usable.abilities, &usable.public)?;
        self.session.verifying.begin(verifying);
        Ok(())
    }

    /// Verifies `signature` over `data`; always ends the operation. PKCS#11 v3.1, C_Verify.
    pub fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        self.session
            .verifying
            .one_shot(|operation| operation.verify(data, signature).map(|()| Delivery::Written))
    }

    /// Takes the next part of the data. PKCS#11 v3.1, C_VerifyUpdate.
    pub fn verify_update(&mut self, data: &[u8]) -> Result<()> {
        self.session.verifying.update(|operation| operation.update(data))
    }

    /// Verifies `signature` over the parts. PKCS#11 v3.1, C_VerifyFinal.
    pub fn verify_final(&mut self, signature: &[u8]) -> Result<()> {
        self.session
            .verifying
            .finish(|operation| operation.finish(signature).map(|()| Delivery::Written))
    }
}
