//! MGF1 (RFC 8017, appendix B.2.1).

use super::hash::Hash;

/// XORs the mask that `hash` makes of `seed` into `block`.
pub(super) fn mask(hash: Hash, seed: &[u8], block: &mut [u8]) {
    for (counter, chunk) in (0u32..).zip(block.chunks_mut(hash.digest_len())) {
        let mut hasher = hash.hasher();
        hasher.update(seed);
        hasher.update(&counter.to_be_bytes());
        for (byte, mask) in chunk.iter_mut().zip(hasher.finish()) {
            *byte ^= mask;
        }
    }
}
