//! Signing, whatever the mechanism.

use cryptoki_sys::{CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID};

use super::hash::{Hash, Hasher};
use super::parameter::MechanismChoice;
use super::row::Sign;
use super::task::{Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, PublicKey, Scheme};

/// A signature being made.
pub struct Signing {
    task: Task,
    sign: Sign,
    collected: Collected,
}

impl Signing {
    /// Begins to sign with the private key of `public`.
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
        public: &PublicKey,
        scheme: Option<Scheme>,
        check: bool,
    ) -> Result<Self> {
        let mut task = Task::new(choice, abilities, public)?;
        let sign = required(task.row, task.row.sign, "sign")?;
        if scheme.is_some() && scheme != task.row.bound_scheme {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "the TPM key is bound to another scheme",
            ));
        }
        task.scheme = scheme;
        task.check = check;
        let collected = Collected::new(task.row.hash);
        Ok(Self { task, sign, collected })
    }

    /// Bytes of the signature, exactly.
    pub fn signature_len(&self) -> usize {
        self.task.key.signature_len()
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
            Some(hash) => (self.sign)(&self.task, &hash.digest(data), private),
            None => (self.sign)(&self.task, data, private),
        }
    }

    /// Signs all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`sign`](Self::sign).
    pub fn finish(&mut self, private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
        let digest = self.collected.finish()?;
        (self.sign)(&self.task, &digest, private)
    }
}

/// What the parts of a multi-part signature or verification come together in.
pub(super) struct Collected(Option<Hasher>);

impl Collected {
    pub(super) fn new(hash: Option<Hash>) -> Self {
        Self(hash.map(Hash::hasher))
    }

    pub(super) fn update(&mut self, part: &[u8]) -> Result<()> {
        self.hasher()?.update(part);
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<Vec<u8>> {
        Ok(self.hasher()?.finish())
    }

    fn hasher(&mut self) -> Result<&mut Hasher> {
        self.0.as_mut().ok_or_else(single_part)
    }
}

/// The answer to parts of data for a mechanism that wants it whole.
pub(super) fn single_part() -> Error {
    Error::new(CKR_FUNCTION_NOT_SUPPORTED, "a single-part mechanism")
}
