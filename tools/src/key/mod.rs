//! `hierarkey key`.
//!
//! | file | what |
//! |---|---|
//! | `info.rs` | a key as its objects show it |
//! | `generate.rs`, `import.rs` | new ones; `reader.rs` knows the files of others, `pfx.rs` PKCS#12, `cost.rs` what opening them takes |
//! | `list.rs`, `export.rs` | list, show and export |
//! | `change.rs` | rename and delete |
//! | `request.rs` | csr and self-sign; `x509.rs` builds what is signed |
//! | `test.rs` | whether a key works |

pub mod change;
mod cost;
pub mod export;
pub mod generate;
pub mod import;
pub mod info;
pub mod list;
mod pfx;
pub mod reader;
pub mod request;
pub mod test;
pub mod x509;

use clap::Subcommand;
use hierarkey::admin::Admin;

use crate::failure::Result;
use crate::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Make a key in the TPM
    Generate(generate::Arguments),
    /// Put a key from a file into the TPM: PEM, DER, PKCS#8, PKCS#12 or OpenSSH
    Import(import::Arguments),
    /// List the keys
    List(list::Arguments),
    /// Show one key: its use, its public key, its URI
    Show(list::ShowArguments),
    /// Write the public key
    Export(export::Arguments),
    /// Give a key another label
    Rename(change::RenameArguments),
    /// Destroy a key for good
    Delete(change::DeleteArguments),
    /// Write a certificate signing request
    Csr(request::CsrArguments),
    /// Write a certificate that the key itself signs
    SelfSign(request::SelfSignArguments),
    /// Use the key for all it is for, and check the results
    Test(test::Arguments),
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::Generate(arguments) => generate::run(out, admin, &arguments),
        Command::Import(arguments) => import::run(out, admin, &arguments),
        Command::List(arguments) => list::run(out, admin, &arguments),
        Command::Show(arguments) => list::show(out, admin, &arguments),
        Command::Export(arguments) => export::run(out, admin, &arguments),
        Command::Rename(arguments) => change::rename(out, admin, &arguments),
        Command::Delete(arguments) => change::delete(out, admin, &arguments),
        Command::Csr(arguments) => request::csr(out, admin, &arguments),
        Command::SelfSign(arguments) => request::self_sign(out, admin, &arguments),
        Command::Test(arguments) => test::run(out, admin, &arguments),
    }
}
