//! Verifying: software with a public key, the TPM with a secret one.

use cryptoki_sys::{CK_OBJECT_HANDLE, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED};

use crate::error::Result;
use crate::mechanism::parameter::MechanismChoice;
use crate::mechanism::{Recovering, Verifying};
use crate::session::Call;
use crate::session::key::{BoundKey, VERIFY, VERIFY_RECOVER, in_tpm};
use crate::session::kind::Kind;
use crate::session::operation::{Delivery, Destination, Operation};

/// An active verification of a signature that was given first.
pub struct KnownSignature {
    verification: Verification,
    signature: Vec<u8>,
}

/// An active verification.
pub struct Verification {
    pub(super) verifying: Verifying,
    /// The key, where it is a secret one.
    pub(super) key: Option<BoundKey>,
}

impl Operation for KnownSignature {
    fn key(&mut self) -> Option<&mut BoundKey> {
        self.verification.key()
    }
}

impl Operation for Verification {
    fn key(&mut self) -> Option<&mut BoundKey> {
        self.key.as_mut()
    }
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
        let verification = self.verification(&choice, key)?;
        self.session.verifying.begin(verification);
        Ok(())
    }

    /// A verification with the key `key`, not begun yet.
    pub(super) fn verification(
        &mut self,
        choice: &MechanismChoice,
        key: CK_OBJECT_HANDLE,
    ) -> Result<Verification> {
        let usable = self.usable_key(key, choice, VERIFY)?;
        let verifying = Verifying::new(choice, &usable.abilities, &usable.facts)?;
        Ok(Verification { verifying, key: self.bind_secret(usable.object)? })
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
        let engine = &self.provider.engine;
        self.session
            .verifying
            .update(|Verification { verifying, key }| verifying.update(data, in_tpm(key, engine)))
    }

    /// Verifies `signature` over the parts. PKCS#11 v3.1, C_VerifyFinal.
    pub fn verify_final(&mut self, signature: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying.finish(|Verification { verifying, key }| {
            verifying.finish(signature, in_tpm(key, engine))?;
            Ok(Delivery::Written)
        })
    }

    /// Begins to verify `signature`, of which the data is to come; without a mechanism, cancels the
    /// active verification. PKCS#11 v3.2, C_VerifySignatureInit.
    ///
    /// Errors: those of [`verify_init`](Self::verify_init); `CKR_SIGNATURE_LEN_RANGE`.
    pub fn verify_signature_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
        signature: &[u8],
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::VerifySignature) };
        self.may_begin(Kind::VerifySignature)?;
        let verification = self.verification(&choice, key)?;
        verification.verifying.check_len(signature)?;
        let signature = signature.to_vec();
        self.session.verifying_known.begin(KnownSignature { verification, signature });
        Ok(())
    }

    /// Verifies the signature over `data`; always ends the operation. PKCS#11 v3.2,
    /// C_VerifySignature.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED` also after an update: `CKR_OPERATION_ACTIVE` is not
    /// among its return values.
    pub fn verify_signature(&mut self, data: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session
            .verifying_known
            .one_shot(|KnownSignature { verification, signature }| {
                let Verification { verifying, key } = verification;
                verifying.verify(data, signature, in_tpm(key, engine)).map(|()| Delivery::Written)
            })
            .map_err(|error| error.retold(&[CKR_OPERATION_ACTIVE], CKR_OPERATION_NOT_INITIALIZED))
    }

    /// Takes the next part of the data. PKCS#11 v3.2, C_VerifySignatureUpdate.
    pub fn verify_signature_update(&mut self, data: &[u8]) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying_known.update(|KnownSignature { verification, .. }| {
            let Verification { verifying, key } = verification;
            verifying.update(data, in_tpm(key, engine))
        })
    }

    /// Verifies the signature over the parts. PKCS#11 v3.2, C_VerifySignatureFinal.
    pub fn verify_signature_final(&mut self) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying_known.finish(|KnownSignature { verification, signature }| {
            let Verification { verifying, key } = verification;
            verifying.finish(signature, in_tpm(key, engine)).map(|()| Delivery::Written)
        })
    }

    /// Begins to recover data from its signature; without a mechanism, cancels the active
    /// operation. PKCS#11 v3.1, C_VerifyRecoverInit.
    pub fn verify_recover_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::VerifyRecover) };
        self.may_begin(Kind::VerifyRecover)?;
        let usable = self.usable_key(key, &choice, VERIFY_RECOVER)?;
        let recovering = Recovering::new(&choice, &usable.abilities, &usable.facts)?;
        self.session.recovering.begin(recovering);
        Ok(())
    }

    /// The data that `signature` was made of. PKCS#11 v3.1, C_VerifyRecover: a bad signature is
    /// told before a buffer that is too small, so it is opened first.
    pub fn verify_recover(&mut self, signature: &[u8], data: impl Destination) -> Result<()> {
        self.session.recovering.one_shot(|recovering| {
            let recovered = recovering.recover(signature)?;
            data.fill(recovered.len(), || Ok(recovered))
        })
    }
}
