//! Verification: with a public key in software, whatever the mechanism; of a MAC by making it again.

use cryptoki_sys::{CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE};
use subtle::ConstantTimeEq;

use super::parameter::MechanismChoice;
use super::row::Verify;
use super::signing::{How, keyless, single_part};
use super::task::{KeyFacts, Task};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, SecretBytes};

/// A signature or MAC being checked.
pub struct Verifying {
    task: Task,
    how: How<Verify>,
}

impl Verifying {
    /// Begins to verify with the public or secret key that `key` tells of.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not verify),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_VerifyInit.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let mut task = Task::new(choice, abilities, key)?;
        let how = How::new(&mut task, "verify", |_, verify| verify)?;
        Ok(Self { task, how })
    }

    /// Whether `signature` has the one length that it can have.
    ///
    /// Errors: `CKR_SIGNATURE_LEN_RANGE`.
    pub fn check_len(&self, signature: &[u8]) -> Result<()> {
        if signature.len() == self.how.signature_len(&self.task) {
            return Ok(());
        }
        Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "a signature of another length"))
    }

    /// Whether it verifies message by message. Errors: `CKR_MECHANISM_INVALID`.
    pub fn check_messages(&self) -> Result<()> {
        self.how.check_messages()
    }

    /// Begins anew with data in parts.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn restart(&mut self) -> Result<()> {
        self.how.restart()
    }

    /// Takes a part of the data. `secret` is the key in the TPM, where it is a secret one.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; `CKR_DATA_LEN_RANGE`,
    /// `CKR_HOST_MEMORY` for a message that is too long; those of the TPM.
    pub fn update(&mut self, part: &[u8], secret: Option<impl PrivateKey>) -> Result<()> {
        let mut secret = secret;
        self.how.update(part, secret.as_mut().map(|key| key as &mut dyn PrivateKey))
    }

    /// Checks that `signature` is of `data`, which is all there is. `secret` is the key in the TPM,
    /// where it is a secret one.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`.
    pub fn verify(
        &mut self,
        data: &[u8],
        signature: &[u8],
        secret: Option<impl PrivateKey>,
    ) -> Result<()> {
        match &mut self.how {
            How::Whole(verify) => verify(&self.task, data, signature),
            How::Digest(verify, hasher) => verify(&self.task, &hasher.digest(data), signature),
            How::Mac(making) => same(making.len(), signature, || {
                making.whole(&self.task, data, &mut secret.ok_or_else(keyless)?)
            }),
        }
    }

    /// Checks that `signature` is of all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`verify`](Self::verify).
    pub fn finish(&mut self, signature: &[u8], secret: Option<impl PrivateKey>) -> Result<()> {
        match &mut self.how {
            How::Whole(_) => Err(single_part()),
            How::Digest(verify, hasher) => verify(&self.task, &hasher.finish(), signature),
            How::Mac(making) => same(making.len(), signature, || {
                making.finish(&self.task, &mut secret.ok_or_else(keyless)?)
            }),
        }
    }
}

/// Whether `given` is the MAC of `len` bytes that `make` makes.
///
/// Errors: `CKR_SIGNATURE_LEN_RANGE` before it is made; `CKR_SIGNATURE_INVALID`.
fn same(len: usize, given: &[u8], make: impl FnOnce() -> Result<SecretBytes>) -> Result<()> {
    if given.len() != len {
        return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "a MAC of another length"));
    }
    if bool::from(make()?.ct_eq(given)) {
        Ok(())
    } else {
        Err(Error::new(CKR_SIGNATURE_INVALID, "the MAC is another"))
    }
}
