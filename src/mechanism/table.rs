//! THE TABLE: one row per mechanism. C_GetMechanismList, C_GetMechanismInfo, every `*Init`,
//! CKA_ALLOWED_MECHANISMS and docs/mechanisms.md derive from it.

use cryptoki_sys::*;

use super::hash::Hash;
use super::parameter::ParameterShape;
use super::row::{Mechanism, RunsIn};
use super::{ecdsa, key_pair, rsa_oaep, rsa_pkcs1, rsa_pss, rsa_raw};
use crate::tpm::{HashAlg, Scheme};

// TPM 2.0 Part 2, TPM_ALG_ID and TPM_CC.
const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_ECDSA: u16 = 0x0018;
const TPM_ALG_ECC: u16 = 0x0023;
const TPM_CC_CREATE: u32 = 0x153;
const TPM_CC_LOAD: u32 = 0x157;
const TPM_CC_RSA_DECRYPT: u32 = 0x159;
const TPM_CC_SIGN: u32 = 0x15D;

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
        encrypt: Some(rsa_pkcs1::encrypt),
        decrypt: Some(rsa_pkcs1::DECRYPT),
        ..rsa(row!(CKM_RSA_PKCS))
    },
    Mechanism {
        sign: Some(rsa_raw::sign),
        verify: Some(rsa_raw::verify),
        encrypt: Some(rsa_raw::encrypt),
        decrypt: Some(rsa_raw::DECRYPT),
        ..rsa(row!(CKM_RSA_X_509))
    },
    Mechanism {
        encrypt: Some(rsa_oaep::encrypt),
        decrypt: Some(rsa_oaep::DECRYPT),
        parameter: ParameterShape::Oaep,
        accepts: rsa_oaep::accepts,
        ..rsa(row!(CKM_RSA_PKCS_OAEP))
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
        key_type: Some(CKK_RSA),
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
        key_type: Some(CKK_EC),
        key_bits: 256..=521,
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
