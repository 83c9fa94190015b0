//! Which parameter of which command must be encrypted: held against every command before it is
//! sent, in every build.
//!
//! A secret can be protected in three ways: encrypted as the first parameter of the command, as the
//! first of the response (TPM 2.0 Part 1, "Session-based encryption"), or wrapped inside the
//! parameter. Nothing else about a command is secret.

use cryptoki_sys::CKR_GENERAL_ERROR;
use tss_esapi::constants::tss as tpm2;

use crate::error::{Error, Result};

/// What a command demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// TPM_CC.
    pub command: u32,
    /// Its name, for the log.
    pub name: &'static str,
    /// The first parameter of the command carries a secret.
    pub encrypt_in: bool,
    /// The first parameter of the response does.
    pub encrypt_out: bool,
}

const fn open(command: u32, name: &'static str) -> Rule {
    Rule { command, name, encrypt_in: false, encrypt_out: false }
}

const fn secret_in(command: u32, name: &'static str) -> Rule {
    Rule { command, name, encrypt_in: true, encrypt_out: false }
}

const fn secret_out(command: u32, name: &'static str) -> Rule {
    Rule { command, name, encrypt_in: false, encrypt_out: true }
}

const fn secret_both(command: u32, name: &'static str) -> Rule {
    Rule { command, name, encrypt_in: true, encrypt_out: true }
}

/// Every command this engine may send. One that is not here is not sent.
pub const RULES: &[Rule] = &[
    // The authValue and the sealed data.
    secret_in(tpm2::TPM2_CC_Create, "TPM2_Create"),
    // A primary key's authValue is empty, and it has no data.
    open(tpm2::TPM2_CC_CreatePrimary, "TPM2_CreatePrimary"),
    // The private area is wrapped by the parent.
    open(tpm2::TPM2_CC_Load, "TPM2_Load"),
    // The key is wrapped to the parent.
    open(tpm2::TPM2_CC_Import, "TPM2_Import"),
    secret_out(tpm2::TPM2_CC_Unseal, "TPM2_Unseal"),
    secret_in(tpm2::TPM2_CC_ObjectChangeAuth, "TPM2_ObjectChangeAuth"),
    secret_out(tpm2::TPM2_CC_RSA_Decrypt, "TPM2_RSA_Decrypt"),
    // What is signed and the signature are public.
    open(tpm2::TPM2_CC_Sign, "TPM2_Sign"),
    secret_out(tpm2::TPM2_CC_ECDH_ZGen, "TPM2_ECDH_ZGen"),
    // Plaintext goes one way and comes the other; a MAC may be somebody's key.
    secret_both(tpm2::TPM2_CC_EncryptDecrypt2, "TPM2_EncryptDecrypt2"),
    secret_both(tpm2::TPM2_CC_HMAC, "TPM2_HMAC"),
    // The authValue of the sequence, then the message, then the MAC.
    secret_in(tpm2::TPM2_CC_HMAC_Start, "TPM2_HMAC_Start"),
    secret_in(tpm2::TPM2_CC_SequenceUpdate, "TPM2_SequenceUpdate"),
    secret_both(tpm2::TPM2_CC_SequenceComplete, "TPM2_SequenceComplete"),
    secret_out(tpm2::TPM2_CC_GetRandom, "TPM2_GetRandom"),
    secret_in(tpm2::TPM2_CC_StirRandom, "TPM2_StirRandom"),
    // The salt is encrypted to the salt key.
    open(tpm2::TPM2_CC_StartAuthSession, "TPM2_StartAuthSession"),
    open(tpm2::TPM2_CC_PolicySecret, "TPM2_PolicySecret"),
    open(tpm2::TPM2_CC_PolicyCommandCode, "TPM2_PolicyCommandCode"),
    open(tpm2::TPM2_CC_PolicyAuthValue, "TPM2_PolicyAuthValue"),
    // The key of the inner wrapping goes in; what comes out is wrapped by it.
    secret_in(tpm2::TPM2_CC_Duplicate, "TPM2_Duplicate"),
    open(tpm2::TPM2_CC_FlushContext, "TPM2_FlushContext"),
    open(tpm2::TPM2_CC_EvictControl, "TPM2_EvictControl"),
    open(tpm2::TPM2_CC_ReadPublic, "TPM2_ReadPublic"),
    open(tpm2::TPM2_CC_GetCapability, "TPM2_GetCapability"),
    open(tpm2::TPM2_CC_TestParms, "TPM2_TestParms"),
    open(tpm2::TPM2_CC_ReadClock, "TPM2_ReadClock"),
    open(tpm2::TPM2_CC_Startup, "TPM2_Startup"),
    open(tpm2::TPM2_CC_DictionaryAttackLockReset, "TPM2_DictionaryAttackLockReset"),
];

/// The rule of `command`.
///
/// Errors: `CKR_GENERAL_ERROR` for a command that has none.
pub fn rule(command: u32) -> Result<&'static Rule> {
    RULES
        .iter()
        .find(|rule| rule.command == command)
        .ok_or_else(|| Error::bug(format!("TPM_CC 0x{command:x} has no encryption rule")))
}

/// Refuses a command that would show a secret.
///
/// `session_value`: whether the auth session that encrypts has a key at all; with an empty one the
/// TPM "encrypts" with a key that everybody knows.
pub fn check(
    rule: &Rule,
    encrypts_in: bool,
    encrypts_out: bool,
    session_value: bool,
) -> Result<()> {
    let exposed = (rule.encrypt_in && !encrypts_in) || (rule.encrypt_out && !encrypts_out);
    if exposed || ((encrypts_in || encrypts_out) && !session_value) {
        return Err(Error::new(
            CKR_GENERAL_ERROR,
            format!("{} would show a secret on the bus", rule.name),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_once_in_the_table() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(RULES[at + 1..].iter().all(|other| other.command != rule.command));
        }
    }

    #[test]
    fn what_would_show_a_secret_is_refused() {
        let unseal = rule(tpm2::TPM2_CC_Unseal).unwrap();
        assert!(check(unseal, false, true, true).is_ok());
        assert!(check(unseal, false, false, true).is_err());
        assert!(check(unseal, false, true, false).is_err(), "an empty session value");
        let create = rule(tpm2::TPM2_CC_Create).unwrap();
        assert!(check(create, false, true, true).is_err());
        let sign = rule(tpm2::TPM2_CC_Sign).unwrap();
        assert!(check(sign, false, false, false).is_ok());
        assert!(rule(0xffff).is_err());
    }
}
