//! RSASSA-PKCS1-v1_5 and RSAES-PKCS1-v1_5 (RFC 8017, sections 8.2 and 7.2).

use cryptoki_sys::{
    CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_SIGNATURE_INVALID,
};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

use super::implicit_rejection;
use super::row::Decrypt;
use super::rsa::{self, is_below_modulus};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, Scheme, SecretBytes};

/// Bytes of padding at least: 00, block type, eight bytes, 00.
const PADDING: usize = 11;

/// Decrypts with the padding removed.
pub(super) const DECRYPT: Decrypt = Decrypt { run: decrypt, bound };

fn bound(task: &Task) -> usize {
    rsa::len(task).saturating_sub(PADDING)
}

/// EMSA-PKCS1-v1_5 of what the caller made (a DigestInfo, usually).
fn block(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let len = rsa::len(task);
    let Some(padding) = len.checked_sub(data.len().saturating_add(3)).filter(|len| *len >= 8)
    else {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "longer than the modulus less 11 bytes"));
    };
    let mut block = vec![0, 1];
    block.resize(padding.saturating_add(2), 0xff);
    block.push(0);
    block.extend_from_slice(data);
    Ok(block)
}

fn digest_info(task: &Task, digest: &[u8]) -> Result<Vec<u8>> {
    let hash = task.row.hash.ok_or_else(|| Error::bug("a row that hashes without its hash"))?;
    Ok([&hash.digest_info_prefix(), digest].concat())
}

/// Signs data as the caller made it.
pub(super) fn sign(task: &Task, data: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    rsa::sign_block(task, &block(task, data)?, key)
}

/// Signs a digest of the row's hash.
pub(super) fn sign_digest(task: &Task, digest: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let Some(scheme @ Scheme::RsaSsa(_)) = task.bound else {
        return sign(task, &digest_info(task, digest)?, key);
    };
    let signature = key.sign(digest, scheme)?;
    verify_digest(task, digest, &signature).map_err(|error| {
        Error::because(CKR_DEVICE_ERROR, "the TPM made a wrong signature", error)
    })?;
    Ok(signature)
}

/// Verifies a signature over data as the caller made it.
pub(super) fn verify(task: &Task, data: &[u8], signature: &[u8]) -> Result<()> {
    let invalid = || Error::new(CKR_SIGNATURE_INVALID, "the signature is not valid");
    let expected = block(task, data)?;
    if !is_below_modulus(task, signature)? || rsa::public(task, signature)? != expected {
        return Err(invalid());
    }
    Ok(())
}

/// Verifies a signature over a digest of the row's hash.
pub(super) fn verify_digest(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    verify(task, &digest_info(task, digest)?, signature)
}

/// Encrypts with random padding.
pub(super) fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let mut block = Zeroizing::new(block(task, data)?);
    let padding = block.len().saturating_sub(data.len().saturating_add(3));
    if let Some(kind) = block.get_mut(1) {
        *kind = 2;
    }
    for byte in block.iter_mut().skip(2).take(padding) {
        *byte = nonzero()?;
    }
    rsa::public(task, &block)
}

fn nonzero() -> Result<u8> {
    loop {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        if let Some(byte) = bytes.into_iter().find(|byte| *byte != 0) {
            return Ok(byte);
        }
    }
}

/// Decrypts. A padding that is not right gives other bytes, made of the ciphertext, and no error:
/// whoever sends ciphertexts learns nothing of paddings from the answer.
fn decrypt(task: &Task, data: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    if !is_below_modulus(task, data)? {
        return Err(Error::new(
            CKR_ENCRYPTED_DATA_INVALID,
            "the ciphertext is not below the modulus",
        ));
    }
    let block = key.rsa_decrypt(data)?;
    let (instead, instead_len) = implicit_rejection::message(task, data)?;
    Ok(unpadded(&block, &instead, instead_len))
}

/// The message in `block`, or the last `instead_len` bytes of `instead` where the padding is not
/// right. Which of the two is decided without a branch; only the length of the result shows.
fn unpadded(block: &[u8], instead: &[u8], instead_len: usize) -> SecretBytes {
    let mut good = Choice::from(1);
    let mut found = Choice::from(0);
    let mut start = 0u32;
    for (at, byte) in (0u32..).zip(block) {
        let zero = byte.ct_eq(&0);
        match at {
            0 => good &= zero,
            1 => good &= byte.ct_eq(&2),
            _ => {
                let first = zero & !found;
                start = u32::conditional_select(&start, &at.wrapping_add(1), first);
                found |= zero;
            }
        }
    }
    // The separator comes after eight bytes of padding at least.
    good &= found & start.ct_gt(&10);
    let total = u32::try_from(block.len()).unwrap_or(u32::MAX);
    let real = total.wrapping_sub(start);
    let instead_len = u32::try_from(instead_len).unwrap_or(0);
    let len = u32::conditional_select(&instead_len, &real, good);
    let mut all = Zeroizing::new(Vec::with_capacity(block.len()));
    for (real, instead) in block.iter().zip(instead) {
        all.push(u8::conditional_select(instead, real, good));
    }
    let skip = all.len().saturating_sub(len as usize);
    Zeroizing::new(all.get(skip..).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(padding: usize, message: &[u8]) -> Vec<u8> {
        [&[0, 2][..], &vec![7; padding], &[0], message].concat()
    }

    #[test]
    fn good_padding_gives_the_message() {
        for (padding, message) in [(8, &b"message"[..]), (20, b""), (8, b"with \0 inside")] {
            let block = padded(padding, message);
            let instead = vec![9; block.len()];
            assert_eq!(&unpadded(&block, &instead, 5)[..], message);
        }
    }

    #[test]
    fn bad_padding_gives_the_other_message() {
        let mut wrong_type = padded(8, b"message");
        wrong_type[1] = 1;
        let mut wrong_start = padded(8, b"message");
        wrong_start[0] = 1;
        for block in [padded(7, b"message"), wrong_type, wrong_start, vec![0, 2, 7, 7, 7, 7, 7]] {
            let instead: Vec<u8> = (0..block.len() as u8).collect();
            let tail = &instead[instead.len() - 5..];
            assert_eq!(&unpadded(&block, &instead, 5)[..], tail);
        }
    }
}
