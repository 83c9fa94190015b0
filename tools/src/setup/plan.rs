//! Steps: shown, asked for, done. A step that fails ends the plan; those before it stand, and each
//! plan leaves out what is done already, so that it can be run again.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask;
use crate::failure::{Failure, Kind, Result, plain};
use crate::output::{Output, Report, Style, write_file};

/// How a plan is run.
#[derive(Args, Clone, Debug)]
pub struct Manner {
    /// Do every step without asking
    #[arg(long)]
    pub yes: bool,
    /// Show the steps and do none
    #[arg(long)]
    pub dry_run: bool,
}

/// What one step does.
pub enum Action<'a> {
    /// Runs a program, with this process's terminal.
    Run(Vec<String>),
    /// Writes a file of its own; one with the same contents is left alone.
    Write { path: PathBuf, contents: String },
    /// Adds lines to a file, which is made with `mode` if it is not there.
    Append { path: PathBuf, lines: String, mode: u32 },
    /// Does something with the token; `shown` is the command that would do the same.
    Token { shown: String, work: Box<dyn FnOnce() -> Result<()> + 'a> },
}

/// A step.
pub struct Step<'a> {
    pub why: String,
    pub action: Action<'a>,
}

/// What is to be done, in order.
#[derive(Default)]
pub struct Plan<'a> {
    pub steps: Vec<Step<'a>>,
    /// What is left for the user to do, or to know.
    pub notes: Vec<String>,
}

/// What `setup` answers.
#[derive(Serialize, JsonSchema)]
pub struct SetupReport {
    /// Whether the steps were only shown.
    pub dry_run: bool,
    pub steps: Vec<StepReport>,
    /// What is left for the user to do, or to know.
    pub notes: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct StepReport {
    pub why: String,
    /// A command, or a file and its contents.
    pub what: String,
    pub done: bool,
}

impl Report for SetupReport {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.dry_run {
            for (number, step) in self.steps.iter().enumerate() {
                text.push_str(&show(number, &step.why, &step.what, style));
            }
        }
        if self.steps.is_empty() {
            text.push_str("nothing is left to do\n");
        }
        for note in &self.notes {
            text.push_str(&format!("{} {note}\n", style.bold("note:")));
        }
        text
    }
}

fn show(number: usize, why: &str, what: &str, style: Style) -> String {
    let what: String = what.lines().map(|line| format!("     {line}\n")).collect();
    format!("{} {why}\n{}", style.bold(&format!("{}.", number + 1)), style.dim(&what))
}

impl<'a> Plan<'a> {
    pub fn step(&mut self, why: impl Into<String>, action: Action<'a>) {
        self.steps.push(Step { why: why.into(), action });
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Shows, asks, does.
    pub fn run(self, out: Output, manner: &Manner) -> Result<()> {
        let mut steps = Vec::new();
        for (number, step) in self.steps.into_iter().enumerate() {
            let what = step.action.shown();
            if !manner.dry_run {
                if !out.json {
                    out.bytes(show(number, &step.why, &what, out.stdout_style()).as_bytes())?;
                }
                ask("Do it?", manner.yes)?;
                step.action.perform(out)?;
            }
            steps.push(StepReport { why: step.why, what, done: !manner.dry_run });
        }
        out.show(&SetupReport { dry_run: manner.dry_run, steps, notes: self.notes })
    }
}

impl Action<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Run(command) => {
                command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
            }
            Self::Write { path, contents } => {
                format!("write {}:\n{}", path.display(), indented(contents))
            }
            Self::Append { path, lines, .. } => {
                format!("add to {}:\n{}", path.display(), indented(lines))
            }
            Self::Token { shown, .. } => shown.clone(),
        }
    }

    fn perform(self, out: Output) -> Result<()> {
        match self {
            Self::Run(command) => run(out, &command),
            Self::Write { path, contents } => {
                if fs::read_to_string(&path).is_ok_and(|before| before == contents) {
                    return Ok(());
                }
                write_new(&path, contents.as_bytes())
            }
            Self::Append { path, lines, mode } => append(&path, &lines, mode),
            Self::Token { work, .. } => work(),
        }
    }
}

/// Writes a file that is not there yet: what somebody else has put there stays.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Err(Failure::new(
            Kind::Output,
            format!(
                "{} exists, with other contents: move it away, or name another file",
                path.display()
            ),
        ));
    }
    write_file(path, bytes, 0o644, false)
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// A word as one would type it to a shell.
pub fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./:=,-%+@".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn run(out: Output, command: &[String]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    if out.json {
        // stdout is for the one answer.
        command.stdout(std::io::stderr());
    }
    let status = command.args(arguments).status().map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "it is not installed".to_owned()
        } else {
            plain(&error)
        };
        Failure::new(Kind::Failed, format!("{program}: {why}"))
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failed,
        format!("{program} ended with {status}; run the command again by hand to see why"),
    ))
}

/// Adds lines at the end, whole or not at all: the file is written anew beside itself and renamed.
fn append(path: &PathBuf, lines: &str, mode: u32) -> Result<()> {
    let reading = |error: std::io::Error| Failure::reading(path, &error);
    match fs::read(path) {
        Ok(mut before) => {
            let mode = fs::metadata(path).map_err(reading)?.permissions().mode() & 0o7777;
            if !before.is_empty() && !before.ends_with(b"\n") {
                before.push(b'\n');
            }
            before.extend_from_slice(lines.as_bytes());
            // A link, as into a folder of one's settings, stays one.
            let file = fs::canonicalize(path).map_err(reading)?;
            write_file(&file, &before, mode, true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(path)
                .map_err(|error| Failure::writing(path, &error))?;
            file.write_all(lines.as_bytes()).map_err(|error| {
                let _ = fs::remove_file(path);
                Failure::writing(path, &error)
            })
        }
        Err(error) => Err(reading(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_reads_them() {
        assert_eq!(quoted("pkcs11:token=a%20b"), "pkcs11:token=a%20b");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's;x"), "'it'\\''s;x'");
        assert_eq!(quoted(""), "''");
    }
}
