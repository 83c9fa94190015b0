//! `hierarkey setup nss`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::module;
use super::plan::{Action, Manner, Plan};
use crate::failure::{Failure, Result};
use crate::output::Output;

#[derive(Args)]
pub struct Arguments {
    /// The folder of the database (default: ~/.pki/nssdb)
    directory: Option<PathBuf>,
    /// The module (default: the one that is installed)
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
}

pub fn run(out: Output, arguments: &Arguments) -> Result<()> {
    let module = module::find(arguments.module.as_deref())?.display().to_string();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pki/nssdb"));
    let directory = arguments
        .directory
        .clone()
        .or(home)
        .ok_or_else(|| Failure::input("there is no home: name the database's folder"))?;
    if directory.exists() && !directory.is_dir() {
        return Err(Failure::input(format!("{}: is not a directory", directory.display())));
    }
    let database = format!("sql:{}", directory.display());
    let words = |words: &[&str]| Action::Run(words.iter().map(ToString::to_string).collect());
    let mut plan = Plan::default();
    if !directory.is_dir() {
        plan.step(
            "Make the database's folder",
            words(&["mkdir", "-p", "-m", "0700", &directory.display().to_string()]),
        );
    }
    if !directory.join("cert9.db").exists() {
        plan.step(
            "Make an empty database",
            words(&["certutil", "-N", "-d", &database, "--empty-password"]),
        );
    }
    let known = std::fs::read_to_string(directory.join("pkcs11.txt")).unwrap_or_default();
    if !known.lines().any(|line| line == format!("library={module}")) {
        plan.step(
            "Tell NSS of the module",
            words(&[
                "modutil",
                "-dbdir",
                &database,
                "-add",
                "Hierarkey",
                "-libfile",
                &module,
                "-force",
            ]),
        );
    }
    plan.note("programs that have the database open find the token after their next start");
    plan.run(out, &arguments.manner)
}
