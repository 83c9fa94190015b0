//! Verification with a public key, in software whatever the mechanism.

use super::parameter::MechanismChoice;
use super::row::Verify;
use super::signing::Collected;
use super::task::{Task, required};
use crate::error::Result;
use crate::tpm::{Abilities, PublicKey};

/// A signature being checked.
pub struct Verifying {
    task: Task,
    verify: Verify,
    collected: Collected,
}

impl Verifying {
    /// Begins to verify with `public`.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not verify),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_VerifyInit.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        let verify = required(task.row, task.row.verify, "verify")?;
        let collected = Collected::new(task.row.hash);
        Ok(Self { task, verify, collected })
    }

    /// Takes a part of the data.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn update(&mut self, part: &[u8]) -> Result<()> {
        self.collected.update(part)
    }

    /// Checks that `signature` is of `data`, which is all there is.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`.
    pub fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        match self.task.row.hash {
            Some(hash) => (self.verify)(&self.task, &hash.digest(data), signature),
            None => (self.verify)(&self.task, data, signature),
        }
    }

    /// Checks that `signature` is of all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`verify`](Self::verify).
    pub fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let digest = self.collected.finish()?;
        (self.verify)(&self.task, &digest, signature)
    }
}
