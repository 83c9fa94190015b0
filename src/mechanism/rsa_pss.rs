//! RSASSA-PSS (RFC 8017, section 8.1) with any salt length that fits: made here and finished by the
//! raw private operation, because a TPM's own PSS takes the largest salt, which TLS 1.3 refuses.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_SIGNATURE_INVALID};

use super::mgf1::mask;
use super::parameter::Pss;
use super::rsa::{self, is_below_modulus};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::PrivateKey;

/// Last byte of an encoded message.
const TRAILER: u8 = 0xbc;

/// Bits and bytes of the encoded message: one bit less than the modulus.
fn size(task: &Task) -> Result<(usize, usize)> {
    let bits = rsa::bits(task)?.saturating_sub(1);
    Ok((bits, bits.div_ceil(8)))
}

/// Errors: `CKR_MECHANISM_PARAM_INVALID` for a salt that does not fit the key.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let pss = task.parameter.pss()?;
    let needed = pss.salt_len.saturating_add(pss.hash.digest_len()).saturating_add(2);
    if size(task)?.1 < needed {
        let why = "the salt does not fit the key";
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, why));
    }
    Ok(())
}

pub(super) fn sign(task: &Task, digest: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let pss = task.parameter.pss()?;
    check_digest(pss, digest)?;
    let mut salt = vec![0; pss.salt_len];
    getrandom::fill(&mut salt)?;
    let (bits, len) = size(task)?;
    let encoded = encode(pss, digest, &salt, bits, len)?;
    // Where the modulus has a multiple of 8 bits plus one, the block has a zero byte in front.
    let mut block = vec![0; rsa::len(task).saturating_sub(encoded.len())];
    block.extend_from_slice(&encoded);
    rsa::sign_block(task, &block, key)
}

fn check_digest(pss: &Pss, digest: &[u8]) -> Result<()> {
    if digest.len() != pss.hash.digest_len() {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "not as long as the digest of the hash"));
    }
    Ok(())
}

/// M' hashed: eight zero bytes, the digest, the salt.
fn bound_digest(pss: &Pss, digest: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut hasher = pss.hash.hasher();
    hasher.update(&[0; 8]);
    hasher.update(digest);
    hasher.update(salt);
    hasher.finish()
}

/// EMSA-PSS-ENCODE.
fn encode(pss: &Pss, digest: &[u8], salt: &[u8], bits: usize, len: usize) -> Result<Vec<u8>> {
    let hash = bound_digest(pss, digest, salt);
    let Some(zeros) = len.checked_sub(salt.len().saturating_add(hash.len()).saturating_add(2))
    else {
        return Err(Error::bug("a salt that does not fit was accepted"));
    };
    let mut block = vec![0; zeros];
    block.push(1);
    block.extend_from_slice(salt);
    mask(pss.mgf, &hash, &mut block);
    clear_top(&mut block, bits, len);
    block.extend_from_slice(&hash);
    block.push(TRAILER);
    Ok(block)
}

/// The bits above the encoded message's length are zero.
fn clear_top(block: &mut [u8], bits: usize, len: usize) {
    if let Some(first) = block.first_mut() {
        *first &= 0xff >> len.saturating_mul(8).saturating_sub(bits).min(7);
    }
}

pub(super) fn verify(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    let pss = task.parameter.pss()?;
    check_digest(pss, digest)?;
    let (bits, len) = size(task)?;
    let valid = is_below_modulus(task, signature)? && {
        let block = rsa::public(task, signature)?;
        let (zeros, encoded) = block.split_at(block.len().saturating_sub(len));
        zeros.iter().all(|byte| *byte == 0) && is_encoding(pss, digest, encoded, bits)
    };
    if valid {
        return Ok(());
    }
    Err(Error::new(CKR_SIGNATURE_INVALID, "the signature is not valid"))
}

/// EMSA-PSS-VERIFY with exactly the salt length of the parameter.
fn is_encoding(pss: &Pss, digest: &[u8], encoded: &[u8], bits: usize) -> bool {
    let check = || -> Option<bool> {
        let (trailer, rest) = encoded.split_last()?;
        let masked = rest.len().checked_sub(pss.hash.digest_len())?;
        let (masked, hash) = rest.split_at_checked(masked)?;
        let mut block = masked.to_vec();
        let mut top = block.clone();
        clear_top(&mut top, bits, encoded.len());
        if *trailer != TRAILER || top != block {
            return Some(false);
        }
        mask(pss.mgf, hash, &mut block);
        clear_top(&mut block, bits, encoded.len());
        let (padding, salt) = block.split_at_checked(block.len().checked_sub(pss.salt_len)?)?;
        let (one, zeros) = padding.split_last()?;
        Some(
            *one == 1
                && zeros.iter().all(|byte| *byte == 0)
                && bound_digest(pss, digest, salt) == hash,
        )
    };
    check().unwrap_or(false)
}
