//! RSASSA-PSS with any hash, mask generator and salt length (RFC 8017, sections 8.1 and 9.1).

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_SIGNATURE_INVALID};
use subtle::ConstantTimeEq;

use super::mgf1;
use super::parameter::Pss;
use super::rsa::{pad_left, sign_block};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::PrivateKey;

const TRAILER: u8 = 0xbc;

/// Whether digest and salt fit the key.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
pub(super) fn accepts(task: &Task) -> Result<()> {
    Encoding::new(task).map(|_| ())
}

/// Signs `digest` with a fresh salt of the length the caller chose.
pub(super) fn sign(task: &Task, digest: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let encoding = Encoding::new(task)?;
    let mut salt = vec![0; encoding.pss.salt_len];
    getrandom::fill(&mut salt)?;
    let encoded = encoding.encode(digest, &salt)?;
    // One byte shorter than the modulus where its length in bits is a multiple of 8 plus 1.
    sign_block(task, &pad_left(&encoded, task.rsa()?.len()), private)
}

/// Checks that `signature` is of `digest`, with a salt of exactly the length the caller chose.
pub(super) fn verify(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    let encoding = Encoding::new(task)?;
    encoding.check_digest(digest)?;
    let block = task.rsa()?.open(signature)?;
    if encoding.is_of(digest, &block) {
        Ok(())
    } else {
        Err(Error::new(CKR_SIGNATURE_INVALID, "PSS signature"))
    }
}

/// EMSA-PSS for one key and parameter.
struct Encoding<'a> {
    pss: &'a Pss,
    /// Bytes of the encoded message.
    len: usize,
    /// Bytes of the masked data block: zeros, 01, salt.
    db_len: usize,
    /// Which bits of the first byte may be set.
    first_mask: u8,
}

impl<'a> Encoding<'a> {
    fn new(task: &'a Task) -> Result<Self> {
        let pss = task.parameter.pss()?;
        let bits = task.rsa()?.bits().saturating_sub(1);
        let len = bits.div_ceil(8);
        let db_len = len
            .checked_sub(pss.hash.digest_len() + 1)
            .filter(|db_len| *db_len > pss.salt_len)
            .ok_or_else(|| {
                Error::new(CKR_MECHANISM_PARAM_INVALID, "digest and salt do not fit the key")
            })?;
        Ok(Self { pss, len, db_len, first_mask: 0xff >> (len * 8 - bits) })
    }

    /// Errors: `CKR_DATA_LEN_RANGE`.
    fn check_digest(&self, digest: &[u8]) -> Result<()> {
        if digest.len() == self.pss.hash.digest_len() {
            Ok(())
        } else {
            Err(Error::new(CKR_DATA_LEN_RANGE, "not a digest of the parameter's hash"))
        }
    }

    /// EMSA-PSS-ENCODE.
    fn encode(&self, digest: &[u8], salt: &[u8]) -> Result<Vec<u8>> {
        self.check_digest(digest)?;
        let h = self.hash(digest, salt);
        let mut block = pad_left(&[&[1], salt].concat(), self.db_len);
        mgf1::mask(self.pss.mgf, &h, &mut block);
        if let Some(first) = block.first_mut() {
            *first &= self.first_mask;
        }
        block.extend_from_slice(&h);
        block.push(TRAILER);
        Ok(block)
    }

    /// EMSA-PSS-VERIFY, of a block as long as the modulus.
    fn is_of(&self, digest: &[u8], block: &[u8]) -> bool {
        let Some((spare, encoded)) =
            block.len().checked_sub(self.len).and_then(|spare| block.split_at_checked(spare))
        else {
            return false;
        };
        let Some((masked, [h @ .., trailer])) = encoded.split_at_checked(self.db_len) else {
            return false;
        };
        if spare.iter().any(|byte| *byte != 0)
            || *trailer != TRAILER
            || masked.first().is_none_or(|first| first & !self.first_mask != 0)
        {
            return false;
        }
        let mut db = masked.to_vec();
        mgf1::mask(self.pss.mgf, h, &mut db);
        if let Some(first) = db.first_mut() {
            *first &= self.first_mask;
        }
        let Some((padding, salt)) = db.split_at_checked(self.db_len - self.pss.salt_len) else {
            return false;
        };
        let [zeros @ .., 1] = padding else {
            return false;
        };
        zeros.iter().all(|byte| *byte == 0) && bool::from(self.hash(digest, salt).ct_eq(h))
    }

    /// The hash of eight zeros, digest and salt.
    fn hash(&self, digest: &[u8], salt: &[u8]) -> Vec<u8> {
        let mut hasher = self.pss.hash.hasher();
        hasher.update(&[0; 8]);
        hasher.update(digest);
        hasher.update(salt);
        hasher.finish()
    }
}
