//! A block cipher in its modes (NIST SP 800-38A): the blocks are the TPM's, what chains, cuts and
//! pads them is here, so that data in parts needs nothing left in the TPM between the calls.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

use super::chain;
use super::parameter::{BLOCK, Checked};
use super::row::{End, Mode};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// Most bytes of one call to a cipher, and of one message to a MAC: a TPM takes some 10 seconds for
/// them, in which nobody can stop the call.
pub(super) const MOST_AT_ONCE: usize = 64 << 20;

/// One encryption or decryption with a secret key.
pub(super) struct Cipher {
    mode: Mode,
    direction: Direction,
    /// What the block under way is chained to; empty for ECB.
    chain: Vec<u8>,
    /// What the first block is chained to.
    first: Vec<u8>,
    /// How many of the chain's lowest bits count, for CTR.
    counter_bits: u32,
    /// Input of the block under way. A mode that makes a key stream has given its output already,
    /// and takes it once more to get at the rest of the block's stream.
    pending: Zeroizing<Vec<u8>>,
    /// Bytes that may still come, and of a message: for CTR, those before the counter overflows.
    room: u128,
    first_room: u128,
    /// Most bytes of one command: whole blocks.
    most: usize,
}

impl Cipher {
    pub(super) fn new(task: &Task, mode: Mode, direction: Direction) -> Result<Self> {
        let (chain, counter_bits) = match &task.parameter {
            Checked::None => (Vec::new(), 0),
            Checked::Iv(iv) => (iv.to_vec(), 0),
            Checked::Counter(counter) => (counter.block.to_vec(), counter.bits),
            _ => return Err(Error::bug("a cipher with another parameter")),
        };
        let most = match mode.mode {
            CipherMode::Ofb => chain::most(task.input_buffer),
            _ => task.whole_blocks(),
        };
        let mut new = Self::chained(mode, direction, chain, counter_bits, most);
        if mode.mode == CipherMode::Ctr {
            new.first_room = new.blocks_until_wrap().saturating_mul(BLOCK as u128);
            new.room = new.first_room;
        }
        Ok(new)
    }

    /// A cipher whose first block is chained to `chain`; `most` bytes go into one command.
    pub(super) fn chained(
        mode: Mode,
        direction: Direction,
        chain: Vec<u8>,
        counter_bits: u32,
        most: usize,
    ) -> Self {
        let (first, pending) = (chain.clone(), Zeroizing::default());
        let room = u128::MAX;
        let first_room = room;
        Self { mode, direction, chain, first, counter_bits, pending, room, first_room, most }
    }

    /// Begins anew, with another message.
    pub(super) fn restart(&mut self) {
        self.chain.clone_from(&self.first);
        self.pending = Zeroizing::default();
        self.room = self.first_room;
    }

    /// Whether output comes byte for byte.
    fn streams(&self) -> bool {
        matches!(self.mode.mode, CipherMode::Ctr | CipherMode::Ofb | CipherMode::Cfb)
    }

    /// Whether the last block stays back, because it may be the padded one.
    fn holds_back(&self) -> bool {
        self.mode.end == End::Padded && self.direction == Direction::Decrypt
    }

    /// Bytes of the whole message of `len` bytes; at most so many when padding is taken off.
    pub(super) fn whole_len(&self, len: usize) -> usize {
        match self.mode.end {
            End::Stolen => len,
            End::Whole | End::Padded => self.update_len(len).saturating_add(self.finish_len()),
        }
    }

    /// Bytes that [`update`](Self::update) gives for a part of `len` bytes, exactly.
    pub(super) fn update_len(&self, len: usize) -> usize {
        if self.streams() {
            return len;
        }
        let there = self.pending.len().saturating_add(len);
        let back = match self.mode.end {
            // The last two blocks trade bytes.
            End::Stolen => BLOCK.saturating_add(1),
            End::Padded if self.holds_back() => 1,
            End::Whole | End::Padded => 0,
        };
        let ready = there.saturating_sub(back);
        ready / BLOCK * BLOCK
    }

    /// Most bytes that [`finish`](Self::finish) gives after `len` more bytes; exact when encrypting.
    pub(super) fn finish_len(&self) -> usize {
        match self.mode.end {
            End::Whole => 0,
            End::Padded => BLOCK,
            End::Stolen => self.pending.len(),
        }
    }

    /// Takes a part and gives what can be computed with it.
    pub(super) fn update(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let known = if self.streams() { self.pending.len() } else { 0 };
        let ready = self.update_len(part.len()).saturating_add(known);
        let input = Zeroizing::new([&self.pending[..], part].concat());
        let (now, later) = input.split_at(ready.min(input.len()));
        let mut output = self.run(now, key)?;
        let rest = if self.streams() { now.chunks_exact(BLOCK).remainder() } else { later };
        self.pending = Zeroizing::new(rest.to_vec());
        self.room = self.room.saturating_sub(part.len() as u128);
        let again = known.min(output.len());
        output.drain(..again);
        Ok(output)
    }

    /// Ends the message.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_LEN_RANGE` where the data was not whole
    /// blocks; `CKR_ENCRYPTED_DATA_INVALID` for bad padding.
    pub(super) fn finish(&mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        if self.streams() {
            return Ok(SecretBytes::default());
        }
        let mut last = std::mem::take(&mut self.pending);
        if self.mode.end == End::Stolen {
            return self.finish_stolen(last, key);
        }
        if self.mode.end == End::Padded && self.direction == Direction::Encrypt {
            let missing = BLOCK.saturating_sub(last.len());
            last.resize(BLOCK, u8::try_from(missing).unwrap_or_default());
            return self.run(&last, key);
        }
        let whole = if self.holds_back() { BLOCK } else { 0 };
        if last.len() != whole {
            return Err(self.cut());
        }
        if whole == 0 {
            return Ok(SecretBytes::default());
        }
        unpadded(self.run(&last, key)?)
    }

    /// Errors: as [`finish`](Self::finish), for a message of `len` bytes that comes whole; and for
    /// more than the TPM does in one call.
    pub(super) fn check_whole(&self, len: usize) -> Result<()> {
        self.check_part(len)?;
        let fits = match self.mode.end {
            _ if self.streams() => true,
            End::Stolen => len >= BLOCK,
            End::Padded if self.direction == Direction::Encrypt => true,
            End::Padded => len.is_multiple_of(BLOCK) && len > 0,
            End::Whole => len.is_multiple_of(BLOCK),
        };
        if fits { Ok(()) } else { Err(self.cut()) }
    }

    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_LEN_RANGE` for more than the TPM does in one
    /// call, and more than the counter of CTR counts: behind it the key stream begins anew.
    pub(super) fn check_part(&self, len: usize) -> Result<()> {
        if len > MOST_AT_ONCE || len as u128 > self.room { Err(self.cut()) } else { Ok(()) }
    }

    fn cut(&self) -> Error {
        let rv = match self.direction {
            Direction::Encrypt => CKR_DATA_LEN_RANGE,
            Direction::Decrypt => CKR_ENCRYPTED_DATA_LEN_RANGE,
        };
        Error::new(rv, "not a number of whole blocks, or too many of them")
    }

    /// The last block, or the last two of which the second may be short: then its ciphertext is
    /// whole, and the one before it loses what was missing (NIST SP 800-38A, addendum, CBC-CS1).
    fn finish_stolen(
        &mut self,
        mut last: Zeroizing<Vec<u8>>,
        key: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        let short = || Error::bug("a cipher's output is short");
        let kept = last.len().checked_sub(BLOCK).ok_or_else(|| self.cut())?;
        if kept.is_multiple_of(BLOCK) {
            return self.run(&last, key);
        }
        if self.direction == Direction::Encrypt {
            last.resize(2 * BLOCK, 0);
            let mut made = self.run(&last, key)?;
            made.drain(kept..BLOCK);
            return Ok(made);
        }
        let (cut, whole) = last.split_at(kept);
        let under = key.cipher(CipherMode::Ecb, Direction::Decrypt, &[], whole)?;
        let (under, stolen) = under.split_at_checked(kept).ok_or_else(short)?;
        let mut made = Zeroizing::new(Vec::with_capacity(last.len()));
        made.extend_from_slice(&self.run(&[cut, stolen].concat(), key)?);
        made.extend(under.iter().zip(cut).map(|(a, b)| a ^ b));
        Ok(made)
    }

    /// Runs the cipher over `input`, and moves the chain behind its whole blocks.
    fn run(&mut self, input: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let mut output = Zeroizing::new(Vec::with_capacity(input.len()));
        let mut rest = input;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.most).min(self.until_wrap()));
            let made = match self.mode.mode {
                CipherMode::Ofb => self.by_key_stream(now, key)?,
                mode => key.cipher(mode, self.direction, &self.chain, now)?,
            };
            self.chain_on(now, &made)?;
            output.extend_from_slice(&made);
            rest = later;
        }
        Ok(output)
    }

    /// OFB: its key stream is zeros in CBC. The TPM's own OFB shows a block of the stream after each
    /// command.
    fn by_key_stream(&self, input: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let zeros = vec![0; input.len().next_multiple_of(BLOCK)];
        let mut output = chain::encrypt(key, self.most, &self.chain, &zeros)?;
        output.truncate(input.len());
        for (stream, byte) in output.iter_mut().zip(input) {
            *stream ^= byte;
        }
        Ok(output)
    }

    /// Bytes until the counter goes round, which GCM's does: the TPM would carry into the bits that
    /// do not count.
    fn until_wrap(&self) -> usize {
        if self.mode.mode != CipherMode::Ctr || self.counter_bits >= u128::BITS {
            return usize::MAX;
        }
        let bytes = self.blocks_until_wrap().saturating_mul(BLOCK as u128);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn blocks_until_wrap(&self) -> u128 {
        (self.mask() - (self.counter() & self.mask())).saturating_add(1)
    }

    fn counter(&self) -> u128 {
        self.chain.as_slice().try_into().map_or(0, u128::from_be_bytes)
    }

    /// The bits that count.
    fn mask(&self) -> u128 {
        u128::MAX.checked_shr(u128::BITS.saturating_sub(self.counter_bits)).unwrap_or(0)
    }

    /// What the block after `input`'s last whole one is chained to; `output` is what came of it.
    fn chain_on(&mut self, input: &[u8], output: &[u8]) -> Result<()> {
        let whole = input.len() / BLOCK * BLOCK;
        if whole == 0 || self.mode.mode == CipherMode::Ecb {
            return Ok(());
        }
        let short = || Error::bug("a cipher's output is short");
        let last = |of: &[u8]| of.get(whole - BLOCK..whole).map(<[u8]>::to_vec).ok_or_else(short);
        let ciphertext = if self.direction == Direction::Encrypt { output } else { input };
        self.chain = match self.mode.mode {
            CipherMode::Ecb => Vec::new(),
            CipherMode::Cbc | CipherMode::Cfb => last(ciphertext)?,
            CipherMode::Ofb => last(input)?.iter().zip(last(output)?).map(|(a, b)| a ^ b).collect(),
            CipherMode::Ctr => {
                let (counter, mask) = (self.counter(), self.mask());
                let next = counter.wrapping_add((whole / BLOCK) as u128);
                ((counter & !mask) | (next & mask)).to_be_bytes().to_vec()
            }
        };
        Ok(())
    }
}

/// A last block without its padding (RFC 5652, "Content-encryption process"). What is wrong with
/// a bad one does not show in the time it takes.
fn unpadded(mut block: SecretBytes) -> Result<SecretBytes> {
    let count = block.last().copied().unwrap_or_default();
    let size = BLOCK as u8;
    let mut good = !count.ct_eq(&0) & !count.ct_gt(&size) & block.len().ct_eq(&BLOCK);
    for (from_end, byte) in (1..=size).zip(block.iter().rev()) {
        let outside = from_end.ct_gt(&count);
        good &= outside | byte.ct_eq(&count);
    }
    let keep = u8::conditional_select(&0, &size.wrapping_sub(count), good);
    if !bool::from(good & Choice::from(1)) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "bad padding"));
    }
    block.truncate(keep.into());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_taken_off_or_refused() {
        for count in 1..=16u8 {
            let mut block = vec![0xaa; 16 - usize::from(count)];
            block.resize(16, count);
            assert_eq!(
                unpadded(Zeroizing::new(block.clone())).unwrap().len(),
                16 - block.len() + 16 - usize::from(count)
            );
            if count > 1 {
                block[16 - usize::from(count)] ^= 1;
                assert!(unpadded(Zeroizing::new(block)).is_err());
            }
        }
        for count in [0, 17, 255] {
            assert!(unpadded(Zeroizing::new(vec![count; 16])).is_err());
        }
        assert!(unpadded(SecretBytes::default()).is_err());
    }
}
