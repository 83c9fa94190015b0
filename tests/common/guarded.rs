//! Memory that shows who writes beside it.

use std::{ptr, slice};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

/// Memory with a page behind it that nobody may touch, and guard bytes before it.
pub struct Guarded {
    page: *mut u8,
}

const PAGE: usize = 4096;
const FILL: u8 = 0xA5;

impl Guarded {
    pub fn new() -> Self {
        // SAFETY: new memory, of which the second page becomes untouchable.
        unsafe {
            let both = ProtFlags::READ | ProtFlags::WRITE;
            let page =
                mmap_anonymous(ptr::null_mut(), 2 * PAGE, both, MapFlags::PRIVATE).expect("memory");
            mprotect(page.byte_add(PAGE), PAGE, MprotectFlags::empty()).expect("a guard page");
            page.cast::<u8>().write_bytes(FILL, PAGE);
            Self { page: page.cast() }
        }
    }

    /// The last `size` bytes before the guard page, or as many one byte before them.
    pub fn last<T>(&self, size: usize, odd: bool) -> *mut T {
        // SAFETY: inside the first page.
        unsafe { self.page.add(PAGE - size - usize::from(odd)) }.cast()
    }

    /// That all but the `size` bytes of `last` are as they were.
    pub fn assert_untouched(&self, size: usize, odd: bool, what: &str) {
        // SAFETY: the first page.
        let page = unsafe { slice::from_raw_parts(self.page, PAGE) };
        let end = PAGE - usize::from(odd);
        let around = page[..end - size].iter().chain(&page[end..]);
        assert!(around.copied().all(|byte| byte == FILL), "{what} wrote beside its output");
    }
}
