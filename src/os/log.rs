//! Where log lines go. By default nowhere: the terminal belongs to the application.
//!
//! No file or socket stays open between two lines: a program that daemonises closes descriptors it
//! does not know, and one that forks shares them. A line longer than 1 KiB is cut; what would break
//! a line or steer a terminal is escaped.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;

use super::fork_lock::ForkLock;
use super::pid;

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    #[default]
    Nowhere,
    /// The standard error output of the host: only ever when the user asked for it.
    Stderr,
    /// The system's log, by its socket /dev/log.
    Syslog,
    /// The end of a file, created with mode 0600. Absolute, no symbolic link.
    File(PathBuf),
}

/// Where lines go, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where.
    pub target: Target,
    /// Down to which level.
    pub level: LevelFilter,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { target: Target::default(), level: LevelFilter::Warn }
    }
}

/// The `log` crate's logger of this library.
struct Logger(ForkLock<Option<Arc<Target>>>);

static LOGGER: Logger = Logger(ForkLock::new(None));

/// Sends log lines from now on where `settings` says. May be called again.
///
/// A program that links this crate as a Rust library and has a logger of its own keeps it.
pub fn install(settings: &LogSettings) {
    let target = match &settings.target {
        Target::Nowhere => None,
        target => Some(Arc::new(target.clone())),
    };
    let level = if target.is_some() { settings.level } else { LevelFilter::Off };
    let _old = LOGGER.0.with(|current| std::mem::replace(current, target));
    // Fails from the second time on, when it is ours already.
    if log::set_logger(&LOGGER).is_ok() || std::ptr::addr_eq(log::logger(), &raw const LOGGER) {
        log::set_max_level(level);
    }
}

/// Sends no line anywhere from now on, and keeps nothing of the settings: memory that a static holds
/// when the library is unloaded is lost to its host.
pub fn uninstall() {
    install(&LogSettings::default());
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What the crates below say is repeated by our own errors; what they might say of secrets
        // is nobody's to read.
        metadata.target().starts_with("hierarkey")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(target) = self.0.with(|current| current.clone()) {
            // A line that cannot be written is lost: there is nobody to tell.
            let _lost = write(&target, record);
        }
    }

    fn flush(&self) {}
}

fn write(target: &Target, record: &Record<'_>) -> io::Result<()> {
    match target {
        Target::Nowhere => Ok(()),
        Target::Stderr => io::stderr().write_all(with_time(record).bytes()),
        Target::Syslog => send(Path::new("/dev/log"), record),
        // A process that gave up its rights may reach the system's log still.
        Target::File(path) => {
            append(path, with_time(record).bytes()).or_else(|_| send(Path::new("/dev/log"), record))
        }
    }
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    // One write, so that lines of several processes do not mix.
    file.write_all(line)
}

/// RFC 3164, "syslog Message Parts", without a time: the daemon's own is better than one whose
/// zone it would have to guess. Never waits for the daemon.
fn send(socket: &Path, record: &Record<'_>) -> io::Result<()> {
    /// RFC 3164, table 1: security and authorization messages.
    const FACILITY_AUTH: u8 = 4;
    let severity: u8 = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let mut line = Line::default();
    line.plain(format_args!("<{}>hierarkey[{}]: ", FACILITY_AUTH * 8 + severity, pid()));
    line.escaped(record);
    let daemon = UnixDatagram::unbound()?;
    daemon.set_nonblocking(true)?;
    daemon.send_to(line.bytes(), socket).map(|_| ())
}

fn with_time(record: &Record<'_>) -> Line {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = Line::default();
    let time = Utc(now.as_secs());
    line.plain(format_args!("{time}.{:03}Z hierarkey[{}] ", now.subsec_millis(), pid()));
    line.escaped(record);
    line.end();
    line
}

/// A line under way, in memory that cannot run out.
struct Line {
    bytes: [u8; Line::ROOM],
    len: usize,
    cut: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0, cut: false }
    }
}

impl Line {
    const ROOM: usize = 1024;
    /// Kept free for what ends a line.
    const END: usize = 4;

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn plain(&mut self, text: fmt::Arguments<'_>) {
        // What fails is what a Display says, and the line ends there.
        let _cut = self.write_fmt(text);
    }

    fn escaped(&mut self, record: &Record<'_>) {
        self.plain(format_args!("{} {}: {}", record.level(), record.target(), record.args()));
    }

    fn end(&mut self) {
        let end: &[u8] = if self.cut { b"...\n" } else { b"\n" };
        self.put(end, 0);
    }

    fn put(&mut self, text: &[u8], keep_free: usize) -> bool {
        let end = self.len.saturating_add(text.len());
        let fits = end.saturating_add(keep_free) <= Self::ROOM;
        if fits && let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(text);
            self.len = end;
        }
        fits
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let mut utf8 = [0; 4];
            let fits = if character.is_control() || is_format(character) {
                character.escape_default().all(|escape| {
                    let escape = escape.encode_utf8(&mut utf8).as_bytes();
                    !self.cut && self.put(escape, Self::END)
                })
            } else {
                !self.cut && self.put(character.encode_utf8(&mut utf8).as_bytes(), Self::END)
            };
            if !fits {
                self.cut = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Line separators and the marks that turn the direction of writing (Unicode, UAX 9).
fn is_format(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Seconds since 1970 that show as 2025-12-31T23:59:59.
struct Utc(u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Days from 1 March of the year 0, in which a leap day ends its year, its 4 years, its 100
        // and its 400.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 {
            (era * 400 + year, month + 3)
        } else {
            (era * 400 + year + 1, month - 9)
        };
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn record<'a>(text: fmt::Arguments<'a>) -> Record<'a> {
        Record::builder().level(Level::Warn).target("hierarkey::store").args(text).build()
    }

    #[test]
    fn seconds_show_as_the_date_of_the_calendar() {
        for (second, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_767_225_599, "2025-12-31T23:59:59"),
            (1_767_225_600, "2026-01-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(Utc(second).to_string(), date);
        }
    }

    #[test]
    fn a_line_cannot_be_forged_by_what_it_quotes() {
        let forged = "label\n2025-01-01 ERROR \u{1b}[2J\u{202e}ä";
        let line = with_time(&record(format_args!("{forged}")));
        let text = std::str::from_utf8(line.bytes()).unwrap();
        let end = "WARN hierarkey::store: label\\n2025-01-01 ERROR \\u{1b}[2J\\u{202e}ä\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        for text in ["x".repeat(5_000), "ä".repeat(5_000), "\n".repeat(5_000)] {
            let line = with_time(&record(format_args!("{text}")));
            let text = std::str::from_utf8(line.bytes()).unwrap();
            assert!(text.len() <= Line::ROOM && text.len() > Line::ROOM - 16);
            assert!(text.ends_with("...\n"), "{text}");
        }
    }

    #[test]
    fn lines_are_appended_to_a_private_file_and_never_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        append(&link, b"three\n").unwrap_err();
    }

    #[test]
    fn syslog_gets_one_datagram_with_priority_and_name() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("log");
        let daemon = UnixDatagram::bind(&socket).unwrap();
        send(&socket, &record(format_args!("the store is damaged"))).unwrap();
        let mut datagram = [0; 2 * Line::ROOM];
        let len = daemon.recv(&mut datagram).unwrap();
        let expected =
            format!("<36>hierarkey[{}]: WARN hierarkey::store: the store is damaged", pid());
        assert_eq!(std::str::from_utf8(&datagram[..len]).unwrap(), expected);
    }

    #[test]
    fn the_logger_is_installed_again_and_again_and_passes_over_what_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let target = |name| Target::File(directory.path().join(name));
        for name in ["first", "second"] {
            install(&LogSettings { target: target(name), level: LevelFilter::Info });
            log::info!(target: "hierarkey", "from {name}");
            log::info!(target: "somebody", "zebra");
            log::debug!(target: "hierarkey", "okapi");
        }
        install(&LogSettings::default());
        log::error!(target: "hierarkey", "nobody listens");
        for name in ["first", "second"] {
            let text = fs::read_to_string(directory.path().join(name)).unwrap();
            let ours: Vec<_> = text.lines().filter(|line| line.contains(" from ")).collect();
            assert_eq!(ours.len(), 1, "{text}");
            assert!(ours[0].ends_with(&format!("INFO hierarkey: from {name}")));
            assert!(!text.contains("zebra") && !text.contains("okapi"));
        }
    }
}
