//! Decryption with a private key in the TPM.

use cryptoki_sys::CKR_MECHANISM_INVALID;
use zeroize::Zeroizing;

use super::parameter::MechanismChoice;
use super::row::Decrypt;
use super::signing::single_part;
use super::task::{Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, PublicKey, Scheme};

/// A decryption under way.
pub struct Decrypting {
    task: Task,
    decrypt: Decrypt,
    /// The plaintext, once it was made for a caller whose buffer was too short: no retry costs a
    /// second private operation.
    pub made: Option<Zeroizing<Vec<u8>>>,
}

impl Decrypting {
    /// Begins to decrypt with the private key of `public`. `scheme` is the signature scheme that
    /// the TPM key is bound to, if any: such a key does not decrypt.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not decrypt, a bound key),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_DecryptInit.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
        scheme: Option<Scheme>,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        let decrypt = required(task.row, task.row.decrypt, "decrypt")?;
        if scheme.is_some() {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "the TPM key is bound to a signature scheme",
            ));
        }
        Ok(Self { task, decrypt, made: None })
    }

    /// Bytes of the longest plaintext: what a length query answers.
    pub fn bound(&self) -> usize {
        (self.decrypt.bound)(&self.task)
    }

    /// Decrypts `ciphertext`, which is all there is. The result is for `made`.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`; `CKR_ENCRYPTED_DATA_INVALID` for a number that is
    /// not below the modulus, or bad OAEP padding (bad PKCS#1 v1.5 padding is no error); those of
    /// the TPM.
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        private: &mut dyn PrivateKey,
    ) -> Result<Zeroizing<Vec<u8>>> {
        (self.decrypt.run)(&self.task, ciphertext, private)
    }

    /// Takes a part of the ciphertext.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`: all mechanisms here are single-part.
    pub fn update(&mut self, _part: &[u8]) -> Result<Vec<u8>> {
        Err(single_part())
    }
}
