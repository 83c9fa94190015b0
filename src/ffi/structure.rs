//! Structures that a parameter is, or points to: read from the caller's memory, and what they point to
//! copied. Every failure is `CKR_MECHANISM_PARAM_INVALID`.

use cryptoki_sys::{
    CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_CCM_MESSAGE_PARAMS, CK_CCM_PARAMS,
    CK_CCM_WRAP_PARAMS, CK_DERIVED_KEY, CK_ECDH1_DERIVE_PARAMS, CK_GCM_MESSAGE_PARAMS,
    CK_GCM_PARAMS, CK_GCM_WRAP_PARAMS, CK_HKDF_PARAMS, CK_KEY_DERIVATION_STRING_DATA,
    CK_PRF_DATA_PARAM, CK_RSA_AES_KEY_WRAP_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS,
    CK_SP800_108_COUNTER_FORMAT, CK_SP800_108_DKM_LENGTH_FORMAT, CK_SP800_108_FEEDBACK_KDF_PARAMS,
    CK_SP800_108_KDF_PARAMS, CK_ULONG, CKR_MECHANISM_PARAM_INVALID,
};

use super::input::{Input, copied};
use crate::error::{Error, Result};

/// More bytes than a parameter, or what it points to, has: a larger length is not believed.
pub(super) const MOST_BYTES: CK_ULONG = 64 << 10;

/// What any bytes of its length are a value of: numbers, and pointers that nothing is believed of.
///
/// # Safety
///
/// Every pattern of bits is a value.
pub(super) unsafe trait AnyBits: Copy {}

macro_rules! any_bits {
    ($($structure:ty),* $(,)?) => { $(
        // SAFETY: it has numbers and pointers only, of which every value is one.
        unsafe impl AnyBits for $structure {}
    )* };
}

any_bits! {
    CK_ULONG, CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_CCM_MESSAGE_PARAMS, CK_CCM_PARAMS,
    CK_CCM_WRAP_PARAMS, CK_DERIVED_KEY, CK_ECDH1_DERIVE_PARAMS, CK_GCM_MESSAGE_PARAMS, CK_GCM_PARAMS,
    CK_GCM_WRAP_PARAMS, CK_HKDF_PARAMS, CK_KEY_DERIVATION_STRING_DATA, CK_PRF_DATA_PARAM,
    CK_RSA_AES_KEY_WRAP_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS,
    CK_SP800_108_COUNTER_FORMAT, CK_SP800_108_DKM_LENGTH_FORMAT, CK_SP800_108_FEEDBACK_KDF_PARAMS,
    CK_SP800_108_KDF_PARAMS,
}

/// The structure at `input`, whose length must be its own.
pub(super) fn structure<T: AnyBits>(input: Input<'_>) -> Result<T> {
    if input.len() != size_of::<T>() as CK_ULONG {
        return Err(invalid("length of the parameter"));
    }
    let bytes = believed(input)?;
    // SAFETY: as many bytes as a T has, and any bytes are one.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The bytes of `input`, if it is as long as a parameter can be.
pub(super) fn believed(input: Input<'_>) -> Result<&[u8]> {
    if input.len() > MOST_BYTES {
        return Err(invalid("length of the parameter"));
    }
    input.bytes().map_err(|error| error.told_as(CKR_MECHANISM_PARAM_INVALID))
}

/// A copy of what a parameter's structure points to.
pub(super) fn pointed_to(start: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    copied(believed(unsafe { Input::new(start, len) })?)
}

pub(super) fn invalid(what: &'static str) -> Error {
    Error::new(CKR_MECHANISM_PARAM_INVALID, what)
}
