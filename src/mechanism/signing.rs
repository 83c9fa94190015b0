//! Signing, whatever the mechanism.

use cryptoki_sys::{
    CKR_DATA_LEN_RANGE, CKR_FUNCTION_NOT_SUPPORTED, CKR_HOST_MEMORY, CKR_MECHANISM_INVALID,
};
use zeroize::Zeroizing;

use super::cipher::MOST_AT_ONCE;
use super::hash::Hasher;
use super::mac::wanted;
use super::parameter::MechanismChoice;
use super::row::{Mac, Mechanism, Sign};
use super::task::{KeyFacts, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, Scheme};

/// A signature or MAC being made.
pub struct Signing {
    task: Task,
    how: How,
    collected: Collected,
}

enum How {
    Sign(Sign),
    /// With how many of the MAC's bytes are wanted.
    Mac(Mac, usize),
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
        let how = match task.row.mac {
            Some(mac) => How::Mac(mac, wanted(&task, mac)?),
            None => How::Sign(required(task.row, task.row.sign, "sign")?),
        };
        if scheme.is_some() && scheme != task.row.bound_scheme {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "the TPM key is bound to another scheme",
            ));
        }
        task.scheme = scheme;
        task.check = check;
        let collected = Collected::new(task.row);
        Ok(Self { task, how, collected })
    }

    /// Bytes of the signature, exactly.
    pub fn signature_len(&self) -> usize {
        match self.how {
            How::Sign(_) => self.task.key.signature_len(),
            How::Mac(_, len) => len,
        }
    }

    /// Begins anew with data in parts.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn restart(&mut self) -> Result<()> {
        self.collected.restart()
    }

    /// Takes a part of the data.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn update(&mut self, part: &[u8]) -> Result<()> {
        self.collected.update(part)
    }

    /// Signs `data`, which is all there is.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_DATA_INVALID`; `CKR_DEVICE_ERROR` for a signature that
    /// does not verify; those of the TPM.
    pub fn sign(&mut self, data: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        match self.task.row.hash {
            Some(hash) => self.run(&hash.digest(data), private),
            None => {
                check_message(self.task.row, data)?;
                self.run(data, private)
            }
        }
    }

    /// Signs all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`sign`](Self::sign).
    pub fn finish(&mut self, private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        let collected = self.collected.finish()?;
        self.run(&collected, private)
    }

    fn run(&self, data: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        match self.how {
            How::Sign(sign) => sign(&self.task, data, private),
            How::Mac(mac, len) => {
                let mut made = (mac.run)(&self.task, data, private)?.to_vec();
                made.truncate(len);
                Ok(made)
            }
        }
    }
}

/// What the parts of a multi-part signature or verification come together in.
pub(super) enum Collected {
    /// They do not: the mechanism wants its data whole.
    Nothing,
    /// Their digest.
    Digest(Hasher),
    /// As they are, for a key that sees the message itself.
    Message(Zeroizing<Vec<u8>>),
}

impl Collected {
    pub(super) fn new(row: &Mechanism) -> Self {
        match (row.hash, row.mac) {
            (Some(hash), _) => Self::Digest(hash.hasher()),
            (None, Some(_)) => Self::Message(Zeroizing::default()),
            (None, None) => Self::Nothing,
        }
    }

    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub(super) fn restart(&mut self) -> Result<()> {
        match self {
            Self::Nothing => return Err(single_part()),
            Self::Digest(hasher) => hasher.restart(),
            Self::Message(message) => *message = Zeroizing::default(),
        }
        Ok(())
    }

    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED`; `CKR_DATA_LEN_RANGE`, `CKR_HOST_MEMORY` for a message that is too
    /// long.
    pub(super) fn update(&mut self, part: &[u8]) -> Result<()> {
        match self {
            Self::Nothing => return Err(single_part()),
            Self::Digest(hasher) => hasher.update(part),
            Self::Message(message) => append(message, part)?,
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Nothing => Err(single_part()),
            Self::Digest(hasher) => Ok(Zeroizing::new(hasher.finish())),
            Self::Message(message) => Ok(std::mem::take(message)),
        }
    }
}

/// Errors: `CKR_DATA_LEN_RANGE`.
pub(super) fn check_message(row: &Mechanism, message: &[u8]) -> Result<()> {
    if row.mac.is_some() && message.len() > MOST_AT_ONCE { Err(too_long()) } else { Ok(()) }
}

fn too_long() -> Error {
    Error::new(CKR_DATA_LEN_RANGE, "a message longer than the TPM MACs in one call")
}

/// Appends without leaving copies of what was there behind.
fn append(message: &mut Zeroizing<Vec<u8>>, part: &[u8]) -> Result<()> {
    let needed = message.len().saturating_add(part.len());
    if needed > MOST_AT_ONCE {
        return Err(too_long());
    }
    if needed > message.capacity() {
        let mut larger = Zeroizing::new(Vec::new());
        larger
            .try_reserve_exact(needed.saturating_mul(2))
            .map_err(|cause| Error::because(CKR_HOST_MEMORY, "a message to be MACed", cause))?;
        larger.extend_from_slice(message);
        *message = larger;
    }
    message.extend_from_slice(part);
    Ok(())
}

/// The answer to parts of data for a mechanism that wants it whole.
pub(super) fn single_part() -> Error {
    Error::new(CKR_FUNCTION_NOT_SUPPORTED, "a single-part mechanism")
}
