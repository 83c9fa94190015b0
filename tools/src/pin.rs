//! PINs come from a file, a descriptor, a systemd credential or a prompt, in this order; never from
//! the command line or the environment.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hierarkey::os::descriptor::inherited;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, Result, plain};
use crate::prompt;

/// No secret is longer; more is the wrong file.
const LIMIT: usize = 1024;

/// Declares the options of one secret: PROMPT, credential, `--…-file` and `--…-fd`.
macro_rules! secret {
    ($name:ident, $what:literal, $credential:literal, $file:literal, $fd:literal) => {
        #[doc = concat!("Where the ", $what, " comes from.")]
        #[derive(Args, Clone, Debug, Default)]
        pub struct $name {
            #[arg(
                long = $file,
                id = $file,
                value_name = "FILE",
                conflicts_with = $fd,
                help = concat!("File with the ", $what, " (default: the systemd credential ",
                               $credential, ", else ask)")
            )]
            file: Option<PathBuf>,
            #[arg(
                long = $fd,
                id = $fd,
                value_name = "NUMBER",
                value_parser = parse_descriptor,
                help = concat!("Open file descriptor to read the ", $what, " from")
            )]
            fd: Option<Descriptor>,
        }

        impl $name {
            pub fn source(&self) -> Source {
                Source {
                    what: $what,
                    credential: $credential,
                    file: self.file.clone(),
                    fd: self.fd.clone(),
                }
            }
        }
    };
}

secret!(UserPin, "user PIN", "hierarkey.pin", "pin-file", "pin-fd");
secret!(OfficerPin, "security officer PIN", "hierarkey.so-pin", "so-pin-file", "so-pin-fd");
secret!(NewPin, "new PIN", "hierarkey.new-pin", "new-pin-file", "new-pin-fd");
secret!(Passphrase, "passphrase", "hierarkey.passphrase", "passphrase-file", "passphrase-fd");

/// A descriptor that the command line names, taken while nothing else is open that could be meant by
/// its number.
#[derive(Clone, Debug)]
pub struct Descriptor {
    number: i32,
    open: Option<Arc<OwnedFd>>,
}

fn parse_descriptor(number: &str) -> std::result::Result<Descriptor, String> {
    let number = number.parse().ok().filter(|number| *number >= 0);
    let number = number.ok_or("a descriptor is a number, like the 3 of 3<FILE")?;
    Ok(Descriptor { number, open: inherited(number).ok().map(Arc::new) })
}

impl Descriptor {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        let name = format!("descriptor {}", self.number);
        let failed = |why: &str| Failure::new(Kind::Pin, format!("{name}: {why}"));
        let open = self.open.as_ref().ok_or_else(|| failed("is not open"))?;
        let copy = open.try_clone().map_err(|error| failed(&plain(&error)))?;
        read_all(copy.into(), &name)
    }
}

/// Where one secret comes from.
pub struct Source {
    pub what: &'static str,
    pub credential: &'static str,
    pub file: Option<PathBuf>,
    pub fd: Option<Descriptor>,
}

impl Source {
    /// Whether the command line says where.
    pub fn is_named(&self) -> bool {
        self.file.is_some() || self.fd.is_some()
    }

    /// The secret.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        match self.without_asking()? {
            Some(secret) => Ok(secret),
            None => self.ask(self.what),
        }
    }

    /// A new secret: typed twice where it is typed.
    pub fn read_new(&self) -> Result<Zeroizing<Vec<u8>>> {
        if let Some(secret) = self.without_asking()? {
            return Ok(secret);
        }
        let first = self.ask(self.what)?;
        if *self.ask(&format!("{} again", self.what))? != *first {
            return Err(Failure::new(Kind::Pin, "the two do not match: nothing was changed"));
        }
        Ok(first)
    }

    fn without_asking(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if let Some(path) = &self.file {
            return read(path).map(Some);
        }
        if let Some(descriptor) = &self.fd {
            return descriptor.read().map(Some);
        }
        // systemd.exec(5), "Credentials": the variable names a directory, not a secret.
        let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
        let path = Path::new(&directory).join(self.credential);
        if path.is_file() { read(&path).map(Some) } else { Ok(None) }
    }

    fn ask(&self, prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
        let what = self.what;
        let failed = |why: String| Err(Failure::new(Kind::Pin, why));
        match prompt::secret(prompt) {
            // One that could only be wrong costs none of the TPM's tries.
            Ok(secret) if secret.is_empty() => {
                failed(format!("no {what} was typed: nothing was done"))
            }
            Ok(secret) if secret.iter().any(u8::is_ascii_control) => failed(format!(
                "a control character is in what was typed as the {what}: nothing was done"
            )),
            Ok(secret) if secret.len() > LIMIT => failed(format!("too long for the {what}")),
            Ok(secret) => Ok(secret),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                failed(format!("no {what} was typed: nothing was done"))
            }
            Err(_) => {
                let option = match self.credential {
                    "hierarkey.passphrase" => "--passphrase-file",
                    "hierarkey.so-pin" => "--so-pin-file",
                    "hierarkey.new-pin" => "--new-pin-file",
                    "hierarkey.pin" => "--pin-file",
                    _ => "an --auth-file option",
                };
                failed(format!(
                    "there is no terminal to ask for the {what}: name a file by {option}"
                ))
            }
        }
    }
}

/// The secret in a file; one newline at its end is not part of it.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|error| Failure::new(Kind::Pin, format!("{name}: {}", plain(&error))))?;
    read_all(file, &name)
}

fn read_all(file: File, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |why: &str| Failure::new(Kind::Pin, format!("{name}: {why}"));
    // One allocation: growing would leave copies of a secret behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    file.take(LIMIT as u64 + 1).read_to_end(&mut secret).map_err(|error| failed(&plain(&error)))?;
    if secret.len() > LIMIT {
        return Err(failed("too long for a secret"));
    }
    if secret.last() == Some(&b'\n') {
        secret.pop();
    }
    if secret.is_empty() {
        return Err(failed("is empty"));
    }
    Ok(secret)
}
