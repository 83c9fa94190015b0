//! A secret typed at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::low_level::{emulate_default_handler, pipe};
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

/// The signals that would end this process and leave the terminal as a question has it.
struct Endings {
    /// No question waits: they end the process at once.
    at_ease: Arc<AtomicBool>,
    /// The one that came during a question, or 0.
    came: Arc<AtomicUsize>,
    /// Has something to read as soon as one came.
    woken: UnixStream,
}

impl Endings {
    /// Handlers are installed once and for good; `at_ease` says whether they stand back.
    fn of_this_process() -> io::Result<&'static Self> {
        static ENDINGS: OnceLock<Endings> = OnceLock::new();
        if let Some(endings) = ENDINGS.get() {
            return Ok(endings);
        }
        let (woken, waking) = UnixStream::pair()?;
        let (at_ease, came) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            register_conditional_default(signal, Arc::clone(&at_ease))?;
            register_usize(signal, Arc::clone(&came), signal.unsigned_abs() as usize)?;
            pipe::register(signal, waking.try_clone()?)?;
        }
        Ok(ENDINGS.get_or_init(|| Self { at_ease, came, woken }))
    }

    /// Waits until the terminal has a line, or a signal came.
    fn wait(&self, terminal: &File) -> io::Result<()> {
        let mut either =
            [PollFd::new(terminal, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        loop {
            match poll(&mut either, None) {
                // One of ours, which is there to be read by then, or a stop that is over.
                Err(Errno::INTR) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Lets a signal that came meanwhile do what it does to any program.
    fn obey(&self) -> io::Result<()> {
        self.at_ease.store(true, Ordering::SeqCst);
        match i32::try_from(self.came.load(Ordering::SeqCst)) {
            Ok(signal) if signal != 0 => emulate_default_handler(signal),
            _ => Ok(()),
        }
    }
}

/// Asks for a line, without its end. Whoever interrupts it ends the process, as anywhere else.
///
/// Errors: there is no terminal; `UnexpectedEof` where Ctrl-D was typed.
pub fn secret(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; LINE]);
    let endings = Endings::of_this_process()?;
    endings.at_ease.store(false, Ordering::SeqCst);
    let read = Quiet::begin().and_then(|mut quiet| {
        quiet.terminal.write_all(format!("{prompt}: ").as_bytes())?;
        endings.wait(&quiet.terminal)?;
        if endings.came.load(Ordering::SeqCst) != 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        quiet.terminal.read(&mut line)
    });
    endings.obey()?;
    let len = read?;
    line.truncate(len);
    if line.iter().any(|byte| INTERRUPTS.contains(byte)) {
        kill_process(getpid(), Signal::INT)?;
        return Err(ErrorKind::Interrupted.into());
    }
    if len == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}
