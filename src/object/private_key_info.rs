//! Private keys as PKCS#8 PrivateKeyInfo (RFC 5208): what wraps them writes, what unwraps them reads.

use cryptoki_sys::{
    CKA_COEFFICIENT, CKA_EC_PARAMS, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_MODULUS, CKA_PRIME_1,
    CKA_PRIME_2, CKA_PRIVATE_EXPONENT, CKA_PUBLIC_EXPONENT, CKA_VALUE, CKK_EC, CKK_RSA,
    CKR_FUNCTION_FAILED, CKR_WRAPPED_KEY_INVALID,
};
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, Null, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Sequence, SliceReader, TagMode, TagNumber};
use spki::{AlgorithmIdentifier, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use super::public::{self, EC_PUBLIC_KEY, RSA_ENCRYPTION};
use super::revealed::{another, rsa_numbers};
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};
use crate::tpm::{PublicKey, SecretBytes};

/// RFC 5208, PrivateKeyInfo without attributes.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: OctetStringRef<'a>,
}

/// RFC 8017, RSAPrivateKey with two primes.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime_1: UintRef<'a>,
    prime_2: UintRef<'a>,
    exponent_1: UintRef<'a>,
    exponent_2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// RFC 5915, ECPrivateKey. The curve is in the algorithm, as RFC 5958 has it.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: OctetStringRef<'a>,
    public_key: ContextSpecific<BitStringRef<'a>>,
}

/// The private key `object`, of which the TPM keeps `secret`.
///
/// Errors: `CKR_DEVICE_ERROR` for the secret of another key.
///
/// PKCS#11 v3.1, "Wrapping/unwrapping private keys".
pub fn private_key_info(object: &AttributeSet, secret: &[u8]) -> Result<SecretBytes> {
    if object.key_type() == Some(CKK_RSA) {
        return rsa(object, secret);
    }
    let PublicKey::Ec { curve, x, y } = public::public_key(object)? else {
        return Err(Error::bug("a private key of an unknown type"));
    };
    let scalar = public::scalar(curve, secret).ok_or_else(another)?;
    let (point, params) = (public::sec1(&x, &y), public::ec_params(curve)?);
    let public_key = BitStringRef::from_bytes(&point).map_err(unencodable)?;
    let key = EcPrivateKey {
        version: 1,
        private_key: OctetStringRef::new(&scalar).map_err(unencodable)?,
        public_key: ContextSpecific {
            tag_number: TagNumber::N1,
            tag_mode: TagMode::Explicit,
            value: public_key,
        },
    };
    let parameters = AnyRef::try_from(params.as_slice()).map_err(unencodable)?;
    info(AlgorithmIdentifier { oid: EC_PUBLIC_KEY, parameters: Some(parameters) }, &key)
}

fn rsa(object: &AttributeSet, prime: &[u8]) -> Result<SecretBytes> {
    let numbers = rsa_numbers(object, prime)?;
    let [d, p, q, dp, dq, coefficient] = numbers.as_slice() else {
        return Err(Error::bug("an RSA key has six secret numbers"));
    };
    let own = |cka| object.bytes(cka).unwrap_or_default();
    let uint = |bytes| UintRef::new(bytes).map_err(unencodable);
    let key = RsaPrivateKey {
        version: 0,
        modulus: uint(own(CKA_MODULUS))?,
        public_exponent: uint(own(CKA_PUBLIC_EXPONENT))?,
        private_exponent: uint(&d.1)?,
        prime_1: uint(&p.1)?,
        prime_2: uint(&q.1)?,
        exponent_1: uint(&dp.1)?,
        exponent_2: uint(&dq.1)?,
        coefficient: uint(&coefficient.1)?,
    };
    info(AlgorithmIdentifier { oid: RSA_ENCRYPTION, parameters: Some(Null.into()) }, &key)
}

fn info(algorithm: AlgorithmIdentifierRef<'_>, key: &impl Encode) -> Result<SecretBytes> {
    let key = Zeroizing::new(key.to_der().map_err(unencodable)?);
    let private_key = OctetStringRef::new(&key).map_err(unencodable)?;
    let info = PrivateKeyInfo { version: 0, algorithm, private_key };
    info.to_der().map(Zeroizing::new).map_err(unencodable)
}

/// Gives the private key `object`, whose CKA_KEY_TYPE is known, the values that the PrivateKeyInfo
/// `bytes` has. Zeros may follow it, which fill the last block of a mode without a padding of its own.
///
/// Errors: `CKR_WRAPPED_KEY_INVALID` for other bytes, and for a key of another type.
///
/// PKCS#11 v3.1, "Wrapping/unwrapping private keys".
pub fn read_private_key_info(object: &mut AttributeSet, bytes: &[u8]) -> Result<()> {
    let invalid = |cause: der::Error| {
        Error::because(CKR_WRAPPED_KEY_INVALID, "no PrivateKeyInfo was wrapped", cause)
    };
    let other = || Error::new(CKR_WRAPPED_KEY_INVALID, "a key of another type was wrapped");
    let mut reader = SliceReader::new(bytes).map_err(invalid)?;
    let whole = AnyRef::decode(&mut reader).map_err(invalid)?;
    let left = usize::try_from(reader.remaining_len()).unwrap_or(usize::MAX);
    let zeros = bytes.len().checked_sub(left).and_then(|end| bytes.get(end..));
    if zeros.is_none_or(|zeros| zeros.iter().any(|byte| *byte != 0)) {
        return Err(Error::new(CKR_WRAPPED_KEY_INVALID, "more than a key was wrapped"));
    }
    let (algorithm, key) = whole
        .sequence(|reader| {
            let _version = u8::decode(reader)?;
            let algorithm = AlgorithmIdentifierRef::decode(reader)?;
            let key = OctetStringRef::decode(reader)?;
            skip_rest(reader)?;
            Ok((algorithm, key))
        })
        .map_err(invalid)?;
    let key = AnyRef::from_der(key.as_bytes()).map_err(invalid)?;
    match object.key_type() {
        Some(CKK_RSA) if algorithm.oid == RSA_ENCRYPTION => {
            let numbers = key.sequence(rsa_values).map_err(invalid)?;
            for (cka, number) in RSA_VALUES.into_iter().zip(numbers) {
                object.insert(cka, Value::bytes(number.as_bytes()));
            }
        }
        Some(CKK_EC) if algorithm.oid == EC_PUBLIC_KEY => {
            let scalar = key
                .sequence(|reader| {
                    let _version = u8::decode(reader)?;
                    let scalar = OctetStringRef::decode(reader)?;
                    skip_rest(reader)?;
                    Ok(scalar)
                })
                .map_err(invalid)?;
            let params = algorithm.parameters.ok_or_else(other)?.to_der().map_err(invalid)?;
            object.insert(CKA_EC_PARAMS, Value::bytes(params));
            object.insert(CKA_VALUE, Value::bytes(scalar.as_bytes()));
        }
        _ => return Err(other()),
    }
    Ok(())
}

/// The numbers of an RSAPrivateKey, in its order.
const RSA_VALUES: [cryptoki_sys::CK_ATTRIBUTE_TYPE; 8] = [
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_PRIME_1,
    CKA_PRIME_2,
    CKA_EXPONENT_1,
    CKA_EXPONENT_2,
    CKA_COEFFICIENT,
];

fn rsa_values<'a>(reader: &mut SliceReader<'a>) -> der::Result<Vec<UintRef<'a>>> {
    let _version = u8::decode(reader)?;
    RSA_VALUES.iter().map(|_| UintRef::decode(reader)).collect()
}

/// Passes what may follow and says nothing about the key: attributes, a public key.
fn skip_rest(reader: &mut SliceReader<'_>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

fn unencodable(cause: der::Error) -> Error {
    Error::because(CKR_FUNCTION_FAILED, "a private key could not be encoded", cause)
}
