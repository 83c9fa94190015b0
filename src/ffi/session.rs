//! Session management functions.

use cryptoki_sys::{CK_FLAGS, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_USER_TYPE};

use super::input::Input;
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
    provider::with_session(session, |call| call.cancel(flags))
}

/// `C_Login`.
pub(super) fn login(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| call.login(user_type, pin.bytes()?))
}

/// `C_LoginUser`.
pub(super) fn login_user(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: Input<'_>,
    user_name: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.login_user(user_type, pin.bytes()?, user_name.bytes()?)
    })
}

/// `C_Logout`.
pub(super) fn logout(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.logout())
}
