//! Many messages encrypted or decrypted with one secret key, each with a parameter of its own.
//!
//! PKCS#11 v3.1, "Message-based encryption functions", "Message-based decryption functions".

use cryptoki_sys::{CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR};

use super::aead::{Aead, AeadMode, Limits};
use super::nonce::Nonces;
use super::parameter::{AeadParameter, MechanismChoice, Parameter, invalid};
use super::row::find;
use super::task::{KeyFacts, Task, required, whole_blocks};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, Direction, PrivateKey, SecretBytes};

/// What a message was encrypted with, which its caller has to learn.
pub struct Sealed {
    /// The nonce, where it was made here.
    pub nonce: Option<Vec<u8>>,
    /// The tag.
    pub tag: Vec<u8>,
}

/// Messages that are encrypted one after another.
pub struct EncryptingMessages {
    messages: Messages,
    nonces: Nonces,
}

/// Messages that are decrypted one after another.
pub struct DecryptingMessages(Messages);

struct Messages {
    mode: AeadMode,
    direction: Direction,
    most: usize,
    /// The message under way. The next one has of it what is the key's alone.
    aead: Option<Aead>,
}

impl Messages {
    fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
        direction: Direction,
    ) -> Result<Self> {
        let (row, _) = Task::row_and_key(choice, abilities, key)?;
        let mode = required(row, row.aead(), "encrypt messages")?;
        Ok(Self { mode, direction, most: whole_blocks(abilities.input_buffer), aead: None })
    }

    fn begin(&mut self, given: AeadParameter) -> Result<()> {
        let checked = self.mode.checked(given)?;
        match &mut self.aead {
            Some(aead) => aead.restart(checked),
            none => *none = Some(Aead::new(self.mode, checked, self.direction, self.most)),
        }
        Ok(())
    }

    /// Whether a message of `len` bytes may be had whole.
    fn check(&self, given: &AeadParameter, len: usize) -> Result<()> {
        Limits::new(self.mode, given, self.direction)?.check_end(0, len)
    }

    /// Whether what comes with a part of a message goes on with its beginning.
    fn goes_on(&self, given: &AeadParameter) -> Result<()> {
        let tag_len = self.mode.tag_len(given)?;
        match &self.aead {
            Some(aead) if aead.tag_len() == tag_len => Ok(()),
            _ => Err(invalid("length of the tag, which the beginning said")),
        }
    }

    fn under_way(&mut self) -> Result<&mut Aead> {
        self.aead.as_mut().ok_or_else(|| Error::bug("a message that has not begun"))
    }
}

impl EncryptingMessages {
    /// Begins to encrypt messages with the secret key that `key` tells of.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let messages = Messages::new(choice, abilities, key, Direction::Encrypt)?;
        Ok(Self { messages, nonces: Nonces::default() })
    }

    /// Which mode it is, and so which parameter.
    pub fn mode(&self) -> AeadMode {
        self.messages.mode
    }

    /// Whether a message of `len` bytes may be encrypted whole with `given`.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`, `CKR_DATA_LEN_RANGE`.
    pub fn check(&self, given: &AeadParameter, len: usize) -> Result<()> {
        self.nonces.check(given)?;
        self.messages.check(given, len)
    }

    /// Begins a message, and gives its nonce if that was made here.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub fn begin(&mut self, mut given: AeadParameter) -> Result<Option<Vec<u8>>> {
        self.messages.mode.tag_len(&given)?;
        let made = self.nonces.next(&given)?;
        if let Some(nonce) = &made {
            given.nonce.clone_from(nonce);
        }
        self.messages.begin(given)?;
        Ok(made)
    }

    /// Whether `len` more bytes may come.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for another parameter than it began with,
    /// `CKR_DATA_LEN_RANGE`.
    pub fn check_next(&mut self, given: &AeadParameter, len: usize) -> Result<()> {
        self.messages.goes_on(given)?;
        self.messages.under_way()?.check_part(len)
    }

    /// Whether `len` more bytes may be the message's last. Errors: as
    /// [`check_next`](Self::check_next)'s.
    pub fn check_last(&mut self, given: &AeadParameter, len: usize) -> Result<()> {
        self.messages.goes_on(given)?;
        self.messages.under_way()?.check_end(len)
    }

    /// Encrypts the next part.
    pub fn seal(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        self.messages.under_way()?.seal(part, key)
    }

    /// The tag.
    pub fn tag(&mut self, key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        Ok(self.messages.under_way()?.seal_end(key)?.to_vec())
    }
}

impl DecryptingMessages {
    /// Begins to decrypt messages with the secret key that `key` tells of.
    ///
    /// Errors: as [`EncryptingMessages::new`]'s.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        Messages::new(choice, abilities, key, Direction::Decrypt).map(Self)
    }

    /// Which mode it is, and so which parameter.
    pub fn mode(&self) -> AeadMode {
        self.0.mode
    }

    /// Whether a message of `len` bytes may be decrypted whole with `given`.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`, `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub fn check(&self, given: &AeadParameter, len: usize) -> Result<()> {
        self.0.check(given, len)
    }

    /// Begins a message.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub fn begin(&mut self, given: AeadParameter) -> Result<()> {
        self.0.begin(given)
    }

    /// Keeps the next part. Nothing of it is decrypted before the tag is here.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`, `CKR_MECHANISM_PARAM_INVALID` as
    /// [`check_last`](Self::check_last)'s.
    pub fn hold(&mut self, given: &AeadParameter, part: &[u8]) -> Result<()> {
        self.0.goes_on(given)?;
        self.0.under_way()?.hold(part)
    }

    /// Bytes of the message if `len` more are its last.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for another parameter than it began with,
    /// `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub fn check_last(&mut self, given: &AeadParameter, len: usize) -> Result<usize> {
        self.0.goes_on(given)?;
        let aead = self.0.under_way()?;
        aead.check_end(len)?;
        Ok(aead.held_len().saturating_add(len))
    }

    /// Decrypts what was kept and `part`, whose tag is `tag`.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_INVALID`.
    pub fn open(
        &mut self,
        part: &[u8],
        tag: &[u8],
        key: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        let aead = self.0.under_way()?;
        aead.hold(part)?;
        aead.open(tag, key)
    }
}

/// `choice` with a nonce, if one was to be made for the key that it wraps.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`; also for a counter, of which nothing would be left for the
/// next key that is wrapped.
pub fn with_nonce(choice: &MechanismChoice) -> Result<Option<(MechanismChoice, Vec<u8>)>> {
    let Parameter::Aead(given) = &choice.parameter else { return Ok(None) };
    if matches!(given.generator, CKG_GENERATE_COUNTER | CKG_GENERATE_COUNTER_XOR) {
        return Err(invalid("a counter for a key that is wrapped"));
    }
    let Some(nonce) = Nonces::default().next(given)? else { return Ok(None) };
    let parameter = Parameter::Aead(AeadParameter { nonce: nonce.clone(), ..given.clone() });
    Ok(Some((MechanismChoice { ckm: choice.ckm, parameter }, nonce)))
}

/// Bytes of the tag that `choice` puts beside what it encrypts.
///
/// Errors: `CKR_MECHANISM_INVALID` for a mechanism without one; `CKR_MECHANISM_PARAM_INVALID`.
pub fn tag_len(choice: &MechanismChoice, abilities: &Abilities) -> Result<usize> {
    let row = find(choice.ckm, abilities)?;
    let mode = required(row, row.aead(), "authenticate what it wraps")?;
    match &choice.parameter {
        Parameter::Aead(given) => mode.tag_len(given),
        _ => Err(invalid("shape")),
    }
}
