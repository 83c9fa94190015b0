//! `hierarkey generate`: man pages, completions and the description of --json, each written from
//! what the program itself goes by.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command as Clap, CommandFactory, Subcommand};
use clap_complete::{Shell, generate_to};

use crate::failure::{Failure, Result};
use crate::{Arguments, schema};

#[derive(Subcommand)]
pub enum Command {
    /// Write the manual: hierarkey.1 and a page for each subcommand
    Man {
        /// The directory that gets them; it is made if it is not there
        directory: PathBuf,
    },
    /// Write the completions: hierarkey.bash, _hierarkey (zsh) and hierarkey.fish
    Completions {
        /// The directory that gets them; it is made if it is not there
        directory: PathBuf,
    },
    /// Write the description of --json: tool.schema.json
    Schema {
        /// The directory that gets it; it is made if it is not there
        directory: PathBuf,
    },
}

pub fn run(command: Command) -> Result<()> {
    let (Command::Man { directory }
    | Command::Completions { directory }
    | Command::Schema { directory }) = &command;
    let failed = |error: std::io::Error| Failure::writing(directory, &error);
    fs::create_dir_all(directory).map_err(failed)?;
    match &command {
        Command::Man { .. } => man(Arguments::command(), directory).map_err(failed),
        Command::Completions { .. } => {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                generate_to(shell, &mut Arguments::command(), "hierarkey", directory)
                    .map_err(failed)?;
            }
            Ok(())
        }
        Command::Schema { .. } => {
            fs::write(directory.join("tool.schema.json"), schema::text()).map_err(failed)
        }
    }
}

/// hierarkey.1, hierarkey-key.1, hierarkey-key-generate.1 and so on.
fn man(command: Clap, directory: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}
