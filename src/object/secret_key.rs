//! Secret keys: requests for new ones, their values on the way into the TPM, lengths and check values.

use std::collections::BTreeSet;

use aes::cipher::{BlockEncrypt, KeyInit};
use cryptoki_sys::{
    CK_KEY_TYPE, CK_MECHANISM_TYPE, CKA_CHECK_VALUE, CKA_VALUE, CKA_VALUE_LEN, CKK_AES,
    CKK_SHA_1_HMAC, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKO_SECRET_KEY,
    CKR_ATTRIBUTE_VALUE_INVALID,
};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::creation::{Actor, Path, incomplete, new_object, settle_check_value};
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};
use crate::tpm::{HMAC_KEY, HashAlg, KeyKind, SECRET, SecretBytes};

/// A secret key as a template describes it, before there is a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeyRequest {
    /// Bytes of its value.
    pub len: usize,
    /// The key object, without its CKA_CHECK_VALUE.
    pub object: AttributeSet,
    /// Whether it is to have one: an empty one in the template asks for none.
    pub checked: bool,
}

/// What `C_GenerateKey` is asked for, by a mechanism that makes keys of `key_type`.
///
/// Errors: as [`new_object`]; `CKR_TEMPLATE_INCOMPLETE` without CKA_VALUE_LEN;
/// `CKR_ATTRIBUTE_VALUE_INVALID` for a CKA_CHECK_VALUE that is not empty.
///
/// PKCS#11 v3.1, C_GenerateKey.
pub fn secret_key_request(
    mechanism: CK_MECHANISM_TYPE,
    key_type: CK_KEY_TYPE,
    template: &AttributeSet,
    actor: Actor,
) -> Result<SecretKeyRequest> {
    let path = Path::Generate { mechanism, class: CKO_SECRET_KEY, key_type };
    let mut object = new_object(path, template, actor)?;
    if object.filled(CKA_CHECK_VALUE).is_some() {
        let why = "CKA_CHECK_VALUE cannot be that of a key that is not made yet";
        return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
    }
    let checked = object.remove(CKA_CHECK_VALUE).is_none();
    let len = object.ulong(CKA_VALUE_LEN).ok_or_else(|| incomplete(CKA_VALUE_LEN))?;
    Ok(SecretKeyRequest { len: usize::try_from(len).unwrap_or(usize::MAX), object, checked })
}

/// Takes the value out of a secret key that was created from one: it goes to the TPM, and nowhere
/// else. Tells which key the TPM has to hold.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for a value that no TPM takes.
pub fn take_value(object: &mut AttributeSet) -> Result<(KeyKind, SecretBytes)> {
    let value = match object.remove(CKA_VALUE) {
        Some(Value::Bytes(value)) => value,
        _ => return Err(incomplete(CKA_VALUE)),
    };
    let kind = match (object.key_type(), value.len()) {
        (Some(CKK_AES), 16 | 24 | 32) => KeyKind::Aes { bits: value.len() as u16 * 8 },
        (Some(CKK_AES), _) => return Err(wrong("AES has no keys of this length")),
        (key_type, 1..=SECRET) => hmac_kind(key_type, value.len()),
        _ => return Err(wrong("TPMs have no secrets of this length")),
    };
    Ok((kind, value))
}

/// Which key of `len` bytes, 1 to [`SECRET`], the TPM holds for a secret key that is no AES key.
pub fn hmac_kind(key_type: Option<CK_KEY_TYPE>, len: usize) -> KeyKind {
    if len <= HMAC_KEY {
        return KeyKind::Hmac;
    }
    KeyKind::LongHmac { only: hmac_hash(key_type) }
}

/// The hash of keys of `key_type`, where those are for HMAC by that alone.
pub fn hmac_hash(key_type: Option<CK_KEY_TYPE>) -> Option<HashAlg> {
    match key_type {
        Some(CKK_SHA_1_HMAC) => Some(HashAlg::Sha1),
        Some(CKK_SHA256_HMAC) => Some(HashAlg::Sha256),
        Some(CKK_SHA384_HMAC) => Some(HashAlg::Sha384),
        Some(CKK_SHA512_HMAC) => Some(HashAlg::Sha512),
        _ => None,
    }
}

/// Bytes that a secret key has whose value comes from a mechanism which gives `found` of them:
/// what CKA_VALUE_LEN says, or else all.
///
/// Errors: `CKR_TEMPLATE_INCOMPLETE` without CKA_VALUE_LEN for a key of several lengths where the
/// mechanism does not settle it (`found` is `None`).
pub fn wanted_len(object: &AttributeSet, found: Option<usize>) -> Result<usize> {
    match object.ulong(CKA_VALUE_LEN) {
        Some(len) => Ok(usize::try_from(len).unwrap_or(usize::MAX)),
        None => found.ok_or_else(|| incomplete(CKA_VALUE_LEN)),
    }
}

/// What PKCS#1 v1.5 decryption gave for a value of the secret key `object`, or as good a secret of
/// a length that fits: for an AES key one of `aes_bits`, which the TPM has.
///
/// Bad padding was answered with random bytes of a random length. Were the length told by an error,
/// it would tell a good padding from a bad one (Bleichenbacher's attack): so every ciphertext is
/// some key, always the same one.
pub fn fitting_secret(
    object: &AttributeSet,
    bytes: SecretBytes,
    aes_bits: &BTreeSet<u16>,
) -> SecretBytes {
    let wanted = object.ulong(CKA_VALUE_LEN).and_then(|len| usize::try_from(len).ok());
    let aes_lens: Vec<usize> = aes_bits.iter().map(|bits| usize::from(bits / 8)).collect();
    let (fits, len) = match (wanted, object.key_type()) {
        (Some(wanted), _) => (bytes.len() == wanted, wanted),
        (None, Some(CKK_AES)) => {
            (aes_lens.contains(&bytes.len()), aes_lens.last().copied().unwrap_or(32))
        }
        (None, _) => ((1..=SECRET).contains(&bytes.len()), 32),
    };
    if fits || len > SECRET {
        return bytes;
    }
    let mut other = SecretBytes::new(Vec::with_capacity(len.next_multiple_of(32)));
    let mut counter = 0u32;
    while other.len() < len {
        counter = counter.wrapping_add(1);
        let block = Sha256::new().chain_update(counter.to_be_bytes()).chain_update(&*bytes);
        other.extend_from_slice(&block.finalize());
    }
    other.truncate(len);
    other
}

/// Gives the secret key `object` its value, which came from a mechanism.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for a CKA_CHECK_VALUE of another key.
pub fn give_value(object: &mut AttributeSet, value: &[u8]) -> Result<()> {
    object.insert(CKA_VALUE, Value::bytes(value));
    complete(object)
}

/// What follows from the value of a secret key.
pub(super) fn complete(object: &mut AttributeSet) -> Result<()> {
    let value = object.bytes(CKA_VALUE).ok_or_else(|| incomplete(CKA_VALUE))?;
    let own = check_value(object.key_type() == Some(CKK_AES), value);
    let len = value.len() as u64;
    settle_check_value(object, own.as_deref())?;
    object.insert(CKA_VALUE_LEN, Value::Ulong(len));
    Ok(())
}

/// The CKA_CHECK_VALUE of a secret key: the first three bytes of a block of zeros that it encrypted if
/// it is for AES, or of its SHA-1.
///
/// PKCS#11 v3.1, "Key check value" of secret key objects and generic secrets.
fn check_value(aes: bool, value: &[u8]) -> Option<Vec<u8>> {
    fn block<C: BlockEncrypt + KeyInit>(key: &[u8]) -> Option<Vec<u8>> {
        let mut block = aes::Block::default();
        let cipher = C::new_from_slice(key).ok()?;
        cipher.encrypt_block(aes::cipher::generic_array::GenericArray::from_mut_slice(&mut block));
        begin(&block)
    }
    match (aes, value.len()) {
        (true, 16) => block::<aes::Aes128>(value),
        (true, 24) => block::<aes::Aes192>(value),
        (true, 32) => block::<aes::Aes256>(value),
        (true, _) => None,
        (false, _) => begin(&Sha1::digest(value)),
    }
}

fn begin(bytes: &[u8]) -> Option<Vec<u8>> {
    bytes.get(..3).map(<[u8]>::to_vec)
}

/// Gives the new secret key `object`, which is not for AES, the CKA_CHECK_VALUE of its value.
pub fn check_by_value(object: &mut AttributeSet, value: &[u8]) {
    check_by(object, check_value(false, value));
}

/// Gives the new AES key `object` its CKA_CHECK_VALUE, of the `block` of zeros that it encrypted.
pub fn check_by_block(object: &mut AttributeSet, block: &[u8]) {
    check_by(object, begin(block));
}

fn check_by(object: &mut AttributeSet, check: Option<Vec<u8>>) {
    if let Some(check) = check {
        object.insert(CKA_CHECK_VALUE, Value::bytes(check));
    }
}

fn wrong(why: &'static str) -> Error {
    Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why)
}
