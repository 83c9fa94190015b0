//! THE TABLE: one row per mechanism. C_GetMechanismList, C_GetMechanismInfo, every `*Init`,
//! CKA_ALLOWED_MECHANISMS and docs/mechanisms.md derive from it.

use cryptoki_sys::*;

use super::aead::AeadMode;
use super::hash::Hash;
use super::kinds::*;
use super::parameter::ParameterShape;
use super::row::{Derive, Encryption, End, Mechanism, Signature};
use super::secret_key::Generates;
use super::{key_pair, key_wrap, rsa_aes, rsa_oaep, rsa_pkcs1, rsa_raw, simple_derivation};
use crate::tpm::{CipherMode, HashAlg, Scheme};

/// A row by its name.
macro_rules! row {
    ($ckm:ident) => {
        Mechanism::new($ckm, stringify!($ckm))
    };
}

/// All mechanisms.
pub(super) static MECHANISMS: &[Mechanism] = &[
    Mechanism {
        generate_key_pair: Some(key_pair::rsa),
        tpm_commands: MAKE,
        ..rsa(row!(CKM_RSA_PKCS_KEY_PAIR_GEN))
    },
    Mechanism {
        signature: Some(Signature::Pair(rsa_pkcs1::sign, rsa_pkcs1::verify)),
        recover: Some(rsa_pkcs1::recover),
        encryption: Some(rsa_pkcs1::ENCRYPTION),
        wraps: true,
        encapsulates: true,
        ..rsa(row!(CKM_RSA_PKCS))
    },
    Mechanism {
        signature: Some(Signature::Pair(rsa_raw::sign, rsa_raw::verify)),
        recover: Some(rsa_raw::recover),
        encryption: Some(rsa_raw::ENCRYPTION),
        encapsulates: true,
        ..rsa(row!(CKM_RSA_X_509))
    },
    Mechanism {
        encryption: Some(rsa_oaep::ENCRYPTION),
        parameter: ParameterShape::Oaep,
        accepts: rsa_oaep::accepts,
        wraps: true,
        encapsulates: true,
        ..rsa(row!(CKM_RSA_PKCS_OAEP))
    },
    Mechanism {
        parameter: ParameterShape::RsaAes,
        accepts: rsa_aes::accepts,
        encryption: Some(Encryption::Hybrid),
        wraps: true,
        ..rsa(row!(CKM_RSA_AES_KEY_WRAP))
    },
    pss(row!(CKM_RSA_PKCS_PSS), None),
    pkcs1(row!(CKM_SHA1_RSA_PKCS), Hash::Sha1, Some(Scheme::RsaSsa(HashAlg::Sha1))),
    pkcs1(row!(CKM_SHA224_RSA_PKCS), Hash::Sha224, None),
    pkcs1(row!(CKM_SHA256_RSA_PKCS), Hash::Sha256, Some(Scheme::RsaSsa(HashAlg::Sha256))),
    pkcs1(row!(CKM_SHA384_RSA_PKCS), Hash::Sha384, Some(Scheme::RsaSsa(HashAlg::Sha384))),
    pkcs1(row!(CKM_SHA512_RSA_PKCS), Hash::Sha512, Some(Scheme::RsaSsa(HashAlg::Sha512))),
    pkcs1(row!(CKM_SHA3_224_RSA_PKCS), Hash::Sha3_224, None),
    pkcs1(row!(CKM_SHA3_256_RSA_PKCS), Hash::Sha3_256, None),
    pkcs1(row!(CKM_SHA3_384_RSA_PKCS), Hash::Sha3_384, None),
    pkcs1(row!(CKM_SHA3_512_RSA_PKCS), Hash::Sha3_512, None),
    pss(row!(CKM_SHA1_RSA_PKCS_PSS), Some(Hash::Sha1)),
    pss(row!(CKM_SHA224_RSA_PKCS_PSS), Some(Hash::Sha224)),
    pss(row!(CKM_SHA256_RSA_PKCS_PSS), Some(Hash::Sha256)),
    pss(row!(CKM_SHA384_RSA_PKCS_PSS), Some(Hash::Sha384)),
    pss(row!(CKM_SHA512_RSA_PKCS_PSS), Some(Hash::Sha512)),
    pss(row!(CKM_SHA3_224_RSA_PKCS_PSS), Some(Hash::Sha3_224)),
    pss(row!(CKM_SHA3_256_RSA_PKCS_PSS), Some(Hash::Sha3_256)),
    pss(row!(CKM_SHA3_384_RSA_PKCS_PSS), Some(Hash::Sha3_384)),
    pss(row!(CKM_SHA3_512_RSA_PKCS_PSS), Some(Hash::Sha3_512)),
    Mechanism {
        generate_key_pair: Some(key_pair::ec),
        tpm_commands: MAKE,
        ..ec(row!(CKM_EC_KEY_PAIR_GEN))
    },
    ecdsa(row!(CKM_ECDSA), None, None),
    ecdsa(row!(CKM_ECDSA_SHA1), Some(Hash::Sha1), Some(Scheme::Ecdsa(HashAlg::Sha1))),
    ecdsa(row!(CKM_ECDSA_SHA224), Some(Hash::Sha224), None),
    ecdsa(row!(CKM_ECDSA_SHA256), Some(Hash::Sha256), Some(Scheme::Ecdsa(HashAlg::Sha256))),
    ecdsa(row!(CKM_ECDSA_SHA384), Some(Hash::Sha384), Some(Scheme::Ecdsa(HashAlg::Sha384))),
    ecdsa(row!(CKM_ECDSA_SHA512), Some(Hash::Sha512), Some(Scheme::Ecdsa(HashAlg::Sha512))),
    ecdsa(row!(CKM_ECDSA_SHA3_224), Some(Hash::Sha3_224), None),
    ecdsa(row!(CKM_ECDSA_SHA3_256), Some(Hash::Sha3_256), None),
    ecdsa(row!(CKM_ECDSA_SHA3_384), Some(Hash::Sha3_384), None),
    ecdsa(row!(CKM_ECDSA_SHA3_512), Some(Hash::Sha3_512), None),
    ecdh(row!(CKM_ECDH1_DERIVE)),
    // The curves here have cofactor 1, for which the two are the same.
    ecdh(row!(CKM_ECDH1_COFACTOR_DERIVE)),
    Mechanism {
        generate_key: Some(Generates::Aes),
        tpm_algorithms: AES,
        tpm_commands: MAKE_AND_ENCRYPT,
        ..aes(row!(CKM_AES_KEY_GEN))
    },
    Mechanism { wraps: true, ..cipher(row!(CKM_AES_ECB), CipherMode::Ecb, ParameterShape::None) },
    Mechanism { wraps: true, ..cipher(row!(CKM_AES_CBC), CipherMode::Cbc, ParameterShape::Iv) },
    Mechanism {
        encryption: in_mode(CipherMode::Cbc, End::Padded),
        wraps: true,
        ..cipher(row!(CKM_AES_CBC_PAD), CipherMode::Cbc, ParameterShape::Iv)
    },
    cipher(row!(CKM_AES_CTR), CipherMode::Ctr, ParameterShape::Counter),
    cipher(row!(CKM_AES_OFB), CipherMode::Ofb, ParameterShape::Iv),
    cipher(row!(CKM_AES_CFB128), CipherMode::Cfb, ParameterShape::Iv),
    Mechanism {
        encryption: in_mode(CipherMode::Cbc, End::Stolen),
        tpm_algorithms: AES_CBC_ECB,
        wraps: true,
        ..cipher(row!(CKM_AES_CTS), CipherMode::Cbc, ParameterShape::Iv)
    },
    aead(row!(CKM_AES_GCM), AeadMode::Gcm),
    aead(row!(CKM_AES_CCM), AeadMode::Ccm),
    by_encryption(row!(CKM_AES_ECB_ENCRYPT_DATA), CipherMode::Ecb, ParameterShape::Data),
    by_encryption(row!(CKM_AES_CBC_ENCRYPT_DATA), CipherMode::Cbc, ParameterShape::CbcData),
    key_wrap(row!(CKM_AES_KEY_WRAP), key_wrap::PLAIN, 8),
    key_wrap(row!(CKM_AES_KEY_WRAP_KWP), key_wrap::PADDED, 4),
    cmac(row!(CKM_AES_CMAC), ParameterShape::None),
    cmac(row!(CKM_AES_CMAC_GENERAL), ParameterShape::MacLength),
    gmac(row!(CKM_AES_GMAC)),
    Mechanism {
        generate_key: secrets(CKK_GENERIC_SECRET),
        tpm_commands: MAKE,
        ..generic(row!(CKM_GENERIC_SECRET_KEY_GEN))
    },
    Mechanism {
        parameter: ParameterShape::KeyHandle,
        ..from_value(
            row!(CKM_CONCATENATE_BASE_AND_KEY),
            Derive::Several(simple_derivation::base_and_key),
        )
    },
    from_value(row!(CKM_CONCATENATE_BASE_AND_DATA), Derive::One(simple_derivation::base_and_data)),
    from_value(row!(CKM_CONCATENATE_DATA_AND_BASE), Derive::One(simple_derivation::data_and_base)),
    from_value(row!(CKM_XOR_BASE_AND_DATA), Derive::One(simple_derivation::xor)),
    Mechanism {
        parameter: ParameterShape::BitIndex,
        ..from_value(row!(CKM_EXTRACT_KEY_FROM_KEY), Derive::One(simple_derivation::extract))
    },
    digesting(row!(CKM_SHA1_KEY_DERIVATION), Hash::Sha1),
    digesting(row!(CKM_SHA224_KEY_DERIVATION), Hash::Sha224),
    digesting(row!(CKM_SHA256_KEY_DERIVATION), Hash::Sha256),
    digesting(row!(CKM_SHA384_KEY_DERIVATION), Hash::Sha384),
    digesting(row!(CKM_SHA512_KEY_DERIVATION), Hash::Sha512),
    digesting(row!(CKM_SHA512_224_KEY_DERIVATION), Hash::Sha512_224),
    digesting(row!(CKM_SHA512_256_KEY_DERIVATION), Hash::Sha512_256),
    digesting(row!(CKM_SHA3_224_KEY_DERIVATION), Hash::Sha3_224),
    digesting(row!(CKM_SHA3_256_KEY_DERIVATION), Hash::Sha3_256),
    digesting(row!(CKM_SHA3_384_KEY_DERIVATION), Hash::Sha3_384),
    digesting(row!(CKM_SHA3_512_KEY_DERIVATION), Hash::Sha3_512),
    Mechanism {
        generate_key: secrets(CKK_HKDF),
        key_types: &[CKK_HKDF],
        tpm_commands: MAKE,
        ..generic(row!(CKM_HKDF_KEY_GEN))
    },
    hkdf(row!(CKM_HKDF_DERIVE)),
    hkdf(row!(CKM_HKDF_DATA)),
    kdf(row!(CKM_SP800_108_COUNTER_KDF), ParameterShape::CounterKdf),
    kdf(row!(CKM_SP800_108_FEEDBACK_KDF), ParameterShape::FeedbackKdf),
    kdf(row!(CKM_SP800_108_DOUBLE_PIPELINE_KDF), ParameterShape::DoublePipelineKdf),
    hmac_key(row!(CKM_SHA_1_KEY_GEN), &HMAC_SHA1),
    hmac_key(row!(CKM_SHA256_KEY_GEN), &HMAC_SHA256),
    hmac_key(row!(CKM_SHA384_KEY_GEN), &HMAC_SHA384),
    hmac_key(row!(CKM_SHA512_KEY_GEN), &HMAC_SHA512),
    hmac(row!(CKM_SHA_1_HMAC), &HMAC_SHA1, ParameterShape::None),
    hmac(row!(CKM_SHA_1_HMAC_GENERAL), &HMAC_SHA1, ParameterShape::MacLength),
    hmac(row!(CKM_SHA256_HMAC), &HMAC_SHA256, ParameterShape::None),
    hmac(row!(CKM_SHA256_HMAC_GENERAL), &HMAC_SHA256, ParameterShape::MacLength),
    hmac(row!(CKM_SHA384_HMAC), &HMAC_SHA384, ParameterShape::None),
    hmac(row!(CKM_SHA384_HMAC_GENERAL), &HMAC_SHA384, ParameterShape::MacLength),
    hmac(row!(CKM_SHA512_HMAC), &HMAC_SHA512, ParameterShape::None),
    hmac(row!(CKM_SHA512_HMAC_GENERAL), &HMAC_SHA512, ParameterShape::MacLength),
    Mechanism { digest: Some(Hash::Sha1), ..row!(CKM_SHA_1) },
    Mechanism { digest: Some(Hash::Sha224), ..row!(CKM_SHA224) },
    Mechanism { digest: Some(Hash::Sha256), ..row!(CKM_SHA256) },
    Mechanism { digest: Some(Hash::Sha384), ..row!(CKM_SHA384) },
    Mechanism { digest: Some(Hash::Sha512), ..row!(CKM_SHA512) },
    Mechanism { digest: Some(Hash::Sha512_224), ..row!(CKM_SHA512_224) },
    Mechanism { digest: Some(Hash::Sha512_256), ..row!(CKM_SHA512_256) },
    Mechanism { digest: Some(Hash::Sha3_224), ..row!(CKM_SHA3_224) },
    Mechanism { digest: Some(Hash::Sha3_256), ..row!(CKM_SHA3_256) },
    Mechanism { digest: Some(Hash::Sha3_384), ..row!(CKM_SHA3_384) },
    Mechanism { digest: Some(Hash::Sha3_512), ..row!(CKM_SHA3_512) },
];
