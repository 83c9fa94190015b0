//! Functions for verifying signatures and MACs.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_VERIFY};

use super::input::Input;
use super::mechanism::Mechanism;
use crate::error::Result;
use crate::provider;

/// `C_VerifyInit`.
pub(super) fn verify_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.verify_init(mechanism.choice()?, key))
}

/// `C_Verify`.
pub(super) fn verify(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    signature: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_of(call, CKF_VERIFY)?;
        let signature = signature.bytes_of(call, CKF_VERIFY)?;
        call.verify(data, signature)
    })
}

/// `C_VerifyUpdate`.
pub(super) fn verify_update(session: CK_SESSION_HANDLE, part: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_of(call, CKF_VERIFY)?;
        call.verify_update(part)
    })
}

/// `C_VerifyFinal`.
pub(super) fn verify_final(session: CK_SESSION_HANDLE, signature: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let signature = signature.bytes_of(call, CKF_VERIFY)?;
        call.verify_final(signature)
    })
}
