//! `TPM_RC` to `CKR_`, and what the engine does about it. TPM 2.0 Part 2, "TPM_RC".

use cryptoki_sys::{
    CK_RV, CKR_CURVE_NOT_SUPPORTED, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_KEY_SIZE_RANGE,
    CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_TOKEN_NOT_RECOGNIZED,
};

use crate::error::Error;

/// What a response code is about, the resource manager's layer bits, handle, parameter and session
/// numbers aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// TPM_RC_SUCCESS.
    Success,
    /// The TPM asks to send the command again.
    Retry,
    /// No room for another object or auth session.
    Full,
    /// An object or auth session is not there: the TPM was restarted, or somebody flushed it.
    Gone,
    /// TPM2_Startup has not been sent.
    NotStarted,
    /// The HMAC or the authValue is wrong.
    WrongAuth,
    /// The HMAC is wrong, and nothing was counted: the auth session is out of step.
    OutOfStep,
    /// Dictionary-attack lockout.
    Locked,
    /// The blob is not of this parent, or was altered.
    Integrity,
    /// A value, size, scheme or curve that this TPM does not have.
    Unsupported,
    /// A curve it does not have.
    Curve,
    /// Everything else.
    Other,
}

// Format 0 warnings (RC_WARN = 0x900).
const OBJECT_MEMORY: u32 = 0x902;
const SESSION_MEMORY: u32 = 0x903;
const MEMORY: u32 = 0x904;
const SESSION_HANDLES: u32 = 0x905;
const OBJECT_HANDLES: u32 = 0x906;
const YIELDED: u32 = 0x908;
const TESTING: u32 = 0x90a;
const REFERENCE_H0: u32 = 0x910;
const REFERENCE_S6: u32 = 0x91e;
const NV_RATE: u32 = 0x920;
const LOCKOUT: u32 = 0x921;
const RETRY: u32 = 0x922;
const CONTEXT_GAP: u32 = 0x901;
// Format 0 errors (RC_VER1 = 0x100).
const INITIALIZE: u32 = 0x100;
// Format 1 (RC_FMT1 = 0x080), without the number of the handle, parameter or session.
const VALUE: u32 = 0x084;
const SCHEME: u32 = 0x092;
const KEY_SIZE: u32 = 0x087;
const AUTH_FAIL: u32 = 0x08e;
const HANDLE: u32 = 0x08b;
const SIZE: u32 = 0x095;
const INTEGRITY: u32 = 0x09f;
const BAD_AUTH: u32 = 0x0a2;
const CURVE: u32 = 0x0a6;

/// A response code, sorted.
pub fn classify(rc: u32) -> Class {
    // A resource manager puts its own layer number above the TPM's 12 bits.
    let code = rc & 0xfff;
    if rc == 0 {
        return Class::Success;
    }
    if code & 0x080 != 0 {
        return match code & 0x0bf {
            AUTH_FAIL => Class::WrongAuth,
            // What is protected against dictionary attacks never fails so.
            BAD_AUTH => Class::OutOfStep,
            INTEGRITY => Class::Integrity,
            HANDLE => Class::Gone,
            CURVE => Class::Curve,
            VALUE | SCHEME | KEY_SIZE | SIZE => Class::Unsupported,
            _ => Class::Other,
        };
    }
    match code {
        RETRY | YIELDED | TESTING | NV_RATE => Class::Retry,
        OBJECT_MEMORY | SESSION_MEMORY | MEMORY | SESSION_HANDLES | OBJECT_HANDLES
        | CONTEXT_GAP => Class::Full,
        REFERENCE_H0..=REFERENCE_S6 => Class::Gone,
        LOCKOUT => Class::Locked,
        INITIALIZE => Class::NotStarted,
        _ => Class::Other,
    }
}

/// What the caller is told of `rc`, the answer to `command`, when nothing could be done about it.
///
/// `counted`: the command was authorized by a dictionary-attack protected object, so that a wrong
/// authValue is a wrong PIN. For a key it is somebody's interference, never a wrong PIN.
pub fn error(command: &'static str, rc: u32, counted: bool) -> Error {
    Error::from_tpm(ck_rv(classify(rc), counted), format!("{command} failed"), rc)
}

fn ck_rv(class: Class, counted: bool) -> CK_RV {
    match class {
        Class::WrongAuth if counted => CKR_PIN_INCORRECT,
        Class::Locked if counted => CKR_PIN_LOCKED,
        Class::Full => CKR_DEVICE_MEMORY,
        Class::Integrity => CKR_TOKEN_NOT_RECOGNIZED,
        _ => CKR_DEVICE_ERROR,
    }
}

/// The same for a command that makes a key of a kind the TPM may not have.
pub fn creation_error(command: &'static str, rc: u32) -> Error {
    let error = error(command, rc, false);
    match classify(rc) {
        Class::Curve => error.told_as(CKR_CURVE_NOT_SUPPORTED),
        Class::Unsupported => error.told_as(CKR_KEY_SIZE_RANGE),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_whatever_handle_parameter_or_layer_they_name() {
        for (rc, class) in [
            (0, Class::Success),
            (0x922, Class::Retry),
            (0x908, Class::Retry),
            (0x90a, Class::Retry),
            (0x920, Class::Retry),
            (0xb0922, Class::Retry),
            (0x901, Class::Full),
            (0x904, Class::Full),
            (0x905, Class::Full),
            (0x906, Class::Full),
            (0xb0902, Class::Full),
            (0xc0903, Class::Full),
            (0x98e, Class::WrongAuth),
            (0x9a2, Class::OutOfStep),
            (0x1df, Class::Integrity),
            (0x18b, Class::Gone),
            (0x910, Class::Gone),
            (0x918, Class::Gone),
            (0x921, Class::Locked),
            (0x100, Class::NotStarted),
            (0x2c4, Class::Unsupported),
            (0x101, Class::Other),
        ] {
            assert_eq!(classify(rc), class, "{rc:#x}");
        }
    }

    #[test]
    fn only_a_counted_object_makes_a_wrong_pin() {
        assert_eq!(error("TPM2_Unseal", 0x98e, true).ck_rv(), CKR_PIN_INCORRECT);
        assert_eq!(error("TPM2_Sign", 0x98e, false).ck_rv(), CKR_DEVICE_ERROR);
        assert_eq!(error("TPM2_Unseal", 0x9a2, true).ck_rv(), CKR_DEVICE_ERROR);
        assert_eq!(error("TPM2_Unseal", 0x921, true).ck_rv(), CKR_PIN_LOCKED);
        assert_eq!(error("TPM2_Sign", 0x921, false).ck_rv(), CKR_DEVICE_ERROR);
        assert_eq!(error("TPM2_Load", 0x1df, true).ck_rv(), CKR_TOKEN_NOT_RECOGNIZED);
        assert_eq!(creation_error("TPM2_Create", 0x2c4).ck_rv(), CKR_KEY_SIZE_RANGE);
        assert_eq!(error("TPM2_Sign", 0x922, false).tpm_rc(), Some(0x922));
    }
}
