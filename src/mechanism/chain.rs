//! A chain of blocks of which a listener on the bus hears nothing.
//!
//! TPM2_EncryptDecrypt2 takes its IV and gives the next one outside of what parameter encryption
//! covers. For a ciphertext that is no loss. But where the blocks are a key, a key stream or a MAC
//! that is cut short, the last one would be heard. So each command begins with a random IV, which
//! is taken out of the first block again, and ends with a random block, of which nothing is used.

use zeroize::Zeroizing;

use super::parameter::BLOCK;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// Most bytes of a chain that go in one command, of which the TPM takes `input_buffer`.
pub(super) fn most(input_buffer: usize) -> usize {
    (input_buffer / BLOCK).saturating_sub(1).max(1).saturating_mul(BLOCK)
}

/// `data`, which is whole blocks, encrypted in CBC (NIST SP 800-38A) with `iv`; `most` bytes of it
/// at a time.
pub(super) fn encrypt(
    key: &mut dyn PrivateKey,
    most: usize,
    iv: &[u8],
    data: &[u8],
) -> Result<SecretBytes> {
    let mut made = Zeroizing::new(Vec::with_capacity(data.len()));
    let mut chain = Zeroizing::new(iv.to_vec());
    for part in data.chunks(most.max(BLOCK)) {
        let (mut shown, mut unused) = ([0; BLOCK], [0; BLOCK]);
        getrandom::fill(&mut shown)?;
        getrandom::fill(&mut unused)?;
        let mut input = Zeroizing::new(Vec::with_capacity(part.len().saturating_add(BLOCK)));
        input.extend_from_slice(part);
        for (byte, (hidden, shown)) in input.iter_mut().zip(chain.iter().zip(&shown)) {
            *byte ^= hidden ^ shown;
        }
        input.extend_from_slice(&unused);
        let output = key.cipher(CipherMode::Cbc, Direction::Encrypt, &shown, &input)?;
        let used = output.get(..part.len());
        let last = used.and_then(<[u8]>::last_chunk::<BLOCK>);
        let (Some(used), Some(last)) = (used, last) else {
            return Err(Error::bug("a chain's output is short"));
        };
        chain = Zeroizing::new(last.to_vec());
        made.extend_from_slice(used);
    }
    Ok(made)
}

/// CBC-MAC of data that comes in parts (NIST SP 800-38C, section 5.3).
pub(super) struct CbcMac {
    /// Most bytes of one command.
    most: usize,
    /// The last block.
    mac: SecretBytes,
    /// What does not fill a block yet.
    pending: SecretBytes,
}

impl CbcMac {
    /// Begins with `head`; the TPM takes `input_buffer` bytes in one command.
    pub(super) fn new(input_buffer: usize, head: Vec<u8>) -> Self {
        let (mac, pending) = (Zeroizing::new(vec![0; BLOCK]), Zeroizing::new(head));
        Self { most: most(input_buffer), mac, pending }
    }

    /// Takes a part; the `last` one is filled up with zeros.
    pub(super) fn update(
        &mut self,
        part: &[u8],
        last: bool,
        key: &mut dyn PrivateKey,
    ) -> Result<()> {
        let there = self.pending.len().saturating_add(part.len());
        let filled = there.next_multiple_of(BLOCK);
        let mut input = Zeroizing::new(Vec::with_capacity(filled));
        input.extend_from_slice(&self.pending);
        input.extend_from_slice(part);
        if last {
            input.resize(filled, 0);
        }
        let (now, later) = input.split_at(input.len() / BLOCK * BLOCK);
        let made = encrypt(key, self.most, &self.mac, now)?;
        if let Some(last) = made.last_chunk::<BLOCK>() {
            self.mac = Zeroizing::new(last.to_vec());
        }
        self.pending = Zeroizing::new(later.to_vec());
        Ok(())
    }

    /// The MAC of what was taken.
    pub(super) fn finish(self) -> SecretBytes {
        self.mac
    }
}
