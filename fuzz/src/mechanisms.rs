//! The mechanisms that functions are called with, and what each takes.

use cryptoki_sys::*;

use Shape::*;

/// What a mechanism's parameter is.
#[derive(Clone, Copy)]
pub enum Shape {
    Nothing,
    Block,
    Number,
    Handle,
    Counter,
    Pss,
    Oaep,
    RsaAes,
    Ecdh,
    Text,
    BlockAndText,
    Gcm,
    Ccm,
    Hkdf,
    Kdf,
    Feedback,
}

#[rustfmt::skip]
pub const MECHANISMS: &[(Shape, &[CK_MECHANISM_TYPE])] = &[
    (Nothing, &[
        CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN, CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN, CKM_HKDF_KEY_GEN,
        CKM_SHA_1_KEY_GEN, CKM_SHA256_KEY_GEN, CKM_SHA384_KEY_GEN, CKM_SHA512_KEY_GEN,
    ]),
    (Nothing, &[
        CKM_RSA_PKCS, CKM_RSA_X_509, CKM_SHA1_RSA_PKCS, CKM_SHA224_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS,
        CKM_SHA512_RSA_PKCS, CKM_SHA3_256_RSA_PKCS, CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA224, CKM_ECDSA_SHA256,
        CKM_ECDSA_SHA384, CKM_ECDSA_SHA512, CKM_ECDSA_SHA3_256, CKM_ECDSA_SHA3_512,
    ]),
    (Nothing, &[
        CKM_AES_ECB, CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_KWP, CKM_AES_CMAC, CKM_SHA_1_HMAC, CKM_SHA256_HMAC,
        CKM_SHA384_HMAC, CKM_SHA512_HMAC,
    ]),
    (Nothing, &[
        CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512, CKM_SHA512_224, CKM_SHA512_256, CKM_SHA3_224,
        CKM_SHA3_256, CKM_SHA3_384, CKM_SHA3_512,
    ]),
    (Nothing, &[
        CKM_SHA1_KEY_DERIVATION, CKM_SHA224_KEY_DERIVATION, CKM_SHA256_KEY_DERIVATION, CKM_SHA512_KEY_DERIVATION,
        CKM_SHA512_256_KEY_DERIVATION, CKM_SHA3_256_KEY_DERIVATION,
    ]),
    // Known to nobody here.
    (Nothing, &[CKM_DES3_CBC, CKM_ML_KEM, CKM_VENDOR_DEFINED, u64::MAX]),
    (Block, &[
        CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_OFB, CKM_AES_CFB128, CKM_AES_CTS, CKM_AES_GMAC, CKM_AES_KEY_WRAP,
        CKM_AES_KEY_WRAP_KWP,
    ]),
    (Number, &[
        CKM_AES_CMAC_GENERAL, CKM_SHA_1_HMAC_GENERAL, CKM_SHA256_HMAC_GENERAL, CKM_SHA384_HMAC_GENERAL,
        CKM_SHA512_HMAC_GENERAL, CKM_EXTRACT_KEY_FROM_KEY,
    ]),
    (Handle, &[CKM_CONCATENATE_BASE_AND_KEY]),
    (Counter, &[CKM_AES_CTR]),
    (Pss, &[
        CKM_RSA_PKCS_PSS, CKM_SHA1_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS,
        CKM_SHA512_RSA_PKCS_PSS, CKM_SHA3_256_RSA_PKCS_PSS,
    ]),
    (Oaep, &[CKM_RSA_PKCS_OAEP]),
    (RsaAes, &[CKM_RSA_AES_KEY_WRAP]),
    (Ecdh, &[CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE]),
    (Text, &[
        CKM_AES_ECB_ENCRYPT_DATA, CKM_CONCATENATE_BASE_AND_DATA, CKM_CONCATENATE_DATA_AND_BASE, CKM_XOR_BASE_AND_DATA,
    ]),
    (BlockAndText, &[CKM_AES_CBC_ENCRYPT_DATA]),
    (Gcm, &[CKM_AES_GCM]),
    (Ccm, &[CKM_AES_CCM]),
    (Hkdf, &[CKM_HKDF_DERIVE, CKM_HKDF_DATA]),
    (Kdf, &[CKM_SP800_108_COUNTER_KDF, CKM_SP800_108_DOUBLE_PIPELINE_KDF]),
    (Feedback, &[CKM_SP800_108_FEEDBACK_KDF]),
];

/// A mechanism, and which of the scene's objects it takes.
pub type Fitting = (CK_MECHANISM_TYPE, &'static [usize]);

/// What the functions whose names begin so are mostly called with, and which of the scene's objects
/// may go with it. Not more than a beginning: the rest is for the fuzzer to find.
#[rustfmt::skip]
pub const FITTING: &[(&[&str], &[Fitting])] = &[
    (&["C_Digest"], &[(CKM_SHA256, &[]), (CKM_SHA3_512, &[]), (CKM_SHA512_224, &[])]),
    (&["C_Encrypt", "C_Decrypt"], &[
        (CKM_AES_CBC, &[5]), (CKM_AES_CBC_PAD, &[5]), (CKM_AES_CTR, &[5]), (CKM_AES_OFB, &[5]), (CKM_AES_CFB128, &[5]),
        (CKM_AES_CTS, &[5]), (CKM_AES_ECB, &[5]), (CKM_AES_GCM, &[5]), (CKM_AES_CCM, &[5]), (CKM_RSA_PKCS, &[3, 4]),
        (CKM_RSA_PKCS_OAEP, &[3, 4]), (CKM_RSA_X_509, &[3, 4]),
    ]),
    (&["C_MessageEncrypt", "C_MessageDecrypt"], &[(CKM_AES_GCM, &[5]), (CKM_AES_CCM, &[5])]),
    (&["C_Sign", "C_Verify", "C_MessageSign", "C_MessageVerify"], &[
        (CKM_ECDSA, &[0, 1]), (CKM_ECDSA_SHA256, &[0, 1]), (CKM_ECDSA_SHA3_512, &[0, 1]), (CKM_RSA_PKCS, &[3, 4]),
        (CKM_SHA256_RSA_PKCS, &[3, 4]), (CKM_SHA384_RSA_PKCS, &[3, 4]), (CKM_RSA_PKCS_PSS, &[3, 4]), (CKM_RSA_X_509, &[3, 4]),
        (CKM_SHA256_RSA_PKCS_PSS, &[3, 4]), (CKM_AES_CMAC, &[7]), (CKM_AES_CMAC_GENERAL, &[7]), (CKM_AES_GMAC, &[7]),
        (CKM_SHA256_HMAC, &[9]), (CKM_SHA_1_HMAC_GENERAL, &[9]), (CKM_SHA512_HMAC, &[9]),
    ]),
    (&["C_GenerateKeyPair"], &[(CKM_EC_KEY_PAIR_GEN, &[])]),
    (&["C_GenerateKey"], &[(CKM_AES_KEY_GEN, &[]), (CKM_GENERIC_SECRET_KEY_GEN, &[]), (CKM_SHA256_KEY_GEN, &[])]),
    (&["C_Wrap", "C_Unwrap"], &[
        (CKM_AES_KEY_WRAP, &[6, 5]), (CKM_AES_KEY_WRAP_KWP, &[6, 3]), (CKM_AES_CBC, &[6, 5]), (CKM_AES_CBC_PAD, &[6, 3]),
        (CKM_AES_GCM, &[6, 9]), (CKM_AES_CCM, &[6, 8]), (CKM_AES_CTS, &[6, 9]), (CKM_RSA_PKCS, &[4, 3, 5]),
        (CKM_RSA_PKCS_OAEP, &[4, 3, 5]), (CKM_RSA_AES_KEY_WRAP, &[4, 3, 5]),
    ]),
    (&["C_Derive"], &[
        (CKM_ECDH1_DERIVE, &[2]), (CKM_HKDF_DERIVE, &[8]), (CKM_HKDF_DATA, &[8]), (CKM_SP800_108_COUNTER_KDF, &[8]),
        (CKM_SP800_108_FEEDBACK_KDF, &[8]), (CKM_SP800_108_DOUBLE_PIPELINE_KDF, &[8]), (CKM_XOR_BASE_AND_DATA, &[8]),
        (CKM_CONCATENATE_BASE_AND_KEY, &[8]), (CKM_EXTRACT_KEY_FROM_KEY, &[8]), (CKM_SHA256_KEY_DERIVATION, &[8]),
        (CKM_AES_CBC_ENCRYPT_DATA, &[5]), (CKM_CONCATENATE_DATA_AND_BASE, &[8]),
    ]),
    (&["C_Encapsulate", "C_Decapsulate"], &[
        (CKM_RSA_PKCS, &[4, 3]), (CKM_RSA_PKCS_OAEP, &[4, 3]), (CKM_RSA_X_509, &[4, 3]), (CKM_ECDH1_DERIVE, &[1, 2]),
    ]),
];
