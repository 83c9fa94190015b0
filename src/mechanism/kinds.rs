//! Kinds of rows: what the mechanisms of one kind have in common, and which of the TPM's algorithms
//! and commands they need.

use cryptoki_sys::*;

use super::aead::AeadMode;
use super::hash::Hash;
use super::mac::{Mac, Prf};
use super::parameter::ParameterShape;
use super::row::{BaseValue, Derive, Encryption, End, KeyWrap, Mechanism, Mode, RunsIn, Signature};
use super::secret_key::Generates;
use super::{ecdh, ecdsa, gmac, hkdf, rsa_pkcs1, rsa_pss, simple_derivation, sp800_108};
use crate::tpm::{CipherMode, HashAlg, SECRET, Scheme};

// TPM 2.0 Part 2, TPM_ALG_ID.
const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_HMAC: u16 = 0x0005;
const TPM_ALG_AES: u16 = 0x0006;
const TPM_ALG_KEYEDHASH: u16 = 0x0008;
const TPM_ALG_ECDSA: u16 = 0x0018;
const TPM_ALG_ECDH: u16 = 0x0019;
const TPM_ALG_ECC: u16 = 0x0023;
const TPM_ALG_SYMCIPHER: u16 = 0x0025;

// TPM 2.0 Part 2, TPM_CC.
const TPM_CC_DUPLICATE: u32 = 0x14B;
const TPM_CC_CREATE: u32 = 0x153;
const TPM_CC_ECDH_ZGEN: u32 = 0x154;
const TPM_CC_HMAC: u32 = 0x155;
const TPM_CC_LOAD: u32 = 0x157;
const TPM_CC_RSA_DECRYPT: u32 = 0x159;
const TPM_CC_HMAC_START: u32 = 0x15B;
const TPM_CC_SIGN: u32 = 0x15D;
const TPM_CC_ENCRYPT_DECRYPT2: u32 = 0x193;

/// What makes a key.
pub(super) const MAKE: &[u32] = &[TPM_CC_CREATE, TPM_CC_LOAD];
/// What makes a key, and works with one of AES.
pub(super) const MAKE_AND_ENCRYPT: &[u32] = &[TPM_CC_CREATE, TPM_CC_LOAD, TPM_CC_ENCRYPT_DECRYPT2];
const ENCRYPT: &[u32] = &[TPM_CC_ENCRYPT_DECRYPT2];
const HMAC: &[u32] = &[TPM_CC_HMAC, TPM_CC_HMAC_START];

/// AES, by itself and in each mode.
pub(super) const AES: &[u16] = &[TPM_ALG_AES, TPM_ALG_SYMCIPHER];
const AES_ECB: &[u16] = &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ecb as u16];
const AES_CBC: &[u16] = &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16];
const AES_CFB: &[u16] = &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cfb as u16];
const AES_CTR: &[u16] = &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ctr as u16];
/// AES in both.
pub(super) const AES_CBC_ECB: &[u16] =
    &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Cbc as u16, CipherMode::Ecb as u16];
const AES_CTR_ECB: &[u16] =
    &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ctr as u16, CipherMode::Ecb as u16];
const AES_CTR_CBC: &[u16] =
    &[TPM_ALG_AES, TPM_ALG_SYMCIPHER, CipherMode::Ctr as u16, CipherMode::Cbc as u16];

/// Every type of secret key.
pub(super) const SECRETS: &[CK_KEY_TYPE] = &[
    CKK_GENERIC_SECRET,
    CKK_AES,
    CKK_HKDF,
    CKK_SHA_1_HMAC,
    CKK_SHA256_HMAC,
    CKK_SHA384_HMAC,
    CKK_SHA512_HMAC,
];

/// HMAC by one hash: which hash, and what it takes.
pub(super) struct Hmac {
    hash: HashAlg,
    /// The type of keys that are for it alone.
    key_type: CK_KEY_TYPE,
    key_types: &'static [CK_KEY_TYPE],
    tpm_algorithms: &'static [u16],
}

pub(super) const HMAC_SHA1: Hmac = Hmac {
    hash: HashAlg::Sha1,
    key_type: CKK_SHA_1_HMAC,
    key_types: &[CKK_GENERIC_SECRET, CKK_SHA_1_HMAC],
    tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha1 as u16],
};
pub(super) const HMAC_SHA256: Hmac = Hmac {
    hash: HashAlg::Sha256,
    key_type: CKK_SHA256_HMAC,
    key_types: &[CKK_GENERIC_SECRET, CKK_SHA256_HMAC],
    tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha256 as u16],
};
pub(super) const HMAC_SHA384: Hmac = Hmac {
    hash: HashAlg::Sha384,
    key_type: CKK_SHA384_HMAC,
    key_types: &[CKK_GENERIC_SECRET, CKK_SHA384_HMAC],
    tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha384 as u16],
};
pub(super) const HMAC_SHA512: Hmac = Hmac {
    hash: HashAlg::Sha512,
    key_type: CKK_SHA512_HMAC,
    key_types: &[CKK_GENERIC_SECRET, CKK_SHA512_HMAC],
    tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC, HashAlg::Sha512 as u16],
};

/// RSA, finished by the raw private operation.
pub(super) const fn rsa(row: Mechanism) -> Mechanism {
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
pub(super) const fn pkcs1(row: Mechanism, hash: Hash, bound_scheme: Option<Scheme>) -> Mechanism {
    Mechanism {
        hash: Some(hash),
        bound_scheme,
        signature: Some(Signature::Pair(rsa_pkcs1::sign_digest, rsa_pkcs1::verify_digest)),
        ..rsa(row)
    }
}

/// PSS signatures, over a digest or hashing first.
pub(super) const fn pss(row: Mechanism, hash: Option<Hash>) -> Mechanism {
    Mechanism {
        hash,
        parameter: ParameterShape::Pss,
        accepts: rsa_pss::accepts,
        signature: Some(Signature::Pair(rsa_pss::sign, rsa_pss::verify)),
        ..rsa(row)
    }
}

/// Elliptic curves over prime fields.
pub(super) const fn ec(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_EC],
        key_bits: 224..=521,
        runs_in: RunsIn::Tpm,
        tpm_algorithms: &[TPM_ALG_ECC],
        ..row
    }
}

/// ECDSA, over a digest or hashing first.
pub(super) const fn ecdsa(
    row: Mechanism,
    hash: Option<Hash>,
    bound_scheme: Option<Scheme>,
) -> Mechanism {
    Mechanism {
        hash,
        bound_scheme,
        tpm_algorithms: &[TPM_ALG_ECC, TPM_ALG_ECDSA],
        tpm_commands: &[TPM_CC_SIGN],
        accepts: ecdsa::accepts,
        signature: Some(Signature::Pair(ecdsa::sign, ecdsa::verify)),
        ..ec(row)
    }
}

/// AES.
pub(super) const fn aes(row: Mechanism) -> Mechanism {
    Mechanism { key_types: &[CKK_AES], key_bits: 128..=256, runs_in: RunsIn::Tpm, ..row }
}

/// How a mode of AES encrypts.
pub(super) const fn in_mode(mode: CipherMode, end: End) -> Option<Encryption> {
    Some(Encryption::Cipher(Mode { mode, end }))
}

/// A mode of AES, without padding.
pub(super) const fn cipher(
    row: Mechanism,
    mode: CipherMode,
    parameter: ParameterShape,
) -> Mechanism {
    Mechanism {
        encryption: in_mode(mode, End::Whole),
        parameter,
        tpm_algorithms: match mode {
            CipherMode::Ecb => AES_ECB,
            // The key stream of OFB is CBC's: the TPM's own OFB would show some of it on the bus.
            CipherMode::Cbc | CipherMode::Ofb => AES_CBC,
            CipherMode::Cfb => AES_CFB,
            CipherMode::Ctr => AES_CTR,
        },
        tpm_commands: ENCRYPT,
        ..aes(row)
    }
}

/// Encryption with a tag.
pub(super) const fn aead(row: Mechanism, mode: AeadMode) -> Mechanism {
    Mechanism {
        encryption: Some(Encryption::Aead(mode)),
        wraps: true,
        parameter: ParameterShape::Aead(mode),
        tpm_algorithms: match mode {
            AeadMode::Gcm => AES_CTR_ECB,
            AeadMode::Ccm => AES_CTR_CBC,
        },
        tpm_commands: ENCRYPT,
        ..aes(row)
    }
}

/// AES key wrapping.
pub(super) const fn key_wrap(row: Mechanism, key_wrap: KeyWrap, iv_len: usize) -> Mechanism {
    Mechanism {
        encryption: Some(Encryption::KeyWrap(key_wrap)),
        wraps: true,
        parameter: ParameterShape::OptionalIv(iv_len),
        tpm_algorithms: AES_ECB,
        tpm_commands: ENCRYPT,
        ..aes(row)
    }
}

/// A key made by encrypting data.
pub(super) const fn by_encryption(
    row: Mechanism,
    mode: CipherMode,
    parameter: ParameterShape,
) -> Mechanism {
    Mechanism {
        encryption: None,
        accepts: simple_derivation::accepts_blocks,
        derive: Some(Derive::One(simple_derivation::encrypted)),
        ..cipher(row, mode, parameter)
    }
}

/// A key made from the value of a key that may leave the TPM: once it has left, software's work.
pub(super) const fn from_value(row: Mechanism, derive: Derive) -> Mechanism {
    Mechanism {
        runs_in: RunsIn::Software,
        key_types: SECRETS,
        parameter: ParameterShape::Data,
        derive: Some(derive),
        base_value: BaseValue::Shown,
        tpm_commands: &[TPM_CC_CREATE, TPM_CC_DUPLICATE],
        ..generic(row)
    }
}

/// A key that is the digest of such a value.
pub(super) const fn digesting(row: Mechanism, hash: Hash) -> Mechanism {
    Mechanism {
        derived_hash: Some(hash),
        parameter: ParameterShape::None,
        base_value: BaseValue::Digested,
        ..from_value(row, Derive::One(simple_derivation::digested))
    }
}

/// HKDF.
pub(super) const fn hkdf(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET, CKK_HKDF],
        parameter: ParameterShape::Hkdf,
        accepts: hkdf::accepts,
        derive: Some(Derive::Several(hkdf::derive)),
        tpm_commands: HMAC,
        ..generic(row)
    }
}

/// Derivation by HMAC or CMAC.
pub(super) const fn kdf(row: Mechanism, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        key_types: SECRETS,
        parameter,
        accepts: sp800_108::accepts,
        derive: Some(Derive::Several(sp800_108::derive)),
        tpm_commands: HMAC,
        ..generic(row)
    }
}

/// ECDH.
pub(super) const fn ecdh(row: Mechanism) -> Mechanism {
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
pub(super) const fn cmac(row: Mechanism, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        signature: Some(Signature::Mac(Mac::Whole(Prf::Cmac))),
        parameter,
        tpm_algorithms: AES_CBC_ECB,
        tpm_commands: ENCRYPT,
        ..aes(row)
    }
}

/// GMAC. Its parameter is GCM's.
pub(super) const fn gmac(row: Mechanism) -> Mechanism {
    Mechanism {
        signature: Some(Signature::Mac(Mac::Gmac)),
        parameter: ParameterShape::Aead(AeadMode::Gcm),
        accepts: gmac::accepts,
        tpm_algorithms: AES_ECB,
        tpm_commands: ENCRYPT,
        ..aes(row)
    }
}

/// Generic secrets.
pub(super) const fn generic(row: Mechanism) -> Mechanism {
    Mechanism {
        key_types: &[CKK_GENERIC_SECRET],
        key_bits: 8..=8 * SECRET as CK_ULONG,
        runs_in: RunsIn::Tpm,
        tpm_algorithms: &[TPM_ALG_KEYEDHASH, TPM_ALG_HMAC],
        ..row
    }
}

/// What makes secrets of any length, which are for nothing in particular.
pub(super) const fn secrets(key_type: CK_KEY_TYPE) -> Option<Generates> {
    Some(Generates::Secrets { key_type, only: None })
}

/// Keys for HMAC by one hash.
pub(super) const fn hmac_key(row: Mechanism, hmac: &Hmac) -> Mechanism {
    Mechanism {
        generate_key: Some(Generates::Secrets { key_type: hmac.key_type, only: Some(hmac.hash) }),
        tpm_algorithms: hmac.tpm_algorithms,
        tpm_commands: MAKE,
        ..generic(row)
    }
}

/// HMAC, of full length or of the length the parameter says.
pub(super) const fn hmac(row: Mechanism, hmac: &Hmac, parameter: ParameterShape) -> Mechanism {
    Mechanism {
        signature: Some(Signature::Mac(Mac::Whole(Prf::Hmac(hmac.hash)))),
        parameter,
        key_types: hmac.key_types,
        tpm_algorithms: hmac.tpm_algorithms,
        tpm_commands: HMAC,
        ..generic(row)
    }
}
