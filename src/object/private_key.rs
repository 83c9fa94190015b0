//! Private keys made from their values: checked, and taken apart into what the TPM keeps and what
//! the object says.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_COEFFICIENT, CKA_EC_PARAMS, CKA_EC_POINT, CKA_EXPONENT_1,
    CKA_EXPONENT_2, CKA_PRIME_1, CKA_PRIME_2, CKA_PRIVATE_EXPONENT, CKA_VALUE, CKK_RSA,
    CKR_ATTRIBUTE_VALUE_INVALID,
};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use rsa::traits::PrivateKeyParts;
use rsa::{BigUint, RsaPrivateKey};
use zeroize::Zeroizing;

use super::attribute::{self, Holders};
use super::creation::{check_public_key_info, incomplete};
use super::public::{self, without_zeros};
use super::revealed::rsa_numbers;
use super::value::AttributeSet;
use crate::error::{Error, Result};
use crate::tpm::{Curve, OutsideKey, PublicKey};

/// Takes the secrets out of a private key that was made from its values: they go to the TPM, and
/// nowhere else. The object then says what its public key is.
///
/// Where CKA_PRIME_1 or CKA_PRIME_2 is missing both are computed.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for numbers that are no key or do not belong together;
/// `CKR_TEMPLATE_INCOMPLETE` for an RSA key whose primes are needed;
/// `CKR_CURVE_NOT_SUPPORTED`, `CKR_DOMAIN_PARAMS_INVALID`; `CKR_TEMPLATE_INCONSISTENT` for a
/// compressed point.
///
/// PKCS#11 v3.1, "RSA private key objects", "Elliptic curve private key objects".
pub fn take_private_key(object: &mut AttributeSet) -> Result<OutsideKey> {
    let key = match object.key_type() {
        Some(CKK_RSA) => rsa(object)?,
        _ => ec(object)?,
    };
    let holder = Holders::of(object).ok_or_else(|| Error::bug("a private key of no kind"))?;
    for row in attribute::of(holder).filter(|row| row.secret) {
        object.remove(row.cka);
    }
    let own = public::attributes(&key.public)?;
    check_public_key_info(object, &own)?;
    public::say(object, &own);
    Ok(key)
}

fn rsa(object: &AttributeSet) -> Result<OutsideKey> {
    let public = public::public_key(object)?;
    let PublicKey::Rsa { modulus, exponent } = &public else {
        return Err(Error::bug("an RSA key of another kind"));
    };
    let number = |cka| object.filled(cka).map(BigUint::from_bytes_be);
    let (n, e) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let d = number(CKA_PRIVATE_EXPONENT).unwrap_or_default();
    if d.bits() == 0 || d >= n {
        return Err(wrong("CKA_PRIVATE_EXPONENT is out of range"));
    }
    let given = (number(CKA_PRIME_1), number(CKA_PRIME_2));
    let primes = match &given {
        (Some(p), Some(q)) => vec![p.clone(), q.clone()],
        // Below, they cannot be computed.
        _ if e.bits() <= 16 => return Err(incomplete(CKA_PRIME_1)),
        _ => Vec::new(),
    };
    // The crate's arithmetic takes a time that depends on the key, which the caller knows anyway.
    let key = RsaPrivateKey::from_components(n.clone(), e, d, primes)
        .map_err(|_| wrong("the numbers are those of no RSA key with two primes"))?;
    let [first, second] = key.primes() else {
        return Err(wrong("TPMs have RSA keys with two primes only"));
    };
    let is = |given: &Option<BigUint>, prime| given.as_ref().is_none_or(|given| given == prime);
    let p = if is(&given.0, first) && is(&given.1, second) {
        first
    } else if is(&given.0, second) && is(&given.1, first) {
        second
    } else {
        return Err(wrong("CKA_PRIME_1 or CKA_PRIME_2 is of another key"));
    };
    let half = |prime: &BigUint| prime.bits().saturating_mul(2) == n.bits();
    if first == second || !half(first) || !half(second) {
        return Err(wrong("TPMs have RSA keys with two primes of the same length only"));
    }
    let secret = Zeroizing::new(p.to_bytes_be());
    let numbers =
        rsa_numbers(object, &secret).map_err(|error| error.told_as(CKR_ATTRIBUTE_VALUE_INVALID))?;
    for cka in [CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT] {
        let own = numbers.iter().find(|(other, _)| *other == cka).map(|(_, own)| own.as_slice());
        if object.filled(cka).is_some_and(|given| Some(without_zeros(given)) != own) {
            return Err(wrong(format!("{} is of another key", attribute::name(cka))));
        }
    }
    Ok(OutsideKey { public, secret })
}

fn ec(object: &AttributeSet) -> Result<OutsideKey> {
    let bytes = |cka: CK_ATTRIBUTE_TYPE| object.bytes(cka).ok_or_else(|| incomplete(cka));
    let curve = public::curve(bytes(CKA_EC_PARAMS)?)?;
    let number = without_zeros(bytes(CKA_VALUE)?);
    let out_of_range = || wrong("CKA_VALUE is no private key of the curve");
    let secret = public::scalar(curve, number).ok_or_else(out_of_range)?;
    let point = point_of(curve, &secret).ok_or_else(out_of_range)?;
    let (x, y) = public::point(curve, &point)?;
    if let Some(given) = object.filled(CKA_EC_POINT)
        && public::point(curve, given)? != (x.clone(), y.clone())
    {
        return Err(wrong("CKA_EC_POINT is of another key"));
    }
    Ok(OutsideKey { public: PublicKey::Ec { curve, x, y }, secret })
}

/// The point that belongs to `scalar`, if that is above zero and below the order of `curve`.
fn point_of(curve: Curve, scalar: &[u8]) -> Option<Vec<u8>> {
    Some(match curve {
        Curve::P224 => {
            let key = p224::SecretKey::from_slice(scalar).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
        Curve::P256 => {
            let key = p256::SecretKey::from_slice(scalar).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
        Curve::P384 => {
            let key = p384::SecretKey::from_slice(scalar).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
        Curve::P521 => {
            let key = p521::SecretKey::from_slice(scalar).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
    })
}

fn wrong(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why)
}
