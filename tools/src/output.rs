//! Where results go: text for people, one JSON object for programs; files that are whole or not
//! there.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use rustix::io::Errno;
use serde::Serialize;

use crate::failure::{Failure, Kind, Result};
use crate::stdout;

/// When output has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// What a command answers. Its JSON form is described in docs/tool.schema.json.
pub trait Report: Serialize {
    /// The same for people: lines, the last one with its end.
    fn text(&self, style: Style) -> String;
}

/// Marks in text, empty where there are no colours.
#[derive(Clone, Copy)]
pub struct Style(bool);

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }
}

/// A name as it may be shown: labels, subjects and names of programs are whatever somebody wrote, and
/// what steers a terminal, breaks a line or turns its order round is spelled out.
pub fn visible(name: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    name.chars().fold(String::with_capacity(name.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

/// How this run answers.
#[derive(Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub colour: Colour,
}

impl Output {
    fn style(self, terminal: bool) -> Style {
        Style(match self.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        })
    }

    /// Marks for what goes to stdout.
    pub fn stdout_style(self) -> Style {
        self.style(io::stdout().is_terminal())
    }

    /// The result of a command, on stdout.
    pub fn show(self, report: &impl Report) -> Result<()> {
        let text = if self.json {
            let mut json = serde_json::to_string_pretty(report)
                .map_err(|error| Failure::new(Kind::Failed, error.to_string()))?;
            json.push('\n');
            json
        } else {
            report.text(self.stdout_style())
        };
        self.bytes(text.as_bytes())
    }

    /// The same of a command that has changed something: where nobody takes the result, that stays.
    pub fn done(self, report: &impl Report) -> Result<()> {
        self.show(report).map_err(|failure| Failure {
            message: format!("it is done, and could not be told: {failure}"),
            ..failure
        })
    }

    /// Bytes on stdout.
    pub fn bytes(self, bytes: &[u8]) -> Result<()> {
        stdout::write(bytes).map_err(|error| Failure::stdout(&error))
    }

    /// A warning: on stderr, and never left out.
    pub fn warn(self, text: &str) {
        let mark = self.style(io::stderr().is_terminal()).warn("warning:");
        let _ = writeln!(io::stderr(), "hierarkey: {mark} {text}");
    }

    /// The one line of a failure.
    pub fn fail(self, failure: &Failure) {
        let mut err = io::stderr().lock();
        let _ = if self.json {
            let told = ErrorReport {
                error: ErrorText {
                    kind: failure.kind,
                    exit_code: failure.kind as u8,
                    message: failure.message.clone(),
                },
            };
            writeln!(err, "{}", serde_json::to_string(&told).unwrap_or_default())
        } else {
            let mark = self.style(io::stderr().is_terminal()).bad("hierarkey:");
            writeln!(err, "{mark} {failure}")
        };
    }

    /// Runs `work` with a sign of life on the terminal.
    pub fn working<T>(self, what: &str, work: impl FnOnce() -> T) -> T {
        if self.json || !io::stderr().is_terminal() {
            return work();
        }
        let done = std::sync::Arc::new(AtomicBool::new(false));
        let spinner = spin(what.to_owned(), std::sync::Arc::clone(&done));
        let result = work();
        done.store(true, Ordering::Relaxed);
        spinner.thread().unpark();
        let _ = spinner.join();
        result
    }
}

fn spin(what: String, done: std::sync::Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        // What is over at once needs no sign of life.
        std::thread::park_timeout(Duration::from_millis(300));
        for frame in ["|", "/", "-", "\\"].iter().cycle() {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r{frame} {what} ");
            let _ = err.flush();
            drop(err);
            std::thread::park_timeout(Duration::from_millis(120));
        }
        let _ = write!(io::stderr(), "\r\x1b[K");
    })
}

/// What stands on stderr when a command with --json fails.
#[derive(Serialize, schemars::JsonSchema)]
pub struct ErrorReport {
    pub error: ErrorText,
}

#[derive(Serialize, schemars::JsonSchema)]
pub struct ErrorText {
    pub kind: Kind,
    /// The exit code: docs/tool.md has the table.
    pub exit_code: u8,
    pub message: String,
}

/// Writes a file that is whole or not there. One that exists is replaced only with `force`; a
/// device or a pipe is written to as it is.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32, force: bool) -> Result<()> {
    let failed = |error: &io::Error| Failure::writing(path, error);
    match fs::metadata(path) {
        Ok(status) if !status.is_file() && !status.is_dir() => {
            let mut device = OpenOptions::new().write(true).open(path).map_err(|e| failed(&e))?;
            return device.write_all(bytes).map_err(|e| failed(&e));
        }
        Ok(status) if status.is_dir() => return Err(failed(&Errno::ISDIR.into())),
        Ok(_) if !force => {
            return Err(Failure::new(
                Kind::Output,
                format!("{} exists: name another file, or say --force", path.display()),
            ));
        }
        _ => {}
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".hierarkey-")
        .make_in(directory, |name| {
            OpenOptions::new().write(true).create_new(true).mode(mode).open(name)
        })
        .map_err(|e| failed(&e))?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(|e| failed(&e))?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(|_| ()).map_err(|error| failed(&error.error))
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(visible("pr\u{fc}f \u{2014} \u{2603}"), "pr\u{fc}f \u{2014} \u{2603}");
        assert_eq!(visible("a\x1b[31mb\nc\u{9b}"), "a\\u{1b}[31mb\\nc\\u{9b}");
        assert_eq!(visible("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }
}
