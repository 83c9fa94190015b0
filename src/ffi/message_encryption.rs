//! Message-based encryption and decryption functions.

use cryptoki_sys::{
    CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_END_OF_MESSAGE, CKR_ARGUMENTS_BAD,
    CKR_MECHANISM_PARAM_INVALID,
};

use super::aead::{Message, MessageParameter, Places};
use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::{Error, Result};
use crate::mechanism::parameter::AeadParameter;
use crate::provider;

/// `C_MessageEncryptInit`.
pub(super) fn message_encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.message_encrypt_init(mechanism.for_messages()?, key)
    })
}

/// `C_EncryptMessage`.
pub(super) fn encrypt_message(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    aad: Input<'_>,
    data: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.encrypts_messages_by(), Some(aad));
        let (given, places) = apart(message.and_then(Message::sealing));
        let sealed = call.encrypt_message(given, data.beside(&result), result)?;
        places.map_or(Ok(()), |places| places.tell(sealed))
    })
}

/// `C_EncryptMessageBegin`.
pub(super) fn encrypt_message_begin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    aad: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.encrypts_messages_by(), Some(aad));
        // This function has no other word for a bad argument.
        let message = message
            .map_err(|error| error.retold(&[CKR_ARGUMENTS_BAD], CKR_MECHANISM_PARAM_INVALID));
        let (given, places) = apart(message.map(Message::beginning));
        match (call.encrypt_message_begin(given)?, places) {
            (Some(nonce), Some(places)) => places.write_nonce(&nonce),
            _ => Ok(()),
        }
    })
}

/// `C_EncryptMessageNext`.
pub(super) fn encrypt_message_next(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    part: Input<'_>,
    result: Output<'_>,
    flags: CK_FLAGS,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.encrypts_messages_by(), None);
        let part = known(flags).and_then(|()| part.beside(&result));
        if flags & CKF_END_OF_MESSAGE == 0 {
            let given = message.map(|message| message.parameter);
            return call.encrypt_message_next(given, part, result);
        }
        let (given, places) = apart(message.and_then(Message::sealing));
        let sealed = call.encrypt_message_last(given, part, result)?;
        places.map_or(Ok(()), |places| places.tell(sealed))
    })
}

/// `C_MessageEncryptFinal`.
pub(super) fn message_encrypt_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.message_encrypt_final())
}

/// `C_MessageDecryptInit`.
pub(super) fn message_decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    provider::with_session(session, |call| {
        call.message_decrypt_init(mechanism.for_messages()?, key)
    })
}

/// `C_DecryptMessage`.
pub(super) fn decrypt_message(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    aad: Input<'_>,
    data: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.decrypts_messages_by(), Some(aad));
        call.decrypt_message(message.and_then(Message::opening), data.beside(&result), result)
    })
}

/// `C_DecryptMessageBegin`.
pub(super) fn decrypt_message_begin(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    aad: Input<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.decrypts_messages_by(), Some(aad));
        call.decrypt_message_begin(message.map(|message| message.parameter))
    })
}

/// `C_DecryptMessageNext`.
pub(super) fn decrypt_message_next(
    session: CK_SESSION_HANDLE,
    parameter: MessageParameter<'_>,
    part: Input<'_>,
    result: Output<'_>,
    flags: CK_FLAGS,
) -> Result<()> {
    provider::with_session(session, |call| {
        let message = parameter.read(call.decrypts_messages_by(), None);
        let part = known(flags).and_then(|()| part.beside(&result));
        if flags & CKF_END_OF_MESSAGE == 0 {
            let given = message.map(|message| message.parameter);
            return call.decrypt_message_next(given, part, result);
        }
        call.decrypt_message_last(message.and_then(Message::opening), part, result)
    })
}

/// `C_MessageDecryptFinal`.
pub(super) fn message_decrypt_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.message_decrypt_final())
}

/// Errors: `CKR_ARGUMENTS_BAD` for a flag that is not defined.
fn known(flags: CK_FLAGS) -> Result<()> {
    if flags & !CKF_END_OF_MESSAGE == 0 {
        return Ok(());
    }
    Err(Error::new(CKR_ARGUMENTS_BAD, "flags that are not defined"))
}

fn apart(given: Result<(AeadParameter, Places)>) -> (Result<AeadParameter>, Option<Places>) {
    match given {
        Ok((parameter, places)) => (Ok(parameter), Some(places)),
        Err(error) => (Err(error), None),
    }
}
