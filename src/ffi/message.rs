//! Message-based signing and MACing functions, and those for verifying.
//!
//! No mechanism here has a parameter of a message's own: `pParameter` has to be empty.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKR_MECHANISM_PARAM_INVALID};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::{Error, Result};
use crate::provider;

/// `C_MessageSignInit`.
pub(super) fn message_sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.message_sign_init(mechanism.choice()?, key))
}

/// `C_SignMessage`.
pub(super) fn sign_message(
    session: CK_SESSION_HANDLE,
    parameter: Input<'_>,
    data: Input<'_>,
    signature: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = no_parameter(parameter).and_then(|()| data.beside(&signature));
        call.sign_message(data, signature)
    })
}

/// `C_SignMessageBegin`.
pub(super) fn sign_message_begin(session: CK_SESSION_HANDLE, parameter: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| call.sign_message_begin(no_parameter(parameter)))
}

/// `C_SignMessageNext`: the last part is the one with a place for the signature's length.
pub(super) fn sign_message_next(
    session: CK_SESSION_HANDLE,
    parameter: Input<'_>,
    part: Input<'_>,
    signature: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let signature = signature.if_wanted();
        let part = no_parameter(parameter).and_then(|()| match &signature {
            Some(signature) => part.beside(signature),
            None => part.lent(),
        });
        call.sign_message_next(part, signature)
    })
}

/// `C_MessageSignFinal`.
pub(super) fn message_sign_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.message_sign_final())
}

/// `C_MessageVerifyInit`.
pub(super) fn message_verify_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| call.message_verify_init(mechanism.choice()?, key))
}

/// `C_VerifyMessage`.
pub(super) fn verify_message(
    session: CK_SESSION_HANDLE,
    parameter: Input<'_>,
    data: Input<'_>,
    signature: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.verify_message(no_parameter(parameter).and_then(|()| both(data, signature)))
    })
}

/// `C_VerifyMessageBegin`.
pub(super) fn verify_message_begin(session: CK_SESSION_HANDLE, parameter: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| call.verify_message_begin(no_parameter(parameter)))
}

/// `C_VerifyMessageNext`: the last part is the one with a signature. NULL with a length is a bad
/// argument, lest a caller who lost the signature takes `CKR_OK` for its proof.
pub(super) fn verify_message_next(
    session: CK_SESSION_HANDLE,
    parameter: Input<'_>,
    part: Input<'_>,
    signature: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let parameter = no_parameter(parameter);
        if signature.is_absent() {
            return call.verify_message_next(parameter.and_then(|()| part.bytes()));
        }
        call.verify_message_last(parameter.and_then(|()| both(part, signature)))
    })
}

/// `C_MessageVerifyFinal`.
pub(super) fn message_verify_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.message_verify_final())
}

fn both<'call>(data: Input<'call>, signature: Input<'call>) -> Result<(&'call [u8], &'call [u8])> {
    Ok((data.bytes()?, signature.bytes()?))
}

/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
fn no_parameter(parameter: Input<'_>) -> Result<()> {
    if parameter.is_empty() {
        return Ok(());
    }
    Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the mechanism has no parameter for a message"))
}
