//! MACs with a secret key in the TPM: HMAC (RFC 2104), CMAC (RFC 4493) and, in `gmac.rs`, GMAC.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_HOST_MEMORY, CKR_MECHANISM_PARAM_INVALID};
use zeroize::Zeroizing;

use super::chain;
use super::cipher::MOST_AT_ONCE;
use super::gmac::Gmac;
use super::hash::Hash;
use super::parameter::{BLOCK, Checked};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, HashAlg, PrivateKey, SecretBytes};

/// Which MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    /// One of a message that is there whole.
    Whole(Prf),
    /// GMAC with AES.
    Gmac,
}

/// A MAC that is a pseudorandom function too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prf {
    /// HMAC by a hash of the TPM.
    Hmac(HashAlg),
    /// CMAC with AES.
    Cmac,
}

impl Prf {
    /// Bytes of what it gives.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Hmac(hash) => hash.digest_len(),
            Self::Cmac => BLOCK,
        }
    }

    /// The MAC of `message`, of full length.
    pub(super) fn run(
        self,
        task: &Task,
        message: &[u8],
        key: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        match self {
            Self::Hmac(hash) => key.hmac(hash, message, task.input_buffer),
            Self::Cmac => cmac(task, message, key),
        }
    }
}

/// A MAC being made.
pub(super) enum Making {
    /// The parts of the message are gathered first.
    Gathered(Gathered),
    /// The message is hashed here as it comes.
    Gmac(Box<Gmac>),
}

impl Making {
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for a MAC of no bytes, or of more than there are.
    pub(super) fn new(task: &mut Task, mac: Mac) -> Result<Self> {
        match mac {
            Mac::Whole(prf) => Gathered::new(task, prf).map(Self::Gathered),
            Mac::Gmac => Ok(Self::Gmac(Box::new(Gmac::new(task.parameter.take_aead()?)))),
        }
    }

    /// Bytes of the MAC.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Gathered(gathered) => gathered.len,
            Self::Gmac(gmac) => gmac.len(),
        }
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) {
        match self {
            Self::Gathered(gathered) => gathered.message = Zeroizing::default(),
            Self::Gmac(gmac) => gmac.restart(),
        }
    }

    /// Takes a part.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_HOST_MEMORY` for a message that is too long; those of the
    /// TPM.
    pub(super) fn update(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<()> {
        match self {
            Self::Gathered(gathered) => gathered.update(part),
            Self::Gmac(gmac) => gmac.update(part, key),
        }
    }

    /// The MAC of what was taken.
    pub(super) fn finish(&mut self, task: &Task, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        match self {
            Self::Gathered(gathered) => {
                let message = std::mem::take(&mut gathered.message);
                gathered.whole(task, &message, key)
            }
            Self::Gmac(gmac) => gmac.finish(key),
        }
    }

    /// The MAC of `message`.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`; those of the TPM.
    pub(super) fn whole(
        &mut self,
        task: &Task,
        message: &[u8],
        key: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        match self {
            Self::Gathered(gathered) => gathered.whole(task, message, key),
            Self::Gmac(gmac) => {
                gmac.restart();
                gmac.update(message, key)?;
                gmac.finish(key)
            }
        }
    }
}

/// A MAC whose message is gathered.
pub(super) struct Gathered {
    prf: Prf,
    /// Bytes of the MAC that are wanted.
    len: usize,
    message: Zeroizing<Vec<u8>>,
}

impl Gathered {
    fn new(task: &Task, prf: Prf) -> Result<Self> {
        let len = match task.parameter {
            Checked::MacLength(len) if (1..=prf.len()).contains(&len) => len,
            Checked::MacLength(_) => {
                return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "length of the MAC"));
            }
            _ => prf.len(),
        };
        Ok(Self { prf, len, message: Zeroizing::default() })
    }

    /// Takes a part, without leaving copies of what was there behind.
    fn update(&mut self, part: &[u8]) -> Result<()> {
        let needed = self.message.len().saturating_add(part.len());
        check_len(needed)?;
        if needed > self.message.capacity() {
            let mut larger = Zeroizing::new(Vec::new());
            larger
                .try_reserve_exact(needed.saturating_mul(2))
                .map_err(|cause| Error::because(CKR_HOST_MEMORY, "a message to be MACed", cause))?;
            larger.extend_from_slice(&self.message);
            self.message = larger;
        }
        self.message.extend_from_slice(part);
        Ok(())
    }

    fn whole(&self, task: &Task, message: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        check_len(message.len())?;
        let mut made = self.prf.run(task, message, key)?;
        made.truncate(self.len);
        Ok(made)
    }
}

/// Errors: `CKR_DATA_LEN_RANGE`.
fn check_len(len: usize) -> Result<()> {
    if len > MOST_AT_ONCE {
        return Err(Error::new(
            CKR_DATA_LEN_RANGE,
            "a message longer than the TPM MACs in one call",
        ));
    }
    Ok(())
}

/// RFC 2104, with a key that is known here; `parts` are the message.
pub(super) fn hmac_in_software(hash: Hash, key: &[u8], parts: &[&[u8]]) -> SecretBytes {
    let mut padded =
        Zeroizing::new(if key.len() > hash.block_len() { hash.digest(key) } else { key.to_vec() });
    padded.resize(hash.block_len(), 0);
    let masked =
        |mask: u8| Zeroizing::new(padded.iter().map(|byte| byte ^ mask).collect::<Vec<_>>());
    let mut inner = hash.hasher();
    inner.update(&masked(0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = hash.hasher();
    outer.update(&masked(0x5c));
    outer.update(&Zeroizing::new(inner.finish()));
    Zeroizing::new(outer.finish())
}

/// RFC 4493, section 2.4: the last block is masked with a subkey, and the blocks are chained as CBC
/// does it.
fn cmac(task: &Task, message: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    let zero = [0; BLOCK];
    let first = key.cipher(CipherMode::Ecb, Direction::Encrypt, &[], &zero)?;
    let first = first.as_slice().try_into().map(u128::from_be_bytes);
    let first = first.map_err(|_| Error::bug("a block of another length"))?;
    let whole = !message.is_empty() && message.len().is_multiple_of(BLOCK);
    let subkey = if whole { doubled(first) } else { doubled(doubled(first)) };
    let mut padded = Zeroizing::new(message.to_vec());
    if !whole {
        padded.push(0x80);
        let len = padded.len().next_multiple_of(BLOCK);
        padded.resize(len, 0);
    }
    for (byte, mask) in padded.iter_mut().rev().zip(subkey.to_be_bytes().iter().rev()) {
        *byte ^= mask;
    }
    let mut mac = Zeroizing::new(zero.to_vec());
    let most = chain::most(task.input_buffer);
    for part in padded.chunks(most) {
        let made = chain::encrypt(key, most, &mac, part)?;
        let last = made.len().checked_sub(BLOCK).and_then(|from| made.get(from..));
        mac = Zeroizing::new(last.unwrap_or_default().to_vec());
    }
    Ok(mac)
}

/// Twice a number in GF(2^128).
fn doubled(number: u128) -> u128 {
    let carry = number >> 127;
    (number << 1) ^ (carry * 0x87)
}
