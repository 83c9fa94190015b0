//! Whether somebody is there to take what is printed.

use std::io::{self, Write};

use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

/// Writes all of it.
///
/// Errors: as write(2).
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Ends as any program does that writes to a pipe which nobody reads any more (`| head -1`): by
/// SIGPIPE. Only now, when everything is taken back that had to be.
pub fn end_by_sigpipe() {
    let _ = emulate_default_handler(SIGPIPE);
}
