//! Message-based encryption and decryption. PKCS#11 v3.1, "Message-based encryption functions" and
//! "Message-based decryption functions".
//!
//! Arguments come as a `Result`: one that was bad ends the message it belongs to, after what is wrong
//! with the operation was told.

use std::mem;
use std::ops::Deref;

use cryptoki_sys::{CK_OBJECT_HANDLE, CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID};

use crate::error::{Error, Result};
use crate::mechanism::parameter::{AeadParameter, MechanismChoice};
use crate::mechanism::{AeadMode, DecryptingMessages, EncryptingMessages, Sealed};
use crate::session::Call;
use crate::session::key::{BoundKey, DECRYPT_MESSAGES, ENCRYPT_MESSAGES};
use crate::session::kind::Kind;
use crate::session::operation::{Destination, Operation};
use crate::tpm::{PrivateKey, SecretBytes};

/// An active encryption of messages.
pub struct Encryption {
    encrypting: EncryptingMessages,
    key: BoundKey,
}

/// An active decryption of messages.
pub struct Decryption {
    decrypting: DecryptingMessages,
    key: BoundKey,
}

impl Operation for Encryption {
    fn key(&mut self) -> Option<&mut BoundKey> {
        Some(&mut self.key)
    }
}

impl Operation for Decryption {
    fn key(&mut self) -> Option<&mut BoundKey> {
        Some(&mut self.key)
    }
}

/// A message's parameter, and the tag that came with it.
pub type Tagged = (AeadParameter, Vec<u8>);

impl Call<'_> {
    /// By which mode messages are encrypted now, which tells what their parameters are.
    pub fn encrypts_messages_by(&self) -> Option<AeadMode> {
        self.session.encrypting_messages.get().map(|process| process.encrypting.mode())
    }

    /// By which mode messages are decrypted now.
    pub fn decrypts_messages_by(&self) -> Option<AeadMode> {
        self.session.decrypting_messages.get().map(|process| process.decrypting.mode())
    }

    /// Begins to encrypt messages with the secret key `key`; without a mechanism, cancels the active
    /// process. PKCS#11 v3.1, C_MessageEncryptInit.
    pub fn message_encrypt_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::MessageEncrypt) };
        self.may_begin(Kind::MessageEncrypt)?;
        let usable = self.usable_key(key, &choice, ENCRYPT_MESSAGES)?;
        let encrypting = EncryptingMessages::new(&choice, &usable.abilities, &usable.facts)?;
        let key = self.bind(usable.object)?;
        self.session.encrypting_messages.begin(Encryption { encrypting, key });
        Ok(())
    }

    /// Encrypts the message `data`. Gives what the caller has to learn, once it is encrypted.
    /// PKCS#11 v3.1, C_EncryptMessage.
    pub fn encrypt_message(
        &mut self,
        given: Result<AeadParameter>,
        data: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<Option<Sealed>> {
        self.end_without_key(Kind::MessageEncrypt)?;
        let engine = &self.provider.engine;
        let mut sealed = None;
        self.session.encrypting_messages.one_shot(|Encryption { encrypting, key }| {
            let (given, data) = (given?, data?);
            encrypting.check(&given, data.len())?;
            output.fill(data.len(), || {
                let mut in_tpm = key.in_tpm(engine);
                let nonce = encrypting.begin(given)?;
                let mut made = encrypting.seal(&data, &mut in_tpm)?;
                let tag = encrypting.tag(&mut in_tpm)?;
                sealed = Some(Sealed { nonce, tag });
                Ok(mem::take(&mut *made))
            })
        })?;
        Ok(sealed)
    }

    /// Begins a message in parts, and gives its nonce if that was made here. PKCS#11 v3.1,
    /// C_EncryptMessageBegin.
    pub fn encrypt_message_begin(
        &mut self,
        given: Result<AeadParameter>,
    ) -> Result<Option<Vec<u8>>> {
        self.end_without_key(Kind::MessageEncrypt)?;
        let mut nonce = None;
        self.session.encrypting_messages.begin_message(|Encryption { encrypting, .. }| {
            nonce = encrypting.begin(given?)?;
            Ok(())
        })?;
        Ok(nonce)
    }

    /// Encrypts a part of the message, which more follow. PKCS#11 v3.1, C_EncryptMessageNext.
    pub fn encrypt_message_next(
        &mut self,
        given: Result<AeadParameter>,
        part: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.encrypting_messages.next_into(|Encryption { encrypting, key }| {
            let (given, part) = (given?, part?);
            encrypting.check_next(&given, part.len())?;
            output.fill(part.len(), || {
                Ok(mem::take(&mut *encrypting.seal(&part, &mut key.in_tpm(engine))?))
            })
        })
    }

    /// Encrypts the last part of the message, and gives its tag once that is done. PKCS#11 v3.1,
    /// C_EncryptMessageNext with CKF_END_OF_MESSAGE.
    pub fn encrypt_message_last(
        &mut self,
        given: Result<AeadParameter>,
        part: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<Option<Sealed>> {
        let engine = &self.provider.engine;
        let mut sealed = None;
        self.session.encrypting_messages.last(|Encryption { encrypting, key }| {
            let (given, part) = (given?, part?);
            encrypting.check_last(&given, part.len())?;
            output.fill(part.len(), || {
                let mut in_tpm = key.in_tpm(engine);
                let mut made = encrypting.seal(&part, &mut in_tpm)?;
                let tag = encrypting.tag(&mut in_tpm)?;
                sealed = Some(Sealed { nonce: None, tag });
                Ok(mem::take(&mut *made))
            })
        })?;
        Ok(sealed)
    }

    /// Ends the process. PKCS#11 v3.1, C_MessageEncryptFinal.
    pub fn message_encrypt_final(&mut self) -> Result<()> {
        self.session.encrypting_messages.finish()
    }

    /// Begins to decrypt messages with the secret key `key`; without a mechanism, cancels the active
    /// process. PKCS#11 v3.1, C_MessageDecryptInit.
    pub fn message_decrypt_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::MessageDecrypt) };
        self.may_begin(Kind::MessageDecrypt)?;
        let usable = self.usable_key(key, &choice, DECRYPT_MESSAGES)?;
        let decrypting = DecryptingMessages::new(&choice, &usable.abilities, &usable.facts)?;
        let key = self.bind(usable.object)?;
        self.session.decrypting_messages.begin(Decryption { decrypting, key });
        Ok(())
    }

    /// Decrypts the message `data`. PKCS#11 v3.1, C_DecryptMessage.
    ///
    /// Errors: `CKR_AEAD_DECRYPT_FAILED`.
    pub fn decrypt_message(
        &mut self,
        given: Result<Tagged>,
        data: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<()> {
        self.end_without_key(Kind::MessageDecrypt)?;
        let engine = &self.provider.engine;
        self.session.decrypting_messages.one_shot(|Decryption { decrypting, key }| {
            let ((given, tag), data) = (given?, data?);
            decrypting.check(&given, data.len())?;
            output.fill(data.len(), || {
                decrypting.begin(given)?;
                open(decrypting, &data, &tag, &mut key.in_tpm(engine))
            })
        })
    }

    /// Begins a message in parts. PKCS#11 v3.1, C_DecryptMessageBegin.
    pub fn decrypt_message_begin(&mut self, given: Result<AeadParameter>) -> Result<()> {
        self.end_without_key(Kind::MessageDecrypt)?;
        let messages = &mut self.session.decrypting_messages;
        messages.begin_message(|Decryption { decrypting, .. }| decrypting.begin(given?))
    }

    /// Takes a part of the message, which more follow: it gives nothing before its tag is known, and
    /// tells a query what could be, as [`Decrypting::update_len`] does. PKCS#11 v3.1,
    /// C_DecryptMessageNext.
    ///
    /// [`Decrypting::update_len`]: crate::mechanism::Decrypting::update_len
    pub fn decrypt_message_next(
        &mut self,
        given: Result<AeadParameter>,
        part: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<()> {
        self.session.decrypting_messages.next_into(|Decryption { decrypting, .. }| {
            let (given, part) = (given?, part?);
            output.fill_once(&mut None, part.len(), 0, || {
                decrypting.hold(&given, &part).map(|()| SecretBytes::default())
            })
        })
    }

    /// Takes the last part of the message and gives all of it. PKCS#11 v3.1, C_DecryptMessageNext
    /// with CKF_END_OF_MESSAGE.
    ///
    /// Errors: `CKR_AEAD_DECRYPT_FAILED`.
    pub fn decrypt_message_last(
        &mut self,
        given: Result<Tagged>,
        part: Result<impl Deref<Target = [u8]>>,
        output: impl Destination,
    ) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.decrypting_messages.last(|Decryption { decrypting, key }| {
            let ((given, tag), part) = (given?, part?);
            let len = decrypting.check_last(&given, part.len())?;
            output.fill(len, || open(decrypting, &part, &tag, &mut key.in_tpm(engine)))
        })
    }

    /// Ends the process. PKCS#11 v3.1, C_MessageDecryptFinal.
    pub fn message_decrypt_final(&mut self) -> Result<()> {
        self.session.decrypting_messages.finish()
    }
}

/// These functions have a name of their own for a tag that is not the one.
fn open(
    decrypting: &mut DecryptingMessages,
    part: &[u8],
    tag: &[u8],
    key: &mut dyn PrivateKey,
) -> Result<Vec<u8>> {
    let opened = decrypting.open(part, tag, key).map_err(|error: Error| {
        error.retold(&[CKR_ENCRYPTED_DATA_INVALID], CKR_AEAD_DECRYPT_FAILED)
    });
    Ok(mem::take(&mut *opened?))
}
