//! Arrays out: slot, mechanism and interface lists by the two-call convention, and found handles.

use std::marker::PhantomData;
use std::ptr;

use cryptoki_sys::{CK_ULONG, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL};

use crate::error::{Error, Result};

/// An array and the pointer to its number of elements that the caller gave.
pub(super) struct List<'call, T> {
    items: *mut T,
    count: *mut CK_ULONG,
    memory: PhantomData<&'call mut [T]>,
}

impl<T: Copy> List<'_, T> {
    /// Takes down the caller's pointers; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `count` is not NULL it points to a writable `CK_ULONG`. If `items` is not NULL it has
    /// room for `*count` of `T`. Neither needs to be aligned. Both hold for the lifetime.
    pub(super) unsafe fn new(items: *mut T, count: *mut CK_ULONG) -> Self {
        Self { items, count, memory: PhantomData }
    }

    /// Writes all that `produce` lists, or only its number if the caller gave no array.
    ///
    /// PKCS#11 v3.1, C_GetSlotList. Errors: `CKR_ARGUMENTS_BAD` without a count;
    /// `CKR_BUFFER_TOO_SMALL`, with the count set and the array untouched.
    pub(super) fn fill(self, produce: impl FnOnce() -> Result<Vec<T>>) -> Result<()> {
        if self.count.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for the list's count"));
        }
        let items = produce()?;
        // SAFETY: not NULL, so it points to a writable CK_ULONG by `new`'s contract.
        let room = unsafe {
            let room = self.count.read_unaligned();
            self.count.write_unaligned(items.len() as CK_ULONG);
            room
        };
        if self.items.is_null() {
            return Ok(());
        }
        if room < items.len() as CK_ULONG {
            return Err(Error::new(CKR_BUFFER_TOO_SMALL, "list"));
        }
        // SAFETY: the array has room for `room` of T by `new`'s contract, and that is enough.
        unsafe { write(&items, self.items) };
        Ok(())
    }
}

/// An array of a known size that takes as many elements as there are, and a count that tells them.
pub(super) struct UpTo<'call, T> {
    items: *mut T,
    room: CK_ULONG,
    count: *mut CK_ULONG,
    memory: PhantomData<&'call mut [T]>,
}

impl<T: Copy> UpTo<'_, T> {
    /// Takes down the caller's pointers; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `count` is not NULL it points to a writable `CK_ULONG`. If `items` is not NULL it has
    /// room for `room` of `T`. Neither needs to be aligned. Both hold for the lifetime.
    pub(super) unsafe fn new(items: *mut T, room: CK_ULONG, count: *mut CK_ULONG) -> Self {
        Self { items, room, count, memory: PhantomData }
    }

    /// Writes what `produce` gives, which is told how many it may give.
    ///
    /// PKCS#11 v3.1, C_FindObjects. Errors: `CKR_ARGUMENTS_BAD` without a count, and without an
    /// array for more than zero; what `produce` fails with; `CKR_GENERAL_ERROR` if it gave more.
    pub(super) fn fill(self, produce: impl FnOnce(usize) -> Result<Vec<T>>) -> Result<()> {
        if self.count.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for the count"));
        }
        if self.items.is_null() && self.room > 0 {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL with a number of elements"));
        }
        // A caller without a limit of its own says the greatest number it knows.
        let room = usize::try_from(self.room).unwrap_or(usize::MAX);
        let items = produce(room)?;
        if items.len() > room {
            return Err(Error::bug("more was found than asked for"));
        }
        if !items.is_empty() {
            // SAFETY: not NULL where room > 0, and room for at least that many by `new`'s contract.
            unsafe { write(&items, self.items) };
        }
        // SAFETY: not NULL, so it points to a writable CK_ULONG by `new`'s contract.
        unsafe { self.count.write_unaligned(items.len() as CK_ULONG) };
        Ok(())
    }
}

/// Copies `items` to `to`, which need not be aligned.
///
/// # Safety
///
/// `to` has room for all of them and is not memory of `items`.
unsafe fn write<T: Copy>(items: &[T], to: *mut T) {
    let bytes = size_of_val(items);
    // SAFETY: by this function's contract; as bytes, so that alignment does not matter.
    unsafe { ptr::copy_nonoverlapping(items.as_ptr().cast::<u8>(), to.cast::<u8>(), bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: CK_ULONG = 0xA5A5_A5A5;

    fn fill(items: *mut CK_ULONG, count: *mut CK_ULONG) -> Result<()> {
        // SAFETY: each test gives NULL or arrays of its own with their number.
        unsafe { List::new(items, count) }.fill(|| Ok(vec![1, 2, 3]))
    }

    #[test]
    fn a_list_without_an_array_tells_its_number() {
        let mut count = GUARD;
        fill(ptr::null_mut(), &raw mut count).expect("counted");
        assert_eq!(count, 3);
    }

    #[test]
    fn a_list_without_a_count_is_refused_and_not_made() {
        let mut items = [GUARD; 3];
        // SAFETY: NULL for the count is refused.
        let list = unsafe { List::new(items.as_mut_ptr(), ptr::null_mut()) };
        let told = list.fill(|| panic!("nothing was to be produced"));
        assert_eq!(told.expect_err("NULL").ck_rv(), CKR_ARGUMENTS_BAD);
        assert_eq!(items, [GUARD; 3]);
    }

    #[test]
    fn a_short_array_stays_untouched_and_the_number_is_told() {
        let (mut items, mut count) = ([GUARD; 3], 2);
        let told = fill(items.as_mut_ptr(), &raw mut count).expect_err("short").ck_rv();
        assert_eq!((told, count, items), (CKR_BUFFER_TOO_SMALL, 3, [GUARD; 3]));
    }

    #[test]
    fn an_exact_array_is_filled_and_a_longer_one_not_beyond() {
        let (mut items, mut count) = ([GUARD; 3], 3);
        fill(items.as_mut_ptr(), &raw mut count).expect("listed");
        assert_eq!((count, items), (3, [1, 2, 3]));
        let (mut items, mut count) = ([GUARD; 5], 5);
        fill(items.as_mut_ptr(), &raw mut count).expect("listed");
        assert_eq!((count, items), (3, [1, 2, 3, GUARD, GUARD]));
    }

    #[test]
    fn array_and_count_may_lie_at_odd_addresses() {
        let mut memory = [0xA5u8; 48];
        let mut count = [0u8; 9];
        count[1..].copy_from_slice(&3u64.to_ne_bytes());
        // SAFETY: 24 bytes at 5 of an array of 48, 8 bytes at 1 of an array of 9.
        let (at, count_at) =
            unsafe { (memory.as_mut_ptr().add(5).cast(), count.as_mut_ptr().add(1).cast()) };
        fill(at, count_at).expect("listed");
        let expected: Vec<u8> = [1u64, 2, 3].iter().flat_map(|item| item.to_ne_bytes()).collect();
        assert_eq!(&memory[5..29], &expected);
        assert!(memory[..5].iter().chain(&memory[29..]).all(|byte| *byte == 0xA5));
    }

    #[test]
    fn found_handles_are_written_up_to_their_number() {
        let (mut items, mut count) = ([GUARD; 4], GUARD);
        // SAFETY: an array of our own with its number.
        let up_to = unsafe { UpTo::new(items.as_mut_ptr(), 4, &raw mut count) };
        up_to.fill(|most| Ok((0..most as CK_ULONG - 2).collect())).expect("found");
        assert_eq!((count, items), (2, [0, 1, GUARD, GUARD]));
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let (mut items, mut count) = ([GUARD; 4], GUARD);
        // SAFETY: room for two in an array of four.
        let up_to = unsafe { UpTo::new(items.as_mut_ptr(), 2, &raw mut count) };
        up_to.fill(|most| Ok(vec![7; most + 1])).expect_err("too many");
        assert_eq!((count, items), (GUARD, [GUARD; 4]));
    }

    #[test]
    fn room_for_none_needs_no_array() {
        let mut count = GUARD;
        // SAFETY: NULL with room for none, and NULL that is refused.
        unsafe {
            UpTo::<CK_ULONG>::new(ptr::null_mut(), 0, &raw mut count)
                .fill(|most| Ok(vec![7; most]))
                .expect("none");
            assert_eq!(count, 0);
            let refused = UpTo::<CK_ULONG>::new(ptr::null_mut(), 1, &raw mut count)
                .fill(|_| panic!("nothing was to be produced"));
            assert_eq!(refused.expect_err("NULL").ck_rv(), CKR_ARGUMENTS_BAD);
        }
    }
}
