//! GHASH over associated data and ciphertext that come in parts (NIST SP 800-38D, section 6.4). The
//! arithmetic is another crate's; its key is a block that the TPM encrypted.

use ghash::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

use super::parameter::BLOCK;
use crate::error::{Error, Result};
use crate::tpm::SecretBytes;

/// The hash of one message under way.
pub(super) struct Ghash {
    hash: ghash::GHash,
    /// What does not fill a block yet.
    pending: Vec<u8>,
    /// Bytes of the associated data, and of the rest.
    lens: [u64; 2],
}

impl Ghash {
    /// Begins with all of the associated data.
    pub(super) fn new(key: &[u8], aad: &[u8]) -> Result<Self> {
        let hash = ghash::GHash::new_from_slice(key)
            .map_err(|_| Error::bug("a hash key of another length"))?;
        let mut new =
            Self { hash, pending: Vec::with_capacity(BLOCK), lens: [aad.len() as u64, 0] };
        new.hash.update_padded(aad);
        Ok(new)
    }

    /// Takes the next part of the ciphertext.
    pub(super) fn update(&mut self, part: &[u8]) {
        self.lens[1] = self.lens[1].saturating_add(part.len() as u64);
        let missing = BLOCK.saturating_sub(self.pending.len()) % BLOCK;
        let (first, rest) = part.split_at(missing.min(part.len()));
        self.pending.extend_from_slice(first);
        if self.pending.len() < BLOCK && !self.pending.is_empty() {
            return;
        }
        self.hash.update_padded(&self.pending);
        let (whole, later) = rest.split_at(rest.len() / BLOCK * BLOCK);
        self.hash.update_padded(whole);
        self.pending.clear();
        self.pending.extend_from_slice(later);
    }

    /// The hash, with the lengths at its end.
    pub(super) fn finish(mut self) -> SecretBytes {
        self.hash.update_padded(&self.pending);
        let [aad, data] = self.lens.map(|len| len.saturating_mul(8).to_be_bytes());
        self.hash.update_padded(&[aad, data].concat());
        Zeroizing::new(self.hash.finalize().to_vec())
    }

    /// The counter that `nonce` begins with (section 7.1).
    pub(super) fn counter(key: &[u8], nonce: &[u8]) -> Result<Vec<u8>> {
        if nonce.len() == 12 {
            return Ok([nonce, &[0, 0, 0, 1]].concat());
        }
        let mut hash = Self::new(key, &[])?;
        hash.update(nonce);
        Ok(hash.finish().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_length_give_the_hash_of_the_whole() {
        let data: Vec<u8> = (0..80).collect();
        let of = |parts: &[&[u8]]| {
            let mut hash = Ghash::new(&[9; 16], b"associated").unwrap();
            parts.iter().for_each(|part| hash.update(part));
            hash.finish().to_vec()
        };
        let whole = of(&[&data]);
        for first in 0..=data.len() {
            for second in first..=data.len() {
                assert_eq!(of(&[&data[..first], &data[first..second], &data[second..]]), whole);
            }
        }
        assert_ne!(of(&[&data[1..]]), whole);
    }
}
