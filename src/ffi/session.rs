//! Session management functions.

use cryptoki_sys::{
    CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SESSION_INFO,
    CK_SESSION_VALIDATION_FLAGS_TYPE, CK_SLOT_ID, CK_USER_TYPE,
};

use super::input::Input;
use super::output::Output;
use super::scalar::Out;
use crate::error::Result;
use crate::provider;

/// `C_OpenSession`. No token here is removed under its sessions, so that the application's
/// callback has nothing to be told.
pub(super) fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    session: Out<'_, CK_SESSION_HANDLE>,
) -> Result<()> {
    let provider = provider::current()?;
    session.fill(|| provider.open_session(slot, flags))
}

/// `C_CloseSession`.
pub(super) fn close_session(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::current()?.close_session(session)
}

/// `C_CloseAllSessions`.
pub(super) fn close_all_sessions(slot: CK_SLOT_ID) -> Result<()> {
    provider::current()?.close_all_sessions(slot)
}

/// `C_GetSessionInfo`.
pub(super) fn session_info(
    session: CK_SESSION_HANDLE,
    info: Out<'_, CK_SESSION_INFO>,
) -> Result<()> {
    provider::with_session(session, |call| info.fill(|| call.info()))
}

/// `C_SessionCancel`.
pub(super) fn session_cancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> Result<()> {
    provider::with_session(session, |call| {
        call.cancel(flags);
        Ok(())
    })
}

/// `C_Login`.
pub(super) fn login(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| call.login(user_type, pin.pin()?))
}

/// `C_LoginUser`.
pub(super) fn login_user(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: Input<'_>,
    user_name: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.login_user(user_type, pin.pin()?, user_name.bytes()?)
    })
}

/// `C_Logout`.
pub(super) fn logout(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.logout())
}

/// `C_GetOperationState`.
pub(super) fn operation_state(session: CK_SESSION_HANDLE, state: Output<'_>) -> Result<()> {
    provider::with_session(session, |call| call.operation_state(state))
}

/// `C_SetOperationState`.
pub(super) fn set_operation_state(
    session: CK_SESSION_HANDLE,
    state: Input<'_>,
    encryption_key: CK_OBJECT_HANDLE,
    authentication_key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.set_operation_state(state.bytes()?, encryption_key, authentication_key)
    })
}

/// `C_GetSessionValidationFlags`.
pub(super) fn validation_flags(
    session: CK_SESSION_HANDLE,
    which: CK_SESSION_VALIDATION_FLAGS_TYPE,
    flags: Out<'_, CK_FLAGS>,
) -> Result<()> {
    provider::with_session(session, |call| flags.fill(|| call.validation_flags(which)))
}
