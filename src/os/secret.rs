//! Memory for secrets that live as long as a login.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::{Zeroize, Zeroizing};

/// A secret in pages of its own: never swapped out, in no core dump, not in a forked child, wiped
/// when dropped.
///
/// Each costs a page or more, so it is for the few secrets that live long. Where a limit of the
/// process (RLIMIT_MEMLOCK) or an old kernel refuses one of these protections, the others hold
/// without a word; at the worst the secret lies in ordinary memory and is wiped when dropped.
pub struct LockedSecret(Memory);

enum Memory {
    Pages { start: NonNull<u8>, len: usize },
    Heap(Zeroizing<Vec<u8>>),
}

// SAFETY: the pages belong to this value alone; nothing in them refers to a thread.
unsafe impl Send for LockedSecret {}
// SAFETY: a shared reference gives shared bytes only; nothing writes them before the drop.
unsafe impl Sync for LockedSecret {}

impl LockedSecret {
    /// Keeps a copy of `bytes`; the caller wipes its own.
    pub fn new(bytes: &[u8]) -> Self {
        let Some(start) = pages(bytes.len()) else {
            return Self(Memory::Heap(Zeroizing::new(bytes.to_vec())));
        };
        // SAFETY: `pages` gave at least `bytes.len()` writable bytes that nobody else knows.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        Self(Memory::Pages { start, len: bytes.len() })
    }

    /// The secret. In a child forked since, as many zeros.
    pub fn expose(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: `new` wrote `len` bytes at `start`; they stay until the drop.
            Memory::Pages { start, len } => unsafe { slice::from_raw_parts(start.as_ptr(), *len) },
            Memory::Heap(bytes) => bytes,
        }
    }
}

/// Fresh pages for `len` bytes with what protection the system grants; `None` where it has none.
fn pages(len: usize) -> Option<NonNull<u8>> {
    if len == 0 {
        return None;
    }
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing of ours.
    let start = unsafe {
        mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }
    .ok()?;
    // SAFETY: the mapping was made above, and these calls leave its content readable and writable
    // in this process. Each may be refused; then the secret does without.
    unsafe {
        let _refused = madvise(start, len, Advice::LinuxDontDump);
        let _refused = madvise(start, len, Advice::LinuxWipeOnFork);
        let _refused = mlock(start, len);
    }
    NonNull::new(start.cast::<u8>())
}

impl Drop for LockedSecret {
    fn drop(&mut self) {
        if let Memory::Pages { start, len } = self.0 {
            // SAFETY: the mapping is ours alone, no reference to it is left, and it is not used
            // after it is unmapped, which unlocks it too.
            unsafe {
                slice::from_raw_parts_mut(start.as_ptr(), len).zeroize();
                let _kept = munmap(start.as_ptr().cast::<c_void>(), len);
            }
        }
    }
}

impl fmt::Debug for LockedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes that the kernel shows for the mapping at `address`.
    fn vm_flags(address: *const u8) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) =
                    (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                inside = (from..to).contains(&(address as usize));
            }
            if inside && let Some(flags) = line.strip_prefix("VmFlags: ") {
                return flags.to_owned();
            }
        }
        panic!("no mapping at {address:?}");
    }

    #[test]
    fn a_secret_reads_back_and_prints_nothing() {
        let secret = LockedSecret::new(b"thirty-two bytes of a user secret");
        assert_eq!(secret.expose(), b"thirty-two bytes of a user secret");
        assert_eq!(format!("{secret:?}"), "LockedSecret");
        assert_eq!(LockedSecret::new(b"").expose(), b"");
    }

    #[test]
    fn a_secret_is_kept_out_of_core_dumps_and_children() {
        let secret = LockedSecret::new(&[7; 32]);
        let flags = vm_flags(secret.expose().as_ptr());
        for flag in ["dd", "wf"] {
            assert!(flags.split(' ').any(|set| set == flag), "{flag} not in {flags}");
        }
    }
}
