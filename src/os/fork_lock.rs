//! A lock for the statics of a library in a process that may fork at any moment.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::pid;

/// Nobody holds the lock. No process has this number.
const FREE: u32 = 0;

/// A lock that remembers which process holds it.
///
/// A mutex that another thread held at the moment of fork stays locked for ever in the child,
/// where that thread does not exist. Here the child sees a holder that is not itself and takes
/// the lock over. (A holder's number that is by chance the child's own is not told apart; the lock
/// is held for nanoseconds, and process numbers come round after thousands of forks.)
///
/// The value may then be as the interrupted closure left it, so the contract of
/// [`with`](ForkLock::with) asks for closures that change it in one step.
pub struct ForkLock<T> {
    holder: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` gives the value to one thread at a time, as a mutex does.
unsafe impl<T: Send> Sync for ForkLock<T> {}

impl<T> ForkLock<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { holder: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Runs `call` with the value, alone.
    ///
    /// `call` takes nanoseconds: clone an `Arc`, put one in, take one out. It changes the value by
    /// one move of one word (an `Option<Arc<_>>`, an integer), calls nothing that may fork or come
    /// back here, and drops what it took out only afterwards, by returning it.
    pub fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> R {
        let _held = self.acquire();
        // SAFETY: this thread holds the lock until `_held` is dropped; `acquire` takes it from no
        // living thread of this process.
        call(unsafe { &mut *self.value.get() })
    }

    fn acquire(&self) -> Held<'_> {
        let me = pid();
        let mut tries = 0_u32;
        let mut seen = FREE;
        while let Err(holder) =
            self.holder.compare_exchange_weak(seen, me, Ordering::Acquire, Ordering::Relaxed)
        {
            // The holder is free, or a process we were forked from: ours to take. Else wait.
            seen = if holder == me { FREE } else { holder };
            tries = tries.saturating_add(1);
            match tries {
                0..100 => std::hint::spin_loop(),
                100..1000 => std::thread::yield_now(),
                // A real-time thread that only yields would never let the holder run.
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
        Held(&self.holder)
    }
}

impl<T> fmt::Debug for ForkLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForkLock").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// Frees the lock when dropped, also by a panic.
struct Held<'a>(&'a AtomicU32);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn threads_take_turns() {
        let lock = ForkLock::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        lock.with(|count| *count += 1);
                    }
                });
            }
        });
        assert_eq!(lock.with(|count| *count), 8_000);
    }

    #[test]
    fn a_lock_left_over_from_the_parent_is_taken_over() {
        let lock = ForkLock::new(Some(Arc::new(5)));
        lock.holder.store(pid() + 1, Ordering::Relaxed);
        assert_eq!(lock.with(|value| value.clone()).as_deref(), Some(&5));
        assert_eq!(lock.holder.load(Ordering::Relaxed), FREE);
    }

    #[test]
    fn a_panic_of_the_holder_frees_the_lock() {
        let lock = ForkLock::new(1);
        let call = std::panic::AssertUnwindSafe(|| lock.with(|_| panic!("of the holder")));
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(lock.with(|value| *value), 1);
    }
}
