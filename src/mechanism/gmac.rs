//! GMAC (NIST SP 800-38D): the tag of GCM for a message that is nothing but associated data.
//!
//! The message is hashed as it comes, and none of it is kept. The key of the hash and the mask of the
//! tag are blocks that the TPM encrypts when the message begins. With a nonce of 12 bytes both are
//! known then and go in one command.

use zeroize::Zeroizing;

use super::ghash::Ghash;
use super::parameter::{Aead as Given, BLOCK, Checked, invalid};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// Whether all of the message comes as data: what a parameter has beside it would be before it or
/// after it, which nothing says.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
pub(super) fn accepts(task: &Task) -> Result<()> {
    match &task.parameter {
        Checked::Aead(given) if given.aad.is_empty() => Ok(()),
        _ => Err(invalid("associated data that is not the message")),
    }
}

/// A tag being made.
pub(super) struct Gmac {
    given: Given,
    running: Option<Running>,
}

struct Running {
    hash: Ghash,
    /// What the tag is masked with.
    mask: SecretBytes,
}

impl Gmac {
    pub(super) fn new(given: Given) -> Self {
        Self { given, running: None }
    }

    /// Bytes of the tag.
    pub(super) fn len(&self) -> usize {
        self.given.tag_len
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) {
        self.running = None;
    }

    /// Takes a part of the message. Nothing is asked of the TPM for an empty one.
    pub(super) fn update(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let mut running = self.run(key)?;
        running.hash.associate(part);
        self.running = Some(running);
        Ok(())
    }

    /// The tag of what was taken.
    pub(super) fn finish(&mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let Running { hash, mask } = self.run(key)?;
        let hash = hash.finish();
        let masked = hash.iter().zip(mask.iter()).map(|(hash, mask)| hash ^ mask);
        Ok(Zeroizing::new(masked.take(self.given.tag_len).collect()))
    }

    /// The message under way, or its beginning.
    fn run(&mut self, key: &mut dyn PrivateKey) -> Result<Running> {
        if let Some(running) = self.running.take() {
            return Ok(running);
        }
        let mut ecb = |blocks: &[u8]| key.cipher(CipherMode::Ecb, Direction::Encrypt, &[], blocks);
        if let Some(counter) = Ghash::own_counter(&self.given.nonce) {
            let made = ecb(&[[0; BLOCK], counter].concat())?;
            let halves = made.split_at_checked(BLOCK);
            let (hash_key, mask) = halves.ok_or_else(|| Error::bug("a block is missing"))?;
            return Ok(Running {
                hash: Ghash::new(hash_key)?,
                mask: Zeroizing::new(mask.to_vec()),
            });
        }
        let hash_key = ecb(&[0; BLOCK])?;
        let mask = ecb(&Ghash::counter(&hash_key, &self.given.nonce)?)?;
        Ok(Running { hash: Ghash::new(&hash_key)?, mask })
    }
}
