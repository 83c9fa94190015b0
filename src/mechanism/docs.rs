//! docs/mechanisms.md, printed from the table.

use std::fmt::Write;

use cryptoki_sys::{
    CK_KEY_TYPE, CKK_AES, CKK_EC, CKK_GENERIC_SECRET, CKK_HKDF, CKK_RSA, CKK_SHA_1_HMAC,
    CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC,
};

use super::aead::AeadMode;
use super::kinds::SECRETS;
use super::parameter::ParameterShape;
use super::row::{Encryption, Mechanism, RunsIn};
use super::table::MECHANISMS;

const INTRODUCTION: &str = "\
# Mechanisms

Printed from the table in `src/mechanism/table.rs`; a test fails when this page is stale
(`UPDATE_DOCS=1 cargo test --lib mechanism::docs` prints it anew).

A mechanism is listed by `C_GetMechanismList` where the TPM has the algorithms, the commands and a
key size it needs; `C_GetMechanismInfo` then tells the sizes the TPM has. A private key works in the
TPM and nowhere else. What signs and verifies does so for the message-based functions too, in parts
where it takes data in parts, but for GMAC, whose nonce is for one message; so do GCM and CCM what they encrypt. Hashing, padding, GHASH and everything a public key does is software's work.
So is what is made of a key's value, which leaves the TPM for it if it may leave: by the derivations that have \"software\" here, and in
HKDF by the extraction, whereas an expansion of the base key itself is the TPM's. CKF_HW is set where this page has \"TPM\".

";

/// docs/mechanisms.md as it should be.
pub fn mechanisms_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("| mechanism | key | bits | parameter | data in parts | where it runs |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    for row in MECHANISMS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            row.name,
            key(row),
            bits(row),
            parameter(row),
            parts(row),
            places(row)
        );
    }
    page
}

/// The types of keys that it makes or takes.
fn key(row: &Mechanism) -> String {
    let made = row.generated_type();
    let types = made.as_ref().map_or(row.key_types, std::slice::from_ref);
    let name = |key_type: &CK_KEY_TYPE| match *key_type {
        CKK_RSA => "RSA",
        CKK_EC => "EC",
        CKK_AES => "AES",
        CKK_GENERIC_SECRET => "generic secret",
        CKK_HKDF => "HKDF",
        CKK_SHA_1_HMAC => "SHA-1 HMAC",
        CKK_SHA256_HMAC => "SHA-256 HMAC",
        CKK_SHA384_HMAC => "SHA-384 HMAC",
        CKK_SHA512_HMAC => "SHA-512 HMAC",
        _ => "another",
    };
    if types == SECRETS {
        return "any secret key".to_owned();
    }
    types.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn bits(row: &Mechanism) -> String {
    if row.key_types.is_empty() {
        return String::new();
    }
    format!("{} to {}", row.key_bits.start(), row.key_bits.end())
}

fn parameter(row: &Mechanism) -> &'static str {
    match row.parameter {
        ParameterShape::None => "",
        ParameterShape::Pss => "CK_RSA_PKCS_PSS_PARAMS",
        ParameterShape::Oaep => "CK_RSA_PKCS_OAEP_PARAMS",
        ParameterShape::RsaAes => "CK_RSA_AES_KEY_WRAP_PARAMS",
        ParameterShape::Iv => "16 bytes of IV",
        ParameterShape::Counter => "CK_AES_CTR_PARAMS",
        ParameterShape::Data => "CK_KEY_DERIVATION_STRING_DATA",
        ParameterShape::BitIndex => "CK_EXTRACT_PARAMS",
        ParameterShape::CbcData => "CK_AES_CBC_ENCRYPT_DATA_PARAMS",
        ParameterShape::Ecdh => "CK_ECDH1_DERIVE_PARAMS",
        ParameterShape::OptionalIv(8) => "none, or 8 bytes of IV",
        ParameterShape::OptionalIv(_) => "none, or 4 bytes of IV",
        ParameterShape::Aead(AeadMode::Gcm) => "CK_GCM_PARAMS",
        ParameterShape::Aead(AeadMode::Ccm) => "CK_CCM_PARAMS",
        ParameterShape::KeyHandle => "CK_OBJECT_HANDLE",
        ParameterShape::Hkdf => "CK_HKDF_PARAMS",
        ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf => "CK_SP800_108_KDF_PARAMS",
        ParameterShape::FeedbackKdf => "CK_SP800_108_FEEDBACK_KDF_PARAMS",
        ParameterShape::MacLength => "CK_MAC_GENERAL_PARAMS",
    }
}

fn parts(row: &Mechanism) -> &'static str {
    let generates = row.generate_key_pair.is_some() || row.generate_key.is_some();
    let encrypts = match row.encryption {
        Some(Encryption::Cipher(_) | Encryption::Aead(_)) => true,
        Some(Encryption::Padding(_) | Encryption::KeyWrap(_) | Encryption::Hybrid) | None => false,
    };
    let keyed = row.is_mac() || encrypts;
    match (generates, row.hash.is_some() || row.digest.is_some() || keyed) {
        (true, _) => "",
        (false, true) => "yes",
        (false, false) => "no",
    }
}

/// "sign, decrypt: TPM; verify, encrypt: software".
fn places(row: &Mechanism) -> String {
    let in_tpm = |private: bool| private && row.runs_in == RunsIn::Tpm;
    [(true, "TPM"), (false, "software")]
        .into_iter()
        .filter_map(|(tpm, place)| {
            let names: Vec<_> = row
                .abilities()
                .into_iter()
                .filter(|ability| ability.offered && in_tpm(ability.private) == tpm)
                .map(|ability| ability.name)
                .collect();
            (!names.is_empty()).then(|| format!("{}: {place}", names.join(", ")))
        })
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_mechanisms_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mechanisms.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, mechanisms_markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert_eq!(page, mechanisms_markdown(), "stale: run with UPDATE_DOCS=1");
    }
}
