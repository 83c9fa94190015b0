//! Mechanisms by the key they take, and a parameter for each.

use cryptoki_sys::*;

use super::aead::{ccm, gcm, gmac};
use super::p11::Mech;
use super::secret::{ctr, general};
use super::wrapping::rsa_aes;

pub const PSS_HASHES: [(CK_MECHANISM_TYPE, CK_MECHANISM_TYPE, CK_RSA_PKCS_MGF_TYPE); 9] = [
    (CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1),
    (CKM_SHA224_RSA_PKCS_PSS, CKM_SHA224, CKG_MGF1_SHA224),
    (CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256),
    (CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384),
    (CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512),
    (CKM_SHA3_224_RSA_PKCS_PSS, CKM_SHA3_224, CKG_MGF1_SHA3_224),
    (CKM_SHA3_256_RSA_PKCS_PSS, CKM_SHA3_256, CKG_MGF1_SHA3_256),
    (CKM_SHA3_384_RSA_PKCS_PSS, CKM_SHA3_384, CKG_MGF1_SHA3_384),
    (CKM_SHA3_512_RSA_PKCS_PSS, CKM_SHA3_512, CKG_MGF1_SHA3_512),
];

pub const GENERAL: [CK_MECHANISM_TYPE; 5] = [
    CKM_AES_CMAC_GENERAL,
    CKM_SHA_1_HMAC_GENERAL,
    CKM_SHA256_HMAC_GENERAL,
    CKM_SHA384_HMAC_GENERAL,
    CKM_SHA512_HMAC_GENERAL,
];
pub const AES: [CK_MECHANISM_TYPE; 14] = [
    CKM_AES_KEY_WRAP,
    CKM_AES_KEY_WRAP_KWP,
    CKM_AES_ECB,
    CKM_AES_CBC,
    CKM_AES_CBC_PAD,
    CKM_AES_CTR,
    CKM_AES_OFB,
    CKM_AES_CFB128,
    CKM_AES_CTS,
    CKM_AES_GCM,
    CKM_AES_CCM,
    CKM_AES_CMAC,
    CKM_AES_CMAC_GENERAL,
    CKM_AES_GMAC,
];
pub const HMAC: [CK_MECHANISM_TYPE; 8] = [
    CKM_SHA_1_HMAC,
    CKM_SHA_1_HMAC_GENERAL,
    CKM_SHA256_HMAC,
    CKM_SHA256_HMAC_GENERAL,
    CKM_SHA384_HMAC,
    CKM_SHA384_HMAC_GENERAL,
    CKM_SHA512_HMAC,
    CKM_SHA512_HMAC_GENERAL,
];

/// Derivations without a parameter.
pub const DIGESTING: [CK_MECHANISM_TYPE; 11] = [
    CKM_SHA1_KEY_DERIVATION,
    CKM_SHA224_KEY_DERIVATION,
    CKM_SHA256_KEY_DERIVATION,
    CKM_SHA384_KEY_DERIVATION,
    CKM_SHA512_KEY_DERIVATION,
    CKM_SHA512_224_KEY_DERIVATION,
    CKM_SHA512_256_KEY_DERIVATION,
    CKM_SHA3_224_KEY_DERIVATION,
    CKM_SHA3_256_KEY_DERIVATION,
    CKM_SHA3_384_KEY_DERIVATION,
    CKM_SHA3_512_KEY_DERIVATION,
];

/// The mechanism with a parameter that it takes.
pub fn with_parameter(ckm: CK_MECHANISM_TYPE) -> Mech {
    match ckm {
        CKM_RSA_PKCS_PSS => Mech::pss(ckm, CKM_SHA256, CKG_MGF1_SHA256, 32),
        CKM_RSA_AES_KEY_WRAP => rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256),
        CKM_RSA_PKCS_OAEP => Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b""),
        CKM_AES_CBC | CKM_AES_CBC_PAD | CKM_AES_OFB | CKM_AES_CFB128 | CKM_AES_CTS => {
            Mech::bytes(ckm, &[7; 16])
        }
        CKM_AES_GCM => gcm(&[7; 12], b"associated", 128),
        CKM_AES_GMAC => gmac(&[7; 12], 128),
        // Of so much data as tests/mechanisms.rs has.
        CKM_AES_CCM => ccm(32, &[7; 12], b"associated", 16),
        CKM_AES_CTR => ctr(128, [7; 16]),
        _ if GENERAL.contains(&ckm) => general(ckm, 8),
        _ => match PSS_HASHES.iter().find(|(pss, _, _)| *pss == ckm) {
            Some((_, hash, mgf)) => Mech::pss(ckm, *hash, *mgf, 20),
            None => Mech::plain(ckm),
        },
    }
}
