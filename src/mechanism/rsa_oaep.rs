//! RSAES-OAEP with any hash, mask generator and label (RFC 8017, section 7.1).

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_KEY_SIZE_RANGE};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::mgf1;
use super::parameter::Oaep;
use super::row::{Encryption, Padding, Unwrapped};
use super::rsa::decrypt_block;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, SecretBytes};

/// Encryption and decryption.
pub(super) const ENCRYPTION: Encryption = Encryption::Padding(Padding {
    encrypt,
    decrypt,
    bound: |task| longest(task).unwrap_or(0),
    unwrapped: Unwrapped::All,
});

/// Whether the key is long enough for the hash.
///
/// Errors: `CKR_KEY_SIZE_RANGE`.
pub(super) fn accepts(task: &Task) -> Result<()> {
    longest(task).map(|_| ())
}

/// Bytes of the longest message.
pub(super) fn longest(task: &Task) -> Result<usize> {
    let overhead = task.parameter.oaep()?.hash.digest_len() * 2 + 2;
    task.rsa()?
        .len()
        .checked_sub(overhead)
        .ok_or_else(|| Error::new(CKR_KEY_SIZE_RANGE, "a key too short for this hash in OAEP"))
}

/// Encrypts `data`.
pub(super) fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let parameter = task.parameter.oaep()?;
    let padding = longest(task)?
        .checked_sub(data.len())
        .ok_or_else(|| Error::new(CKR_DATA_LEN_RANGE, "more data than OAEP leaves"))?;
    let mut seed = Zeroizing::new(vec![0; parameter.hash.digest_len()]);
    getrandom::fill(&mut seed)?;

    let label = parameter.hash.digest(&parameter.label);
    let mut db = Zeroizing::new([&*label, &vec![0; padding], &[1], data].concat());
    mgf1::mask(parameter.mgf, &seed, &mut db);
    mgf1::mask(parameter.mgf, &db, &mut seed);
    let block = Zeroizing::new([&[0], &**seed, &**db].concat());
    task.rsa()?.encrypt(&block)
}

/// Decrypts `ciphertext`.
///
/// Whatever is wrong with the padding is one error, found out in one time: telling a wrong first
/// byte from a wrong label hash would be Manger's oracle.
///
/// Errors: `CKR_ENCRYPTED_DATA_INVALID`, and those of the TPM.
pub(super) fn decrypt(
    task: &Task,
    ciphertext: &[u8],
    private: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let block = decrypt_block(task, ciphertext, private)?;
    unpad(task.parameter.oaep()?, &block)
}

fn unpad(parameter: &Oaep, block: &[u8]) -> Result<SecretBytes> {
    let hash_len = parameter.hash.digest_len();
    let label = parameter.hash.digest(&parameter.label);
    let short = || Error::bug("an OAEP block shorter than its hash");
    let (first, rest) = block.split_first().ok_or_else(short)?;
    let (seed, db) = rest.split_at_checked(hash_len).ok_or_else(short)?;
    let mut seed = Zeroizing::new(seed.to_vec());
    let mut db = Zeroizing::new(db.to_vec());
    mgf1::mask(parameter.mgf, &db, &mut seed);
    mgf1::mask(parameter.mgf, &seed, &mut db);
    let (label_found, padded) = db.split_at_checked(hash_len).ok_or_else(short)?;

    let mut good = first.ct_eq(&0) & label_found.ct_eq(&label);
    let mut found = Choice::from(0);
    let mut message_len = 0u32;
    for (byte, left) in padded.iter().zip((0..padded.len() as u32).rev()) {
        let separator = byte.ct_eq(&1) & !found;
        message_len.conditional_assign(&left, separator);
        found |= separator;
        // Only zeros before the 01.
        good &= found | byte.ct_eq(&0);
    }
    good &= found;
    if !bool::from(good) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "OAEP padding"));
    }
    let (_, message) = padded
        .split_at_checked(padded.len().saturating_sub(message_len as usize))
        .ok_or_else(short)?;
    Ok(Zeroizing::new(message.to_vec()))
}
