//! `hierarkey cert`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use der::{Decode, Encode};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use hierarkey::object::template::RawAttribute;
use schemars::JsonSchema;
use serde::Serialize;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use x509_cert::Certificate;
use zeroize::Zeroizing;

use crate::failure::{Failure, Result, plain};
use crate::key::reader;
use crate::key::request::{FileArguments, deliver};
use crate::name::{self, Id, Name};
use crate::output::{Output, Report, Style, visible};
use crate::slot::{AsUser, Where};
use crate::token_session::{Handle, Session, bytes, flag, ulong};

#[derive(Subcommand)]
pub enum Command {
    /// Put certificates on the token; each gets the id of its key, if that is there
    Import(ImportArguments),
    /// Write a certificate to a file
    Export(ExportArguments),
    /// List the certificates
    List(Where),
}

#[derive(Args)]
pub struct ImportArguments {
    /// The file: PEM with any number of certificates, or DER; "-" is stdin
    file: PathBuf,
    /// Its name (default: that of its key, else its subject)
    #[arg(long)]
    label: Option<String>,
    /// CKA_ID in hexadecimal (default: that of its key)
    #[arg(long, value_parser = name::parse_id, value_name = "HEX")]
    id: Option<Id>,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct ExportArguments {
    /// The certificate, by its label, "id:01ab" or "uid:…"
    name: Name,
    #[command(flatten)]
    file: FileArguments,
    #[command(flatten)]
    at: Where,
}

/// A certificate on the token.
#[derive(Serialize, JsonSchema)]
pub struct CertInfo {
    pub label: String,
    /// CKA_ID in hexadecimal.
    pub id: String,
    /// CKA_UNIQUE_ID.
    pub unique_id: String,
    pub subject: String,
    pub issuer: String,
    /// When it ends, as RFC 3339; null where it is not X.509.
    pub not_after: Option<String>,
    /// SHA-256 of the certificate in hexadecimal.
    pub fingerprint: String,
    /// Whether a public key with its id is on the token.
    pub has_key: bool,
}

/// What `cert list` and `cert import` answer.
#[derive(Serialize, JsonSchema)]
pub struct CertListReport {
    pub certificates: Vec<CertInfo>,
}

impl Report for CertListReport {
    fn text(&self, style: Style) -> String {
        if self.certificates.is_empty() {
            return "no certificates\n".into();
        }
        let line = |one: &CertInfo| {
            let end = one.not_after.as_deref().map_or(String::new(), |end| {
                format!("  until {}", end.split('T').next().unwrap_or(end))
            });
            let key = if one.has_key { "" } else { "  no key" };
            let (label, subject) = (visible(&one.label), visible(&one.subject));
            format!("{}  {}  {subject}{end}{key}\n", style.bold(&label), one.id)
        };
        self.certificates.iter().map(line).collect()
    }
}

/// No file with a key or certificates is longer; more is the wrong file.
const LIMIT: u64 = 1 << 20;

/// A file's bytes, "-" being stdin.
pub fn read_input(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    read_limited(path, LIMIT)
}

pub fn read_limited(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    let mut contents = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut contents)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut contents))
    };
    read.map_err(|error| Failure::input(format!("{}: {}", path.display(), plain(&error))))?;
    if contents.len() as u64 > limit {
        return Err(Failure::input(format!("{}: longer than {limit} bytes", path.display())));
    }
    Ok(contents)
}

fn parse(der: &[u8]) -> Result<Certificate> {
    Certificate::from_der(der)
        .map_err(|error| Failure::input(format!("a certificate that cannot be read: {error}")))
}

/// The SubjectPublicKeyInfo of a certificate.
pub fn public_key_of(der: &[u8]) -> Result<Vec<u8>> {
    let info = parse(der)?.tbs_certificate.subject_public_key_info;
    info.to_der().map_err(|error| Failure::input(error.to_string()))
}

/// An id for a certificate without a key here: the hash of its public key, as many programs make it.
pub fn key_identifier(der: &[u8]) -> Result<Vec<u8>> {
    let info = parse(der)?.tbs_certificate.subject_public_key_info;
    Ok(Sha1::digest(info.subject_public_key.raw_bytes()).to_vec())
}

/// A label made from the subject: its common name, or all of it.
pub fn label_of(der: &[u8]) -> Result<String> {
    let subject = parse(der)?.tbs_certificate.subject.to_string();
    let common = subject.split(',').find_map(|part| part.trim().strip_prefix("CN="));
    let label: String = common.unwrap_or(&subject).chars().filter(|c| !c.is_control()).collect();
    Ok(if label.is_empty() { "certificate".into() } else { label })
}

/// The object of a certificate.
pub fn template(der: &[u8], label: &str, id: &[u8]) -> Vec<RawAttribute> {
    vec![
        ulong(CKA_CLASS, CKO_CERTIFICATE),
        ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, false),
        bytes(CKA_LABEL, label.as_bytes()),
        bytes(CKA_ID, id),
        bytes(CKA_VALUE, der),
    ]
}

/// Whether this very certificate is on the token.
pub fn is_there(session: &Session<'_>, der: &[u8]) -> Result<bool> {
    let same =
        vec![ulong(CKA_CLASS, CKO_CERTIFICATE), flag(CKA_TOKEN, true), bytes(CKA_VALUE, der)];
    Ok(!session.find(same)?.is_empty())
}

/// The label and id of the public key on the token that belongs to a certificate.
fn names_of_key(session: &Session<'_>, spki: &[u8]) -> Result<Option<(String, Vec<u8>)>> {
    for key in session.find(vec![ulong(CKA_CLASS, CKO_PUBLIC_KEY), flag(CKA_TOKEN, true)])? {
        if session.attribute(key, CKA_PUBLIC_KEY_INFO)?.as_deref() == Some(spki) {
            let id = session.attribute(key, CKA_ID)?.unwrap_or_default();
            return Ok(Some((session.text(key, CKA_LABEL)?, id)));
        }
    }
    Ok(None)
}

fn info(session: &Session<'_>, object: Handle) -> Result<CertInfo> {
    let der = session.attribute(object, CKA_VALUE)?.unwrap_or_default();
    let parsed = Certificate::from_der(&der).ok().map(|one| one.tbs_certificate);
    let id = session.attribute(object, CKA_ID)?.unwrap_or_default();
    let key = vec![ulong(CKA_CLASS, CKO_PUBLIC_KEY), bytes(CKA_ID, id.clone())];
    Ok(CertInfo {
        label: session.text(object, CKA_LABEL)?,
        has_key: !id.is_empty() && !session.find(key)?.is_empty(),
        id: hex::encode(id),
        unique_id: session.text(object, CKA_UNIQUE_ID)?,
        subject: parsed.as_ref().map_or(String::new(), |one| one.subject.to_string()),
        issuer: parsed.as_ref().map_or(String::new(), |one| one.issuer.to_string()),
        not_after: parsed.map(|one| one.validity.not_after.to_date_time().to_string()),
        fingerprint: hex::encode(Sha256::digest(&der)),
    })
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::Import(arguments) => import(out, admin, &arguments),
        Command::Export(arguments) => {
            let session = Session::open(admin, arguments.at.slot)?;
            let object = arguments.name.one(&session, &[CKO_CERTIFICATE], "certificate")?;
            let der = session.attribute(object, CKA_VALUE)?.unwrap_or_default();
            deliver(out, &arguments.file, "CERTIFICATE", &der)
        }
        Command::List(at) => {
            let session = Session::open(admin, at.slot)?;
            let all = vec![ulong(CKA_CLASS, CKO_CERTIFICATE), flag(CKA_TOKEN, true)];
            let found = session.find(all)?;
            let certificates =
                found.into_iter().map(|one| info(&session, one)).collect::<Result<Vec<_>>>()?;
            out.show(&CertListReport { certificates })
        }
    }
}

fn import(out: Output, admin: &Admin, arguments: &ImportArguments) -> Result<()> {
    let path = arguments.file.display();
    let file = read_input(&arguments.file)?;
    let no_passphrase = || Err(Failure::input("it is a key: `hierarkey key import` takes those"));
    let contents = reader::read(&file, &no_passphrase)
        .map_err(|failure| Failure::new(failure.kind, format!("{path}: {failure}")))?;
    if contents.certificates.is_empty() {
        return Err(Failure::input(format!("{path}: has no certificate")));
    }
    for der in &contents.certificates {
        parse(der).map_err(|failure| Failure::input(format!("{path}: {failure}")))?;
    }
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let mut templates = Vec::new();
    for (number, der) in contents.certificates.iter().enumerate() {
        if is_there(&session, der)? {
            if contents.certificates.len() > 1 {
                continue;
            }
            return Err(Failure::input(format!(
                "{path}: this certificate is on the token already"
            )));
        }
        // Names that are given are the first one's: the others are those above it.
        let given = number == 0;
        let key = names_of_key(&session, &public_key_of(der)?)?;
        let (key_label, key_id) = match key {
            Some((label, id)) => (label, id),
            None => (label_of(der)?, key_identifier(der)?),
        };
        let label = arguments.label.clone().filter(|_| given).unwrap_or(key_label);
        let id = arguments.id.clone().filter(|_| given).map_or(key_id, |id| id.0);
        templates.push(template(der, &label, &id));
    }
    let made = session.create_all(&templates)?;
    let certificates =
        made.into_iter().map(|one| info(&session, one)).collect::<Result<Vec<_>>>()?;
    out.done(&CertListReport { certificates })
}
