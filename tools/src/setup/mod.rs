//! `hierarkey setup`: other programs put to work with a token. Each step is shown, asked for and
//! done; --dry-run only shows.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | steps: shown, asked, done |
//! | `module.rs` | where the module is, and whether p11-kit knows it |
//! | `keys.rs` | the key and certificate that a program needs |
//! | the others | one program each |

mod disk;
mod keys;
pub mod module;
mod nss;
mod openvpn;
mod plan;
mod ssh;
mod strongswan;

use std::io::{BufRead, IsTerminal, Write};

use clap::Subcommand;
use hierarkey::admin::Admin;

use crate::failure::{Failure, Kind, Result};
use crate::output::Output;

pub use plan::{SetupReport, StepReport};

#[derive(Subcommand)]
pub enum Command {
    /// Enrol a LUKS2 volume, so that the token's key opens it
    Disk(disk::Arguments),
    /// A key for OpenVPN, and the lines for its configuration
    Openvpn(openvpn::Arguments),
    /// A key for strongSwan, and the files for its configuration
    Strongswan(strongswan::Arguments),
    /// A key for ssh, and the lines for its configuration
    Ssh(ssh::Arguments),
    /// The module in an NSS database: Firefox, Thunderbird, curl with NSS
    Nss(nss::Arguments),
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::Disk(arguments) => disk::run(out, admin, &arguments),
        Command::Openvpn(arguments) => openvpn::run(out, admin, &arguments),
        Command::Strongswan(arguments) => strongswan::run(out, admin, &arguments),
        Command::Ssh(arguments) => ssh::run(out, admin, &arguments),
        Command::Nss(arguments) => nss::run(out, &arguments),
    }
}

/// Goes on only if the user wants to: said by --yes, or asked on a terminal.
pub fn ask(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::new(
            Kind::Usage,
            format!("{question} There is no terminal to ask on: say --yes; nothing was done"),
        ));
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = stdin.read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, "not wanted: it was not done"))
}
