//! Encryption functions.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_ENCRYPT};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::Result;
use crate::provider;

/// `C_EncryptInit`.
pub(super) fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.encrypt_init(mechanism.choice()?, key))
}

/// `C_Encrypt`.
pub(super) fn encrypt(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_beside(&result, call, CKF_ENCRYPT)?;
        call.encrypt(&data, result)
    })
}

/// `C_EncryptUpdate`.
pub(super) fn encrypt_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_beside(&result, call, CKF_ENCRYPT)?;
        call.encrypt_update(&part, result).map(drop)
    })
}

/// `C_EncryptFinal`.
pub(super) fn encrypt_final(session: CK_SESSION_HANDLE, result: Output<'_>) -> Result<()> {
    provider::with_session(session, |call| call.encrypt_final(result))
}
