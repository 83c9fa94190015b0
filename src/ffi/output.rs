//! Bytes that a caller wants back: the two-call convention, written once.

use std::marker::PhantomData;
use std::ptr;

use cryptoki_sys::{CK_ULONG, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL};
use zeroize::Zeroizing;

use super::input::length_at;
use crate::error::{Error, Result};
use crate::session::operation::{Delivery, Destination};

/// A buffer and the pointer to its length that the caller gave for bytes to be written.
///
/// Results are made in memory of our own and copied last; a `&mut [u8]` of the caller's buffer
/// never exists, because it may be the input's memory too.
pub(super) struct Output<'call> {
    buffer: *mut u8,
    len: *mut CK_ULONG,
    memory: PhantomData<&'call mut [u8]>,
}

impl Output<'_> {
    /// Takes down the caller's pointers; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `len` is not NULL it points to a `CK_ULONG`, of any alignment, that may be written. If
    /// `buffer` is not NULL it has `*len` writable bytes. Both hold for the lifetime, in which
    /// nobody but this library touches either.
    pub(super) unsafe fn new(buffer: *mut u8, len: *mut CK_ULONG) -> Self {
        Self { buffer, len, memory: PhantomData }
    }

    /// Whether the caller asks for the length only.
    pub(super) fn is_query(&self) -> bool {
        self.buffer.is_null()
    }

    /// This output, if the caller gave a place for its length.
    pub(super) fn if_wanted(self) -> Option<Self> {
        (!self.len.is_null()).then_some(self)
    }

    /// Whether writing this output would change `bytes`.
    pub(super) fn touches(&self, bytes: &[u8]) -> bool {
        let from = bytes.as_ptr() as usize;
        let to = from.saturating_add(bytes.len());
        let meets = |start: usize, len: usize| {
            len > 0 && !bytes.is_empty() && start < to && from < start.saturating_add(len)
        };
        let room = match self.room() {
            Ok(Some(room)) => room,
            Ok(None) | Err(_) => 0,
        };
        meets(self.buffer as usize, room)
            || (!self.len.is_null() && meets(self.len as usize, size_of::<CK_ULONG>()))
    }

    /// The room the caller gave; `None` if it only asks for the length.
    fn room(&self) -> Result<Option<usize>> {
        if self.len.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for the output's length"));
        }
        if self.buffer.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL, so it points to a CK_ULONG by `new`'s contract.
        let room = unsafe { self.len.read_unaligned() };
        match length_at(self.buffer as usize, room) {
            Some(room) => Ok(Some(room)),
            None => Err(Error::new(CKR_ARGUMENTS_BAD, "no memory has the output's length")),
        }
    }

    /// Tells the caller a length; only after `room` has accepted the pointers.
    fn tell(&self, len: usize) {
        // SAFETY: `room` refused NULL, so it points to a writable CK_ULONG by `new`'s contract.
        unsafe { self.len.write_unaligned(len as CK_ULONG) }
    }

    /// Copies the result out and tells its length; `room` is what [`Self::room`] gave.
    fn write(&self, bytes: &[u8], room: usize) -> Result<Delivery> {
        if bytes.len() > room {
            self.tell(bytes.len());
            return Err(too_small());
        }
        // SAFETY: `bytes` is our own memory, at most `room` bytes, which `buffer` has by `new`'s
        // contract.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.buffer, bytes.len()) };
        self.tell(bytes.len());
        Ok(Delivery::Written)
    }
}

impl Destination for Output<'_> {
    fn fill(self, needed: usize, produce: impl FnOnce() -> Result<Vec<u8>>) -> Result<Delivery> {
        let Some(room) = self.room()? else {
            self.tell(needed);
            return Ok(Delivery::LengthOnly);
        };
        if room < needed {
            self.tell(needed);
            return Err(too_small());
        }
        let bytes = Zeroizing::new(produce()?);
        if bytes.len() > needed {
            return Err(Error::bug("an output outgrew its announced length"));
        }
        self.write(&bytes, room)
    }

    fn fill_once(
        self,
        made: &mut Option<Zeroizing<Vec<u8>>>,
        bound: usize,
        least: usize,
        produce: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>,
    ) -> Result<Delivery> {
        let Some(room) = self.room()? else {
            self.tell(made.as_ref().map_or(bound, |bytes| bytes.len()));
            return Ok(Delivery::LengthOnly);
        };
        let bytes = match made.take() {
            Some(bytes) => bytes,
            None if room < least => {
                self.tell(bound);
                return Err(too_small());
            }
            None => produce()?,
        };
        if bytes.len() > bound {
            return Err(Error::bug("an output outgrew its announced bound"));
        }
        let delivery = self.write(&bytes, room);
        if delivery.is_err() {
            *made = Some(bytes);
        }
        delivery
    }
}

fn too_small() -> Error {
    Error::new(CKR_BUFFER_TOO_SMALL, "output buffer")
}

/// A buffer whose length the caller knows: it is filled to the end, in pieces.
pub(super) struct Room<'call> {
    next: *mut u8,
    left: CK_ULONG,
    memory: PhantomData<&'call mut [u8]>,
}

impl Room<'_> {
    /// Takes down the caller's pointer and length; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `start` is not NULL and `len` is at most `isize::MAX`, `len` bytes at `start` are
    /// writable for the lifetime, in which nobody but this library touches them.
    pub(super) unsafe fn new(start: *mut u8, len: CK_ULONG) -> Self {
        Self { next: start, left: len, memory: PhantomData }
    }

    /// Has `produce` fill all of it: it is told how much, and hands over one piece after another.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a length, and for a length that no memory has;
    /// what `produce` fails with; `CKR_GENERAL_ERROR` if it gave too little or too much.
    pub(super) fn fill(
        mut self,
        produce: impl FnOnce(usize, &mut dyn FnMut(&[u8])) -> Result<()>,
    ) -> Result<()> {
        let Some(mut left) = length_at(self.next as usize, self.left) else {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "no memory has this length"));
        };
        if self.next.is_null() && left > 0 {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL with a length"));
        }
        let mut too_much = false;
        produce(left, &mut |piece| {
            let Some(rest) = left.checked_sub(piece.len()) else {
                too_much = true;
                return;
            };
            // SAFETY: `piece` is our own memory, and not longer than the `left` bytes that `next`
            // still has by `new`'s contract; the sum stays within them or at their end.
            unsafe {
                ptr::copy_nonoverlapping(piece.as_ptr(), self.next, piece.len());
                self.next = self.next.add(piece.len());
            }
            left = rest;
        })?;
        if too_much || left > 0 {
            return Err(Error::bug("a buffer was not filled exactly"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
