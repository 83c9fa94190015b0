//! Points in time after which nobody waits any longer, and how one waits until then.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The longest wait anybody may ask for; it only keeps the arithmetic on clocks in range.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A point in time on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::tpm) struct Deadline(Instant);

impl Deadline {
    /// The point `limit` from now, a day at most.
    pub(in crate::tpm) fn after(limit: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(limit.min(LONGEST)).unwrap_or(now))
    }

    /// A point that has passed: whoever waits for it only looks.
    pub(in crate::tpm) fn past() -> Self {
        Self(Instant::now())
    }

    /// How long it is until then; zero when it has passed.
    pub(in crate::tpm) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits until `fd` is ready for `events` (or failed, which the next call on it tells): false
    /// if it is not when the time is up. A signal that the host handles does not end the wait.
    pub(super) fn wait(self, fd: BorrowedFd<'_>, events: PollFlags) -> rustix::io::Result<bool> {
        loop {
            let remaining = self.remaining();
            let timeout = Timespec::try_from(remaining).map_err(|_| Errno::INVAL)?;
            match poll(&mut [PollFd::from_borrowed_fd(fd, events)], Some(&timeout)) {
                Ok(0) if remaining.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Growing pauses between attempts at something that gives no sign when it becomes possible.
pub(in crate::tpm) struct Backoff {
    pause: Duration,
    deadline: Deadline,
}

impl Backoff {
    /// The first pause is about a TPM command's time, the longest one a fraction of what a person
    /// notices.
    const FIRST: Duration = Duration::from_micros(100);
    const LONGEST: Duration = Duration::from_millis(5);

    /// Attempts until `deadline`.
    pub(in crate::tpm) fn until(deadline: Deadline) -> Self {
        Self { pause: Self::FIRST, deadline }
    }

    /// Sleeps before the next attempt: false, at once, when the time is up.
    pub(in crate::tpm) fn pause(&mut self) -> bool {
        let remaining = self.deadline.remaining();
        if remaining.is_zero() {
            return false;
        }
        std::thread::sleep(self.pause.min(remaining));
        self.pause = self.pause.saturating_mul(2).min(Self::LONGEST);
        true
    }
}
