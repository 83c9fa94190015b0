//! Derivation of a secret from a key.

use super::parameter::MechanismChoice;
use super::row::Derive;
use super::task::{KeyFacts, Task, required};
use crate::error::Result;
use crate::tpm::{Abilities, PrivateKey, SecretBytes};

/// A derivation about to be made.
pub struct Deriving {
    task: Task,
    derive: Derive,
}

impl Deriving {
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not derive),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_DeriveKey.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let task = Task::new(choice, abilities, key)?;
        let derive = required(task.row, task.row.derive, "derive")?;
        Ok(Self { task, derive })
    }

    /// The secret, of `len` bytes where that is said.
    ///
    /// Errors: `CKR_KEY_SIZE_RANGE` for more than there is; `CKR_TEMPLATE_INCOMPLETE` where the
    /// mechanism gives any number of bytes; those of the TPM.
    pub fn derive(&self, len: Option<usize>, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        (self.derive)(&self.task, len, key)
    }
}
