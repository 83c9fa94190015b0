//! Whether somebody is there to take what is printed.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use hierarkey::os::descriptor::is_open;
use rustix::io::Errno;
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

/// Whether this process was started without a stdout, as by `>&-`.
static CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn look() {
    CLOSED.store(!is_open(1), Ordering::Relaxed);
}

/// Before `main` is too late: Rust's runtime opens /dev/null in place of what is closed, and every
/// answer would be lost as if it had been printed.
// SAFETY: the linker's table of functions that run once, before `main` and any thread, without
// arguments that this one would need (System V gABI, "Initialization and Termination Functions"). It
// makes one system call and stores a bool, and does not unwind.
#[used]
#[allow(unsafe_code)]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Errors: `EBADF` where stdout was closed from the beginning.
pub fn check() -> io::Result<()> {
    if CLOSED.load(Ordering::Relaxed) { Err(Errno::BADF.into()) } else { Ok(()) }
}

/// Writes all of it.
///
/// Errors: as [`check`], and as write(2).
pub fn write(bytes: &[u8]) -> io::Result<()> {
    check()?;
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Ends as any program does that writes to a pipe which nobody reads any more (`| head -1`): by
/// SIGPIPE. Only now, when everything is taken back that had to be.
pub fn end_by_sigpipe() {
    let _ = emulate_default_handler(SIGPIPE);
}
