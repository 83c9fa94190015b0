//! Public keys in attributes: numbers, `CKA_EC_PARAMS`, `CKA_EC_POINT` and `CKA_PUBLIC_KEY_INFO`.

use cryptoki_sys::{
    CKA_EC_PARAMS, CKA_EC_POINT, CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO, CKK_EC,
    CKK_RSA, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};
use der::asn1::{AnyRef, BitStringRef, Null, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Tag, Tagged};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};
use crate::tpm::{Curve, KeyKind, PublicKey, SecretBytes};

/// id-ecPublicKey (RFC 5480).
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// rsaEncryption (RFC 8017).
pub(super) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Bits of an RSA modulus that is taken: below there is no security, above a verification costs
/// whoever asks for it too much.
const MODULUS_BITS: std::ops::RangeInclusive<u64> = 512..=16384;
/// Bytes of an RSA public exponent that is taken.
const MAX_EXPONENT_LEN: usize = 8;
/// First byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The public key of the key object `object`, public or private, checked: RSA of sound size, an EC
/// point on its curve.
///
/// Errors: `CKR_TEMPLATE_INCOMPLETE` where its attributes are missing;
/// `CKR_ATTRIBUTE_VALUE_INVALID` for numbers that are no key; those of [`curve`] and [`point`].
/// On an object that exists none of them happens.
pub fn public_key(object: &AttributeSet) -> Result<PublicKey> {
    let bytes = |cka| {
        object.bytes(cka).ok_or_else(|| {
            let why = format!("{} is missing", super::attribute::name(cka));
            Error::new(CKR_TEMPLATE_INCOMPLETE, why)
        })
    };
    match object.key_type() {
        Some(CKK_RSA) => rsa(bytes(CKA_MODULUS)?, bytes(CKA_PUBLIC_EXPONENT)?),
        Some(CKK_EC) => {
            let curve = curve(bytes(CKA_EC_PARAMS)?)?;
            let (x, y) = point(curve, bytes(CKA_EC_POINT)?)?;
            Ok(PublicKey::Ec { curve, x, y })
        }
        _ => Err(Error::bug("only RSA and EC keys have a public key")),
    }
}

/// What every object of the key pair says of `key`: CKA_MODULUS and CKA_PUBLIC_EXPONENT, or
/// CKA_EC_PARAMS (by OID) and CKA_EC_POINT (a DER OCTET STRING); CKA_PUBLIC_KEY_INFO.
///
/// Errors: `CKR_GENERAL_ERROR` for a key too long for DER.
pub fn attributes(key: &PublicKey) -> Result<AttributeSet> {
    let mut set = AttributeSet::new();
    match key {
        PublicKey::Rsa { modulus, exponent } => {
            set.insert(CKA_MODULUS, Value::bytes(modulus.as_slice()));
            set.insert(CKA_PUBLIC_EXPONENT, Value::bytes(exponent.as_slice()));
        }
        PublicKey::Ec { curve, x, y } => {
            set.insert(CKA_EC_PARAMS, Value::bytes(ec_params(*curve)?));
            set.insert(CKA_EC_POINT, Value::bytes(ec_point(x, y)?));
        }
    }
    set.insert(CKA_PUBLIC_KEY_INFO, Value::bytes(public_key_info(key)?));
    Ok(set)
}

/// Says in the key object `object` what its public key is: `own`, as [`attributes`] has it.
///
/// An RSA number stays as it was given, so that it is found again; an EC key becomes an OID and a DER
/// point, which every program reads.
pub(super) fn say(object: &mut AttributeSet, own: &AttributeSet) {
    let rsa = object.key_type() == Some(CKK_RSA);
    for (cka, value) in own.iter() {
        if !(rsa && object.has(cka)) || cka == CKA_PUBLIC_KEY_INFO {
            object.insert(cka, value.clone());
        }
    }
}

/// The scalar `number` of a key on `curve`, as long as the curve's field; `None` if it is longer.
pub(super) fn scalar(curve: Curve, number: &[u8]) -> Option<SecretBytes> {
    let zeros = vec![0; curve.field_len().checked_sub(number.len())?];
    Some(SecretBytes::new([&zeros, number].concat()))
}

/// The kind of `key`; `None` for a modulus of more bits than any TPM's.
pub fn kind(key: &PublicKey) -> Option<KeyKind> {
    match key {
        PublicKey::Rsa { modulus, .. } => {
            u16::try_from(bits(modulus)).ok().map(|bits| KeyKind::Rsa { bits })
        }
        PublicKey::Ec { curve, .. } => Some(KeyKind::Ec(*curve)),
    }
}

/// Bits of the big-endian number `modulus`.
pub fn bits(modulus: &[u8]) -> u64 {
    let number = without_zeros(modulus);
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    (number.len() as u64).saturating_mul(8).saturating_sub(unused.into())
}

/// The number without leading zero bytes.
pub fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The curve that CKA_EC_PARAMS names, by OID or by curveName.
///
/// Errors: `CKR_CURVE_NOT_SUPPORTED` for a curve that is named and not known;
/// `CKR_DOMAIN_PARAMS_INVALID` for curves described in full, and for what is no Parameters value.
///
/// PKCS#11 v3.1, "Elliptic Curve"; names of SEC 2 and FIPS 186.
pub fn curve(params: &[u8]) -> Result<Curve> {
    let malformed =
        |cause: der::Error| Error::because(CKR_DOMAIN_PARAMS_INVALID, "CKA_EC_PARAMS", cause);
    let named = AnyRef::from_der(params).map_err(malformed)?;
    let found = match named.tag() {
        Tag::ObjectIdentifier => {
            let oid = named.decode_as::<ObjectIdentifier>().map_err(malformed)?;
            CURVES.iter().find(|row| row.oid == oid)
        }
        Tag::PrintableString => {
            CURVES.iter().find(|row| row.names.iter().any(|name| name.as_bytes() == named.value()))
        }
        _ => {
            let why = "CKA_EC_PARAMS describes a curve instead of naming it";
            return Err(Error::new(CKR_DOMAIN_PARAMS_INVALID, why));
        }
    };
    found
        .map(|row| row.curve)
        .ok_or_else(|| Error::new(CKR_CURVE_NOT_SUPPORTED, "CKA_EC_PARAMS names another curve"))
}

struct NamedCurve {
    curve: Curve,
    oid: ObjectIdentifier,
    names: &'static [&'static str],
}

const CURVES: &[NamedCurve] = &[
    NamedCurve {
        curve: Curve::P224,
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.33"),
        names: &["secp224r1", "P-224"],
    },
    NamedCurve {
        curve: Curve::P256,
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        names: &["secp256r1", "prime256v1", "P-256"],
    },
    NamedCurve {
        curve: Curve::P384,
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.34"),
        names: &["secp384r1", "P-384"],
    },
    NamedCurve {
        curve: Curve::P521,
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        names: &["secp521r1", "P-521"],
    },
];

fn oid(curve: Curve) -> Result<ObjectIdentifier> {
    CURVES
        .iter()
        .find(|row| row.curve == curve)
        .map(|row| row.oid)
        .ok_or_else(|| Error::bug("a curve without an OID"))
}

/// CKA_EC_PARAMS of `curve`: the DER of its OID.
pub fn ec_params(curve: Curve) -> Result<Vec<u8>> {
    oid(curve)?.to_der().map_err(too_long)
}

/// CKA_EC_POINT: the uncompressed point in a DER OCTET STRING.
pub fn ec_point(x: &[u8], y: &[u8]) -> Result<Vec<u8>> {
    OctetStringRef::new(&sec1(x, y)).and_then(|point| point.to_der()).map_err(too_long)
}

/// The coordinates of the point that `bytes` holds: uncompressed, bare or in a DER OCTET STRING.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` for a compressed point (PKCS#11 v3.1, "Elliptic Curve");
/// `CKR_ATTRIBUTE_VALUE_INVALID` for what is no point of `curve`.
pub fn point(curve: Curve, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let invalid =
        || Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_EC_POINT is no point of the curve");
    let len = curve.field_len();
    let bare = len.saturating_mul(2).saturating_add(1);
    // Both forms begin with the byte 4; their lengths tell them apart.
    let point = if bytes.len() == bare {
        bytes
    } else {
        OctetStringRef::from_der(bytes).map_err(|_| invalid())?.as_bytes()
    };
    let (form, coordinates) = point.split_first().ok_or_else(invalid)?;
    if matches!(form, 2 | 3) && coordinates.len() == len {
        return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, "CKA_EC_POINT is compressed"));
    }
    if *form != UNCOMPRESSED || point.len() != bare || !is_on(curve, point) {
        return Err(invalid());
    }
    let (x, y) = coordinates.split_at_checked(len).ok_or_else(invalid)?;
    Ok((x.to_vec(), y.to_vec()))
}

/// CKA_PUBLIC_KEY_INFO: the DER of the SubjectPublicKeyInfo (RFC 5280, RFC 5480, RFC 8017).
pub fn public_key_info(key: &PublicKey) -> Result<Vec<u8>> {
    let info = |algorithm: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]| {
        SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier { oid: algorithm, parameters: Some(parameters) },
            subject_public_key: BitStringRef::from_bytes(key)?,
        }
        .to_der()
    };
    match key {
        PublicKey::Rsa { modulus, exponent } => rsa_public_key(modulus, exponent)
            .and_then(|key| info(RSA_ENCRYPTION, Null.into(), &key))
            .map_err(too_long),
        PublicKey::Ec { curve, x, y } => {
            info(EC_PUBLIC_KEY, AnyRef::from(&oid(*curve)?), &sec1(x, y)).map_err(too_long)
        }
    }
}

/// RSAPublicKey of RFC 8017: SEQUENCE { modulus, publicExponent }.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> der::Result<Vec<u8>> {
    let numbers = [UintRef::new(modulus)?.to_der()?, UintRef::new(exponent)?.to_der()?].concat();
    AnyRef::new(Tag::Sequence, &numbers)?.to_der()
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey> {
    let invalid = |why| Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !MODULUS_BITS.contains(&bits(modulus)) || !odd(modulus) {
        return invalid("CKA_MODULUS is no RSA modulus of 512 to 16384 bits");
    }
    if exponent.len() > MAX_EXPONENT_LEN || !odd(exponent) || exponent == [1] {
        return invalid("CKA_PUBLIC_EXPONENT is no odd number from 3 up to 64 bits");
    }
    Ok(PublicKey::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}

pub(super) fn sec1(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[UNCOMPRESSED], x, y].concat()
}

fn is_on(curve: Curve, point: &[u8]) -> bool {
    match curve {
        Curve::P224 => p224::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P521 => p521::PublicKey::from_sec1_bytes(point).is_ok(),
    }
}

fn too_long(cause: der::Error) -> Error {
    Error::because(cryptoki_sys::CKR_GENERAL_ERROR, "a public key does not go into DER", cause)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use cryptoki_sys::CK_RV;

    fn keys() -> [(PublicKey, Vec<u8>); 4] {
        [
            (ec_key(Curve::P256, P256_INFO), bytes(P256_INFO)),
            (ec_key(Curve::P384, P384_INFO), bytes(P384_INFO)),
            (ec_key(Curve::P521, P521_INFO), bytes(P521_INFO)),
            (rsa_key(), bytes(RSA_INFO)),
        ]
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T>) -> CK_RV {
        result.unwrap_err().ck_rv()
    }

    #[test]
    fn c108_the_public_key_info_is_what_openssl_writes() {
        for (key, info) in keys() {
            assert_eq!(hex::encode(public_key_info(&key).unwrap()), hex::encode(info));
        }
    }

    #[test]
    fn k_a_key_comes_back_from_its_attributes() {
        for (key, _) in keys() {
            assert_eq!(public_key(&public(&key)).unwrap(), key);
        }
    }

    #[test]
    fn c088_curves_are_named_by_oid_and_points_are_octet_strings() {
        assert_eq!(hex::encode(ec_params(Curve::P224).unwrap()), "06052b81040021");
        assert_eq!(hex::encode(ec_params(Curve::P256).unwrap()), "06082a8648ce3d030107");
        assert_eq!(hex::encode(ec_params(Curve::P384).unwrap()), "06052b81040022");
        assert_eq!(hex::encode(ec_params(Curve::P521).unwrap()), "06052b81040023");
        let PublicKey::Ec { x, y, .. } = ec_key(Curve::P521, P521_INFO) else { unreachable!() };
        let point = ec_point(&x, &y).unwrap();
        assert_eq!(&point[..4], [4, 0x81, 133, 4]);
        assert_eq!(point.len(), 3 + 133);
    }

    #[test]
    fn a_curve_may_be_given_by_name() {
        let named = |name: &str| [&[0x13, name.len() as u8], name.as_bytes()].concat();
        for (name, named_curve) in [
            ("secp224r1", Curve::P224),
            ("P-224", Curve::P224),
            ("prime256v1", Curve::P256),
            ("secp256r1", Curve::P256),
            ("P-256", Curve::P256),
            ("secp384r1", Curve::P384),
            ("P-384", Curve::P384),
            ("secp521r1", Curve::P521),
            ("P-521", Curve::P521),
        ] {
            assert_eq!(curve(&named(name)).unwrap(), named_curve, "{name}");
        }
        assert_eq!(refusal(curve(&named("brainpoolP256r1"))), CKR_CURVE_NOT_SUPPORTED);
    }

    #[test]
    fn c118_other_curves_and_other_ways_to_give_one_are_refused() {
        let secp256k1 = bytes("06052b8104000a");
        assert_eq!(refusal(curve(&secp256k1)), CKR_CURVE_NOT_SUPPORTED);
        let mut trailing = ec_params(Curve::P256).unwrap();
        trailing.push(0);
        // Nothing, an explicit curve's beginning, implicitlyCA, left-over bytes, a cut OID.
        for params in [vec![], bytes("3003020101"), bytes("0500"), trailing, bytes("06082a86")] {
            assert_eq!(refusal(curve(&params)), CKR_DOMAIN_PARAMS_INVALID, "{params:x?}");
        }
    }

    #[test]
    fn k_a_point_is_taken_bare_and_as_octet_string() {
        let PublicKey::Ec { curve, x, y } = ec_key(Curve::P256, P256_INFO) else { unreachable!() };
        let coordinates = (x.clone(), y.clone());
        assert_eq!(point(curve, &ec_point(&x, &y).unwrap()).unwrap(), coordinates);
        assert_eq!(point(curve, &sec1(&x, &y)).unwrap(), coordinates);
    }

    #[test]
    fn points_that_are_none_of_the_curve_are_refused() {
        let PublicKey::Ec { curve, x, mut y } = ec_key(Curve::P256, P256_INFO) else {
            unreachable!()
        };
        let compressed = [&[0x04, 0x21, 0x03], x.as_slice()].concat();
        assert_eq!(refusal(point(curve, &compressed)), CKR_TEMPLATE_INCONSISTENT);
        let good = ec_point(&x, &y).unwrap();
        let other_curve = refusal(point(Curve::P384, &good));
        assert_eq!(other_curve, CKR_ATTRIBUTE_VALUE_INVALID);
        y[31] ^= 1;
        let off = ec_point(&x, &y).unwrap();
        let infinity = vec![4, 1, 0];
        for bytes in [off, infinity, vec![], vec![4], vec![4, 0], good[..40].to_vec()] {
            assert_eq!(refusal(point(curve, &bytes)), CKR_ATTRIBUTE_VALUE_INVALID, "{bytes:x?}");
        }
    }

    #[test]
    fn rsa_numbers_that_are_no_key_are_refused() {
        let PublicKey::Rsa { modulus, exponent } = rsa_key() else { unreachable!() };
        let even = [&modulus[..127], &[0]].concat();
        let padded = [&[0, 0], modulus.as_slice()].concat();
        assert_eq!(rsa(&padded, &[0, 1, 0, 1]).unwrap(), rsa_key());
        assert!(rsa(&modulus, &[3]).is_ok());
        for (modulus, exponent) in [
            (&[][..], exponent.as_slice()),
            (&[0; 128], &exponent),
            (&modulus[..63], &exponent),
            (&[0xFF; 2049], &exponent),
            (&even, &exponent),
            (&modulus, &[]),
            (&modulus, &[0]),
            (&modulus, &[1]),
            (&modulus, &[4]),
            (&modulus, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            assert_eq!(refusal(rsa(modulus, exponent)), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }

    #[test]
    fn bits_are_counted_from_the_first_that_is_set() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[0, 0]), 0);
        assert_eq!(bits(&[0, 1]), 1);
        assert_eq!(bits(&[0x80, 0]), 16);
        assert_eq!(bits(&[0x7F, 0]), 15);
    }
}
