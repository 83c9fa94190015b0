//! Verification: with a public key in software, whatever the mechanism; of a MAC by making it again.

use cryptoki_sys::{CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE};
use subtle::ConstantTimeEq;

use super::mac::wanted;
use super::parameter::MechanismChoice;
use super::row::{Mac, Verify};
use super::signing::{Collected, check_message};
use super::task::{KeyFacts, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey};

/// A signature or MAC being checked.
pub struct Verifying {
    task: Task,
    how: How,
    collected: Collected,
}

enum How {
    Verify(Verify),
    /// With how many of the MAC's bytes there must be.
    Mac(Mac, usize),
}

impl Verifying {
    /// Begins to verify with the public or secret key that `key` tells of.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not verify),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_VerifyInit.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let task = Task::new(choice, abilities, key)?;
        let how = match task.row.mac {
            Some(mac) => How::Mac(mac, wanted(&task, mac)?),
            None => How::Verify(required(task.row, task.row.verify, "verify")?),
        };
        let collected = Collected::new(task.row);
        Ok(Self { task, how, collected })
    }

    /// Whether `signature` has the one length that it can have.
    ///
    /// Errors: `CKR_SIGNATURE_LEN_RANGE`.
    pub fn check_len(&self, signature: &[u8]) -> Result<()> {
        let len = match self.how {
            How::Verify(_) => self.task.key.signature_len(),
            How::Mac(_, len) => len,
        };
        if signature.len() == len {
            return Ok(());
        }
        Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "a signature of another length"))
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
        match self.task.row.hash {
            Some(hash) => self.run(&hash.digest(data), signature, secret),
            None => {
                check_message(self.task.row, data)?;
                self.run(data, signature, secret)
            }
        }
    }

    /// Checks that `signature` is of all that [`update`](Self::update) took.
    ///
    /// Errors: `CKR_FUNCTION_NOT_SUPPORTED` for a single-part mechanism; those of
    /// [`verify`](Self::verify).
    pub fn finish(&mut self, signature: &[u8], secret: Option<impl PrivateKey>) -> Result<()> {
        let collected = self.collected.finish()?;
        self.run(&collected, signature, secret)
    }

    fn run(&self, data: &[u8], signature: &[u8], secret: Option<impl PrivateKey>) -> Result<()> {
        let (mac, len) = match self.how {
            How::Verify(verify) => return verify(&self.task, data, signature),
            How::Mac(mac, len) => (mac, len),
        };
        if signature.len() != len {
            return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "a MAC of another length"));
        }
        let mut secret = secret.ok_or_else(|| Error::bug("a MAC without its key"))?;
        let made = (mac.run)(&self.task, data, &mut secret)?;
        if bool::from(made.get(..len).unwrap_or_default().ct_eq(signature)) {
            Ok(())
        } else {
            Err(Error::new(CKR_SIGNATURE_INVALID, "the MAC is another"))
        }
    }
}
