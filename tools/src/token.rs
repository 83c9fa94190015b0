//! `hierarkey token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::{
    CKF_TOKEN_INITIALIZED, CKR_FUNCTION_FAILED, CKR_PIN_INCORRECT, CKU_SO, CKU_USER,
};
use hierarkey::slot::{blank_padded, slot_of};
use hierarkey::tpm::Auth;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Kind, Result};
use crate::key::change::DeletedReport;
use crate::output::{Output, Report, Style, visible};
use crate::pin::{self, NewPin, OfficerPin, UserPin};
use crate::slot::{Slot, Where};
use crate::token_session::{Session, no_tpm, why_absent};
use crate::turn::Turn;

#[derive(Subcommand)]
pub enum Command {
    /// Make a token in a slot, with its two PINs
    Init(InitArguments),
    /// Change a PIN by the old one
    SetPin(SetPinArguments),
    /// Set the user's PIN by the security officer's: it was forgotten, or never set
    Unblock(UnblockArguments),
    /// Forget a token with all its objects, without a PIN: after TPM2_Clear or a new board
    Remove(RemoveArguments),
}

#[derive(Args)]
pub struct InitArguments {
    #[command(flatten)]
    at: Where,
    /// The token's name, at most 32 bytes
    #[arg(long)]
    label: String,
    #[command(flatten)]
    so_pin: OfficerPin,
    #[command(flatten)]
    pin: UserPin,
    /// File with the hierarchy's authorization value (default: the configuration's, or ask if one
    /// is set)
    #[arg(long, value_name = "FILE")]
    hierarchy_auth_file: Option<PathBuf>,
    /// Replace the token that is there: all its keys are lost for good
    #[arg(long)]
    destroy_keys: bool,
}

#[derive(Args)]
pub struct SetPinArguments {
    #[command(flatten)]
    at: Where,
    /// Change the security officer's PIN, not the user's
    #[arg(long)]
    so: bool,
    #[command(flatten)]
    pin: UserPin,
    #[command(flatten)]
    so_pin: OfficerPin,
    #[command(flatten)]
    new: NewPin,
}

#[derive(Args)]
pub struct UnblockArguments {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    so_pin: OfficerPin,
    #[command(flatten)]
    new: NewPin,
}

#[derive(Args)]
pub struct RemoveArguments {
    /// The hierarchy whose slot it is
    #[arg(long, value_enum)]
    slot: Slot,
    /// Say that its keys are lost for good
    #[arg(long, required = true)]
    destroy_keys: bool,
}

/// What `token init`, `token set-pin` and `token unblock` answer.
#[derive(Serialize, JsonSchema)]
pub struct TokenReport {
    pub label: String,
    /// The PKCS#11 slot.
    pub slot: u64,
    pub serial: String,
    /// What was done: "made", "user-pin-changed" or "so-pin-changed".
    pub done: String,
}

impl Report for TokenReport {
    fn text(&self, _: Style) -> String {
        let label = visible(&self.label);
        match self.done.as_str() {
            "made" => format!("token \"{label}\" is in slot {}\n", self.slot),
            "so-pin-changed" => {
                format!("the security officer's PIN of \"{label}\" is changed\n")
            }
            _ => format!("the user's PIN of \"{label}\" is changed\n"),
        }
    }
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::Init(arguments) => init(out, admin, &arguments),
        Command::SetPin(arguments) => set_pin(out, admin, &arguments),
        Command::Unblock(arguments) => unblock(out, admin, &arguments),
        Command::Remove(arguments) => {
            let hierarchy = arguments.slot.hierarchy();
            let name = hierarchy.name();
            admin.store_readable()?;
            if !admin.remove_token(hierarchy)? {
                return Err(Failure::not_found(format!("there is no token in the {name} slot")));
            }
            let deleted = format!("the token of the {name} slot");
            out.done(&RemovedReport(DeletedReport { deleted, objects: None }))
        }
    }
}

/// As [`DeletedReport`], in the words for a token.
struct RemovedReport(DeletedReport);

impl Serialize for RemovedReport {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Report for RemovedReport {
    fn text(&self, _: Style) -> String {
        format!("{} is removed\n", self.0.deleted)
    }
}

fn report(session: &Session<'_>, done: &str) -> Result<TokenReport> {
    let facts = session.facts()?;
    Ok(TokenReport {
        label: facts.label.clone(),
        slot: slot_of(session.slot.hierarchy()).into(),
        serial: facts.serial.clone(),
        done: done.to_owned(),
    })
}

/// What makes a PIN one that the module takes; asked before anything is done with it.
fn check_length(pin: &[u8]) -> Result<()> {
    if (4..=255).contains(&pin.len()) {
        return Ok(());
    }
    Err(Failure::new(Kind::Pin, "a PIN has 4 to 255 bytes: nothing was changed"))
}

fn init(out: Output, admin: &Admin, arguments: &InitArguments) -> Result<()> {
    let hierarchy = arguments.at.slot.hierarchy();
    let id = slot_of(hierarchy);
    let label = &arguments.label;
    if label.is_empty() || label.len() > 32 || label.chars().any(char::is_control) {
        let why = "a token's label has 1 to 32 bytes (UTF-8) and no control characters";
        return Err(Failure::input(why));
    }
    let wanted = admin.wants_auth(hierarchy).map_err(|error| no_tpm(admin, &error))?;
    admin.store_readable()?;
    let provider = admin.provider();
    let replaces = || {
        let info = provider.token_info(id);
        let there = info.is_ok_and(|info| info.flags & CKF_TOKEN_INITIALIZED != 0);
        if there && !arguments.destroy_keys {
            return Err(Failure::input(
                "the slot has a token already: with --destroy-keys a new one takes its place, and \
                 the old one's security officer PIN is needed for that",
            ));
        }
        Ok(there)
    };
    let there = replaces()?;
    if arguments.hierarchy_auth_file.is_some() || wanted {
        let source = pin::Source {
            what: "hierarchy authorization",
            credential: "hierarkey.hierarchy-auth",
            file: arguments.hierarchy_auth_file.clone(),
            fd: None,
        };
        admin.authorize(hierarchy, Auth::new(&source.read()?));
    }
    let so_pin = arguments.so_pin.source().read_new()?;
    let user_pin = arguments.pin.source().read_new()?;
    check_length(&user_pin)?;
    if !there {
        check_length(&so_pin)?;
    }
    let _turn = Turn::of_a_first_token(admin);
    replaces()?;
    out.working("the TPM makes the token", || {
        provider.init_token(id, &so_pin, blank_padded(label)).map_err(|error| {
            if error.ck_rv() == CKR_PIN_INCORRECT {
                let why = "the security officer PIN is wrong: a new token takes the place of one \
                           only with its PIN";
                return Failure::new(Kind::Pin, why);
            }
            why_absent(admin, error)
        })
    })?;
    let made = || -> Result<TokenReport> {
        let session = Session::open(admin, arguments.at.slot)?;
        session.login(CKU_SO, &so_pin)?;
        session.call(|call| call.init_pin(&user_pin))?;
        report(&session, "made")
    };
    let report = made().inspect_err(|_| {
        // A token without its user's PIN is half of one.
        let _ = admin.remove_token(hierarchy);
    })?;
    out.done(&report)
}

fn set_pin(out: Output, admin: &Admin, arguments: &SetPinArguments) -> Result<()> {
    let other = if arguments.so { arguments.pin.source() } else { arguments.so_pin.source() };
    if other.is_named() {
        return Err(Failure::new(
            Kind::Usage,
            "--so changes the security officer's PIN by --so-pin-file; without it the user's is \
             changed by --pin-file",
        ));
    }
    let session = Session::open(admin, arguments.at.slot)?;
    let (source, who, done) = if arguments.so {
        (arguments.so_pin.source(), CKU_SO, "so-pin-changed")
    } else {
        (arguments.pin.source(), CKU_USER, "user-pin-changed")
    };
    let old = source.read()?;
    let new = arguments.new.source().read_new()?;
    check_length(&new)?;
    if arguments.so {
        session.login(CKU_SO, &old)?;
    }
    session.call(|call| call.set_pin(&old, &new)).map_err(|error| session.about_pin(who, error))?;
    out.done(&report(&session, done)?)
}

fn unblock(out: Output, admin: &Admin, arguments: &UnblockArguments) -> Result<()> {
    let session = Session::open(admin, arguments.at.slot)?;
    let so_pin = arguments.so_pin.source().read()?;
    let new = arguments.new.source().read_new()?;
    check_length(&new)?;
    session.login(CKU_SO, &so_pin)?;
    session.call(|call| call.init_pin(&new)).map_err(|error| match error.ck_rv() {
        CKR_FUNCTION_FAILED => Failure::new(
            Kind::Locked,
            "the TPM refused the security officer's PIN: `hierarkey lockout show` tells more",
        ),
        _ => error.into(),
    })?;
    out.done(&report(&session, "user-pin-changed")?)
}
