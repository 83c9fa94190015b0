//! Public areas: the templates this engine asks for, and what a public area says.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_KEY_SIZE_RANGE};
use sha2::{Digest as _, Sha256};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::tss as tpm2;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm, SymmetricMode};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::{AesKeyBits, RsaKeyBits};
use tss_esapi::structures::{
    Digest, EccParameter, EccPoint, EccScheme, HashScheme, HmacScheme, KeyDerivationFunctionScheme,
    KeyedHashScheme, Public, PublicBuilder, PublicEccParameters, PublicKeyRsa,
    PublicKeyedHashParameters, PublicRsaParameters, RsaExponent, RsaScheme,
    SymmetricCipherParameters, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall, UnMarshall};

use crate::error::{Error, Result};
use crate::tpm::policy::{duplication_policy, officer_policy};
use crate::tpm::wire::{Reader, Writer};
use crate::tpm::{Curve, HashAlg, KeyKind, KeyTemplate, PublicKey, Scheme, SealTemplate};

/// TPMA_OBJECT userWithAuth.
const USER_WITH_AUTH: u32 = 1 << 6;
/// TPMA_OBJECT noDA.
const NO_DA: u32 = 1 << 10;

/// The TCG's template of a storage primary key on P-256 (TCG TPM v2.0 Provisioning Guidance,
/// "Storage Primary Key (SRK) Templates"): other software makes the same key with it.
pub fn primary_template() -> Result<Vec<u8>> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()
        .map_err(template)?;
    let zeros = EccParameter::try_from(vec![0; 32]).map_err(template)?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(PublicEccParameters::new(
            SymmetricDefinitionObject::AES_128_CFB,
            EccScheme::Null,
            EccCurve::NistP256,
            KeyDerivationFunctionScheme::Null,
        ))
        .with_ecc_unique_identifier(EccPoint::new(zeros.clone(), zeros))
        .build()
        .and_then(|public| public.marshall())
        .map_err(template)
}

/// A sealed object: userWithAuth, adminWithPolicy clear, bound to this TPM and parent.
pub fn seal_template(seal: &SealTemplate) -> Result<Vec<u8>> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(true)
        .with_no_da(!seal.dictionary_attack_protected)
        .build()
        .map_err(template)?;
    let policy = match &seal.officer {
        Some(officer) => Some(officer_policy(officer)?),
        None => None,
    };
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy_digest(policy)?)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
        .and_then(|public| public.marshall())
        .map_err(template)
}

/// A user's key.
///
/// `made_here`: the TPM chooses the secret itself (sensitiveDataOrigin).
pub fn key_template(key: &KeyTemplate, made_here: bool) -> Result<Vec<u8>> {
    key_area(key, made_here, None)
}

/// A user's key that was made elsewhere, of which `public` is known. It is not fixed to this TPM,
/// as it has been outside; without an authPolicy no TPM lets it leave.
pub fn outside_template(key: &KeyTemplate, public: &PublicKey) -> Result<Vec<u8>> {
    key_area(key, false, Some(public))
}

fn key_area(key: &KeyTemplate, made_here: bool, public: Option<&PublicKey>) -> Result<Vec<u8>> {
    let fixed = !key.extractable && public.is_none();
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(fixed)
        .with_fixed_parent(fixed)
        .with_sensitive_data_origin(made_here)
        .with_user_with_auth(key.policy.is_none())
        .with_no_da(true)
        .with_sign_encrypt(key.sign)
        .with_decrypt(key.decrypt)
        .build()
        .map_err(template)?;
    // A key that asks for approval never leaves, so that only one of the two is wanted.
    let policy = key.policy.or_else(|| key.extractable.then(duplication_policy));
    let builder = PublicBuilder::new()
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy_digest(policy)?);
    let builder = match key.kind {
        KeyKind::Rsa { bits } => builder
            .with_public_algorithm(PublicAlgorithm::Rsa)
            .with_rsa_parameters(PublicRsaParameters::new(
                SymmetricDefinitionObject::Null,
                match key.scheme {
                    Some(Scheme::RsaSsa(hash)) => RsaScheme::RsaSsa(hash_scheme(hash)),
                    _ => RsaScheme::Null,
                },
                RsaKeyBits::try_from(bits).map_err(|_| {
                    let why = format!("no TPM makes RSA keys of {bits} bits");
                    Error::new(CKR_KEY_SIZE_RANGE, why)
                })?,
                exponent(public)?,
            ))
            .with_rsa_unique_identifier(match public {
                Some(PublicKey::Rsa { modulus, .. }) => {
                    PublicKeyRsa::try_from(modulus.as_slice()).map_err(template)?
                }
                _ => PublicKeyRsa::default(),
            }),
        KeyKind::Ec(curve) => builder
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_ecc_parameters(PublicEccParameters::new(
                SymmetricDefinitionObject::Null,
                match key.scheme {
                    Some(Scheme::Ecdsa(hash)) => EccScheme::EcDsa(hash_scheme(hash)),
                    _ => EccScheme::Null,
                },
                match curve {
                    Curve::P224 => EccCurve::NistP224,
                    Curve::P256 => EccCurve::NistP256,
                    Curve::P384 => EccCurve::NistP384,
                    Curve::P521 => EccCurve::NistP521,
                },
                KeyDerivationFunctionScheme::Null,
            ))
            .with_ecc_unique_identifier(match public {
                Some(PublicKey::Ec { x, y, .. }) => EccPoint::new(
                    EccParameter::try_from(x.as_slice()).map_err(template)?,
                    EccParameter::try_from(y.as_slice()).map_err(template)?,
                ),
                _ => EccPoint::default(),
            }),
        KeyKind::Aes { bits } => builder
            .with_public_algorithm(PublicAlgorithm::SymCipher)
            .with_symmetric_cipher_parameters(SymmetricCipherParameters::new(
                SymmetricDefinitionObject::Aes {
                    key_bits: AesKeyBits::try_from(bits).map_err(|_| {
                        Error::new(CKR_KEY_SIZE_RANGE, format!("AES has no keys of {bits} bits"))
                    })?,
                    mode: SymmetricMode::Null,
                },
            ))
            .with_symmetric_cipher_unique_identifier(Digest::default()),
        KeyKind::LongHmac { .. } => return Err(Error::bug("several objects have no one area")),
        KeyKind::Hmac | KeyKind::HmacBy(_) | KeyKind::Piece => builder
            .with_public_algorithm(PublicAlgorithm::KeyedHash)
            .with_keyed_hash_parameters(PublicKeyedHashParameters::new(match key.kind {
                KeyKind::HmacBy(hash) => {
                    KeyedHashScheme::Hmac { hmac_scheme: HmacScheme::new(hashing(hash)) }
                }
                _ => KeyedHashScheme::Null,
            }))
            .with_keyed_hash_unique_identifier(Digest::default()),
    };
    builder.build().and_then(|public| public.marshall()).map_err(template)
}

fn policy_digest(policy: Option<[u8; 32]>) -> Result<Digest> {
    policy.map_or(Ok(Digest::default()), |policy| Digest::try_from(&policy[..]).map_err(template))
}

/// The public exponent of a key from outside. The default one, 65537, is always written as 0.
fn exponent(public: Option<&PublicKey>) -> Result<RsaExponent> {
    let Some(PublicKey::Rsa { exponent, .. }) = public else { return Ok(RsaExponent::default()) };
    let unfit = || Error::new(CKR_KEY_SIZE_RANGE, "no TPM has so large a public exponent");
    let mut number = 0u32;
    for byte in exponent {
        number = number.checked_mul(256).ok_or_else(unfit)? | u32::from(*byte);
    }
    match number {
        65_537 => Ok(RsaExponent::default()),
        other => RsaExponent::create(other).map_err(template),
    }
}

fn hash_scheme(hash: HashAlg) -> HashScheme {
    HashScheme::new(hashing(hash))
}

fn hashing(hash: HashAlg) -> HashingAlgorithm {
    match hash {
        HashAlg::Sha1 => HashingAlgorithm::Sha1,
        HashAlg::Sha256 => HashingAlgorithm::Sha256,
        HashAlg::Sha384 => HashingAlgorithm::Sha384,
        HashAlg::Sha512 => HashingAlgorithm::Sha512,
    }
}

fn template(cause: tss_esapi::Error) -> Error {
    Error::because(CKR_GENERAL_ERROR, "a template could not be marshalled", cause)
}

/// The Name of the object with this TPM2B_PUBLIC: nameAlg and the digest of the public area.
/// TPM 2.0 Part 1, "Names". All objects here have nameAlg SHA-256.
///
/// Errors: `CKR_DEVICE_ERROR` when it is no TPM2B_PUBLIC with that nameAlg.
pub fn object_name(public: &[u8]) -> Result<Vec<u8>> {
    let area = area(public)?;
    let mut reader = Reader::new(area);
    reader.u16()?;
    if reader.u16()? != tpm2::TPM2_ALG_SHA256 {
        return Err(Error::new(CKR_DEVICE_ERROR, "an object with another nameAlg than SHA-256"));
    }
    Ok(Writer::new().u16(tpm2::TPM2_ALG_SHA256).bytes(&Sha256::digest(area)).finish())
}

/// Whether wrong authorizations of this object count against the dictionary-attack limit.
pub fn is_counted(public: &[u8]) -> Result<bool> {
    Ok(attributes(public)? & NO_DA == 0)
}

/// Whether this object's authValue alone does not authorize its use: its policy must be fulfilled.
///
/// Errors: `CKR_DEVICE_ERROR` when it is no public area.
pub fn needs_approval(public: &[u8]) -> Result<bool> {
    Ok(attributes(public)? & USER_WITH_AUTH == 0)
}

/// TPMA_OBJECT; where a key is several objects that of the first, who are alike in what is asked here.
fn attributes(public: &[u8]) -> Result<u32> {
    let mut reader = Reader::new(Reader::new(public).sized()?);
    reader.u16()?;
    reader.u16()?;
    reader.u32()
}

/// The public key in a TPM2B_PUBLIC, in plain numbers.
///
/// Errors: `CKR_DEVICE_ERROR` for another kind of object.
pub fn public_key(public: &[u8]) -> Result<PublicKey> {
    let public = Public::unmarshall(area(public)?)
        .map_err(|cause| Error::because(CKR_DEVICE_ERROR, "an unreadable public area", cause))?;
    let padded = |bytes: &[u8], len: usize| {
        let mut padded = vec![0; len.saturating_sub(bytes.len())];
        padded.extend_from_slice(bytes);
        padded
    };
    match public {
        Public::Rsa { unique, parameters, .. } => {
            let exponent = match parameters.exponent().value() {
                0 => 65_537,
                other => other,
            };
            Ok(PublicKey::Rsa {
                modulus: stripped(unique.value()),
                exponent: stripped(&exponent.to_be_bytes()),
            })
        }
        Public::Ecc { unique, parameters, .. } => {
            let curve = match parameters.ecc_curve() {
                EccCurve::NistP224 => Curve::P224,
                EccCurve::NistP256 => Curve::P256,
                EccCurve::NistP384 => Curve::P384,
                EccCurve::NistP521 => Curve::P521,
                _ => return Err(Error::new(CKR_DEVICE_ERROR, "a key on another curve")),
            };
            Ok(PublicKey::Ec {
                curve,
                x: padded(unique.x().value(), curve.field_len()),
                y: padded(unique.y().value(), curve.field_len()),
            })
        }
        _ => Err(Error::new(CKR_DEVICE_ERROR, "an object that is no key pair")),
    }
}

fn stripped(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// What is inside a TPM2B_PUBLIC.
fn area(public: &[u8]) -> Result<&[u8]> {
    let mut reader = Reader::new(public);
    let area = reader.sized()?;
    reader.end()?;
    Ok(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_say_what_was_asked() {
        let seal = SealTemplate { dictionary_attack_protected: true, officer: None };
        let whole = |area: Vec<u8>| Writer::new().sized(&area).finish();
        assert!(is_counted(&whole(seal_template(&seal).unwrap())).unwrap());
        let open = whole(seal_template(&SealTemplate::default()).unwrap());
        assert!(!is_counted(&open).unwrap());
        let primary = whole(primary_template().unwrap());
        assert!(!is_counted(&primary).unwrap());
        assert_eq!(object_name(&primary).unwrap().len(), 34);
        assert!(object_name(&primary[1..]).is_err());
        assert!(public_key(&open).is_err());
    }

    fn plain(kind: KeyKind) -> KeyTemplate {
        KeyTemplate {
            kind,
            sign: true,
            decrypt: true,
            scheme: None,
            extractable: false,
            policy: None,
        }
    }

    #[test]
    fn key_templates_exist_for_every_kind() {
        for scheme in [None, Some(Scheme::RsaSsa(HashAlg::Sha384))] {
            let kind = KeyKind::Rsa { bits: 3072 };
            let decrypt = scheme.is_none();
            key_template(&KeyTemplate { decrypt, scheme, ..plain(kind) }, true).unwrap();
        }
        for curve in Curve::ALL {
            for policy in [None, Some([7; 32])] {
                let template = KeyTemplate { policy, ..plain(KeyKind::Ec(curve)) };
                let area = key_template(&template, true).unwrap();
                let whole = Writer::new().sized(&area).finish();
                assert_eq!(needs_approval(&whole).unwrap(), policy.is_some());
                assert_eq!(area.windows(32).any(|part| part == [7; 32]), policy.is_some());
            }
        }
        for kind in [KeyKind::Aes { bits: 256 }, KeyKind::Hmac, KeyKind::Piece] {
            let key = KeyTemplate { extractable: true, ..plain(kind) };
            assert_ne!(key_template(&key, true).unwrap(), key_template(&key, false).unwrap());
            assert_ne!(
                key_template(&key, true).unwrap(),
                key_template(&plain(kind), true).unwrap()
            );
        }
        let odd = plain(KeyKind::Rsa { bits: 1000 });
        assert_eq!(key_template(&odd, true).unwrap_err().ck_rv(), CKR_KEY_SIZE_RANGE);
    }
}
