//! The built tool on a TPM and a store of its own.

#![allow(dead_code, reason = "each test program uses a part")]

mod schema;
#[path = "../../../tests/common/swtpm.rs"]
mod swtpm;
pub mod table;

use std::borrow::BorrowMut;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
pub use swtpm::Swtpm;
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hierarkey");

/// Secrets that must never be seen in what the tool says.
pub const SECRETS: [&str; 3] = ["user-pin-1", "officer-pin-1", "wrong-pin-1"];

/// A TPM, a store, and a folder of files.
pub struct Rig {
    pub tpm: Swtpm,
    pub folder: TempDir,
}

/// What a run came to.
pub struct Outcome {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Rig {
    pub fn new() -> Self {
        let tpm = Swtpm::start();
        tpm.set_lockout(1000, 3600);
        let folder = TempDir::new().unwrap();
        let rig = Self { tpm, folder };
        for (name, contents) in [
            ("none.toml", ""),
            ("pin", "user-pin-1\n"),
            ("so", "officer-pin-1\n"),
            ("wrong", "wrong-pin-1\n"),
            ("pass", "hello"),
            ("rubbish", "this is nothing\n"),
            ("empty", ""),
        ] {
            rig.write(name, contents);
        }
        fs::write(rig.path("long"), vec![b'x'; 5000]).unwrap();
        rig
    }

    /// The same with a token in the owner slot.
    pub fn with_token() -> Self {
        let rig = Self::new();
        rig.ok(&table::init("owner", "test token", "so", "pin"));
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: &str) {
        fs::write(self.path(name), contents).unwrap();
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// What the store's file holds, to tell whether anything changed.
    pub fn stored(&self) -> Option<Vec<u8>> {
        fs::read(self.store().join("hierarkey.sqlite3")).ok()
    }

    /// The tool, set up and not yet started.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("HIERARKEY_TCTI", self.tpm.tcti())
            .env("HIERARKEY_STORE", self.store())
            .env("HIERARKEY_CONF", self.path("none.toml"))
            .env("HOME", self.folder.path())
            .env_remove("HIERARKEY_LOG")
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(Stdio::null());
        command
    }

    /// Runs the tool without a terminal.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        // A session of its own has no terminal, whatever the test was started from.
        let mut command = self.command("setsid");
        command.arg("--wait").arg(PROGRAM).args(arguments);
        finish(command)
    }

    /// Runs it and wants success.
    pub fn ok(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{arguments:?}: {}{}", outcome.text(), outcome.stderr);
        outcome
    }

    /// Runs it with --json, and wants an answer as the schema has it for the command.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[&["--json"], arguments].concat());
        assert_eq!(outcome.code, 0, "{arguments:?}: {}{}", outcome.text(), outcome.stderr);
        assert_eq!(outcome.stderr, "", "{arguments:?}");
        described(arguments, &outcome.stdout)
    }

    /// Runs it and wants exit code `code` with one line that says why, and nothing else.
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let outcome = self.run(arguments);
        judge_refusal(arguments, &outcome, code)
    }

    /// Runs openssl and wants success.
    pub fn openssl(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command("openssl");
        command.args(arguments);
        let outcome = finish(command);
        assert_eq!(outcome.code, 0, "openssl {arguments:?}: {}", outcome.stderr);
        outcome
    }
}

/// What a refusal must be: the code, one line on stderr, nothing on stdout, no secret, no panic.
pub fn judge_refusal(arguments: &[&str], outcome: &Outcome, code: i32) -> String {
    let said = format!("{arguments:?}: code {}: {}", outcome.code, outcome.stderr);
    assert_eq!(outcome.code, code, "{said}");
    assert_eq!(outcome.text(), "", "{said}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{said}");
    assert!(outcome.stderr.starts_with("hierarkey: "), "{said}");
    for secret in SECRETS {
        assert!(!outcome.stderr.contains(secret), "{said}");
    }
    outcome.stderr.clone()
}

/// A JSON answer, judged by the schema.
pub fn described(arguments: &[&str], stdout: &[u8]) -> Value {
    let answer: Value = serde_json::from_slice(stdout).expect("one JSON document");
    let name = command_name(arguments);
    let wrong = schema::check(&name, &answer);
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{answer:#}");
    answer
}

/// "key list" of a command line.
fn command_name(arguments: &[&str]) -> String {
    match arguments {
        [
            family @ ("token" | "key" | "cert" | "object" | "lockout" | "disk" | "setup"),
            what,
            ..,
        ] => {
            format!("{family} {what}")
        }
        [one, ..] => (*one).to_owned(),
        [] => String::new(),
    }
}

pub fn finish(mut command: impl BorrowMut<Command>) -> Outcome {
    let done = command.borrow_mut().output().expect("the program starts");
    Outcome {
        code: done.status.code().unwrap_or(-1),
        stdout: done.stdout,
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// The module of the same build: beside the test program. (The copy beside the tool can be stale.)
pub fn module() -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name("libhierarkey.so");
    assert!(path.is_file(), "no module at {}", path.display());
    path
}

/// Lets everybody into a folder, and through to it.
pub fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
