//! What the transcripts call the constants they use.

use cryptoki_sys::*;

use super::replay::Told;

/// The constant that a transcript calls by its `name` without the `prefix`.
pub fn constant(prefix: &str, name: &str) -> Told<CK_ULONG> {
    Ok(match format!("{prefix}{name}").as_str() {
        "CKA_TOKEN" => CKA_TOKEN,
        "CKA_LABEL" => CKA_LABEL,
        "CKA_CLASS" => CKA_CLASS,
        "CKA_VALUE" => CKA_VALUE,
        "CKA_MODULUS" => CKA_MODULUS,
        "CKA_PUBLIC_EXPONENT" => CKA_PUBLIC_EXPONENT,
        "CKO_PUBLIC_KEY" => CKO_PUBLIC_KEY,
        "CKO_PRIVATE_KEY" => CKO_PRIVATE_KEY,
        "CKU_USER" => CKU_USER,
        "CKM_SHA512" => CKM_SHA512,
        "CKM_RSA_PKCS" => CKM_RSA_PKCS,
        "CKM_RSA_PKCS_KEY_PAIR_GEN" => CKM_RSA_PKCS_KEY_PAIR_GEN,
        "CKM_SHA256_RSA_PKCS" => CKM_SHA256_RSA_PKCS,
        "CKM_DES_CBC" => CKM_DES_CBC,
        other => return Err(format!("the runner does not know {other}")),
    })
}

/// The flags that a transcript joins by bars.
pub fn flags(names: &str) -> Told<CK_FLAGS> {
    names.split('|').try_fold(0, |all, name| {
        Ok(all
            | match name {
                "0x0" => 0,
                "TOKEN_PRESENT" => CKF_TOKEN_PRESENT,
                "RNG" => CKF_RNG,
                "LOGIN_REQUIRED" => CKF_LOGIN_REQUIRED,
                "USER_PIN_INITIALIZED" => CKF_USER_PIN_INITIALIZED,
                "RESTORE_KEY_NOT_NEEDED" => CKF_RESTORE_KEY_NOT_NEEDED,
                "TOKEN_INITIALIZED" => CKF_TOKEN_INITIALIZED,
                "RW_SESSION" => CKF_RW_SESSION,
                "SERIAL_SESSION" => CKF_SERIAL_SESSION,
                "DIGEST" => CKF_DIGEST,
                "GENERATE_KEY_PAIR" => CKF_GENERATE_KEY_PAIR,
                "ENCRYPT" => CKF_ENCRYPT,
                "DECRYPT" => CKF_DECRYPT,
                "SIGN" => CKF_SIGN,
                "VERIFY" => CKF_VERIFY,
                "WRAP" => CKF_WRAP,
                "UNWRAP" => CKF_UNWRAP,
                _ => return Err(format!("the runner does not know the flag {name}")),
            })
    })
}
