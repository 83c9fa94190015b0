//! Encryption: in software, with the public key.

use cryptoki_sys::CKR_MECHANISM_INVALID;

use super::parameter::MechanismChoice;
use super::signing::single_part;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PublicKey};

/// An encryption.
pub struct Encrypting {
    task: Task,
}

impl Encrypting {
    /// Begins one.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        if task.row.encrypt.is_none() {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the mechanism does not encrypt"));
        }
        Ok(Self { task })
    }

    /// The exact length of the ciphertext: the modulus's.
    pub fn output_len(&self) -> usize {
        self.task.signature_len()
    }

    /// Encrypts `data` whole.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`.
    pub fn encrypt(&self, data: &[u8]) -> Result<Vec<u8>> {
        let encrypt =
            self.task.row.encrypt.ok_or_else(|| Error::bug("a row that does not encrypt"))?;
        encrypt(&self.task, data)
    }

    /// RSA takes its data whole.
    ///
    /// Errors: always `CKR_FUNCTION_NOT_SUPPORTED`.
    pub fn update(&mut self, _data: &[u8]) -> Result<Vec<u8>> {
        Err(single_part())
    }

    /// Likewise.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        Err(single_part())
    }
}
