//! RSAES-OAEP (RFC 8017, section 7.1), unpadded here: of any hash, mask hash and label, never
//! silently with another.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_MECHANISM_PARAM_INVALID};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::mgf1::mask;
use super::parameter::Oaep;
use super::row::Decrypt;
use super::rsa::{self, is_below_modulus};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, SecretBytes};

/// Decrypts with the padding removed.
pub(super) const DECRYPT: Decrypt = Decrypt { run: decrypt, bound };

/// Bytes around the message: 00, seed, label's digest, 01.
fn overhead(oaep: &Oaep) -> usize {
    oaep.hash.digest_len().saturating_mul(2).saturating_add(2)
}

fn bound(task: &Task) -> usize {
    let overhead = task.parameter.oaep().map_or(0, overhead);
    rsa::len(task).saturating_sub(overhead)
}

/// Errors: `CKR_MECHANISM_PARAM_INVALID` for a hash too long for the key.
pub(super) fn accepts(task: &Task) -> Result<()> {
    if rsa::len(task) < overhead(task.parameter.oaep()?) {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the hash is too long for the key"));
    }
    Ok(())
}

pub(super) fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let oaep = task.parameter.oaep()?;
    let len = rsa::len(task);
    let Some(zeros) = len.checked_sub(overhead(oaep).saturating_add(data.len())) else {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "the message does not fit the key"));
    };
    let mut seed = Zeroizing::new(vec![0; oaep.hash.digest_len()]);
    getrandom::fill(&mut seed)?;
    let mut block = Zeroizing::new(oaep.hash.digest(&oaep.label));
    block.reserve_exact(len);
    let padded = block.len().saturating_add(zeros);
    block.resize(padded, 0);
    block.push(1);
    block.extend_from_slice(data);
    mask(oaep.mgf, &seed, &mut block);
    mask(oaep.mgf, &block, &mut seed);
    let whole = Zeroizing::new([&[0], &seed[..], &block[..]].concat());
    rsa::public(task, &whole)
}

fn decrypt(task: &Task, data: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    let oaep = task.parameter.oaep()?;
    let invalid = || Error::new(CKR_ENCRYPTED_DATA_INVALID, "the ciphertext is not valid");
    if !is_below_modulus(task, data)? {
        return Err(invalid());
    }
    let whole = key.rsa_decrypt(data)?;
    unpadded(oaep, &whole).ok_or_else(invalid)
}

/// EME-OAEP decoding. Every byte is looked at whatever the ones before were, and all that can be
/// wrong gives one answer (Manger's attack).
fn unpadded(oaep: &Oaep, whole: &[u8]) -> Option<SecretBytes> {
    let (first, rest) = whole.split_first()?;
    let (seed, block) = rest.split_at_checked(oaep.hash.digest_len())?;
    let mut seed = Zeroizing::new(seed.to_vec());
    let mut block = Zeroizing::new(block.to_vec());
    mask(oaep.mgf, &block, &mut seed);
    mask(oaep.mgf, &seed, &mut block);
    let (label, padded) = block.split_at_checked(oaep.hash.digest_len())?;
    let mut good = first.ct_eq(&0) & label.ct_eq(&oaep.hash.digest(&oaep.label));
    let mut found = Choice::from(0);
    let mut start = 0u32;
    for (at, byte) in (1u32..).zip(padded) {
        let one = byte.ct_eq(&1);
        good &= found | one | byte.ct_eq(&0);
        start = u32::conditional_select(&start, &at, one & !found);
        found |= one;
    }
    if bool::from(good & found) {
        return padded.get(start as usize..).map(|message| Zeroizing::new(message.to_vec()));
    }
    None
}
