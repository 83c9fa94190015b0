//! What stands in for a plaintext whose PKCS#1 v1.5 padding is bad.
//!
//! An answer that tells good from bad paddings lets its sender decrypt anything, one ciphertext at a
//! time (Bleichenbacher's attack). So a bad padding is answered with a message as well: always the
//! same for a ciphertext, of a length that good ones have too, and known to nobody beforehand.
//!
//! The usual scheme derives it from the private exponent, which here is in the TPM. A random key of
//! this process serves as well: an attacker knows neither, and what it could compare, the answers of
//! two processes to one bad ciphertext, tells it only what no answer at all would: that there is more
//! than one process. (A good one decrypts alike everywhere; whoever can ask two processes and compare
//! *whole plaintexts* is its recipient.)

use std::sync::OnceLock;

use cryptoki_sys::CKR_GENERAL_ERROR;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{ConditionallySelectable, ConstantTimeLess};
use zeroize::Zeroizing;

use super::rsa;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PublicKey, SecretBytes};

/// How many lengths are drawn; one that fits is among them but for one in 2^64 or less.
const DRAWS: usize = 128;

static KEY: OnceLock<Zeroizing<[u8; 32]>> = OnceLock::new();

/// The bytes that stand in for the block, and how many of the last ones are the message.
pub(super) fn message(task: &Task, ciphertext: &[u8]) -> Result<(SecretBytes, usize)> {
    let own = derive(process_key()?, &[modulus(task), ciphertext])?;
    let len = rsa::len(task);
    let bytes = stream(&own, b"message", len)?;
    let lengths = stream(&own, b"length", DRAWS * 2)?;
    let most = u16::try_from(len.saturating_sub(11)).unwrap_or(u16::MAX);
    let mask =
        most.checked_next_power_of_two().map_or(u16::MAX, |power| power.wrapping_sub(1) | most);
    let mut chosen = 0u16;
    for draw in lengths.chunks_exact(2) {
        let [high, low] = draw else { continue };
        let drawn = u16::from_be_bytes([*high, *low]) & mask;
        let fits = drawn.ct_lt(&most.saturating_add(1));
        chosen = u16::conditional_select(&chosen, &drawn, fits);
    }
    Ok((bytes, chosen.into()))
}

fn modulus(task: &Task) -> &[u8] {
    match &task.public {
        PublicKey::Rsa { modulus, .. } => modulus,
        PublicKey::Ec { .. } => &[],
    }
}

fn process_key() -> Result<&'static [u8; 32]> {
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let mut fresh = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *fresh)?;
    Ok(KEY.get_or_init(|| fresh))
}

fn derive(key: &[u8], parts: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|cause| Error::because(CKR_GENERAL_ERROR, "HMAC key", cause))?;
    for part in parts {
        mac.update(part);
    }
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

fn stream(key: &[u8; 32], label: &[u8], len: usize) -> Result<SecretBytes> {
    let mut out = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
    for counter in 0u32.. {
        if out.len() >= len {
            break;
        }
        out.extend_from_slice(&*derive(key, &[label, &counter.to_be_bytes()])?);
    }
    out.truncate(len);
    Ok(out)
}
