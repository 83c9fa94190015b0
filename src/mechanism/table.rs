//! THE TABLE: one row per mechanism. C_GetMechanismList, C_GetMechanismInfo, every `*Init`,
//! CKA_ALLOWED_MECHANISMS and docs/mechanisms.md derive from it.

use cryptoki_sys::*;

use super::aead::AeadMode;
use super::hash::Hash;
use super::parameter::ParameterShape;
use super::row::{BaseValue, Derive, End, KeyWrap, Mechanism, Mode, RunsIn};
use super::{
    ecdh, ecdsa, hkdf, key_pair, key_wrap, mac, rsa_aes, rsa_oaep, rsa_pkcs1, rsa_pss, rsa_raw,
    secret_key, simple_derivation, sp800_108,
};
use crate::tpm::{CipherMode, HashAlg, SECRET, Scheme};

// TPM 2.0 Part 2, TPM_ALG_ID and TPM_CC.
const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_ECDSA: u16 = 0x0018;
const TPM_ALG_ECC: u16 = 0x0023;
const TPM_CC_CREATE: u32 = 0x153;
const TPM_CC_LOAD: u32 = 0x157;
const TPM_CC_RSA_DECRYPT: u32 = 0x159;
const TPM_CC_SIGN: u32 = 0x15D;
const TPM_ALG_HMAC: u16 = 0x0005;
const TPM_ALG_AES: u16 = 0x0006;
const TPM_ALG_KEYEDHASH: u16 = 0x0008;
const TPM_ALG_SYMCIPHER: u16 = 0x0025;
const TPM_CC_ENCRYPT_DECRYPT2: u32 = 0x193;
const TPM_ALG_ECDH: u16 = 0x0019;
const TPM_CC_ECDH_ZGEN: u32 = 0x154;
const TPM_CC_DUPLICATE: u32 = 0x14B;
const TPM_CC_HMAC: u32 = 0x155;
const TPM_CC_HMAC_START: u32 = 0x15B;

/// Every type of secret key.
const SECRETS: &[CK_KEY_TYPE] = &[
    CKK_GENERIC_SECRET,
    CKK_AES,
    CKK_HKDF,
    CKK_SHA_1_HMAC,
    CKK_SHA256_HMAC,
    CKK_SHA384_HMAC,
    CKK_SHA512_HMAC,
];

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
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_LOAD],
        ..rsa(row!(CKM_RSA_PKCS_KEY_PAIR_GEN))
    },
    Mechanism {
        sign: Some(rsa_pkcs1::sign),
        verify: Some(rsa_pkcs1::verify),
        recover: Some(rsa_pkcs1::recover),
        encrypt: Some(rsa_pkcs1::encrypt),
        decrypt: Some(rsa_pkcs1::DECRYPT),
        wraps: true,
        encapsulates: true,
        ..rsa(row!(CKM_RSA_PKCS))
    },
    Mechanism {
        sign: Some(rsa_raw::sign),
        verify: Some(rsa_raw::verify),
        recover: Some(rsa_raw::recover),
        encrypt: Some(rsa_raw::encrypt),
        decrypt: Some(rsa_raw::DECRYPT),
        encapsulates: true,
        ..rsa(row!(CKM_RSA_X_509))
    },
    Mechanism {
        encrypt: Some(rsa_oaep::encrypt),
        decrypt: Some(rsa_oaep::DECRYPT),
        parameter: ParameterShape::Oaep,
        accepts: rsa_oaep::accepts,
        wraps: true,
        encapsulates: true,
        ..rsa(row!(CKM_RSA_PKCS_OAEP))
    },
    Mechanism {
        parameter: ParameterShape::RsaAes,
        accepts: rsa_aes::accepts,
        wraps: true,
        hybrid: true,
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
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_LOAD],
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
        generate_key: Some(secret_key::aes),
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER],
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_LOAD, TPM_CC_ENCRYPT_DECRYPT2],
        ..aes(row!(CKM_AES_KEY_GEN))
    },
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ecb as u16],
        wraps: true,
        ..cipher(row!(CKM_AES_ECB), CipherMode::Ecb, ParameterShape::None)
    },
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16],
        wraps: true,
        ..cipher(row!(CKM_AES_CBC), CipherMode::Cbc, ParameterShape::Iv)
    },
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16],
        cipher: Some(Mode { mode: CipherMode::Cbc, end: End::Padded }),
        wraps: true,
        ..cipher(row!(CKM_AES_CBC_PAD), CipherMode::Cbc, ParameterShape::Iv)
    },
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ctr as u16],
        ..cipher(row!(CKM_AES_CTR), CipherMode::Ctr, ParameterShape::Counter)
    },
    Mechanism {
        // Its key stream is CBC's: the TPM's own OFB would show some of it on the bus.
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16],
        ..cipher(row!(CKM_AES_OFB), CipherMode::Ofb, ParameterShape::Iv)
    },
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cfb as u16],
        ..cipher(row!(CKM_AES_CFB128), CipherMode::Cfb, ParameterShape::Iv)
    },
    Mechanism {
        tpm_algorithms: &[
            TPM_ALG_AES,
            TPM_ALG_SYMCIPHER,
            CipherMode::Cbc as u16,
            CipherMode::Ecb as u16,
        ],
        cipher: Some(Mode { mode: CipherMode::Cbc, end: End::Stolen }),
        wraps: true,
        ..cipher(row!(CKM_AES_CTS), CipherMode::Cbc, ParameterShape::Iv)
    },
    Mechanism {
        tpm_algorithms: &[
            TPM_ALG_AES,
            TPM_ALG_SYMCIPHER,
            CipherMode::Ctr as u16,
            CipherMode::Ecb as u16,
        ],
        ..aead(row!(CKM_AES_GCM), AeadMode::Gcm)
    },
    Mechanism {
        tpm_algorithms: &[
            TPM_ALG_AES,
            TPM_ALG_SYMCIPHER,
            CipherMode::Ctr as u16,
            CipherMode::Cbc as u16,
        ],
        ..aead(row!(CKM_AES_CCM), AeadMode::Ccm)
    },
    by_encryption(row!(CKM_AES_ECB_ENCRYPT_DATA), CipherMode::Ecb, ParameterShape::Data),
    Mechanism {
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16],
        ..by_encryption(row!(CKM_AES_CBC_ENCRYPT_DATA), CipherMode::Cbc, ParameterShape::CbcData)
    },
    key_wrap(row!(CKM_AES_KEY_WRAP), key_wrap::PLAIN, 8),
    key_wrap(row!(CKM_AES_KEY_WRAP_KWP), key_wrap::PADDED, 4),
    cmac(row!(CKM_AES_CMAC), ParameterShape::None),
    cmac(row!(CKM_AES_CMAC_GENERAL), ParameterShape::MacLength),
    Mechanism {
        generate_key: Some(secret_key::generic),
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_LOAD],
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
    digesting(row!(CKM_SHA3_224_KEY_DERIVATION), Hash::Sha3_224),
    digesting(row!(CKM_SHA3_256_KEY_DERIVATION), Hash::Sha3_256),
    digesting(row!(CKM_SHA3_384_KEY_DERIVATION), Hash::Sha3_384),
    digesting(row!(CKM_SHA3_512_KEY_DERIVATION), Hash::Sha3_512),
    Mechanism {
        generate_key: Some(secret_key::generic),
        key_types: &[CKK_HKDF],
        ..hmac_key(row!(CKM_HKDF_KEY_GEN))
    },
    hkdf(row!(CKM_HKDF_DERIVE)),
    hkdf(row!(CKM_HKDF_DATA)),
    kdf(row!(CKM_SP800_108_COUNTER_KDF), ParameterShape::CounterKdf),
    kdf(row!(CKM_SP800_108_FEEDBACK_KDF), ParameterShape::FeedbackKdf),
    kdf(row!(CKM_SP800_108_DOUBLE_PIPELINE_KDF), ParameterShape::DoublePipelineKdf),
    Mechanism {
        generate_key: Some(secret_key::sha1),
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha1 as u16],
        ..hmac_key(row!(CKM_SHA_1_KEY_GEN))
    },
    Mechanism {
        generate_key: Some(secret_key::sha256),
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha256 as u16],
        ..hmac_key(row!(CKM_SHA256_KEY_GEN))
    },
    Mechanism {
        generate_key: Some(secret_key::sha384),
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha384 as u16],
        ..hmac_key(row!(CKM_SHA384_KEY_GEN))
    },
    Mechanism {
        generate_key: Some(secret_key::sha512),
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha512 as u16],
        ..hmac_key(row!(CKM_SHA512_KEY_GEN))
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA_1_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha1 as u16],
        ..hmac(row!(CKM_SHA_1_HMAC), HashAlg::Sha1, ParameterShape::None)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA_1_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha1 as u16],
        ..hmac(row!(CKM_SHA_1_HMAC_GENERAL), HashAlg::Sha1, ParameterShape::MacLength)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA256_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha256 as u16],
        ..hmac(row!(CKM_SHA256_HMAC), HashAlg::Sha256, ParameterShape::None)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA256_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha256 as u16],
        ..hmac(row!(CKM_SHA256_HMAC_GENERAL), HashAlg::Sha256, ParameterShape::MacLength)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA384_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha384 as u16],
        ..hmac(row!(CKM_SHA384_HMAC), HashAlg::Sha384, ParameterShape::None)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA384_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha384 as u16],
        ..hmac(row!(CKM_SHA384_HMAC_GENERAL), HashAlg::Sha384, ParameterShape::MacLength)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA512_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha512 as u16],
        ..hmac(row!(CKM_SHA512_HMAC), HashAlg::Sha512, ParameterShape::None)
    },
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_SHA512_HMAC],
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha512 as u16],
        ..hmac(row!(CKM_SHA512_HMAC_GENERAL), HashAlg::Sha512, ParameterShape::MacLength)
    },
    Mechanism { digest: Some(Hash::Sha1), ..row!(CKM_SHA_1) },
    Mechanism { digest: Some(Hash::Sha224), ..row!(CKM_SHA224) },
    Mechanism { digest: Some(Hash::Sha256), ..row!(CKM_SHA256) },
    Mechanism { digest: Some(Hash::Sha384), ..row!(CKM_SHA384) },
    Mechanism { digest: Some(Hash::Sha512), ..row!(CKM_SHA512) },
    Mechanism { digest: Some(Hash::Sha3_224), ..row!(CKM_SHA3_224) },
    Mechanism { digest: Some(Hash::Sha3_256), ..row!(CKM_SHA3_256) },
    Mechanism { digest: Some(Hash::Sha3_384), ..row!(CKM_SHA3_384) },
    Mechanism { digest: Some(Hash::Sha3_512), ..row!(CKM_SHA3_512) },
];

/// RSA, finished by the raw private operation.
const fn rsa(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_RSA],
        key_bits: 1024..=4096,
        runs_in: RunsIn::Tpm,
        tpm_algorithms: &[TPM_ALG_RSA],
        tpm_commands: &[TPM_CC_RSA_DECRYPT],
        ..row
    }
}

/// PKCS#1 v1.5 signatures that hash first.
const fn pkcs1(row: Mechanism, hash: Hash, bound_scheme: Option<Scheme>) -> Mechanism {
    Mechanism {
        hash: Some(hash),
        bound_scheme,
        sign: Some(rsa_pkcs1::sign_digest),
        verify: Some(rsa_pkcs1::verify_digest),
        ..rsa(row)
    }
}

/// PSS signatures, over a digest or hashing first.
const fn pss(row: Mechanism, hash: Option<Hash>) -> Mechanism {
    Mechanism {
        hash,
        parameter: ParameterShape::Pss,
        accepts: rsa_pss::accepts,
        sign: Some(rsa_pss::sign),
        verify: Some(rsa_pss::verify),
        ..rsa(row)
    }
}

/// Elliptic curves over prime fields.
const fn ec(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_EC],
        key_bits: 224..=521,
        runs_in: RunsIn::Tpm,
        tpm_algorithms: &[TPM_ALG_ECC],
        ..row
    }
}

/// ECDSA, over a digest or hashing first.
const fn ecdsa(row: Mechanism, hash: Option<Hash>, bound_scheme: Option<Scheme>) -> Mechanism {
    Mechanism {
        hash,
        bound_scheme,
        tpm_algorithms: &[TPM_ALG_ECC, TPM_ALG_ECDSA],
        tpm_commands: &[TPM_CC_SIGN],
        accepts: ecdsa::accepts,
        sign: Some(ecdsa::sign),
        verify: Some(ecdsa::verify),
        ..ec(row)
    }
}

/// AES.
const fn aes(row: Mechanism) -> Mechanism {
    Mechanism { key_types: &[CKK_AES], key_bits: 128..=256, runs_in: RunsIn::Tpm, ..row }
}

/// A mode of AES, without padding.
const fn cipher(row: Mechanism, mode: CipherMode, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        cipher: Some(Mode { mode, end: End::Whole }),
        parameter,
        tpm_commands: &[TPM_CC_ENCRYPT_DECRYPT2],
        ..aes(row)
    }
}

/// Encryption with a tag.
const fn aead(row: Mechanism, mode: AeadMode) -> Mechanism {
    Mechanism {
        aead: Some(mode),
        wraps: true,
        parameter: ParameterShape::Aead(mode),
        tpm_commands: &[TPM_CC_ENCRYPT_DECRYPT2],
        ..aes(row)
    }
}

/// AES key wrapping.
const fn key_wrap(row: Mechanism, key_wrap: KeyWrap, iv_len: usize) -> Mechanism {
    Mechanism {
        key_wrap: Some(key_wrap),
        wraps: true,
        parameter: ParameterShape::OptionalIv(iv_len),
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ecb as u16],
        tpm_commands: &[TPM_CC_ENCRYPT_DECRYPT2],
        ..aes(row)
    }
}

/// A key made by encrypting data.
const fn by_encryption(row: Mechanism, mode: CipherMode, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        cipher: None,
        accepts: simple_derivation::accepts_blocks,
        derive: Some(Derive::One(simple_derivation::encrypted)),
        tpm_algorithms: &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ecb as u16],
        ..cipher(row, mode, parameter)
    }
}

/// A key made from the value of a key that may leave the TPM.
const fn from_value(row: Mechanism, derive: Derive) -> Mechanism {
    Mechanism {
        key_types: SECRETS,
        parameter: ParameterShape::Data,
        derive: Some(derive),
        base_value: BaseValue::Shown,
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_DUPLICATE],
        ..generic(row)
    }
}

/// A key that is the digest of such a value.
const fn digesting(row: Mechanism, hash: Hash) -> Mechanism {
    Mechanism {
        derived_hash: Some(hash),
        parameter: ParameterShape::None,
        base_value: BaseValue::Digested,
        ..from_value(row, Derive::One(simple_derivation::digested))
    }
}

/// HKDF.
const fn hkdf(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_HKDF],
        parameter: ParameterShape::Hkdf,
        accepts: hkdf::accepts,
        derive: Some(Derive::Several(hkdf::derive)),
        tpm_commands: &[TPM_CC_HMAC, TPM_CC_HMAC_START],
        ..generic(row)
    }
}

/// Derivation by HMAC or CMAC.
const fn kdf(row: Mechanism, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        key_types: SECRETS,
        parameter,
        accepts: sp800_108::accepts,
        derive: Some(Derive::Several(sp800_108::derive)),
        tpm_commands: &[TPM_CC_HMAC, TPM_CC_HMAC_START],
        ..generic(row)
    }
}

/// ECDH.
const fn ecdh(row: Mechanism) -> Mechanism {
    Mechanism {
        parameter: ParameterShape::Ecdh,
        tpm_algorithms: &[TPM_ALG_ECC, TPM_ALG_ECDH],
        tpm_commands: &[TPM_CC_ECDH_ZGEN],
        accepts: ecdh::accepts,
        derive: Some(Derive::One(ecdh::derive)),
        encapsulates: true,
        ..ec(row)
    }
}

/// CMAC, of full length or of the length the parameter says.
const fn cmac(row: Mechanism, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        mac: Some(mac::CMAC),
        parameter,
        tpm_algorithms: &[
            TPM_ALG_AES,
            TPM_ALG_SYMCIPHER,
            CipherMode::Ecb as u16,
            CipherMode::Cbc as u16,
        ],
        tpm_commands: &[TPM_CC_ENCRYPT_DECRYPT2],
        ..aes(row)
    }
}

/// Generic secrets.
const fn generic(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET],
        key_bits: 8..=8 * SECRET as CK_ULONG,
        runs_in: RunsIn::Tpm,
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC],
        ..row
    }
}

/// Keys for HMAC by one hash.
const fn hmac_key(row: Mechanism) -> Mechanism {
    Mechanism { tpm_commands: &[TPM_CC_CREATE, TPM_CC_LOAD], ..generic(row) }
}

/// HMAC, of full length or of the length the parameter says.
const fn hmac(row: Mechanism, hash: HashAlg, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        mac: Some(mac::hmac(hash)),
        parameter,
        tpm_commands: &[TPM_CC_HMAC, TPM_CC_HMAC_START],
        ..generic(row)
    }
}
