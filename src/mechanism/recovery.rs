//! Verification that gives back what was signed, in software whatever the mechanism.

use super::parameter::MechanismChoice;
use super::row::Recover;
use super::task::{KeyFacts, Task, required};
use crate::error::Result;
use crate::tpm::Abilities;

/// Data being recovered from its signature.
pub struct Recovering {
    task: Task,
    recover: Recover,
}

impl Recovering {
    /// Begins to recover with the public key that `key` tells of.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not recover),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_VerifyRecoverInit.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let task = Task::new(choice, abilities, key)?;
        let recover = required(task.row, task.row.recover, "recover")?;
        Ok(Self { task, recover })
    }

    /// What was signed.
    ///
    /// Errors: `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`.
    pub fn recover(&self, signature: &[u8]) -> Result<Vec<u8>> {
        (self.recover)(&self.task, signature)
    }
}
