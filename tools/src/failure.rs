//! What went wrong, in one line that says what to do, and the exit code that stands for it.

use std::fmt;
use std::io;
use std::path::Path;

use hierarkey::cryptoki::*;
use hierarkey::error::{About, Error};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::visible;

pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command failed; the number is its exit code. [`EXIT_CODES`] says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Kind {
    /// None of the others.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No TPM answers.
    NoTpm = 3,
    /// A PIN or authorization value is wrong or missing.
    Pin = 4,
    /// The TPM accepts no PIN now.
    Locked = 5,
    /// There is no such token or object, or more than one.
    NotFound = 6,
    /// This user may not do that.
    Denied = 7,
    /// A file or an argument cannot be used.
    Input = 8,
    /// The output or the store cannot be written.
    Output = 9,
    /// `doctor` found something that is to be put right.
    Findings = 10,
}

/// The exit codes: number, `kind` in JSON, what it means. The manual and docs/tool.md print this.
pub const EXIT_CODES: &[(u8, &str, &str)] = &[
    (0, "", "it was done"),
    (1, "failed", "it failed for none of the reasons below"),
    (2, "usage", "the command line is wrong, or a question had no terminal to be asked on"),
    (3, "no-tpm", "no TPM answers, or the slot has none"),
    (4, "pin", "a PIN, passphrase or authorization value is wrong or missing"),
    (5, "locked", "the TPM accepts no PIN now, after too many wrong ones"),
    (6, "not-found", "there is no such token, key or object, or more than one of the name"),
    (7, "denied", "this user may not use the TPM, or not read or change the store"),
    (8, "input", "a file, a name or the configuration cannot be used"),
    (
        9,
        "output",
        "the output or the store cannot be written: the disk is full, or the file exists",
    ),
    (10, "findings", "doctor found something that is to be put right"),
];

/// [`EXIT_CODES`] for the manual.
pub fn exit_codes() -> String {
    let lines: String =
        EXIT_CODES.iter().map(|(code, _, what)| format!("  {code:2}  {what}\n")).collect();
    format!("Exit codes:\n{}", lines.trim_end())
}

/// A failure, as it is told.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    /// Nobody reads stdout any more: whoever closed it wants no more words.
    pub reader_gone: bool,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        // One line, whatever a library below put into it.
        let message: String = message.into();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, message: visible(&message), reader_gone: false }
    }

    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// The same about what only its user sees, who may not be logged in.
    pub fn or_not_seen(self, logged_in: bool) -> Self {
        if logged_in || self.kind != Kind::NotFound {
            return self;
        }
        Self::not_found(format!("{self}; what only its user sees is found with --login"))
    }

    /// A file that cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        Self::new(Kind::Input, format!("{}: {}", path.display(), plain(error)))
    }

    /// An answer that nobody takes.
    pub fn stdout(error: &io::Error) -> Self {
        let reader_gone = error.kind() == io::ErrorKind::BrokenPipe;
        Self { reader_gone, ..Self::new(Kind::Output, format!("stdout: {}", plain(error))) }
    }

    /// A file that cannot be written.
    pub fn writing(path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
            _ => Kind::Output,
        };
        Self::new(kind, format!("{}: {}", path.display(), plain(error)))
    }
}

/// The system's words without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the module answered, as an administrator needs it.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let told = error.to_string();
        let about = error.about();
        let (kind, message) = match error.ck_rv() {
            CKR_PIN_INCORRECT => (
                Kind::Pin,
                "the PIN is wrong (`hierarkey lockout show` tells how many tries are left)".into(),
            ),
            CKR_PIN_LOCKED => (
                Kind::Locked,
                "the TPM accepts no PIN now, after too many wrong ones: wait, or `hierarkey \
                 lockout reset`"
                    .into(),
            ),
            CKR_PIN_LEN_RANGE => (Kind::Pin, "a PIN has 4 to 255 bytes".into()),
            CKR_USER_PIN_NOT_INITIALIZED => (
                Kind::Pin,
                "the token has no user PIN yet: set one with `hierarkey token unblock`".into(),
            ),
            CKR_TOKEN_NOT_INITIALIZED => (
                Kind::NotFound,
                "the slot has no token yet: make one with `hierarkey token init`".into(),
            ),
            CKR_TOKEN_NOT_PRESENT | CKR_DEVICE_REMOVED if error.is_denied() => {
                (Kind::Denied, format!("{told}; `hierarkey doctor` says what to change"))
            }
            // Slots that show no token before it is made.
            CKR_TOKEN_NOT_PRESENT if about == Some(About::NoTokenYet) => (
                Kind::NotFound,
                "the slot has no token yet: make one with `hierarkey token init --slot SLOT`"
                    .into(),
            ),
            // The place of the store is at fault, not the TPM.
            CKR_TOKEN_NOT_PRESENT if about == Some(About::Store) => {
                (Kind::Input, format!("{told}; `hierarkey doctor` says what to change"))
            }
            CKR_TOKEN_NOT_PRESENT | CKR_DEVICE_REMOVED => {
                (Kind::NoTpm, format!("{told}; `hierarkey doctor` says what to change"))
            }
            CKR_TOKEN_NOT_RECOGNIZED if about == Some(About::ForeignToken) => (
                Kind::Failed,
                format!(
                    "{told}; if its keys are lost, `hierarkey token remove --slot SLOT \
                     --destroy-keys` makes room"
                ),
            ),
            // A store that is damaged or newer: nothing in it is lost yet.
            CKR_TOKEN_NOT_RECOGNIZED => {
                (Kind::Failed, format!("{told}; `hierarkey doctor` says what to do"))
            }
            CKR_TOKEN_WRITE_PROTECTED => {
                (Kind::Denied, format!("{told}; `hierarkey doctor` says who may change it"))
            }
            CKR_DEVICE_MEMORY if error.tpm_rc().is_none() => (
                Kind::Output,
                format!("{told}: make room on the store's disk; nothing was changed"),
            ),
            CKR_MECHANISM_INVALID | CKR_KEY_SIZE_RANGE | CKR_CURVE_NOT_SUPPORTED => {
                (Kind::Input, format!("this TPM has no such key: {told}"))
            }
            CKR_ATTRIBUTE_VALUE_INVALID
            | CKR_TEMPLATE_INCONSISTENT
            | CKR_TEMPLATE_INCOMPLETE
            | CKR_DOMAIN_PARAMS_INVALID => (Kind::Input, told),
            CKR_DEVICE_ERROR if error.is_denied() => {
                (Kind::Denied, format!("{told}; `hierarkey doctor` says what to change"))
            }
            // Not a refusal of the TPM's: there is no answer, or none that can be believed.
            CKR_DEVICE_ERROR if error.tpm_rc().is_none() && about != Some(About::Store) => {
                (Kind::NoTpm, format!("{told}; `hierarkey doctor` says what to change"))
            }
            _ => (Kind::Failed, told),
        };
        Self::new(kind, message)
    }
}
