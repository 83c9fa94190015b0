//! Decryption: the private operation in the TPM, the padding here.

use cryptoki_sys::{CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_MECHANISM_INVALID};

use super::parameter::MechanismChoice;
use super::signing::single_part;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, PublicKey, SecretBytes};

/// A decryption.
pub struct Decrypting {
    task: Task,
}

impl Decrypting {
    /// Begins one.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        if task.row.decrypt.is_none() {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the mechanism does not decrypt"));
        }
        Ok(Self { task })
    }

    /// The most bytes the plaintext can have.
    pub fn output_bound(&self) -> usize {
        self.task.row.decrypt.map_or(0, |decrypt| (decrypt.bound)(&self.task))
    }

    /// Decrypts `data` whole.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_INVALID`, the TPM's.
    pub fn decrypt(&self, data: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let decrypt =
            self.task.row.decrypt.ok_or_else(|| Error::bug("a row that does not decrypt"))?;
        if data.len() != self.task.signature_len() {
            let why = "the ciphertext is not as long as the modulus";
            return Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, why));
        }
        (decrypt.run)(&self.task, data, key)
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
