//! `hierarkey setup disk`: a LUKS2 volume that systemd opens with the token's key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;

use super::keys::{self, KeyWanted};
use super::module::p11_kit_files;
use super::plan::{Action, Manner, Plan};
use crate::disk::header::Volume;
use crate::failure::{Failure, Result};
use crate::key::generate::{KeyType, Use};
use crate::key::info;
use crate::output::Output;
use crate::slot::AsUser;
use crate::token_session::Session;
use crate::uri;

#[derive(Args)]
pub struct Arguments {
    /// The LUKS2 volume
    device: PathBuf,
    /// The key's name on the token; it is made if it is not there
    #[arg(long, default_value = "disk")]
    label: String,
    /// What key to make: systemd before 256 takes RSA alone
    #[arg(long = "type", value_enum, default_value = "rsa-2048")]
    kind: DiskKey,
    /// The volume's name in /dev/mapper (default: luks-UUID)
    #[arg(long)]
    name: Option<String>,
    /// The table of volumes
    #[arg(long, default_value = "/etc/crypttab", value_name = "FILE")]
    crypttab: PathBuf,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiskKey {
    #[value(name = "rsa-2048")]
    Rsa2048,
    EcP256,
}

impl DiskKey {
    fn wanted(self, label: &str) -> KeyWanted<'_> {
        match self {
            Self::Rsa2048 => KeyWanted {
                label,
                kind: KeyType::Rsa2048,
                kind_name: "rsa-2048",
                // It signs its own certificate, no more.
                uses: &[Use::Decrypt, Use::Sign],
            },
            Self::EcP256 => KeyWanted {
                label,
                kind: KeyType::EcP256,
                kind_name: "ec-p256",
                uses: &[Use::Derive],
            },
        }
    }
}

/// Keys besides `label` that systemd would find as good: it takes a token only if there is one.
fn rivals(session: &Session<'_>, label: &str) -> Result<Vec<String>> {
    let mut rivals = Vec::new();
    for key in info::all(session)? {
        let Some(public) = key.public else { continue };
        if key.label != label && session.is_set(public, CKA_ENCRYPT)? {
            rivals.push(key.label);
        }
    }
    Ok(rivals)
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let Volume { uuid, enrolled } = Volume::read(&arguments.device)?;
    let session = keys::look(admin, &arguments.who)?;
    let facts = session.facts()?;
    let rivals = rivals(&session, &arguments.label)?;
    if !rivals.is_empty() {
        return Err(Failure::input(format!(
            "the token has other keys that decrypt ({}), and systemd takes a token with one alone: \
             use another slot's token for disks, or --label {}",
            rivals.join(", "),
            rivals[0]
        )));
    }
    let mut plan = Plan::default();
    let key = keys::existing(&session, &arguments.label)?;
    if key.is_none() {
        let wanted = arguments.kind.wanted(&arguments.label);
        keys::generate(&mut plan, out, admin, &arguments.who, wanted);
    }
    let is_rsa = match &key {
        Some(key) => key.info(&session)?.kind.starts_with("rsa-"),
        None => arguments.kind == DiskKey::Rsa2048,
    };
    if is_rsa && key.as_ref().is_none_or(|key| key.certificates.is_empty()) {
        let why = "Give it a certificate: systemd before 256 looks for one";
        let subject = format!("CN={}", arguments.label.replace(['=', ',', '+', '"', '\\'], "_"));
        keys::self_sign(&mut plan, why, admin, &arguments.who, &arguments.label, subject);
    }
    let device = arguments.device.display().to_string();
    // A key that is made anew opens nothing that the old one was enrolled for.
    let uri = uri::of_token(facts);
    if key.is_none() || !enrolled.iter().any(|one| one.uri == uri) {
        plan.step(
            "Enrol the token's key in the volume: it asks for the volume's passphrase and the \
             token's PIN",
            Action::Run(vec![
                "systemd-cryptenroll".into(),
                format!("--pkcs11-token-uri={uri}"),
                device,
            ]),
        );
    }
    let name = arguments.name.clone().unwrap_or_else(|| format!("luks-{uuid}"));
    add_crypttab(&mut plan, &arguments.crypttab, &name, &uuid)?;
    if p11_kit_files().is_empty() {
        plan.note(
            "p11-kit does not know the module, so systemd does not find it: install the package, \
             or put dist/p11-kit/hierarkey.module into /etc/pkcs11/modules",
        );
    }
    plan.note(
        "a volume that the machine itself boots from is opened before the root file system is \
         there: make the initramfs anew (dracut -f; with update-initramfs -u the crypttab needs \
         the option keyscript=decrypt_hierarkey in place of pkcs11-uri=auto)",
    );
    if Command::new("systemd-cryptenroll").arg("--version").output().is_err() {
        plan.note("systemd-cryptenroll is not installed: it is part of systemd");
    }
    drop(session);
    plan.run(out, &arguments.manner)
}

fn add_crypttab(plan: &mut Plan<'_>, crypttab: &Path, name: &str, uuid: &str) -> Result<()> {
    let before = match fs::read_to_string(crypttab) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::reading(crypttab, &error)),
    };
    let lines = before.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    for line in lines {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [volume, source, ..] = fields.as_slice() else { continue };
        if *source == format!("UUID={uuid}") || *volume == name {
            if !line.contains("pkcs11-uri=") {
                plan.note(format!(
                    "{} has a line for this volume: add pkcs11-uri=auto to its options",
                    crypttab.display()
                ));
            }
            return Ok(());
        }
    }
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains('/') {
        return Err(Failure::input("a volume's name has no blanks and no slashes"));
    }
    plan.step(
        "Have the volume opened at boot",
        Action::Append {
            path: crypttab.to_owned(),
            lines: format!("{name} UUID={uuid} none pkcs11-uri=auto\n"),
            mode: 0o644,
        },
    );
    Ok(())
}
