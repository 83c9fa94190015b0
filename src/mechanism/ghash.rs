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
    /// Begins with the hash key.
    pub(super) fn new(key: &[u8]) -> Result<Self> {
        let hash = ghash::GHash::new_from_slice(key)
            .map_err(|_| Error::bug("a hash key of another length"))?;
        Ok(Self { hash, pending: Vec::with_capacity(BLOCK), lens: [0, 0] })
    }

    /// Takes the next part of the associated data, all of which comes before the ciphertext.
    pub(super) fn associate(&mut self, part: &[u8]) {
        self.lens[0] = self.lens[0].saturating_add(part.len() as u64);
        self.absorb(part);
    }

    /// Takes the next part of the ciphertext.
    pub(super) fn update(&mut self, part: &[u8]) {
        if self.lens[1] == 0 {
            self.fill_up();
        }
        self.lens[1] = self.lens[1].saturating_add(part.len() as u64);
        self.absorb(part);
    }

    fn absorb(&mut self, part: &[u8]) {
        let missing = BLOCK.saturating_sub(self.pending.len()) % BLOCK;
        let (first, rest) = part.split_at(missing.min(part.len()));
        self.pending.extend_from_slice(first);
        if self.pending.len() < BLOCK && !self.pending.is_empty() {
            return;
        }
        self.fill_up();
        let (whole, later) = rest.split_at(rest.len() / BLOCK * BLOCK);
        self.hash.update_padded(whole);
        self.pending.extend_from_slice(later);
    }

    /// Takes what is pending with zeros after it.
    fn fill_up(&mut self) {
        self.hash.update_padded(&self.pending);
        self.pending.clear();
    }

    /// The hash, with the lengths at its end.
    pub(super) fn finish(mut self) -> SecretBytes {
        self.fill_up();
        let [aad, data] = self.lens.map(|len| len.saturating_mul(8).to_be_bytes());
        self.hash.update_padded(&[aad, data].concat());
        Zeroizing::new(self.hash.finalize().to_vec())
    }

    /// The counter that `nonce` begins with (section 7.1).
    pub(super) fn counter(key: &[u8], nonce: &[u8]) -> Result<Vec<u8>> {
        if let Some(counter) = Self::own_counter(nonce) {
            return Ok(counter.to_vec());
        }
        let mut hash = Self::new(key)?;
        hash.update(nonce);
        Ok(hash.finish().to_vec())
    }

    /// The same for a nonce that is the counter's beginning as it stands.
    pub(super) fn own_counter(nonce: &[u8]) -> Option<[u8; BLOCK]> {
        let nonce: [u8; 12] = nonce.try_into().ok()?;
        [&nonce[..], &[0, 0, 0, 1]].concat().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_length_give_the_hash_of_the_whole() {
        let data: Vec<u8> = (0..80).collect();
        let of = |parts: &[&[u8]]| {
            let mut hash = Ghash::new(&[9; 16]).unwrap();
            parts.iter().for_each(|part| hash.associate(part));
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
