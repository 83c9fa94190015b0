//! `hierarkey lockout`: the TPM's dictionary-attack counter.

use std::path::PathBuf;

use clap::Subcommand;
use hierarkey::admin::Admin;
use hierarkey::tpm::Auth;

use crate::pin;

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
const LOCKOUT_AUTH_SET: u32 = 1 << 2;

pub fn run(admin: &Admin, command: Command) -> Result<(), String> {
    let (_, status) = admin.tpm().map_err(|error| error.to_string())?;
    match command {
        Command::Show => {
            let left = status.max_auth_fail.saturating_sub(status.lockout_counter);
            println!("tries left: {left} of {}", status.max_auth_fail);
            println!("one is given back every {} s", status.lockout_interval);
            if status.locked_out() {
                println!("locked out: no PIN is accepted now");
            }
            Ok(())
        }
        Command::Reset { auth_file } => {
            let ask = status.permanent & LOCKOUT_AUTH_SET != 0 && !admin.knows_lockout_auth();
            let auth = match auth_file {
                None if !ask => None,
                file => Some(Auth::new(&pin::read("lockout authorization", file.as_deref())?)),
            };
            admin.reset_lockout(auth).map_err(|error| error.to_string())?;
            println!("all tries are given back");
            Ok(())
        }
    }
}
