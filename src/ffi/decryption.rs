//! Decryption functions.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_DECRYPT};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::Result;
use crate::provider;

/// `C_DecryptInit`.
pub(super) fn decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.decrypt_init(mechanism.choice()?, key))
}

/// `C_Decrypt`.
pub(super) fn decrypt(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_beside(&result, call, CKF_DECRYPT)?;
        call.decrypt(&data, result)
    })
}

/// `C_DecryptUpdate`.
pub(super) fn decrypt_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_beside(&result, call, CKF_DECRYPT)?;
        call.decrypt_update(&part, result)
    })
}

/// `C_DecryptFinal`.
pub(super) fn decrypt_final(session: CK_SESSION_HANDLE, result: Output<'_>) -> Result<()> {
    provider::with_session(session, |call| call.decrypt_final(result))
}
