//! Signing: data collected or hashed, then the row's own signature.

use cryptoki_sys::{CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID};

use super::hash::Hasher;
use super::parameter::MechanismChoice;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, PublicKey, Scheme};

/// A signature being made.
pub struct Signing {
    task: Task,
    hasher: Option<Hasher>,
}

impl Signing {
    /// Begins one. `bound`: the only scheme the TPM lets the key sign with; `check_ec`: whether an
    /// ECDSA signature is verified before it is handed out.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
        bound: Option<Scheme>,
        check_ec: bool,
    ) -> Result<Self> {
        let task = Task { bound, check_ec, ..Task::new(choice, abilities, public)? };
        if task.row.sign.is_none() || (bound.is_some() && bound != task.row.bound_scheme) {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the key does not sign with it"));
        }
        let hasher = task.row.hash.map(|hash| hash.hasher());
        Ok(Self { task, hasher })
    }

    /// The exact length of the signature, in bytes.
    pub fn signature_len(&self) -> usize {
        self.task.signature_len()
    }

    /// Takes the next part of the data.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        self.hasher.as_mut().ok_or_else(single_part)?.update(data);
        Ok(())
    }

    /// Signs `data` whole.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`, the TPM's.
    pub fn sign(&mut self, data: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        match &mut self.hasher {
            Some(hasher) => {
                hasher.update(data);
                self.finish(key)
            }
            None => self.run(data, key),
        }
    }

    /// Signs the parts.
    pub fn finish(&mut self, key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        let digest = self.hasher.as_mut().ok_or_else(single_part)?.finish();
        self.run(&digest, key)
    }

    fn run(&self, data: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        let sign = self.task.row.sign.ok_or_else(|| Error::bug("a row that does not sign"))?;
        sign(&self.task, data, key)
    }
}

/// PKCS#11 v3.1, C_SignUpdate and its like, for a mechanism that takes its data whole.
pub(super) fn single_part() -> Error {
    Error::new(CKR_FUNCTION_NOT_SUPPORTED, "the mechanism takes its data in one part")
}
