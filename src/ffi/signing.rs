//! Signing and MACing functions.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_SIGN, CKF_SIGN_RECOVER};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::Result;
use crate::provider;

/// `C_SignInit`.
pub(super) fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.sign_init(mechanism.choice()?, key))
}

/// `C_Sign`.
pub(super) fn sign(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    signature: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_beside(&signature, call, CKF_SIGN)?;
        call.sign(&data, signature)
    })
}

/// `C_SignUpdate`.
pub(super) fn sign_update(session: CK_SESSION_HANDLE, part: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_of(call, CKF_SIGN)?;
        call.sign_update(part)
    })
}

/// `C_SignFinal`.
pub(super) fn sign_final(session: CK_SESSION_HANDLE, signature: Output<'_>) -> Result<()> {
    provider::with_session(session, |call| call.sign_final(signature))
}

/// `C_SignRecoverInit`.
pub(super) fn sign_recover_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.sign_recover_init(mechanism.choice()?, key))
}

/// `C_SignRecover`.
pub(super) fn sign_recover(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    signature: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_beside(&signature, call, CKF_SIGN_RECOVER)?;
        call.sign_recover(&data, signature)
    })
}
