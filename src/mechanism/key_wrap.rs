//! AES key wrapping (NIST SP 800-38F; RFC 3394, RFC 5649): where the key is the TPM's so are the blocks,
//! one command each.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::parameter::Checked;
use super::row::KeyWrap;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// Bytes of a semiblock.
const HALF: usize = 8;
/// Most bytes that are wrapped. Each semiblock costs six commands: with more a TPM would be busy for
/// minutes, in which nobody can stop the call.
const MOST: usize = 64 << 10;
/// RFC 3394, section 2.2.3.1.
const DEFAULT_IV: [u8; HALF] = [0xa6; HALF];
/// RFC 5649, section 3.
pub(super) const DEFAULT_PADDED_IV: [u8; HALF / 2] = [0xa6, 0x59, 0x59, 0xa6];

/// Encrypts or decrypts whole blocks with the key that wraps, each by itself.
pub(super) type Ecb<'a> = dyn FnMut(Direction, &[u8]) -> Result<SecretBytes> + 'a;

/// Does it with a key in the TPM.
fn in_tpm(key: &mut dyn PrivateKey) -> impl FnMut(Direction, &[u8]) -> Result<SecretBytes> {
    |direction, blocks| key.cipher(CipherMode::Ecb, direction, &[], blocks)
}

/// CKM_AES_KEY_WRAP.
pub(super) const PLAIN: KeyWrap = KeyWrap {
    wrap: |task, data, key| {
        plain_len(data.len())?;
        wrapped(iv(task, DEFAULT_IV)?, data, &mut in_tpm(key))
    },
    unwrap: |task, data, key| {
        let (iv, expected) = (unwrapped(data, &mut in_tpm(key))?, iv(task, DEFAULT_IV)?);
        let good = iv.0.ct_eq(&expected);
        if bool::from(good) { Ok(iv.1) } else { Err(damaged()) }
    },
    wrapped_len: plain_len,
    unit: HALF,
};

/// CKM_AES_KEY_WRAP_KWP.
pub(super) const PADDED: KeyWrap = KeyWrap {
    wrap: |task, data, key| wrap_padded(iv(task, DEFAULT_PADDED_IV)?, data, &mut in_tpm(key)),
    unwrap: |task, data, key| unwrap_padded(iv(task, DEFAULT_PADDED_IV)?, data, &mut in_tpm(key)),
    wrapped_len,
    unit: 1,
};

fn plain_len(len: usize) -> Result<usize> {
    if !(2 * HALF..=MOST).contains(&len) || !len.is_multiple_of(HALF) {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "not whole semiblocks, or too few or many"));
    }
    Ok(len.saturating_add(HALF))
}

/// Bytes that a key of `len` bytes is wrapped as. Errors: `CKR_DATA_LEN_RANGE`.
pub(super) fn wrapped_len(len: usize) -> Result<usize> {
    if !(1..=MOST).contains(&len) {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "nothing, or too much, to wrap"));
    }
    Ok(len.next_multiple_of(HALF).saturating_add(HALF))
}

fn iv<const N: usize>(task: &Task, default: [u8; N]) -> Result<[u8; N]> {
    match &task.parameter {
        Checked::None => Ok(default),
        Checked::WrapIv(iv) => {
            iv.as_slice().try_into().map_err(|_| Error::bug("an IV of another length"))
        }
        _ => Err(Error::bug("a key wrapping with another parameter")),
    }
}

/// RFC 5649, section 4.1.
pub(super) fn wrap_padded(
    iv: [u8; HALF / 2],
    data: &[u8],
    ecb: &mut Ecb<'_>,
) -> Result<SecretBytes> {
    wrapped_len(data.len())?;
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut first = [0; HALF];
    for (to, from) in first.iter_mut().zip(iv.iter().chain(&len)) {
        *to = *from;
    }
    let mut padded = Zeroizing::new(data.to_vec());
    padded.resize(data.len().next_multiple_of(HALF), 0);
    if padded.len() > HALF {
        return wrapped(first, &padded, ecb);
    }
    ecb(Direction::Encrypt, &[&first[..], &padded].concat())
}

/// RFC 5649, section 4.2.
///
/// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_INVALID`.
pub(super) fn unwrap_padded(
    iv: [u8; HALF / 2],
    data: &[u8],
    ecb: &mut Ecb<'_>,
) -> Result<SecretBytes> {
    let (first, mut padded) = if data.len() == 2 * HALF {
        let block = ecb(Direction::Decrypt, data)?;
        let (first, rest) = halves(&block)?;
        (first, Zeroizing::new(rest.to_vec()))
    } else {
        unwrapped(data, ecb)?
    };
    let (own_iv, len) = first.split_at(HALF / 2);
    let len = len.try_into().map_or(0, u32::from_be_bytes) as usize;
    let most = padded.len();
    let zeros = padded.get(len.min(most)..).unwrap_or_default();
    let clean = zeros.iter().fold(0, |all, byte| all | byte) == 0;
    let fits = len <= most && len > most.saturating_sub(HALF);
    if !bool::from(own_iv.ct_eq(&iv)) || !fits || !clean {
        return Err(damaged());
    }
    padded.truncate(len);
    Ok(padded)
}

/// RFC 3394, section 2.2.1.
fn wrapped(iv: [u8; HALF], data: &[u8], ecb: &mut Ecb<'_>) -> Result<SecretBytes> {
    let mut first = iv;
    let mut halves_of = Zeroizing::new(data.to_vec());
    let mut step = 0u64;
    for _ in 0..6 {
        for half in halves_of.chunks_exact_mut(HALF) {
            step = step.saturating_add(1);
            let input = Zeroizing::new([&first[..], half].concat());
            let block = ecb(Direction::Encrypt, &input)?;
            let (high, low) = halves(&block)?;
            first = (u64::from_be_bytes(high) ^ step).to_be_bytes();
            half.copy_from_slice(&low);
        }
    }
    Ok(Zeroizing::new([&first[..], &halves_of].concat()))
}

/// RFC 3394, section 2.2.2: the IV that came out, and the data.
fn unwrapped(data: &[u8], ecb: &mut Ecb<'_>) -> Result<([u8; HALF], SecretBytes)> {
    if !(3 * HALF..=MOST + HALF).contains(&data.len()) || !data.len().is_multiple_of(HALF) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, "not whole semiblocks, or too many"));
    }
    let (first, rest) = data.split_at(HALF);
    let mut first: [u8; HALF] = first.try_into().map_err(|_| damaged())?;
    let mut halves_of = Zeroizing::new(rest.to_vec());
    let mut step = (halves_of.len() / HALF).saturating_mul(6) as u64;
    for _ in 0..6 {
        for half in halves_of.chunks_exact_mut(HALF).rev() {
            let high = (u64::from_be_bytes(first) ^ step).to_be_bytes();
            let input = Zeroizing::new([&high[..], half].concat());
            let block = ecb(Direction::Decrypt, &input)?;
            let (high, low) = halves(&block)?;
            first = high;
            half.copy_from_slice(&low);
            step = step.saturating_sub(1);
        }
    }
    Ok((first, halves_of))
}

fn halves(block: &[u8]) -> Result<([u8; HALF], [u8; HALF])> {
    let (high, low) = block.split_at_checked(HALF).ok_or_else(damaged)?;
    match (high.try_into(), low.try_into()) {
        (Ok(high), Ok(low)) => Ok((high, low)),
        _ => Err(Error::bug("a block of another length")),
    }
}

fn damaged() -> Error {
    Error::new(CKR_ENCRYPTED_DATA_INVALID, "not wrapped with this key")
}
