//! `hierarkey setup ssh`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use hierarkey::admin::Admin;

use super::keys::{self, KeyWanted};
use super::module;
use super::plan::{Action, Manner, Plan, quoted};
use crate::failure::{Failure, Result};
use crate::key::generate::{KeyType, Use};
use crate::output::Output;
use crate::slot::AsUser;

#[derive(Args)]
pub struct Arguments {
    /// The key's name on the token; it is made if it is not there
    #[arg(long, default_value = "ssh")]
    label: String,
    /// The hosts it is for, as ssh_config(5) names them
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    host: String,
    /// ssh's configuration (default: ~/.ssh/config)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The module (default: the one that is installed)
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    who: AsUser,
}

/// Whether a folder is to be made; the one a bare name stands in is "".
fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && !folder.exists()
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let module = module::find(arguments.module.as_deref())?;
    let config = match (&arguments.config, std::env::var_os("HOME")) {
        (Some(path), _) => path.clone(),
        (None, Some(home)) => PathBuf::from(home).join(".ssh/config"),
        (None, None) => {
            return Err(Failure::input("there is no home: name ssh's configuration by --config"));
        }
    };
    if arguments.host.contains(['\n', '\r']) {
        return Err(Failure::input("a host's pattern has no line breaks"));
    }
    let session = keys::look(admin, &arguments.who)?;
    let mut plan = Plan::default();
    if keys::existing(&session, &arguments.label)?.is_none() {
        let wanted = KeyWanted {
            label: &arguments.label,
            kind: KeyType::EcP256,
            kind_name: "ec-p256",
            uses: &[Use::Sign],
        };
        keys::generate(&mut plan, out, admin, &arguments.who, wanted);
    }
    let line = format!("PKCS11Provider {}", module.display());
    let before = fs::read_to_string(&config).unwrap_or_default();
    if !before.lines().any(|one| one.trim() == line) {
        if let Some(folder) = config.parent().filter(|folder| is_missing(folder)) {
            plan.step(
                "Make ssh's folder",
                Action::Run(
                    ["mkdir", "-m", "0700", &folder.display().to_string()].map(String::from).into(),
                ),
            );
        }
        plan.step(
            "Tell ssh of the module",
            Action::Append {
                path: config,
                lines: format!("Host {}\n  {line}\n", arguments.host),
                mode: 0o600,
            },
        );
    }
    plan.note(format!(
        "the public key, for the servers' authorized_keys: ssh-keygen -D {}",
        quoted(&module.display().to_string())
    ));
    drop(session);
    plan.run(out, &arguments.manner)
}
