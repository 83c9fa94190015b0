//! Verifying: in software, with the public key.

use cryptoki_sys::{CKR_MECHANISM_INVALID, CKR_SIGNATURE_LEN_RANGE};

use super::hash::Hasher;
use super::parameter::MechanismChoice;
use super::signing::single_part;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PublicKey};

/// A signature being verified.
pub struct Verifying {
    task: Task,
    hasher: Option<Hasher>,
}

impl Verifying {
    /// Begins one.
    ///
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let task = Task::new(choice, abilities, public)?;
        if task.row.verify.is_none() {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the mechanism does not verify"));
        }
        let hasher = task.row.hash.map(|hash| hash.hasher());
        Ok(Self { task, hasher })
    }

    /// Takes the next part of the data.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism.
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        self.hasher.as_mut().ok_or_else(single_part)?.update(data);
        Ok(())
    }

    /// Verifies `signature` over `data`.
    ///
    /// Errors: `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`, `CKR_DATA_LEN_RANGE`.
    pub fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        match &mut self.hasher {
            Some(hasher) => {
                hasher.update(data);
                self.finish(signature)
            }
            None => self.run(data, signature),
        }
    }

    /// Verifies `signature` over the parts.
    pub fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let digest = self.hasher.as_mut().ok_or_else(single_part)?.finish();
        self.run(&digest, signature)
    }

    fn run(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.task.signature_len() {
            return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "the signature has another length"));
        }
        let verify =
            self.task.row.verify.ok_or_else(|| Error::bug("a row that does not verify"))?;
        verify(&self.task, data, signature)
    }
}
