//! MACs with a secret key in the TPM: HMAC (RFC 2104) and CMAC (RFC 4493).

use cryptoki_sys::CKR_MECHANISM_PARAM_INVALID;
use zeroize::Zeroizing;

use super::chain;
use super::hash::Hash;
use super::parameter::{BLOCK, Checked};
use super::row::Mac;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, HashAlg, PrivateKey, SecretBytes};

/// HMAC by a hash of the TPM.
pub(super) const fn hmac(hash: HashAlg) -> Mac {
    match hash {
        HashAlg::Sha1 => Mac { run: |task, data, key| by(HashAlg::Sha1, task, data, key), len: 20 },
        HashAlg::Sha256 => {
            Mac { run: |task, data, key| by(HashAlg::Sha256, task, data, key), len: 32 }
        }
        HashAlg::Sha384 => {
            Mac { run: |task, data, key| by(HashAlg::Sha384, task, data, key), len: 48 }
        }
        HashAlg::Sha512 => {
            Mac { run: |task, data, key| by(HashAlg::Sha512, task, data, key), len: 64 }
        }
    }
}

/// CMAC with AES.
pub(super) const CMAC: Mac = Mac { run: cmac, len: BLOCK };

fn by(hash: HashAlg, task: &Task, message: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    key.hmac(hash, message, task.input_buffer)
}

/// Bytes of the MAC that the parameter asks for.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID` for none, or more than there are.
pub(super) fn wanted(task: &Task, mac: Mac) -> Result<usize> {
    match task.parameter {
        Checked::MacLength(len) if (1..=mac.len).contains(&len) => Ok(len),
        Checked::MacLength(_) => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "length of the MAC")),
        _ => Ok(mac.len),
    }
}

/// RFC 2104, with a key that is known here; `parts` are the message.
pub(super) fn hmac_in_software(hash: Hash, key: &[u8], parts: &[&[u8]]) -> SecretBytes {
    let mut padded =
        Zeroizing::new(if key.len() > hash.block_len() { hash.digest(key) } else { key.to_vec() });
    padded.resize(hash.block_len(), 0);
    let masked =
        |mask: u8| Zeroizing::new(padded.iter().map(|byte| byte ^ mask).collect::<Vec<_>>());
    let mut inner = hash.hasher();
    inner.update(&masked(0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = hash.hasher();
    outer.update(&masked(0x5c));
    outer.update(&Zeroizing::new(inner.finish()));
    Zeroizing::new(outer.finish())
}

/// RFC 4493, section 2.4: the last block is masked with a subkey, and the blocks are chained as CBC
/// does it.
fn cmac(task: &Task, message: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    let zero = [0; BLOCK];
    let first = key.cipher(CipherMode::Ecb, Direction::Encrypt, &[], &zero)?;
    let first = first.as_slice().try_into().map(u128::from_be_bytes);
    let first = first.map_err(|_| Error::bug("a block of another length"))?;
    let whole = !message.is_empty() && message.len().is_multiple_of(BLOCK);
    let subkey = if whole { doubled(first) } else { doubled(doubled(first)) };
    let mut padded = Zeroizing::new(message.to_vec());
    if !whole {
        padded.push(0x80);
        let len = padded.len().next_multiple_of(BLOCK);
        padded.resize(len, 0);
    }
    for (byte, mask) in padded.iter_mut().rev().zip(subkey.to_be_bytes().iter().rev()) {
        *byte ^= mask;
    }
    let mut mac = Zeroizing::new(zero.to_vec());
    let most = chain::most(task.input_buffer);
    for part in padded.chunks(most) {
        let made = chain::encrypt(key, most, &mac, part)?;
        let last = made.len().checked_sub(BLOCK).and_then(|from| made.get(from..));
        mac = Zeroizing::new(last.unwrap_or_default().to_vec());
    }
    Ok(mac)
}

/// Twice a number in GF(2^128).
fn doubled(number: u128) -> u128 {
    let carry = number >> 127;
    (number << 1) ^ (carry * 0x87)
}
