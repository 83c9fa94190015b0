//! Private keys as PKCS#8 PrivateKeyInfo (RFC 5208): what wraps them writes.

use cryptoki_sys::{CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKK_RSA, CKR_FUNCTION_FAILED};
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, Null, OctetStringRef, UintRef};
use der::{Encode, Sequence, TagMode, TagNumber};
use spki::{AlgorithmIdentifier, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use super::public::{self, EC_PUBLIC_KEY, RSA_ENCRYPTION};
use super::revealed::rsa_numbers;
use super::value::AttributeSet;
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
    let mut scalar = Zeroizing::new(vec![0; curve.field_len().saturating_sub(secret.len())]);
    scalar.extend_from_slice(secret);
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

fn unencodable(cause: der::Error) -> Error {
    Error::because(CKR_FUNCTION_FAILED, "a private key could not be encoded", cause)
}
