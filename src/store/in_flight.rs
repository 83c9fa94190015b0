//! What a forked child may not do.
//!
//! SQLite keeps, for the whole process, mutexes and a list of the file locks it holds. A child
//! forked while another thread was in the store inherits both as they were: it would wait for a
//! thread that does not exist, or believe in locks that only its parent has, and damage the file.
//! Such a child is told that there is no token, for as long as it lives; exec ends that. One
//! forked at any other moment opens the store anew.

use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::CKR_TOKEN_NOT_PRESENT;

use crate::error::{Error, Result};
use crate::os;

/// How many calls are in the store (low 32 bits) of which process (high 32 bits).
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A call that is in the store.
pub(super) struct InFlight<'a>(&'a AtomicU64);

impl InFlight<'static> {
    /// Errors: `CKR_TOKEN_NOT_PRESENT` in a child forked in the middle of such a call.
    pub(super) fn enter() -> Result<Self> {
        Self::count(&CALLS, os::pid())
    }
}

impl<'a> InFlight<'a> {
    fn count(calls: &'a AtomicU64, process: u32) -> Result<Self> {
        let mine = u64::from(process) << 32;
        calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                match (calls & !0xffff_ffff, calls & 0xffff_ffff) {
                    (process, _) if process == mine => calls.checked_add(1),
                    (_, 0) => Some(mine + 1),
                    _ => None,
                }
            })
            .map(|_| Self(calls))
            .map_err(|_| {
                let why = "this process was forked while another thread was in the store";
                Error::new(CKR_TOKEN_NOT_PRESENT, why)
            })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_forked_in_the_middle_of_a_call_stays_out_and_another_does_not() {
        let calls = AtomicU64::new(0);
        let (parent, child, grandchild) = (100, 200, 300);
        let first = InFlight::count(&calls, parent).unwrap();
        let second = InFlight::count(&calls, parent).unwrap();
        for _ in 0..2 {
            let refused = InFlight::count(&calls, child).map(|_| ()).unwrap_err();
            assert_eq!(refused.ck_rv(), CKR_TOKEN_NOT_PRESENT);
        }
        drop((first, second));
        let in_child = InFlight::count(&calls, child).unwrap();
        assert!(InFlight::count(&calls, grandchild).is_err());
        drop(in_child);
        assert!(InFlight::count(&calls, grandchild).is_ok());
    }
}
