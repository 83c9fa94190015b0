//! Message-based signing and verification: one key and mechanism for many messages, each whole or
//! in parts. PKCS#11 v3.1, "Message-based signing and MACing functions" and "Message-based
//! functions for verifying signatures and MACs".

use std::ops::Deref;

use cryptoki_sys::{CK_OBJECT_HANDLE, CKR_OPERATION_ACTIVE};

use crate::error::{Error, Result};
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::{BoundKey, SIGN, in_tpm};
use crate::session::kind::Kind;
use crate::session::operation::{Active, Delivery, Destination, Operation, Place, not_initialized};
use crate::session::signing::Signature;
use crate::session::verifying::Verification;

/// At most one message-based process of kind `O` in a session, and at most one message in it.
///
/// Whatever goes wrong with a message ends that message, never the process.
pub struct Messages<O>(Option<(O, Active<()>)>);

impl<O> Default for Messages<O> {
    fn default() -> Self {
        Self(None)
    }
}

impl<O> Messages<O> {
    /// The process, to look at.
    pub(super) fn get(&self) -> Option<&O> {
        self.0.as_ref().map(|(process, _)| process)
    }

    /// Begins a process. The caller has checked that nothing stands in its way.
    pub fn begin(&mut self, process: O) {
        self.0 = Some((process, Active::default()));
    }

    /// Ends the process, and a message that is not done; whether there was one.
    pub fn cancel(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// `C_Message…Final`: as [`cancel`](Self::cancel).
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.cancel() { Ok(()) } else { Err(not_initialized()) }
    }

    /// `C_…Message`: a message whole. It ends unless the caller comes back for the result.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`; `CKR_OPERATION_ACTIVE` amid a message in parts,
    /// which ends that message.
    pub(super) fn one_shot(&mut self, call: impl FnOnce(&mut O) -> Result<Delivery>) -> Result<()> {
        let (process, message) = self.process()?;
        if !message.is_active() {
            message.begin(());
        }
        message.one_shot(|()| call(process))
    }

    /// `C_…MessageBegin`: a message in parts, which `start` makes ready.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`; `CKR_OPERATION_ACTIVE` while a message is not done,
    /// which it outlives.
    pub(super) fn begin_message(&mut self, start: impl FnOnce(&mut O) -> Result<()>) -> Result<()> {
        let (process, message) = self.process()?;
        if message.is_active() {
            return Err(Error::new(CKR_OPERATION_ACTIVE, "another message is not done"));
        }
        start(process)?;
        message.begin_parts(());
        Ok(())
    }

    /// `C_…MessageNext` with more to follow: any error ends the message.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`; `CKR_OPERATION_ACTIVE` after the length query of a
    /// message that is given whole.
    fn next(&mut self, call: impl FnOnce(&mut O) -> Result<()>) -> Result<()> {
        let (process, message) = self.process()?;
        message.update(|()| call(process))
    }

    /// The same with output: any error but `CKR_BUFFER_TOO_SMALL` ends the message.
    pub(super) fn next_into(
        &mut self,
        call: impl FnOnce(&mut O) -> Result<Delivery>,
    ) -> Result<()> {
        let (process, message) = self.process()?;
        message.update_into(|()| call(process)).map(drop)
    }

    /// The last `C_…MessageNext`: ends the message unless the caller comes back for the result.
    ///
    /// Errors: as [`next`](Self::next)'s.
    pub(super) fn last(&mut self, call: impl FnOnce(&mut O) -> Result<Delivery>) -> Result<()> {
        let (process, message) = self.process()?;
        message.finish(|()| call(process))
    }

    fn process(&mut self) -> Result<(&mut O, &mut Active<()>)> {
        match &mut self.0 {
            Some((process, message)) => Ok((process, message)),
            None => Err(not_initialized()),
        }
    }
}

impl<O: Operation> Place for Messages<O> {
    fn is_active(&self) -> bool {
        self.0.is_some()
    }

    fn cancel(&mut self) -> bool {
        Messages::cancel(self)
    }

    fn key(&mut self) -> Option<&mut BoundKey> {
        self.0.as_mut().and_then(|(process, _)| process.key())
    }

    fn waiting_key(&mut self) -> Option<&mut BoundKey> {
        let waiting = self.0.as_mut().filter(|(_, message)| !message.is_active());
        waiting.and_then(|(process, _)| process.key())
    }
}

/// The data comes as a `Result`: an argument that was bad ends the message it belongs to, after
/// what is wrong with the operation was told.
impl Call<'_> {
    /// Ends the process of `kind` if its key has been destroyed and no message is begun. One that is
    /// may come to its end with the old key; without this there would be no end to them.
    pub(super) fn end_without_key(&mut self, kind: Kind) -> Result<()> {
        let key = self.session.place(kind).waiting_key().map(|key| key.place());
        if let Some(key) = key
            && self.object_at(key)?.is_none()
        {
            self.session.cancel(kind);
        }
        Ok(())
    }

    /// Begins to sign messages with the key `key`; without a mechanism, cancels the active
    /// process. PKCS#11 v3.1, C_MessageSignInit.
    ///
    /// Errors: those of [`sign_init`](Self::sign_init).
    pub fn message_sign_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::MessageSign) };
        self.may_begin(Kind::MessageSign)?;
        let signature = self.signature(&choice, key, SIGN)?;
        signature.signing.check_messages()?;
        self.session.signing_messages.begin(signature);
        Ok(())
    }

    /// Signs the message `data`. PKCS#11 v3.1, C_SignMessage.
    pub fn sign_message(
        &mut self,
        data: Result<impl Deref<Target = [u8]>>,
        signature: impl Destination,
    ) -> Result<()> {
        self.end_without_key(Kind::MessageSign)?;
        let engine = &self.provider.engine;
        self.session.signing_messages.one_shot(|Signature { signing, key }| {
            let made = data.and_then(|data| {
                let mut in_tpm = key.in_tpm(engine);
                signature.fill(signing.signature_len(), || signing.sign(&data, &mut in_tpm))
            });
            key.approval.spend(&made);
            made
        })
    }

    /// Begins a message in parts. PKCS#11 v3.1, C_SignMessageBegin.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn sign_message_begin(&mut self, parameter: Result<()>) -> Result<()> {
        self.end_without_key(Kind::MessageSign)?;
        self.session.signing_messages.begin_message(|Signature { signing, .. }| {
            parameter?;
            signing.restart()
        })
    }

    /// Takes a part of the message; with a place for the signature, signs it. As long as the
    /// signature is not out the part is not taken. PKCS#11 v3.1, C_SignMessageNext.
    pub fn sign_message_next(
        &mut self,
        part: Result<impl Deref<Target = [u8]>>,
        signature: Option<impl Destination>,
    ) -> Result<()> {
        let messages = &mut self.session.signing_messages;
        let engine = &self.provider.engine;
        let Some(signature) = signature else {
            return messages.next(|Signature { signing, key }| {
                signing.update(&part?, &mut key.in_tpm(engine))
            });
        };
        messages.last(|Signature { signing, key }| {
            let made = part.and_then(|part| {
                let mut in_tpm = key.in_tpm(engine);
                signature.fill(signing.signature_len(), || {
                    signing.update(&part, &mut in_tpm)?;
                    signing.finish(&mut in_tpm)
                })
            });
            key.approval.spend(&made);
            made
        })
    }

    /// Ends the process. PKCS#11 v3.1, C_MessageSignFinal.
    pub fn message_sign_final(&mut self) -> Result<()> {
        self.session.signing_messages.finish()
    }

    /// Begins to verify messages with the public key `key`; without a mechanism, cancels the
    /// active process. PKCS#11 v3.1, C_MessageVerifyInit.
    ///
    /// Errors: those of [`verify_init`](Self::verify_init).
    pub fn message_verify_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::MessageVerify) };
        self.may_begin(Kind::MessageVerify)?;
        let verification = self.verification(&choice, key)?;
        verification.verifying.check_messages()?;
        self.session.verifying_messages.begin(verification);
        Ok(())
    }

    /// Verifies a signature over a message: data and signature. PKCS#11 v3.1, C_VerifyMessage.
    pub fn verify_message(&mut self, given: Result<(&[u8], &[u8])>) -> Result<()> {
        self.end_without_key(Kind::MessageVerify)?;
        let engine = &self.provider.engine;
        self.session.verifying_messages.one_shot(|Verification { verifying, key }| {
            let (data, signature) = given?;
            verifying.verify(data, signature, in_tpm(key, engine)).map(|()| Delivery::Written)
        })
    }

    /// Begins a message in parts. PKCS#11 v3.1, C_VerifyMessageBegin.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn verify_message_begin(&mut self, parameter: Result<()>) -> Result<()> {
        self.end_without_key(Kind::MessageVerify)?;
        self.session.verifying_messages.begin_message(|operation| {
            parameter?;
            operation.verifying.restart()
        })
    }

    /// Takes a part of the message, which more follow. PKCS#11 v3.1, C_VerifyMessageNext.
    pub fn verify_message_next(&mut self, part: Result<&[u8]>) -> Result<()> {
        let engine = &self.provider.engine;
        self.session
            .verifying_messages
            .next(|Verification { verifying, key }| verifying.update(part?, in_tpm(key, engine)))
    }

    /// Takes the last part of the message and verifies its signature. PKCS#11 v3.1,
    /// C_VerifyMessageNext.
    pub fn verify_message_last(&mut self, given: Result<(&[u8], &[u8])>) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.verifying_messages.last(|Verification { verifying, key }| {
            let (part, signature) = given?;
            verifying.update(part, in_tpm(key, engine))?;
            verifying.finish(signature, in_tpm(key, engine)).map(|()| Delivery::Written)
        })
    }

    /// Ends the process. PKCS#11 v3.1, C_MessageVerifyFinal.
    pub fn message_verify_final(&mut self) -> Result<()> {
        self.session.verifying_messages.finish()
    }
}
