//! Digests, in software.

use cryptoki_sys::{CK_MECHANISM_TYPE, CKR_MECHANISM_INVALID};
use zeroize::Zeroizing;

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

    /// The digest that [`save`](Self::save) wrote down under `ckm`; `None` if these bytes are none.
    pub fn restored(ckm: CK_MECHANISM_TYPE, state: &[u8]) -> Option<Self> {
        let hash = Hash::from_mechanism(ckm)?;
        Some(Self { hash, hasher: hash.restored(state)? })
    }

    /// Its mechanism, and all that is needed to go on later: some 100 or 200 bytes, among them the
    /// end of the data as it is.
    pub fn save(&self) -> (CK_MECHANISM_TYPE, Zeroizing<Vec<u8>>) {
        (self.hash.mechanism(), self.hasher.save())
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
