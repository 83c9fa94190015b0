//! A secret typed at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{getpgrp, getsid};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::low_level::{emulate_default_handler, pipe};
use zeroize::Zeroizing;

/// The most that a terminal gives at once: its line (termios(3), "Canonical and noncanonical mode").
const LINE: usize = 4096;

/// The terminal while nothing that is typed is shown. It is itself again when this goes away.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !LocalModes::ECHO;
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

/// The signals that would end or stop this process and leave the terminal as a question has it.
struct Signals {
    /// No question waits: they do at once what they do to any program.
    at_ease: Arc<AtomicBool>,
    /// The one that came during a question, or 0.
    came: Arc<AtomicUsize>,
    /// Has something to read as soon as one came.
    woken: UnixStream,
}

/// Whether a shell with job control may be there to continue this process. The kernel stops none that
/// has no such shell (setpgid(2), "orphaned process group"), and neither must we.
fn can_be_continued() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

impl Signals {
    /// Handlers are installed once and for good; `at_ease` says whether they stand back.
    fn of_this_process() -> io::Result<&'static Self> {
        static SIGNALS: OnceLock<Signals> = OnceLock::new();
        if let Some(signals) = SIGNALS.get() {
            return Ok(signals);
        }
        let (woken, waking) = UnixStream::pair()?;
        let (at_ease, came) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let mut caught = vec![SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        if can_be_continued() {
            // After a SIGSTOP the shell may have made the terminal as it likes it.
            caught.extend([SIGTSTP, SIGCONT]);
        }
        for signal in caught {
            register_conditional_default(signal, Arc::clone(&at_ease))?;
            register_usize(signal, Arc::clone(&came), signal.unsigned_abs() as usize)?;
            pipe::register(signal, waking.try_clone()?)?;
        }
        Ok(SIGNALS.get_or_init(|| Self { at_ease, came, woken }))
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

    fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst) != 0
    }

    /// Lets a signal that came meanwhile do what it does to any program. Whether one came that this
    /// process lived through.
    fn obey(&self) -> io::Result<bool> {
        self.at_ease.store(true, Ordering::SeqCst);
        match i32::try_from(self.came.load(Ordering::SeqCst)) {
            Ok(signal) if signal != 0 => {
                emulate_default_handler(signal)?;
                // The SIGCONT that ended the stop, and what else came by then, is answered too.
                self.came.store(0, Ordering::SeqCst);
                self.woken.set_nonblocking(true)?;
                while (&self.woken).read(&mut [0; 64]).is_ok() {}
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Asks for a line, without its end. Whoever interrupts it ends the process, as anywhere else; one
/// that was stopped is asked anew.
///
/// Errors: there is no terminal; `UnexpectedEof` where Ctrl-D was typed.
pub fn secret(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let signals = Signals::of_this_process()?;
    loop {
        let mut line = Zeroizing::new(vec![0; LINE]);
        signals.at_ease.store(false, Ordering::SeqCst);
        let read = Quiet::begin().and_then(|mut quiet| {
            quiet.terminal.write_all(format!("{prompt}: ").as_bytes())?;
            signals.wait(&quiet.terminal)?;
            if signals.came() {
                return Err(ErrorKind::Interrupted.into());
            }
            quiet.terminal.read(&mut line)
        });
        if signals.obey()? {
            continue;
        }
        let len = read?;
        line.truncate(len);
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        return Ok(line);
    }
}
