//! Signing: an operation with its private key.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Signing;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::{BoundKey, SIGN, SIGN_RECOVER, Usage};
use crate::session::kind::Kind;
use crate::session::operation::{Destination, Operation};

/// An active signature.
pub struct Signature {
    pub(super) signing: Signing,
    pub(super) key: BoundKey,
}

impl Operation for Signature {
    fn key(&mut self) -> Option<&mut BoundKey> {
        Some(&mut self.key)
    }
}

impl Call<'_> {
    /// Begins a signature with the key `key`; without a mechanism, cancels the active one.
    ///
    /// PKCS#11 v3.1, C_SignInit. Errors: those of every use of a key (`session/key.rs`),
    /// `CKR_OPERATION_ACTIVE`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn sign_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Sign) };
        self.may_begin(Kind::Sign)?;
        let signature = self.signature(&choice, key, SIGN)?;
        self.session.signing.begin(signature);
        Ok(())
    }

    /// A signature with the key `key`, not begun yet.
    pub(super) fn signature(
        &mut self,
        choice: &MechanismChoice,
        key: CK_OBJECT_HANDLE,
        usage: Usage,
    ) -> Result<Signature> {
        let usable = self.usable_key(key, choice, usage)?;
        let signing = Signing::new(
            choice,
            &usable.abilities,
            &usable.facts,
            usable.object.fixed_scheme(&usable.abilities),
            self.provider.config.check_ec_signatures,
        )?;
        let key = self.bind(usable.object)?;
        Ok(Signature { signing, key })
    }

    /// Signs `data` whole. PKCS#11 v3.1, C_Sign.
    pub fn sign(&mut self, data: &[u8], signature: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.signing.one_shot(|Signature { signing, key }| {
            signature.fill(signing.signature_len(), || signing.sign(data, &mut key.in_tpm(engine)))
        })
    }

    /// Takes the next part of the data. PKCS#11 v3.1, C_SignUpdate.
    pub fn sign_update(&mut self, data: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session
            .signing
            .update(|Signature { signing, key }| signing.update(data, &mut key.in_tpm(engine)))
    }

    /// Signs the parts. PKCS#11 v3.1, C_SignFinal.
    pub fn sign_final(&mut self, signature: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.signing.finish(|Signature { signing, key }| {
            // A mechanism without parts has no length to tell here either.
            signing.update(&[], &mut key.in_tpm(engine))?;
            signature.fill(signing.signature_len(), || signing.finish(&mut key.in_tpm(engine)))
        })
    }

    /// Begins a signature that its data can be recovered from; without a mechanism, cancels the
    /// active one. PKCS#11 v3.1, C_SignRecoverInit.
    ///
    /// Errors: those of [`sign_init`](Self::sign_init).
    pub fn sign_recover_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::SignRecover) };
        self.may_begin(Kind::SignRecover)?;
        let signature = self.signature(&choice, key, SIGN_RECOVER)?;
        self.session.signing_recoverably.begin(signature);
        Ok(())
    }

    /// Signs `data`, which is all there is. PKCS#11 v3.1, C_SignRecover.
    pub fn sign_recover(&mut self, data: &[u8], signature: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.signing_recoverably.one_shot(|Signature { signing, key }| {
            signature.fill(signing.signature_len(), || signing.sign(data, &mut key.in_tpm(engine)))
        })
    }
}
