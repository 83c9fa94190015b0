//! `hierarkey`: the administrator's tool.
//!
//! | file | what |
//! |---|---|
//! | `failure.rs`, `output.rs`, `stdout.rs` | exit codes; text, JSON and files |
//! | `pin.rs`, `prompt.rs` | where secrets come from |
//! | `token_session.rs`, `slot.rs`, `turn.rs` | PKCS#11's calls on one token, one tool at a time |
//! | `name.rs`, `uri.rs` | how people and programs name an object |
//! | `key/`, `cert.rs`, `object.rs` | what is on a token |
//! | `token.rs`, `lockout.rs`, `random.rs` | the token itself and its TPM |
//! | `status.rs`, `doctor/` | how it all fares |
//! | `setup/`, `demo.rs` | other programs put to work with it |
//! | `disk/` | a volume's passphrase, where there is no systemd |
//! | `generate.rs`, `schema.rs`, `docs.rs` | manual, completions, the description of --json |

// Where a CK_ULONG is narrower than the u64 of a report these conversions are needed.
#![allow(clippy::useless_conversion)]

mod cert;
mod demo;
mod disk;
#[cfg(test)]
mod docs;
mod doctor;
mod failure;
mod generate;
mod key;
mod lockout;
mod name;
mod object;
mod output;
mod pin;
mod prompt;
mod random;
mod schema;
mod setup;
mod slot;
mod status;
mod stdout;
mod token;
mod token_session;
mod turn;
mod uri;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hierarkey::admin::Admin;

use crate::failure::{Failure, Kind, Result};
use crate::output::{Colour, Output};

/// Looks after the tokens that the Hierarkey PKCS#11 module keeps under this machine's TPM.
#[derive(Parser)]
#[command(
    name = "hierarkey",
    version,
    arg_required_else_help = true,
    after_help = failure::exit_codes()
)]
struct Arguments {
    /// Answer in JSON, one object on stdout; a failure is one on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Colours in text
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Colour,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the TPM, its hierarchies and their tokens
    Status,
    /// Look for what is wrong, and say how to put it right
    Doctor(doctor::Arguments),
    /// Make a token, change its PINs, or remove it
    #[command(subcommand)]
    Token(token::Command),
    /// Keys in the TPM
    #[command(subcommand)]
    Key(key::Command),
    /// Certificates on a token
    #[command(subcommand)]
    Cert(cert::Command),
    /// Every object on a token, and data objects
    #[command(subcommand)]
    Object(object::Command),
    /// Random bytes from the TPM
    Random(random::Arguments),
    /// The TPM's count of wrong PINs
    #[command(subcommand)]
    Lockout(lockout::Command),
    /// Print the pkcs11: URI that a program wants
    Uri(uri::Arguments),
    /// LUKS2 volumes that systemd-cryptenroll enrolled, where no systemd opens them
    #[command(subcommand)]
    Disk(disk::Command),
    /// Put a program to work with a token: each step is shown before it is done
    #[command(subcommand)]
    Setup(setup::Command),
    /// A token, keys and checked signatures in a TPM emulator of its own; nothing of it stays
    Demo,
    /// Write the manual, the shells' completions or the description of --json
    #[command(subcommand)]
    Generate(generate::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let out = Output { json: arguments.json, colour: arguments.color };
    match run(out, arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(out, &failure),
    }
}

/// The one line of a failure, and its exit code.
fn fail(out: Output, failure: &Failure) -> ExitCode {
    if failure.reader_gone {
        stdout::end_by_sigpipe();
    }
    out.fail(failure);
    ExitCode::from(failure.kind as u8)
}

/// A command line that is none, in one line; help and version are no failure.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let json = std::env::args_os().any(|word| word == "--json");
    let out = Output { json, colour: Colour::Auto };
    let text = error.to_string();
    let what = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return match error.print().and_then(|()| std::io::stdout().flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failed) => fail(out, &Failure::stdout(&failed)),
            };
        }
        // Half a command is answered with what may follow, where a person reads it.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !json => {
            let _ = error.print();
            return ExitCode::from(Kind::Usage as u8);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a subcommand is missing",
        _ => text.split("\n\n").next().unwrap_or_default(),
    };
    let what = what.strip_prefix("error: ").unwrap_or(what);
    fail(out, &Failure::new(Kind::Usage, format!("{what} (--help tells more)")))
}

fn run(out: Output, command: Command) -> Result<()> {
    // What needs no TPM, no store and no configuration.
    let command = match command {
        Command::Generate(command) => return generate::run(command),
        Command::Demo => return demo::run(out),
        command => command,
    };
    // Two commands show a mistake in the configuration beside the rest; to all others it is why no
    // slot has a token.
    if !matches!(command, Command::Status | Command::Doctor(_)) {
        doctor::must_be_configured()?;
    }
    let admin = Admin::open()?;
    match command {
        Command::Status => status::run(out, &admin),
        Command::Doctor(arguments) => doctor::run(out, &admin, arguments),
        Command::Token(command) => token::run(out, &admin, command),
        Command::Key(command) => key::run(out, &admin, command),
        Command::Cert(command) => cert::run(out, &admin, command),
        Command::Object(command) => object::run(out, &admin, command),
        Command::Random(arguments) => random::run(out, &admin, &arguments),
        Command::Lockout(command) => lockout::run(out, &admin, command),
        Command::Uri(arguments) => uri::run(out, &admin, &arguments),
        Command::Disk(command) => disk::run(out, &admin, command),
        Command::Setup(command) => setup::run(out, &admin, command),
        Command::Generate(_) | Command::Demo => Ok(()),
    }
}
