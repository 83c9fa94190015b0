//! `hierarkey lockout`: the TPM's dictionary-attack counter.

use std::path::PathBuf;

use clap::Subcommand;
use hierarkey::admin::Admin;
use hierarkey::cryptoki::{CKR_PIN_INCORRECT, CKR_PIN_LOCKED};
use hierarkey::tpm::{Auth, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Kind, Result};
use crate::output::{Output, Report, Style};
use crate::pin;
use crate::token_session::no_tpm;

#[derive(Subcommand)]
pub enum Command {
    /// Show how many tries are left
    Show,
    /// Give all tries back
    Reset {
        /// File with the lockout authorization (default: the configuration's, or ask if one is set)
        #[arg(long, value_name = "FILE")]
        auth_file: Option<PathBuf>,
    },
}

/// TPMA_PERMANENT lockoutAuthSet.
pub const LOCKOUT_AUTH_SET: u32 = 1 << 2;

/// What `lockout show` and `lockout reset` answer; part of what `status` does.
#[derive(Serialize, JsonSchema)]
pub struct LockoutReport {
    /// Wrong PINs that the TPM takes before it locks.
    pub tries_left: u32,
    pub tries: u32,
    /// Seconds until one try is given back.
    pub seconds_per_try: u32,
    /// Whether no PIN is accepted now.
    pub locked: bool,
    /// Whether resetting needs a secret.
    pub authorization_set: bool,
}

impl LockoutReport {
    pub fn of(status: &Status) -> Self {
        Self {
            tries_left: status.max_auth_fail.saturating_sub(status.lockout_counter),
            tries: status.max_auth_fail,
            seconds_per_try: status.lockout_interval,
            locked: status.locked_out(),
            authorization_set: status.permanent & LOCKOUT_AUTH_SET != 0,
        }
    }
}

impl Report for LockoutReport {
    fn text(&self, style: Style) -> String {
        let mut text = format!("tries left: {} of {}\n", self.tries_left, self.tries);
        if self.seconds_per_try > 0 {
            text.push_str(&format!("one is given back every {} s\n", self.seconds_per_try));
        }
        if self.locked {
            text.push_str(&style.bad("locked out: no PIN is accepted now"));
            text.push('\n');
        }
        text
    }
}

/// The report after a reset.
#[derive(Serialize)]
struct Done(LockoutReport);

impl Report for Done {
    fn text(&self, _: Style) -> String {
        "all tries are given back\n".into()
    }
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    let (_, status) = admin.tpm().map_err(|error| no_tpm(admin, &error))?;
    match command {
        Command::Show => out.show(&LockoutReport::of(&status)),
        Command::Reset { auth_file } => {
            let is_set = status.permanent & LOCKOUT_AUTH_SET != 0;
            let source = pin::Source {
                what: "lockout authorization",
                credential: "hierarkey.lockout-auth",
                file: auth_file,
                fd: None,
            };
            // A wrong one is never tried where it can be known to be wrong: after it the TPM takes
            // none for a day.
            let auth = match (is_set, source.is_named()) {
                (false, true) => {
                    return Err(Failure::new(
                        Kind::Pin,
                        "the TPM has no lockout authorization: leave --auth-file out; nothing was \
                         tried",
                    ));
                }
                (false, false) => Some(Auth::new(&[])),
                (true, false) if admin.knows_lockout_auth() => None,
                (true, _) => Some(Auth::new(&source.read()?)),
            };
            admin.reset_lockout(auth).map_err(|error| match error.ck_rv() {
                CKR_PIN_INCORRECT | CKR_PIN_LOCKED => Failure::new(
                    Kind::Pin,
                    "the TPM refuses the lockout authorization: after a wrong one it takes none \
                     until its recovery time has passed, or the machine was restarted",
                ),
                _ => error.into(),
            })?;
            let (_, status) = admin.tpm().map_err(|error| no_tpm(admin, &error))?;
            out.done(&Done(LockoutReport::of(&status)))
        }
    }
}
