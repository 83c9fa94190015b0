//! `hierarkey random`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hierarkey::admin::Admin;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::{Output, Report, Style, write_file};
use crate::slot::Where;
use crate::token_session::Session;

#[derive(Args)]
pub struct Arguments {
    /// How many bytes, 1 to 1048576
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    count: u32,
    /// How they are written
    #[arg(long, value_enum, default_value = "hex")]
    format: Format,
    /// The file that gets them (default: stdout)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Hex,
    Raw,
}

/// What `random` answers.
#[derive(Serialize, JsonSchema)]
pub struct RandomReport {
    /// The bytes in hexadecimal; null where they went to a file.
    pub random: Option<String>,
    /// The file they went to.
    pub file: Option<String>,
}

impl Report for RandomReport {
    fn text(&self, _: Style) -> String {
        match (&self.random, &self.file) {
            (Some(random), _) => format!("{random}\n"),
            (None, Some(file)) => format!("written to {file}\n"),
            (None, None) => String::new(),
        }
    }
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let session = Session::open_any(admin, arguments.at.slot)?;
    let count = usize::try_from(arguments.count).map_err(|_| Failure::input("too many bytes"))?;
    let bytes = out.working("the TPM makes random bytes", || session.random(count))?;
    let digits = hex::encode(&bytes);
    if let Some(path) = &arguments.out {
        match arguments.format {
            Format::Raw => write_file(path, &bytes, 0o600, arguments.force)?,
            Format::Hex => {
                write_file(path, format!("{digits}\n").as_bytes(), 0o600, arguments.force)?;
            }
        }
        let file = Some(path.display().to_string());
        return out.show(&RandomReport { random: None, file });
    }
    match arguments.format {
        Format::Raw if !out.json => out.bytes(&bytes),
        _ => out.show(&RandomReport { random: Some(digits), file: None }),
    }
}
