//! The secret attributes of a key that may be told, from what the TPM keeps of it.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_COEFFICIENT, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_MODULUS, CKA_PRIME_1,
    CKA_PRIME_2, CKA_PRIVATE_EXPONENT, CKA_PUBLIC_EXPONENT, CKA_VALUE, CKK_RSA, CKO_SECRET_KEY,
    CKR_DEVICE_ERROR,
};
use rsa::traits::PrivateKeyParts;
use rsa::{BigUint, RsaPrivateKey};
use zeroize::Zeroizing;

use super::public;
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};
use crate::tpm::PublicKey;

/// Adds to `object` the attributes that `secret` stands for: the value of a secret key, the scalar
/// of an EC key, the numbers that follow from a prime of an RSA key.
///
/// Errors: `CKR_DEVICE_ERROR` for a prime or a scalar of another key.
pub fn reveal(object: &mut AttributeSet, secret: &[u8]) -> Result<()> {
    if object.class() == Some(CKO_SECRET_KEY) {
        object.insert(CKA_VALUE, Value::bytes(secret));
    } else if object.key_type() == Some(CKK_RSA) {
        for (cka, number) in rsa_numbers(object, secret)? {
            object.insert(cka, Value::bytes(number.as_slice()));
        }
    } else if let PublicKey::Ec { curve, .. } = public::public_key(object)? {
        let scalar = public::scalar(curve, secret).ok_or_else(another)?;
        object.insert(CKA_VALUE, Value::Bytes(scalar));
    }
    Ok(())
}

/// The private half of an RSA key in numbers (RFC 8017, "RSA Private Key").
///
/// Errors: `CKR_DEVICE_ERROR` for a prime of another key.
pub fn rsa_numbers(
    object: &AttributeSet,
    prime: &[u8],
) -> Result<Vec<(CK_ATTRIBUTE_TYPE, Zeroizing<Vec<u8>>)>> {
    let number = |cka| object.bytes(cka).map(BigUint::from_bytes_be).ok_or_else(another);
    let (n, e) = (number(CKA_MODULUS)?, number(CKA_PUBLIC_EXPONENT)?);
    let p = BigUint::from_bytes_be(prime);
    if p <= BigUint::from(1u8) || &p * (&n / &p) != n {
        return Err(another());
    }
    let q = &n / &p;
    // The crate serves for arithmetic that is public here: these numbers are about to be told.
    let mut key = RsaPrivateKey::from_p_q(p, q, e).map_err(|_| another())?;
    key.precompute().map_err(|_| another())?;
    let (Some(dp), Some(dq), Some(coefficient)) = (key.dp(), key.dq(), key.crt_coefficient())
    else {
        return Err(another());
    };
    let [p, q] = key.primes() else { return Err(another()) };
    Ok([
        (CKA_PRIVATE_EXPONENT, key.d()),
        (CKA_PRIME_1, p),
        (CKA_PRIME_2, q),
        (CKA_EXPONENT_1, dp),
        (CKA_EXPONENT_2, dq),
        (CKA_COEFFICIENT, &coefficient),
    ]
    .map(|(cka, number)| (cka, Zeroizing::new(number.to_bytes_be())))
    .into())
}

/// What the TPM keeps is not the secret of this key.
pub(super) fn another() -> Error {
    Error::new(CKR_DEVICE_ERROR, "the TPM has the secret of another key")
}
