//! Message digesting.

use cryptoki_sys::CKR_MECHANISM_INVALID;

use super::hash::{Hash, Hasher};
use super::parameter::{Checked, MechanismChoice};
use super::row::row;
use crate::error::{Error, Result};

/// A digest being computed.
pub struct Digesting {
    hash: Hash,
    hasher: Hasher,
}

impl Digesting {
    /// Begins one.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn new(choice: &MechanismChoice) -> Result<Self> {
        let unfit = || Error::new(CKR_MECHANISM_INVALID, "the mechanism does not digest");
        let row = row(choice.ckm).ok_or_else(unfit)?;
        let hash = row.digest.ok_or_else(unfit)?;
        Checked::new(row, &choice.parameter)?;
        Ok(Self { hash, hasher: hash.hasher() })
    }

    /// Bytes of the digest.
    pub fn digest_len(&self) -> usize {
        self.hash.digest_len()
    }

    /// Takes the next part of the data.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The digest of all parts.
    pub fn finish(&mut self) -> Vec<u8> {
        self.hasher.finish()
    }
}
