//! `hierarkey token`.

use std::path::PathBuf;

use clap::Subcommand;
use hierarkey::admin::Admin;
use hierarkey::cryptoki::{CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR_PIN_INCORRECT, CKU_SO};
use hierarkey::provider::{blank_padded, with_session};
use hierarkey::slot::slot_of;
use hierarkey::tpm::Auth;

use crate::{Slot, pin};

#[derive(Subcommand)]
pub enum Command {
    /// Make a token in a slot, with its two PINs; a token that is there is destroyed with its keys
    Init {
        /// The hierarchy whose slot it is
        #[arg(long, value_enum, default_value = "owner")]
        slot: Slot,
        /// The token's name, at most 32 bytes
        #[arg(long)]
        label: String,
        /// File with the security officer's PIN (default: ask)
        #[arg(long, value_name = "FILE")]
        so_pin_file: Option<PathBuf>,
        /// File with the user's PIN (default: ask)
        #[arg(long, value_name = "FILE")]
        pin_file: Option<PathBuf>,
        /// File with the hierarchy's authorization value (default: the configuration's, or ask if
        /// one is set)
        #[arg(long, value_name = "FILE")]
        hierarchy_auth_file: Option<PathBuf>,
    },
    /// Forget a token with all its objects, without a PIN: after TPM2_Clear or a new board
    Remove {
        /// The hierarchy whose slot it is
        #[arg(long, value_enum)]
        slot: Slot,
        /// Say that its keys are lost for good
        #[arg(long, required = true)]
        destroy_keys: bool,
    },
}

pub fn run(admin: &Admin, command: Command) -> Result<(), String> {
    match command {
        Command::Init { slot, label, so_pin_file, pin_file, hierarchy_auth_file } => {
            let hierarchy = slot.hierarchy();
            let id = slot_of(hierarchy);
            if label.len() > 32 {
                return Err("a label has at most 32 bytes".into());
            }
            let wanted = admin.wants_auth(hierarchy).map_err(|error| error.to_string())?;
            if hierarchy_auth_file.is_some() || wanted {
                let what = format!("{} hierarchy authorization", hierarchy.name());
                let value = pin::read(&what, hierarchy_auth_file.as_deref())?;
                admin.authorize(hierarchy, Auth::new(&value));
            }
            let so_pin = pin::read_new("security officer PIN", so_pin_file.as_deref())?;
            let user_pin = pin::read_new("user PIN", pin_file.as_deref())?;
            let provider = admin.provider();
            provider.init_token(id, &so_pin, blank_padded(&label)).map_err(|error| {
                if error.ck_rv() == CKR_PIN_INCORRECT {
                    return "wrong security officer PIN, or a new one outside 4 to 255 bytes"
                        .to_string();
                }
                error.to_string()
            })?;
            let session = provider
                .open_session(id, CKF_SERIAL_SESSION | CKF_RW_SESSION)
                .map_err(|e| e.to_string())?;
            with_session(session, |call| call.login(CKU_SO, &so_pin))
                .and_then(|()| with_session(session, |call| call.init_pin(&user_pin)))
                .and_then(|()| provider.close_session(session))
                .map_err(|error| format!("the token is there, its user PIN is not: {error}"))?;
            println!("token \"{label}\" is in slot {id}");
            Ok(())
        }
        Command::Remove { slot, destroy_keys: _ } => {
            let hierarchy = slot.hierarchy();
            if admin.remove_token(hierarchy).map_err(|error| error.to_string())? {
                println!("the token of the {} slot is removed", hierarchy.name());
                return Ok(());
            }
            Err(format!("there is no token in the {} slot", hierarchy.name()))
        }
    }
}
