//! Digests, in software.

use cryptoki_sys::CKR_MECHANISM_INVALID;

use super::hash::{Hash, Hasher};
use super::parameter::{Checked, MechanismChoice};
use super::row::row;
use super::task::required;
use crate::error::{Error, Result};

/// A digest being computed.
pub struct Digesting {
    hash: Hash,
    hasher: Hasher,
}

impl Digesting {
    /// Begins a digest. No TPM is needed for it.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, does not digest), `CKR_MECHANISM_PARAM_INVALID`.
    ///
    /// PKCS#11 v3.1, C_DigestInit.
    pub fn new(choice: &MechanismChoice) -> Result<Self> {
        let row = row(choice.ckm)
            .ok_or_else(|| Error::new(CKR_MECHANISM_INVALID, "an unknown mechanism"))?;
        let hash = required(row, row.digest, "digest")?;
        Checked::new(row, &choice.parameter)?;
        Ok(Self { hash, hasher: hash.hasher() })
    }

    /// Bytes of the digest, exactly.
    pub fn digest_len(&self) -> usize {
        self.hash.digest_len()
    }

    /// Takes a part of the data.
    pub fn update(&mut self, part: &[u8]) {
        self.hasher.update(part);
    }

    /// The digest of all that [`update`](Self::update) took; starts over.
    pub fn finish(&mut self) -> Vec<u8> {
        self.hasher.finish()
    }
}
