//! Derivations that cut and join bytes: PKCS#11 v3.1, "Miscellaneous simple key derivation mechanisms" and
//! "Additional AES mechanisms". Those from a key's value ask the TPM for it, which gives it out only
//! where the key may leave; those by encryption leave the key where it is.

use cryptoki_sys::{CKR_KEY_SIZE_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCOMPLETE};
use zeroize::Zeroizing;

use super::chain;
use super::cipher::MOST_AT_ONCE;
use super::derivation::Keys;
use super::parameter::{BLOCK, Checked};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// CKM_CONCATENATE_BASE_AND_DATA.
pub(super) fn base_and_data(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    first(&[&key.value()?, data(task)?], wanted)
}

/// CKM_CONCATENATE_DATA_AND_BASE.
pub(super) fn data_and_base(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    first(&[data(task)?, &key.value()?], wanted)
}

/// CKM_CONCATENATE_BASE_AND_KEY.
pub(super) fn base_and_key(
    _: &Task,
    wanted: &[Option<usize>],
    keys: &mut Keys<'_>,
) -> Result<Vec<SecretBytes>> {
    let base = keys.base.value()?;
    let other = keys.others.first_mut().ok_or_else(|| Error::bug("the other key is missing"))?;
    first(&[&base, &other.value()?], wanted.first().copied().flatten()).map(|made| vec![made])
}

/// CKM_SHA256_KEY_DERIVATION and its like.
pub(super) fn digested(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let hash = task.row.derived_hash.ok_or_else(|| Error::bug("a digest without its hash"))?;
    // The refusal of a length needs nothing of the TPM.
    if wanted.is_some_and(|wanted| wanted > hash.digest_len()) {
        return Err(too_long());
    }
    first(&[&Zeroizing::new(hash.digest(&key.value()?))], wanted)
}

/// CKM_XOR_BASE_AND_DATA: as long as the shorter of the two.
pub(super) fn xor(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let mut mixed = key.value()?;
    let data = data(task)?;
    mixed.truncate(data.len());
    for (byte, mask) in mixed.iter_mut().zip(data) {
        *byte ^= mask;
    }
    first(&[&mixed], wanted)
}

/// CKM_EXTRACT_KEY_FROM_KEY: bits from the one that the parameter counts to, the first being the
/// highest of the first byte, and from the beginning again after the last.
pub(super) fn extract(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let Checked::BitIndex(from) = task.parameter else {
        return Err(Error::bug("an extraction without its parameter"));
    };
    let wanted = wanted.ok_or_else(|| Error::new(CKR_TEMPLATE_INCOMPLETE, "no length is said"))?;
    let base = key.value()?;
    let bits = base.len().saturating_mul(8);
    if from >= bits {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "a bit behind the key's last"));
    }
    if wanted > base.len() {
        return Err(too_long());
    }
    let bit = |at: usize| {
        let at = at % bits;
        base.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1)
    };
    let mut taken = Zeroizing::new(Vec::with_capacity(wanted));
    for byte in 0..wanted {
        let start = from.saturating_add(byte.saturating_mul(8));
        taken.push((0..8).fold(0, |byte, at| byte << 1 | bit(start.saturating_add(at))));
    }
    Ok(taken)
}

/// CKM_AES_ECB_ENCRYPT_DATA and CKM_AES_CBC_ENCRYPT_DATA: the ciphertext of the parameter's data.
pub(super) fn encrypted(
    task: &Task,
    wanted: Option<usize>,
    key: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let data = data(task)?;
    let made = if let Checked::CbcData(iv, _) = &task.parameter {
        chain::encrypt(key, chain::most(task.input_buffer), iv, data)?
    } else {
        let mut made = Zeroizing::new(Vec::with_capacity(data.len()));
        for part in data.chunks((task.input_buffer / BLOCK).max(1) * BLOCK) {
            let now = key.cipher(CipherMode::Ecb, Direction::Encrypt, &[], part)?;
            made.extend_from_slice(&now);
        }
        made
    };
    // What is too short is the parameter.
    first(&[&made], wanted).map_err(|error| error.told_as(CKR_MECHANISM_PARAM_INVALID))
}

/// Data that is encrypted comes in whole blocks.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
pub(super) fn accepts_blocks(task: &Task) -> Result<()> {
    let len = data(task)?.len();
    if len == 0 || !len.is_multiple_of(BLOCK) || len > MOST_AT_ONCE {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the data is not whole blocks"));
    }
    Ok(())
}

fn data(task: &Task) -> Result<&[u8]> {
    match &task.parameter {
        Checked::Data(data) | Checked::CbcData(_, data) => Ok(data),
        _ => Err(Error::bug("a derivation without its data")),
    }
}

/// The first bytes of `parts` one after another.
fn first(parts: &[&[u8]], wanted: Option<usize>) -> Result<SecretBytes> {
    let mut all = Zeroizing::new(parts.concat());
    match wanted {
        Some(wanted) if wanted > all.len() => Err(too_long()),
        Some(wanted) => {
            all.truncate(wanted);
            Ok(all)
        }
        None => Ok(all),
    }
}

fn too_long() -> Error {
    Error::new(CKR_KEY_SIZE_RANGE, "longer than what the key is derived from")
}
