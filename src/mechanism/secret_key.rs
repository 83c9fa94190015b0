//! Secret keys: which the TPM makes.

use cryptoki_sys::CKR_ATTRIBUTE_VALUE_INVALID;

use super::parameter::{Checked, MechanismChoice};
use super::row::find;
use super::task::required;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, HMAC_KEY, HashAlg, KeyKind, SECRET};

/// Which key of `len` bytes `choice` makes on this TPM.
///
/// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`; `CKR_ATTRIBUTE_VALUE_INVALID` for what
/// this TPM does not have.
///
/// PKCS#11 v3.1, C_GenerateKey.
pub fn secret_key(choice: &MechanismChoice, len: usize, abilities: &Abilities) -> Result<KeyKind> {
    let row = find(choice.ckm, abilities)?;
    let makes = required(row, row.generate_key, "generate keys")?;
    Checked::new(row, &choice.parameter)?;
    makes(len, abilities)
}

/// CKM_AES_KEY_GEN.
pub(super) fn aes(len: usize, abilities: &Abilities) -> Result<KeyKind> {
    u16::try_from(len.saturating_mul(8))
        .ok()
        .filter(|bits| abilities.aes_bits.contains(bits))
        .map(|bits| KeyKind::Aes { bits })
        .ok_or_else(|| {
            Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "the TPM has no AES keys of this size")
        })
}

/// CKM_GENERIC_SECRET_KEY_GEN.
pub(super) fn generic(len: usize, _: &Abilities) -> Result<KeyKind> {
    of_length(len, None)
}

/// CKM_SHA_1_KEY_GEN.
pub(super) fn sha1(len: usize, _: &Abilities) -> Result<KeyKind> {
    of_length(len, Some(HashAlg::Sha1))
}

/// CKM_SHA256_KEY_GEN.
pub(super) fn sha256(len: usize, _: &Abilities) -> Result<KeyKind> {
    of_length(len, Some(HashAlg::Sha256))
}

/// CKM_SHA384_KEY_GEN.
pub(super) fn sha384(len: usize, _: &Abilities) -> Result<KeyKind> {
    of_length(len, Some(HashAlg::Sha384))
}

/// CKM_SHA512_KEY_GEN.
pub(super) fn sha512(len: usize, _: &Abilities) -> Result<KeyKind> {
    of_length(len, Some(HashAlg::Sha512))
}

fn of_length(len: usize, only: Option<HashAlg>) -> Result<KeyKind> {
    match len {
        1..=HMAC_KEY => Ok(KeyKind::Hmac),
        ..=SECRET if len > 0 => Ok(KeyKind::LongHmac { only }),
        _ => Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "secrets of this size are not offered")),
    }
}
