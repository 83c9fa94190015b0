//! Encryption with a public key, in software whatever the mechanism.

use super::parameter::MechanismChoice;
use super::row::Encrypt;
use super::signing::single_part;
use super::task::{Task, required};
use crate::error::Result;
use crate::tpm::{Abilities, PublicKey};

/// An encryption under way.
pub struct Encrypting {
    task: Task,
    encrypt: Encrypt,
}

impl Encrypting {
    /// Begins to encrypt with `public`.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not encrypt),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_EncryptInit.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        let encrypt = required(task.row, task.row.encrypt, "encrypt")?;
        Ok(Self { task, encrypt })
    }

    /// Bytes of the ciphertext, exactly.
    pub fn ciphertext_len(&self) -> usize {
        self.task.key.signature_len()
    }

    /// Encrypts `data`, which is all there is.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`.
    pub fn encrypt(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        (self.encrypt)(&self.task, data)
    }

    /// Takes a part of the data.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`: all mechanisms here are single-part.
    pub fn update(&mut self, _part: &[u8]) -> Result<Vec<u8>> {
        Err(single_part())
    }
}
