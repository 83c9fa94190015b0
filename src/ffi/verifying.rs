//! Functions for verifying signatures and MACs.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_VERIFY, CKF_VERIFY_RECOVER};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
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

/// `C_VerifyRecoverInit`.
pub(super) fn verify_recover_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.verify_recover_init(mechanism.choice()?, key))
}

/// `C_VerifyRecover`.
pub(super) fn verify_recover(
    session: CK_SESSION_HANDLE,
    signature: Input<'_>,
    data: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let signature = signature.bytes_beside(&data, call, CKF_VERIFY_RECOVER)?;
        call.verify_recover(&signature, data)
    })
}

/// `C_VerifySignatureInit`.
pub(super) fn verify_signature_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
    signature: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let choice = mechanism.choice()?;
        // Who cancels need not give a signature.
        let signature = if choice.is_some() { signature.bytes()? } else { &[] };
        call.verify_signature_init(choice, key, signature)
    })
}

/// `C_VerifySignature`.
pub(super) fn verify_signature(session: CK_SESSION_HANDLE, data: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_of(call, CKF_VERIFY)?;
        call.verify_signature(data)
    })
}

/// `C_VerifySignatureUpdate`.
pub(super) fn verify_signature_update(session: CK_SESSION_HANDLE, part: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_of(call, CKF_VERIFY)?;
        call.verify_signature_update(part)
    })
}

/// `C_VerifySignatureFinal`.
pub(super) fn verify_signature_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.verify_signature_final())
}
