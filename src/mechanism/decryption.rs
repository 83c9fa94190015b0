//! Decryption with a private or secret key in the TPM.

use cryptoki_sys::CKR_MECHANISM_INVALID;
use zeroize::Zeroizing;

use super::encryption::How;
use super::parameter::MechanismChoice;
use super::rsa_aes;
use super::signing::single_part;
use super::task::{KeyFacts, Task};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, Direction, PrivateKey, Scheme, SecretBytes};

/// A decryption under way.
pub struct Decrypting {
    task: Task,
    how: How,
    /// The plaintext, once it was made for a caller whose buffer was too short: no retry costs a
    /// second private operation.
    pub made: Option<Zeroizing<Vec<u8>>>,
}

impl Decrypting {
    /// Begins to decrypt with the private or secret key that `key` tells of. `scheme` is the
    /// signature scheme that the TPM key is bound to, if any: such a key does not decrypt.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not decrypt, a bound key),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_DecryptInit.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
        scheme: Option<Scheme>,
    ) -> Result<Self> {
        let mut task = Task::new(choice, abilities, key)?;
        let how = How::new(&mut task, Direction::Decrypt)?;
        if scheme.is_some() {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "the TPM key is bound to a signature scheme",
            ));
        }
        Ok(Self { task, how, made: None })
    }

    /// Bytes of the longest plaintext of `len` bytes of ciphertext: what a length query answers.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE` where a cipher takes whole blocks only.
    pub fn bound(&self, len: usize) -> Result<usize> {
        match &self.how {
            How::Padding(padding) => Ok((padding.bound)(&self.task)),
            How::Whole(_) | How::Hybrid => Ok(len),
            How::Cipher(cipher) => {
                cipher.check_whole(len)?;
                Ok(len)
            }
            How::Aead(aead) => aead.plaintext_len(len),
        }
    }

    /// Bytes of the shortest plaintext that can be in `len` bytes of ciphertext.
    pub fn least(&self, len: usize) -> usize {
        match &self.how {
            // The padding alone tells.
            How::Padding(_) | How::Whole(_) | How::Hybrid => 0,
            How::Cipher(cipher) if cipher.finish_len() > 0 => 0,
            How::Cipher(_) => len,
            // Known exactly. It is not asked for where the length itself is refused.
            How::Aead(aead) => aead.plaintext_len(len).unwrap_or(0),
        }
    }

    /// Decrypts `ciphertext`, which is all there is. The result is for `made`.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`; `CKR_ENCRYPTED_DATA_INVALID` for a number that is
    /// not below the modulus, or bad OAEP or block padding (bad PKCS#1 v1.5 padding is no error);
    /// those of the TPM.
    pub fn decrypt(
        &mut self,
        ciphertext: &[u8],
        private: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        match &mut self.how {
            How::Padding(padding) => (padding.decrypt)(&self.task, ciphertext, private),
            How::Whole(key_wrap) => (key_wrap.unwrap)(&self.task, ciphertext, private),
            How::Hybrid => rsa_aes::unwrap(&self.task, ciphertext, private),
            How::Cipher(cipher) => {
                // A caller without room may come back with another ciphertext.
                cipher.restart();
                let mut made = cipher.update(ciphertext, private)?;
                let rest = cipher.finish(private)?;
                if !rest.is_empty() {
                    // One copy, so that no plaintext is left where the first grew out of.
                    let mut whole = Zeroizing::new(Vec::with_capacity(made.len() + rest.len()));
                    whole.extend_from_slice(&made);
                    whole.extend_from_slice(&rest);
                    made = whole;
                }
                Ok(made)
            }
            How::Aead(aead) => {
                aead.hold(ciphertext)?;
                aead.open_appended(private)
            }
        }
    }

    /// For the next part of `len` bytes: the length that a query hears, and how many bytes it gives.
    ///
    /// Plaintext with a tag comes at the end, and a part gives none. Yet callers that hear 0 take it
    /// that there is nothing to fetch, and never hand the part over: they hear what could be.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism;
    /// `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub fn update_len(&self, len: usize) -> Result<(usize, usize)> {
        match &self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => {
                cipher.check_part(len)?;
                let exact = cipher.update_len(len);
                Ok((exact, exact))
            }
            How::Aead(aead) => aead.check_part(len).map(|()| (len, 0)),
        }
    }

    /// Takes a part of the ciphertext, and gives what it makes.
    pub fn update(&mut self, part: &[u8], secret: &mut dyn PrivateKey) -> Result<SecretBytes> {
        match &mut self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => cipher.update(part, secret),
            How::Aead(aead) => aead.hold(part).map(|()| SecretBytes::default()),
        }
    }

    /// Bytes of the shortest end.
    pub fn finish_least(&self) -> usize {
        match &self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid | How::Cipher(_) => 0,
            How::Aead(aead) => aead.plaintext_len(0).unwrap_or(0),
        }
    }

    /// Most bytes that the end gives.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`; `CKR_ENCRYPTED_DATA_LEN_RANGE` for a ciphertext without
    /// its whole tag, or not as long as was told.
    pub fn finish_bound(&self) -> Result<usize> {
        match &self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => Ok(cipher.finish_len()),
            How::Aead(aead) => aead.plaintext_len(0),
        }
    }

    /// Ends the ciphertext, and gives what is left. The result is for `made`.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_INVALID`.
    pub fn finish(&mut self, secret: &mut dyn PrivateKey) -> Result<SecretBytes> {
        match &mut self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => cipher.finish(secret),
            How::Aead(aead) => aead.open_appended(secret),
        }
    }
}
