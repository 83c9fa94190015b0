//! Bytes that a caller hands in: NULL, length and overlap, checked once.

use std::marker::PhantomData;
use std::ops::Deref;
use std::slice;

use cryptoki_sys::{CK_FLAGS, CK_ULONG, CKR_ARGUMENTS_BAD, CKR_HOST_MEMORY};
use zeroize::Zeroizing;

use super::output::Output;
use crate::error::{Error, Result};
use crate::provider::Call;

/// More than a process can have mapped: no 64-bit processor of today gives one more than 2^56
/// addresses. A length beyond it, which would be read until the process dies, is a mistake of the
/// caller's.
const MOST: usize = if usize::BITS == 64 { usize::MAX >> 8 } else { usize::MAX >> 1 };

/// A pointer and a length that the caller gave for bytes to read.
#[derive(Clone, Copy)]
pub(super) struct Input<'call> {
    start: *const u8,
    len: CK_ULONG,
    memory: PhantomData<&'call [u8]>,
}

impl<'call> Input<'call> {
    /// The bytes of a PIN. NULL is none: it asks for a protected authentication path, and must not
    /// be tried as the empty PIN.
    ///
    /// Errors: as `bytes`'; `CKR_ARGUMENTS_BAD` for NULL.
    pub(super) fn pin(&self) -> Result<&'call [u8]> {
        if self.start.is_null() {
            let why = "NULL for a PIN, and no protected authentication path";
            return Err(Error::new(CKR_ARGUMENTS_BAD, why));
        }
        self.bytes()
    }

    /// Takes down the caller's pointer and length; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `start` is not NULL and `len` is at most `isize::MAX`, `len` bytes at `start` are
    /// readable, and nobody but this library writes to them, for `'call`.
    pub(super) unsafe fn new(start: *const u8, len: CK_ULONG) -> Self {
        Self { start, len, memory: PhantomData }
    }

    /// The bytes. NULL with length 0 is the empty slice.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a length, and for a length that no memory has.
    pub(super) fn bytes(&self) -> Result<&'call [u8]> {
        let Some(len) = length_at(self.start as usize, self.len).filter(|len| *len <= MOST) else {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "no memory has this length"));
        };
        if len == 0 {
            return Ok(&[]);
        }
        if self.start.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL with a length"));
        }
        // SAFETY: not NULL, at most isize::MAX bytes without wrap, readable by `new`'s contract.
        Ok(unsafe { slice::from_raw_parts(self.start, len) })
    }

    /// The length that the caller said, whatever is there.
    pub(super) fn len(&self) -> CK_ULONG {
        self.len
    }

    /// Whether its length is 0.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is NULL with length 0.
    pub(super) fn is_absent(&self) -> bool {
        self.start.is_null() && self.len == 0
    }

    /// As [`Self::bytes`], for a call that belongs to an active operation: an argument that is bad
    /// ends the operation (`CKF_SIGN`, ...), as every other error but `CKR_BUFFER_TOO_SMALL` does.
    pub(super) fn bytes_of(&self, call: &mut Call<'_>, operation: CK_FLAGS) -> Result<&'call [u8]> {
        or_cancel(self.bytes(), call, operation)
    }

    /// As [`Self::bytes_of`], for a call that writes `output` as well. The two may be the same
    /// memory (PKCS#11 v3.1, C_Encrypt): then the input is copied before anything is written.
    pub(super) fn bytes_beside(
        &self,
        output: &Output<'_>,
        call: &mut Call<'_>,
        operation: CK_FLAGS,
    ) -> Result<Bytes<'call>> {
        or_cancel(self.beside(output), call, operation)
    }

    /// As [`Self::bytes`], or a copy of them where writing `output` would change them.
    pub(super) fn beside(&self, output: &Output<'_>) -> Result<Bytes<'call>> {
        let bytes = self.bytes()?;
        if output.touches(bytes) {
            Ok(Bytes::Copied(Zeroizing::new(copied(bytes)?)))
        } else {
            Ok(Bytes::Lent(bytes))
        }
    }

    /// As [`Self::bytes`], in the form that [`Self::beside`] has.
    pub(super) fn lent(&self) -> Result<Bytes<'call>> {
        self.bytes().map(Bytes::Lent)
    }
}

fn or_cancel<T>(argument: Result<T>, call: &mut Call<'_>, operation: CK_FLAGS) -> Result<T> {
    argument.inspect_err(|_| call.cancel(operation))
}

/// Input bytes: the caller's own, or a copy where the caller's get overwritten.
pub(super) enum Bytes<'call> {
    /// The caller's memory.
    Lent(&'call [u8]),
    /// Our copy.
    Copied(Zeroizing<Vec<u8>>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

/// `len` as a length of memory that starts at the address `start`: at most `isize::MAX`, and the
/// end does not wrap.
pub(super) fn length_at(start: usize, len: CK_ULONG) -> Option<usize> {
    let len = usize::try_from(len).ok().filter(|len| isize::try_from(*len).is_ok())?;
    start.checked_add(len).map(|_| len)
}

/// A copy of `bytes`; too little memory is an error of the call, not the end of the process.
///
/// Errors: `CKR_HOST_MEMORY`.
pub(super) fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|cause| Error::because(CKR_HOST_MEMORY, "copy of an argument", cause))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn read(start: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
        // SAFETY: each test gives NULL, a length that is refused, or memory of its own.
        unsafe { Input::new(start, len) }.bytes().map(<[u8]>::to_vec)
    }

    fn refusal(start: *const u8, len: CK_ULONG) -> u64 {
        read(start, len).expect_err("to be refused").ck_rv()
    }

    #[test]
    fn null_with_length_zero_is_empty() {
        assert_eq!(read(ptr::null(), 0).expect("empty"), b"");
    }

    #[test]
    fn a_pointer_with_length_zero_is_empty_and_not_looked_at() {
        assert_eq!(read(ptr::without_provenance(1), 0).expect("empty"), b"");
    }

    #[test]
    fn null_with_a_length_is_a_bad_argument() {
        assert_eq!(refusal(ptr::null(), 1), CKR_ARGUMENTS_BAD);
    }

    #[test]
    fn lengths_that_no_memory_has_are_bad_arguments() {
        let byte = 7u8;
        for len in
            [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX - 1, CK_ULONG::MAX / 2, 1 << 56]
        {
            assert_eq!(refusal(&raw const byte, len), CKR_ARGUMENTS_BAD, "{len:#x}");
            assert_eq!(refusal(ptr::null(), len), CKR_ARGUMENTS_BAD, "NULL, {len:#x}");
        }
    }

    #[test]
    fn a_range_that_wraps_the_address_space_is_a_bad_argument() {
        assert_eq!(refusal(ptr::without_provenance(usize::MAX - 4), 6), CKR_ARGUMENTS_BAD);
    }

    #[test]
    fn exactly_the_bytes_between_the_guards_are_read() {
        let memory = *b"<data>";
        // SAFETY: bytes 1 to 5 of an array of 6.
        let inside = unsafe { memory.as_ptr().add(1) };
        assert_eq!(read(inside, 4).expect("readable"), b"data");
    }
}
