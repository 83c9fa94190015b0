//! The TPM's bytes: big-endian numbers and sized buffers.
//!
//! A response may come from an interposer, so everything is read through [`Reader`]: no length is
//! believed, nothing is left over, and a wrong byte is an error, never a panic.

use cryptoki_sys::CKR_DEVICE_ERROR;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Reads a response front to back.
#[derive(Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `len` bytes.
    ///
    /// Errors: `CKR_DEVICE_ERROR` when there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| malformed())
    }

    /// A UINT8.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// A UINT16.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A UINT32.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A UINT64.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The contents of a TPM2B: a 2-byte size, then as many bytes.
    pub fn sized(&mut self) -> Result<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(len.into())
    }

    /// A TPM2B with its size, as it stands.
    pub fn whole_sized(&mut self) -> Result<&'a [u8]> {
        let len = self.clone().u16()?;
        self.bytes(usize::from(len).saturating_add(2))
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}

/// What cannot be a TPM's.
pub(super) fn malformed() -> Error {
    Error::new(CKR_DEVICE_ERROR, "a response of the TPM is malformed")
}

/// Builds a command back to front of nothing: numbers and buffers are appended.
#[derive(Default, Clone)]
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// A UINT8.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    /// A UINT16.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A UINT32.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves what it held behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        self
    }

    /// A TPM2B of `bytes`, which the callers keep far below 65 536: what does not fit is cut, and the
    /// TPM refuses it.
    #[must_use]
    pub fn sized(self, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(len).bytes(bytes.get(..len.into()).unwrap_or_default())
    }

    /// The bytes so far.
    pub fn finish(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let bytes = Writer::new().u8(1).u16(2).u32(3).sized(b"four").bytes(b"five").finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8().unwrap(), 1);
        assert_eq!(reader.u16().unwrap(), 2);
        assert_eq!(reader.u32().unwrap(), 3);
        assert_eq!(reader.clone().whole_sized().unwrap(), b"\0\x04four");
        assert_eq!(reader.sized().unwrap(), b"four");
        assert!(reader.clone().end().is_err(), "five is left over");
        assert_eq!(reader.rest(), b"five");
        reader.end().unwrap();
    }

    proptest! {
        #[test]
        fn no_truncated_buffer_is_read(bytes: Vec<u8>, missing in 1usize..9) {
            let whole = Writer::new().sized(&bytes).finish();
            let cut = whole.len().saturating_sub(missing);
            let mut reader = Reader::new(&whole[..cut]);
            prop_assert!(reader.sized().is_err());
        }
    }
}
