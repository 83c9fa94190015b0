//! One value out: a handle, a number, an information structure.

use std::marker::PhantomData;

use cryptoki_sys::CKR_ARGUMENTS_BAD;

use crate::error::{Error, Result};

/// A pointer that the caller gave for one value to be written.
pub(super) struct Out<'call, T> {
    place: *mut T,
    memory: PhantomData<&'call mut T>,
}

impl<T: Copy> Out<'_, T> {
    /// Takes down the caller's pointer; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `place` is not NULL it points to memory for one `T`, of any alignment, that may be
    /// written for the lifetime.
    pub(super) unsafe fn new(place: *mut T) -> Self {
        Self { place, memory: PhantomData }
    }

    /// Writes what `produce` makes, which runs only if there is a place for it.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL; what `produce` fails with, and nothing is written.
    pub(super) fn fill(self, produce: impl FnOnce() -> Result<T>) -> Result<()> {
        self.present()?;
        self.write(produce()?);
        Ok(())
    }

    /// Writes two values that only exist together, the second into `other`. Errors as `fill`'s.
    pub(super) fn fill_with<U: Copy>(
        self,
        other: Out<'_, U>,
        produce: impl FnOnce() -> Result<(T, U)>,
    ) -> Result<()> {
        self.present()?;
        other.present()?;
        let (first, second) = produce()?;
        self.write(first);
        other.write(second);
        Ok(())
    }

    /// Errors: `CKR_ARGUMENTS_BAD` for NULL.
    pub(super) fn present(&self) -> Result<()> {
        if self.place.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for a result"));
        }
        Ok(())
    }

    /// Writes to a place that is [`present`](Self::present).
    pub(super) fn write(self, value: T) {
        // SAFETY: `present` refused NULL, so there is room for one T by `new`'s contract.
        unsafe { self.place.write_unaligned(value) }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use cryptoki_sys::{CK_ULONG, CKR_DEVICE_ERROR};

    use super::*;

    #[test]
    fn null_is_refused_before_anything_is_made() {
        // SAFETY: NULL is refused.
        let out = unsafe { Out::<CK_ULONG>::new(ptr::null_mut()) };
        let told = out.fill(|| panic!("nothing was to be produced")).expect_err("NULL").ck_rv();
        assert_eq!(told, CKR_ARGUMENTS_BAD);
    }

    #[test]
    fn a_value_is_written_at_any_address_and_nowhere_else() {
        let mut memory = [0xA5u8; 24];
        // SAFETY: bytes 3 to 11 of an array of 24.
        let out = unsafe { Out::<CK_ULONG>::new(memory.as_mut_ptr().add(3).cast()) };
        out.fill(|| Ok(0x0102_0304_0506_0708)).expect("written");
        assert_eq!(&memory[3..11], &0x0102_0304_0506_0708u64.to_ne_bytes());
        assert!(memory[..3].iter().chain(&memory[11..]).all(|byte| *byte == 0xA5));
    }

    #[test]
    fn a_failure_writes_nothing() {
        let (mut one, mut two): (CK_ULONG, CK_ULONG) = (1, 2);
        // SAFETY: two numbers of our own.
        let (first, second) = unsafe { (Out::new(&raw mut one), Out::new(&raw mut two)) };
        let failing = || Err(Error::new(CKR_DEVICE_ERROR, "test"));
        let told = first.fill_with::<CK_ULONG>(second, failing).expect_err("failed").ck_rv();
        assert_eq!((told, one, two), (CKR_DEVICE_ERROR, 1, 2));
    }

    #[test]
    fn two_values_need_two_places() {
        let mut one: CK_ULONG = 1;
        for swapped in [false, true] {
            // SAFETY: a number of our own; NULL is refused.
            let (present, absent) =
                unsafe { (Out::new(&raw mut one), Out::<CK_ULONG>::new(ptr::null_mut())) };
            let (first, second) = if swapped { (absent, present) } else { (present, absent) };
            let told = first.fill_with(second, || panic!("nothing was to be produced"));
            assert_eq!(told.expect_err("NULL").ck_rv(), CKR_ARGUMENTS_BAD);
        }
        assert_eq!(one, 1);
    }
}
