//! Authenticated encryption with AES: GCM (NIST SP 800-38D) and CCM (NIST SP 800-38C). Key stream and
//! chained blocks are the TPM's, GHASH is computed here.
//!
//! A key stream's first block masks the tag. It is had together with the stream of the first data, so
//! that a message of n bytes costs n/1024 commands and one or two more.

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::chain::CbcMac;
use super::cipher::{Cipher, MOST_AT_ONCE};
use super::ghash::Ghash;
use super::parameter::{Aead as Given, AeadParameter, BLOCK, invalid};
use super::row::{End, Mode};
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, PrivateKey, SecretBytes};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AeadMode {
    /// Galois/counter mode.
    Gcm,
    /// Counter with CBC-MAC.
    Ccm,
}

/// Most bytes that GCM encrypts with one nonce.
const MOST_OF_GCM: u64 = (1 << 36) - 32;

impl AeadMode {
    /// The values of `given`, if the mode takes them. Errors: as [`tag_len`](Self::tag_len)'s.
    pub(super) fn checked(self, given: AeadParameter) -> Result<Given> {
        let tag_len = self.tag_len(&given)?;
        let AeadParameter { nonce, aad, data_len, .. } = given;
        Ok(Given { nonce, aad, tag_len, data_len })
    }

    /// Bytes of the tag that `given` asks for, if the mode takes its values.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn tag_len(self, given: &AeadParameter) -> Result<usize> {
        let tag_len = match self {
            Self::Gcm if given.tag.is_multiple_of(8) => given.tag / 8,
            Self::Gcm => return Err(invalid("bits of the tag")),
            Self::Ccm if given.tag.is_multiple_of(2) => given.tag,
            Self::Ccm => return Err(invalid("length of the MAC")),
        };
        if !(4..=BLOCK as u64).contains(&tag_len) {
            return Err(invalid("length of the tag"));
        }
        let nonce_fits = match self {
            Self::Gcm => !given.nonce.is_empty(),
            Self::Ccm => (7..=13).contains(&given.nonce.len()),
        };
        if !nonce_fits {
            return Err(invalid("length of the nonce"));
        }
        if given.data_len.is_some_and(|len| len > self.most(given.nonce.len())) {
            return Err(invalid("length of the data"));
        }
        Ok(usize::try_from(tag_len).unwrap_or(BLOCK))
    }

    /// Most bytes of a message whose nonce has `nonce_len` bytes.
    fn most(self, nonce_len: usize) -> u64 {
        match self {
            Self::Gcm => MOST_OF_GCM,
            Self::Ccm => u64::MAX.checked_shr(64 - 8 * len_of_len(nonce_len)).unwrap_or(u64::MAX),
        }
    }
}

/// Bytes that CCM has for the length of the data: 2 to 8 for nonces that were checked.
fn len_of_len(nonce_len: usize) -> u32 {
    (15usize.saturating_sub(nonce_len) as u32).clamp(2, 8)
}

/// How long a message may be.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    direction: Direction,
    tag_len: usize,
    /// Most bytes of the data.
    most: u64,
    /// Bytes of the data, where they were told.
    told: Option<u64>,
}

impl Limits {
    /// Those of a message with the parameter `given`.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn new(mode: AeadMode, given: &AeadParameter, direction: Direction) -> Result<Self> {
        let (tag_len, told) = (mode.tag_len(given)?, given.data_len);
        Ok(Self { direction, tag_len, most: mode.most(given.nonce.len()), told })
    }

    fn of(mode: AeadMode, given: &Given, direction: Direction) -> Self {
        let Given { nonce, tag_len, data_len: told, .. } = given;
        Self { direction, tag_len: *tag_len, most: mode.most(nonce.len()), told: *told }
    }

    /// Whether `len` more bytes may come after those that are `there`. What is decrypted is kept here
    /// until its tag was seen: [`MOST_AT_ONCE`] bytes of it.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    fn check_part(&self, there: u64, len: usize) -> Result<()> {
        let most = self.told.unwrap_or(self.most);
        let whole = there.saturating_add(len as u64);
        let fits = match self.direction {
            Direction::Encrypt => len <= MOST_AT_ONCE && whole <= most,
            Direction::Decrypt => {
                let data = whole.saturating_sub(self.tag_len as u64);
                data <= MOST_AT_ONCE as u64 && data <= most
            }
        };
        if fits { Ok(()) } else { Err(self.other_length()) }
    }

    /// Whether the data may end after `len` more bytes than are `there`.
    ///
    /// Errors: as [`check_part`](Self::check_part)'s.
    pub(super) fn check_end(&self, there: u64, len: usize) -> Result<()> {
        self.check_part(there, len)?;
        self.check_told(there.saturating_add(len as u64))
    }

    /// Whether the data may have `len` bytes in all, as far as that was told.
    fn check_told(&self, len: u64) -> Result<()> {
        match self.told {
            Some(told) if told != len => Err(self.other_length()),
            _ => Ok(()),
        }
    }

    fn other_length(&self) -> Error {
        let rv = match self.direction {
            Direction::Encrypt => CKR_DATA_LEN_RANGE,
            Direction::Decrypt => CKR_ENCRYPTED_DATA_LEN_RANGE,
        };
        Error::new(rv, "more data than can be, or not as much as was told")
    }
}

/// A message under way.
pub(super) struct Aead {
    mode: AeadMode,
    limits: Limits,
    given: Given,
    /// Most bytes of one command.
    most: usize,
    /// The key of GHASH, which is the same for all messages of a key.
    hash_key: Option<SecretBytes>,
    running: Option<Running>,
    /// Bytes that were encrypted.
    taken: u64,
    /// Ciphertext that waits for its tag: nothing is decrypted before all of it is here.
    held: Vec<u8>,
}

struct Running {
    stream: Cipher,
    /// What the tag is masked with, once there was data.
    mask: Option<SecretBytes>,
    mac: Mac,
}

enum Mac {
    Hash(Box<Ghash>),
    Chain(CbcMac),
}

impl Aead {
    pub(super) fn new(mode: AeadMode, given: Given, direction: Direction, most: usize) -> Self {
        let limits = Limits::of(mode, &given, direction);
        let (hash_key, running, held) = (None, None, Vec::new());
        Self { mode, limits, given, most, hash_key, running, taken: 0, held }
    }

    /// Begins anew, with another message of the same key.
    pub(super) fn restart(&mut self, given: Given) {
        self.limits = Limits::of(self.mode, &given, self.limits.direction);
        self.given = given;
        self.running = None;
        self.taken = 0;
        self.held = Vec::new();
    }

    /// Bytes that wait for their tag.
    pub(super) fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Bytes of the tag.
    pub(super) fn tag_len(&self) -> usize {
        self.given.tag_len
    }

    /// Whether `len` more bytes of data may come.
    ///
    /// Errors: `CKR_DATA_LEN_RANGE`, `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub(super) fn check_part(&self, len: usize) -> Result<()> {
        self.limits.check_part(self.there(), len)
    }

    /// Whether the data may end after `len` more bytes, which are all there is of it where its length
    /// was not told.
    ///
    /// Errors: as [`check_part`](Self::check_part)'s.
    pub(super) fn check_end(&self, len: usize) -> Result<()> {
        self.limits.check_end(self.there(), len)
    }

    /// Bytes that came.
    fn there(&self) -> u64 {
        match self.limits.direction {
            Direction::Encrypt => self.taken,
            Direction::Decrypt => self.held.len() as u64,
        }
    }

    /// Bytes of the plaintext when `len` more bytes of ciphertext come, the last of which are the tag.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub(super) fn plaintext_len(&self, len: usize) -> Result<usize> {
        self.check_part(len)?;
        let there = self.held.len().saturating_add(len);
        let data = there.checked_sub(self.given.tag_len);
        let data = data.ok_or_else(|| self.limits.other_length())?;
        self.limits.check_told(data as u64).map(|()| data)
    }

    /// Encrypts all of `data`: ciphertext and tag.
    pub(super) fn seal_whole(
        &mut self,
        data: &[u8],
        key: &mut dyn PrivateKey,
    ) -> Result<SecretBytes> {
        self.check_end(data.len())?;
        self.given.data_len = Some(data.len() as u64);
        let mut made = self.seal(data, key)?;
        made.extend_from_slice(&self.seal_end(key)?);
        Ok(made)
    }

    /// Encrypts the next part.
    pub(super) fn seal(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        self.check_part(part.len())?;
        let mut running = self.run(key)?;
        let made = running.crypt(part, key)?;
        self.taken = self.taken.saturating_add(part.len() as u64);
        running.mac.update(part, &made, self.given.data_len == Some(self.taken), key)?;
        self.running = Some(running);
        Ok(made)
    }

    /// The tag.
    pub(super) fn seal_end(&mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        self.check_end(0)?;
        let running = self.run(key)?;
        running.tag(self.given.tag_len, key)
    }

    /// Keeps a part of the ciphertext until the tag is here.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub(super) fn hold(&mut self, part: &[u8]) -> Result<()> {
        self.check_part(part.len())?;
        self.held.extend_from_slice(part);
        Ok(())
    }

    /// Decrypts what was kept, of which the last bytes are the tag.
    ///
    /// Errors: `CKR_ENCRYPTED_DATA_INVALID` if the tag is not the one; `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    pub(super) fn open_appended(&mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        let data = self.plaintext_len(0)?;
        let tag = self.held.split_off(data);
        self.open(&tag, key)
    }

    /// Decrypts what was kept, whose tag is `tag`. Good or bad, it costs the same commands.
    ///
    /// Errors: as [`open_appended`](Self::open_appended)'s.
    pub(super) fn open(&mut self, tag: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        self.check_end(0)?;
        let held = std::mem::take(&mut self.held);
        self.given.data_len = Some(held.len() as u64);
        let mut running = self.run(key)?;
        let made = running.crypt(&held, key)?;
        running.mac.update(&made, &held, true, key)?;
        let expected = running.tag(self.given.tag_len, key)?;
        if !bool::from(expected.ct_eq(tag)) {
            return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "the tag is another"));
        }
        Ok(made)
    }

    /// The message under way, or its beginning.
    fn run(&mut self, key: &mut dyn PrivateKey) -> Result<Running> {
        match self.running.take() {
            Some(running) => Ok(running),
            None => match self.mode {
                AeadMode::Gcm => self.begin_gcm(key),
                AeadMode::Ccm => self.begin_ccm(),
            },
        }
    }

    fn stream(&self, first: Vec<u8>, counter_bits: u32) -> Cipher {
        let mode = Mode { mode: CipherMode::Ctr, end: End::Whole };
        Cipher::chained(mode, self.limits.direction, first, counter_bits, self.most)
    }

    /// NIST SP 800-38D, section 7.1. The counter's upper 96 bits stay, the TPM would carry into them.
    fn begin_gcm(&mut self, key: &mut dyn PrivateKey) -> Result<Running> {
        let hash_key = match self.hash_key.take() {
            Some(hash_key) => hash_key,
            None => key.cipher(CipherMode::Ecb, Direction::Encrypt, &[], &[0; BLOCK])?,
        };
        let stream = self.stream(Ghash::counter(&hash_key, &self.given.nonce)?, 32);
        let mut hash = Ghash::new(&hash_key)?;
        hash.associate(&self.given.aad);
        let mac = Mac::Hash(Box::new(hash));
        self.hash_key = Some(hash_key);
        Ok(Running { stream, mask: None, mac })
    }

    /// NIST SP 800-38C, appendix A.
    fn begin_ccm(&self) -> Result<Running> {
        let Given { nonce, aad, tag_len, data_len } = &self.given;
        let len_len = len_of_len(nonce.len());
        let data_len = data_len.unwrap_or_default().to_be_bytes();
        let (_, data_len) = data_len.split_at(data_len.len().saturating_sub(len_len as usize));
        let small = (len_len as u8).saturating_sub(1);
        let halves = (*tag_len as u8).saturating_sub(2) / 2;
        let flags = if aad.is_empty() { 0 } else { 0x40 } | (halves << 3) | small;
        let mut head = [&[flags], &nonce[..], data_len].concat();
        if !aad.is_empty() {
            head.extend(encoded_len(aad.len() as u64));
            head.extend_from_slice(aad);
            head.resize(head.len().next_multiple_of(BLOCK), 0);
        }
        let mut first = [&[small], &nonce[..]].concat();
        first.resize(BLOCK, 0);
        let stream = self.stream(first, 8 * len_len);
        let chain = CbcMac::new(self.most, head);
        Ok(Running { stream, mask: None, mac: Mac::Chain(chain) })
    }
}

/// The length of associated data that is not empty, as it stands before it.
fn encoded_len(len: u64) -> Vec<u8> {
    match (u16::try_from(len), u32::try_from(len)) {
        (Ok(short), _) if short < 0xff00 => short.to_be_bytes().to_vec(),
        (_, Ok(longer)) => [&[0xff, 0xfe][..], &longer.to_be_bytes()].concat(),
        _ => [&[0xff, 0xff][..], &len.to_be_bytes()].concat(),
    }
}

impl Running {
    /// What `part` is under the key stream, whose first block is kept for the tag.
    fn crypt(&mut self, part: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        if self.mask.is_some() {
            return self.stream.update(part, key);
        }
        let input = Zeroizing::new([&[0; BLOCK], part].concat());
        let mut made = self.stream.update(&input, key)?;
        let mask = made.get(..BLOCK).ok_or_else(|| Error::bug("a key stream is short"))?;
        self.mask = Some(Zeroizing::new(mask.to_vec()));
        made.drain(..BLOCK);
        Ok(made)
    }

    fn tag(mut self, len: usize, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        if self.mask.is_none() {
            self.crypt(&[], key)?;
        }
        let mask = self.mask.take().unwrap_or_default();
        let mac = self.mac.finish(key)?;
        Ok(Zeroizing::new(mac.iter().zip(mask.iter()).map(|(a, b)| a ^ b).take(len).collect()))
    }
}

impl Mac {
    /// GCM authenticates the ciphertext, CCM the plaintext, which after the `last` part is filled
    /// up with zeros.
    fn update(
        &mut self,
        plain: &[u8],
        cipher: &[u8],
        last: bool,
        key: &mut dyn PrivateKey,
    ) -> Result<()> {
        match self {
            Self::Hash(hash) => {
                hash.update(cipher);
                Ok(())
            }
            Self::Chain(chain) => chain.update(plain, last, key),
        }
    }

    fn finish(mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        // What was empty to the end has not been taken.
        self.update(&[], &[], true, key)?;
        match self {
            Self::Hash(hash) => Ok(hash.finish()),
            Self::Chain(chain) => Ok(chain.finish()),
        }
    }
}
