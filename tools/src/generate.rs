//! `hierarkey generate`: man pages and completions, written from the very table that the command
//! line is read by.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command as Clap, CommandFactory, Subcommand};
use clap_complete::{Shell, generate_to};

use crate::Arguments;

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
}

pub fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Man { directory } => {
            make(&directory)?;
            man(Arguments::command(), &directory)
        }
        Command::Completions { directory } => {
            make(&directory)?;
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                generate_to(shell, &mut Arguments::command(), "hierarkey", &directory)
                    .map_err(|error| format!("{}: {error}", directory.display()))?;
            }
            Ok(())
        }
    }
}

fn make(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// hierarkey.1, hierarkey-key.1, hierarkey-key-generate.1 and so on.
fn man(command: Clap, directory: &Path) -> Result<(), String> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
        .map_err(|error| format!("{}: {error}", directory.display()))
}
