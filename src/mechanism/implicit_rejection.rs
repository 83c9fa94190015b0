//! What stands in for a plaintext whose PKCS#1 v1.5 padding is bad: bytes that look like another
//! message, always the same for one ciphertext, so that nobody learns which ciphertexts are well
//! padded (draft-irtf-cfrg-rsa-guidance, "Implicit rejection").

use std::sync::OnceLock;

use subtle::{ConditionallySelectable, ConstantTimeLess};
use zeroize::Zeroizing;

use super::hash::Hash;
use super::mac::hmac_in_software;
use crate::error::{Error, Result};
use crate::tpm::SecretBytes;

/// Bytes of candidates for the length: 128 of them, two bytes each.
const CANDIDATES: usize = 256;

/// What a padded block holds besides the longest message, less the separator.
const LEAST_PADDING: usize = 10;

/// The secret that stand-ins are made with: 32 random bytes, new in every process.
///
/// The draft derives it from the private exponent, which never leaves the TPM. So two processes
/// give different stand-ins for one ciphertext; within a process, where an attacker's many tries
/// are made, they repeat as they must.
///
/// Errors: `CKR_FUNCTION_FAILED` without random bytes.
pub(super) fn process_secret() -> Result<&'static [u8; 32]> {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(secret) = SECRET.get() {
        return Ok(secret);
    }
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh)?;
    Ok(SECRET.get_or_init(|| fresh))
}

/// The stand-in for one ciphertext.
pub(super) struct Synthetic {
    bytes: SecretBytes,
    len: u32,
}

impl Synthetic {
    /// The stand-in for `ciphertext`, which is as long as the modulus.
    pub(super) fn new(secret: &[u8; 32], ciphertext: &[u8]) -> Result<Self> {
        let key = hmac(secret, &[ciphertext]);
        let bytes = prf(&key, b"message", ciphertext.len())?;
        let lengths = prf(&key, b"length", CANDIDATES)?;

        let most = ciphertext.len().saturating_sub(LEAST_PADDING);
        let below = u32::try_from(most).map_err(|_| Error::bug("an RSA block of gigabytes"))?;
        // The smallest number of ones alone that `below` fits under.
        let mask = u32::MAX.checked_shr(below.leading_zeros()).unwrap_or(0);
        let mut len = 0u32;
        for pair in lengths.chunks_exact(2) {
            if let [high, low] = *pair {
                let candidate = u32::from(u16::from_be_bytes([high, low])) & mask;
                len.conditional_assign(&candidate, candidate.ct_lt(&below));
            }
        }
        Ok(Self { bytes, len })
    }

    /// As many bytes as the block has; the message is the last [`len`](Self::len) of them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the message, at most eleven fewer than the block has.
    pub(super) fn len(&self) -> u32 {
        self.len
    }
}

/// `len` bytes: HMAC of a counter, `label` and the length in bits, as often as it takes.
fn prf(key: &[u8], label: &[u8], len: usize) -> Result<SecretBytes> {
    let bits = u16::try_from(len.saturating_mul(8))
        .map_err(|_| Error::bug("more bytes than the PRF counts"))?
        .to_be_bytes();
    let mut output = Zeroizing::new(Vec::with_capacity(len.saturating_add(32)));
    for counter in 0u16.. {
        if output.len() >= len {
            break;
        }
        output.extend_from_slice(&hmac(key, &[&counter.to_be_bytes(), label, &bits]));
    }
    output.truncate(len);
    Ok(output)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> SecretBytes {
    hmac_in_software(Hash::Sha256, key, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_those_of_the_draft_when_the_secret_is_its_secret() {
        let vectors = include_str!("../../tests/vectors/implicit_rejection.txt");
        let mut lines = vectors.lines().filter(|line| !line.starts_with('#'));
        let exponent = hex::decode(lines.next().unwrap()).unwrap();
        let secret = Hash::Sha256.digest(&exponent).try_into().unwrap();
        let mut seen = 0;
        for line in lines {
            let (ciphertext, expected) = line.split_once(' ').unwrap_or((line, ""));
            let ciphertext = hex::decode(ciphertext).unwrap();
            let synthetic = Synthetic::new(&secret, &ciphertext).unwrap();
            let message = &synthetic.bytes()[ciphertext.len() - synthetic.len() as usize..];
            assert_eq!(hex::encode(message), expected);
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn a_process_keeps_its_secret() {
        assert_eq!(process_secret().unwrap(), process_secret().unwrap());
        assert_ne!(process_secret().unwrap(), &[0; 32]);
    }
}
