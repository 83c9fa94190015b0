//! Encryption: with a public key in software, with a secret key in the TPM.

use super::aead::Aead;
use super::cipher::Cipher;
use super::parameter::MechanismChoice;
use super::row::{Encryption, KeyWrap, Padding};
use super::rsa_aes;
use super::signing::single_part;
use super::task::{KeyFacts, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, Direction, PrivateKey};

/// An encryption under way.
pub struct Encrypting {
    task: Task,
    how: How,
}

impl Encrypting {
    /// Begins to encrypt with the public or secret key that `key` tells of.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not encrypt),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_EncryptInit.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let mut task = Task::new(choice, abilities, key)?;
        let how = How::new(&mut task, Direction::Encrypt)?;
        Ok(Self { task, how })
    }

    /// Bytes of the ciphertext of `len` bytes, exactly.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE` where a cipher takes whole blocks only.
    pub fn ciphertext_len(&self, len: usize) -> Result<usize> {
        match &self.how {
            How::Padding(_) => Ok(self.task.key.signature_len()),
            How::Whole(key_wrap) => (key_wrap.wrapped_len)(len),
            How::Hybrid => rsa_aes::whole_len(&self.task, len),
            How::Cipher(cipher) => {
                cipher.check_whole(len)?;
                Ok(cipher.whole_len(len))
            }
            How::Aead(aead) => {
                aead.check_end(len)?;
                Ok(len.saturating_add(aead.tag_len()))
            }
        }
    }

    /// Encrypts `data`, which is all there is. `secret` is the key in the TPM, where it is a secret
    /// one.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`.
    pub fn encrypt(&mut self, data: &[u8], secret: Option<impl PrivateKey>) -> Result<Vec<u8>> {
        match &mut self.how {
            How::Padding(padding) => (padding.encrypt)(&self.task, data),
            How::Hybrid => rsa_aes::wrap(&self.task, data),
            How::Whole(key_wrap) => {
                let mut secret = secret.ok_or_else(keyless)?;
                Ok((key_wrap.wrap)(&self.task, data, &mut secret)?.to_vec())
            }
            How::Cipher(cipher) => {
                let mut secret = secret.ok_or_else(keyless)?;
                let mut made = cipher.update(data, &mut secret)?.to_vec();
                made.extend_from_slice(&cipher.finish(&mut secret)?);
                Ok(made)
            }
            How::Aead(aead) => {
                Ok(aead.seal_whole(data, &mut secret.ok_or_else(keyless)?)?.to_vec())
            }
        }
    }

    /// Bytes that the next part of `len` bytes gives, exactly.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn update_len(&self, len: usize) -> Result<usize> {
        match &self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => {
                cipher.check_part(len)?;
                Ok(cipher.update_len(len))
            }
            How::Aead(aead) => aead.check_part(len).map(|()| len),
        }
    }

    /// Takes a part of the data, and gives what it makes.
    pub fn update(&mut self, part: &[u8], secret: Option<impl PrivateKey>) -> Result<Vec<u8>> {
        match &mut self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => {
                Ok(cipher.update(part, &mut secret.ok_or_else(keyless)?)?.to_vec())
            }
            How::Aead(aead) => Ok(aead.seal(part, &mut secret.ok_or_else(keyless)?)?.to_vec()),
        }
    }

    /// Bytes that the end gives, exactly.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`; `CKR_DATA_LEN_RANGE` if less data came than was told.
    pub fn finish_len(&self) -> Result<usize> {
        match &self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => Ok(cipher.finish_len()),
            How::Aead(aead) => aead.check_end(0).map(|()| aead.tag_len()),
        }
    }

    /// Ends the data, and gives what is left. Errors: `CKR_DATA_LEN_RANGE`.
    pub fn finish(&mut self, secret: Option<impl PrivateKey>) -> Result<Vec<u8>> {
        match &mut self.how {
            How::Padding(_) | How::Whole(_) | How::Hybrid => Err(single_part()),
            How::Cipher(cipher) => Ok(cipher.finish(&mut secret.ok_or_else(keyless)?)?.to_vec()),
            How::Aead(aead) => Ok(aead.seal_end(&mut secret.ok_or_else(keyless)?)?.to_vec()),
        }
    }
}

/// How data is encrypted, or decrypted.
pub(super) enum How {
    Padding(Padding),
    Cipher(Cipher),
    Aead(Box<Aead>),
    Whole(KeyWrap),
    Hybrid,
}

impl How {
    /// Errors: `CKR_MECHANISM_INVALID` for a mechanism that does neither.
    pub(super) fn new(task: &mut Task, direction: Direction) -> Result<Self> {
        let what = match direction {
            Direction::Encrypt => "encrypt",
            Direction::Decrypt => "decrypt",
        };
        Ok(match required(task.row, task.row.encryption, what)? {
            Encryption::Padding(padding) => Self::Padding(padding),
            Encryption::Cipher(mode) => Self::Cipher(Cipher::new(task, mode, direction)?),
            Encryption::Aead(mode) => {
                let (given, most) = (task.parameter.take_aead()?, task.whole_blocks());
                Self::Aead(Box::new(Aead::new(mode, given, direction, most)))
            }
            Encryption::KeyWrap(key_wrap) => Self::Whole(key_wrap),
            Encryption::Hybrid => Self::Hybrid,
        })
    }
}

fn keyless() -> Error {
    Error::bug("a cipher without its key")
}
