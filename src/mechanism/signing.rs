//! Signing, whatever the mechanism.

use cryptoki_sys::{CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID};

use super::hash::Hasher;
use super::mac::Making;
use super::parameter::MechanismChoice;
use super::row::{Sign, Signature, Verify};
use super::task::{KeyFacts, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, Scheme};

/// A signature or MAC being made.
pub struct Signing {
    task: Task,
    how: How<Sign>,
}

impl Signing {
    /// Begins to sign with the private or secret key that `key` tells of.
    ///
    /// `scheme` is the one the TPM key is bound to, if any. `check` says whether an EC signature is
    /// verified before it is given out; an RSA one always is.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not sign, not what the key is
    /// bound to), `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_SignInit.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
        scheme: Option<Scheme>,
        check: bool,
    ) -> Result<Self> {
        let mut task = Task::new(choice, abilities, key)?;
        let how = How::new(&mut task, "sign", |sign, _| sign)?;
        if scheme.is_some() && scheme != task.row.bound_scheme {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "the TPM key is bound to another scheme",
            ));
        }
        task.scheme = scheme;
        task.check = check;
        Ok(Self { task, how })
    }

    /// Bytes of the signature, exactly.
    pub fn signature_len(&self) -> usize {
        self.how.signature_len(&self.task)
    }

    /// Whether it signs message by message. Errors: `CKR_MECHANISM_INVALID`.
    pub fn check_messages(&self) -> Result<()> {
        self.how.check_messages()
    }

    /// Begins anew with data in parts.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn restart(&mut self) -> Result<()> {
        self.how.restart()
    }

    /// Takes a part of the data. The key is asked by those mechanisms alone that do not gather it.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; `CKR_DATA_LEN_RANGE`,
    /// `CKR_HOST_MEMORY` for a message that is too long; those of the TPM.
    pub fn update(&mut self, part: &[u8], private: &mut dyn PrivateKey) -> Result<()> {
        self.how.update(part, Some(private))
    }

    /// Signs `data`, which is all there is.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`; `CKR_DEVICE_ERROR` for a signature that
    /// does not verify; those of the TPM.
    pub fn sign(&mut self, data: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        match &mut self.how {
            How::Whole(sign) => sign(&self.task, data, private),
            How::Digest(sign, hasher) => sign(&self.task, &hasher.digest(data), private),
            How::Mac(making) => Ok(making.whole(&self.task, data, private)?.to_vec()),
        }
    }

    /// Signs all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`sign`](Self::sign).
    pub fn finish(&mut self, private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        match &mut self.how {
            How::Whole(_) => Err(single_part()),
            How::Digest(sign, hasher) => sign(&self.task, &hasher.finish(), private),
            How::Mac(making) => Ok(making.finish(&self.task, private)?.to_vec()),
        }
    }
}

/// What makes a signature of data, or checks one: `F` is what a mechanism with a pair of keys does.
pub(super) enum How<F> {
    /// `F`, with the data whole.
    Whole(F),
    /// `F`, with the digest of the data.
    Digest(F, Hasher),
    /// A MAC that is made; one that is checked is made again.
    Mac(Making),
}

impl<F> How<F> {
    /// `pair` picks what a mechanism with a pair of keys does.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn new(
        task: &mut Task,
        what: &'static str,
        pair: fn(Sign, Verify) -> F,
    ) -> Result<Self> {
        match required(task.row, task.row.signature, what)? {
            Signature::Mac(mac) => Making::new(task, mac).map(Self::Mac),
            Signature::Pair(sign, verify) => Ok(match task.row.hash {
                Some(hash) => Self::Digest(pair(sign, verify), hash.hasher()),
                None => Self::Whole(pair(sign, verify)),
            }),
        }
    }

    /// Bytes of the signature.
    pub(super) fn signature_len(&self, task: &Task) -> usize {
        match self {
            Self::Whole(_) | Self::Digest(..) => task.key.signature_len(),
            Self::Mac(making) => making.len(),
        }
    }

    /// Whether one parameter is enough for many messages. The same nonce for two of them would give
    /// away GMAC's hash key.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`.
    pub(super) fn check_messages(&self) -> Result<()> {
        match self {
            Self::Mac(Making::Gmac(_)) => {
                Err(Error::new(CKR_MECHANISM_INVALID, "a nonce is for one message only"))
            }
            Self::Whole(_) | Self::Digest(..) | Self::Mac(Making::Gathered(_)) => Ok(()),
        }
    }

    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub(super) fn restart(&mut self) -> Result<()> {
        match self {
            Self::Whole(_) => return Err(single_part()),
            Self::Digest(_, hasher) => hasher.restart(),
            Self::Mac(making) => making.restart(),
        }
        Ok(())
    }

    /// `key` is there where it is a secret one.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`; those of [`Making::update`].
    pub(super) fn update(&mut self, part: &[u8], key: Option<&mut dyn PrivateKey>) -> Result<()> {
        match self {
            Self::Whole(_) => return Err(single_part()),
            Self::Digest(_, hasher) => hasher.update(part),
            Self::Mac(making) => making.update(part, key.ok_or_else(keyless)?)?,
        }
        Ok(())
    }
}

pub(super) fn keyless() -> Error {
    Error::bug("a MAC without its key")
}

/// The answer to parts of data for a mechanism that wants it whole.
pub(super) fn single_part() -> Error {
    Error::new(CKR_FUNCTION_NOT_SUPPORTED, "a single-part mechanism")
}
