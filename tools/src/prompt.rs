//! A secret typed at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// The most that a terminal gives at once: its line (termios(3), "Canonical and noncanonical mode").
const LINE: usize = 4096;
/// Ctrl-C and Ctrl-\.
const INTERRUPTS: [u8; 2] = [0x03, 0x1c];

/// The terminal while nothing that is typed is shown. It is itself again when this goes away.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    /// Ctrl-C becomes a character that ends the line: as a signal it would end this process and leave
    /// a terminal that shows nothing.
    fn begin() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPTS[0];
        quiet.special_codes[SpecialCodeIndex::VEOL2] = INTERRUPTS[1];
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        let _ = self.terminal.write_all(b"\n");
    }
}

/// Asks for a line, without its end. Whoever interrupts it ends the process, as anywhere else.
///
/// Errors: there is no terminal; `UnexpectedEof` where Ctrl-D was typed.
pub fn secret(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; LINE]);
    let mut quiet = Quiet::begin()?;
    quiet.terminal.write_all(format!("{prompt}: ").as_bytes())?;
    let len = quiet.terminal.read(&mut line)?;
    drop(quiet);
    line.truncate(len);
    if line.iter().any(|byte| INTERRUPTS.contains(byte)) {
        kill_process(getpid(), Signal::INT)?;
        return Err(io::ErrorKind::Interrupted.into());
    }
    if len == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}
