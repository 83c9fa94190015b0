//! `hierarkey`: the administrator's tool.

mod generate;
mod lockout;
mod pin;
mod status;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use hierarkey::admin::Admin;
use hierarkey::tpm::Hierarchy;

/// Looks after the tokens that the Hierarkey PKCS#11 module keeps under this machine's TPM.
#[derive(Parser)]
#[command(name = "hierarkey", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the TPM, its hierarchies and their tokens
    Status,
    /// Make or remove a token
    #[command(subcommand)]
    Token(token::Command),
    /// The TPM's count of wrong PINs
    #[command(subcommand)]
    Lockout(lockout::Command),
    /// Write the manual or the shells' completions
    #[command(subcommand)]
    Generate(generate::Command),
}

/// A slot by the name of its hierarchy.
#[derive(Clone, Copy, ValueEnum)]
enum Slot {
    Owner,
    Endorsement,
    Platform,
    Null,
}

impl Slot {
    fn hierarchy(self) -> Hierarchy {
        match self {
            Self::Owner => Hierarchy::Owner,
            Self::Endorsement => Hierarchy::Endorsement,
            Self::Platform => Hierarchy::Platform,
            Self::Null => Hierarchy::Null,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("hierarkey: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    if let Command::Generate(command) = command {
        return generate::run(command);
    }
    let admin = Admin::open().map_err(|error| error.to_string())?;
    match command {
        Command::Status => status::show(&admin),
        Command::Token(command) => token::run(&admin, command),
        Command::Lockout(command) => lockout::run(&admin, command),
        Command::Generate(_) => Ok(()),
    }
}
