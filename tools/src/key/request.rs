//! `hierarkey key csr` and `key self-sign`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use hierarkey::admin::Admin;
use schemars::JsonSchema;
use serde::Serialize;

use super::info;
use super::x509::{self, Purpose, Subject};
use crate::cert;
use crate::failure::Result;
use crate::name::Name;
use crate::output::{Output, Report, Style, write_file};
use crate::slot::AsUser;
use crate::token_session::Session;

/// Who the certificate is about.
#[derive(Args)]
struct SubjectArguments {
    /// Distinguished name, like CN=vpn.example.org,O=Example
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// A DNS name in subjectAltName
    #[arg(long, value_name = "HOST")]
    dns: Vec<String>,
    /// An IP address in subjectAltName
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// A mail address in subjectAltName
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// What it is for, in extendedKeyUsage
    #[arg(long = "for", value_enum, value_delimiter = ',', value_name = "PURPOSE,...")]
    purposes: Vec<Purpose>,
}

impl SubjectArguments {
    fn subject(&self) -> Subject<'_> {
        Subject {
            name: &self.subject,
            dns: &self.dns,
            ip: &self.ip,
            email: &self.email,
            purposes: &self.purposes,
        }
    }
}

/// Where the result goes.
#[derive(Args)]
pub struct FileArguments {
    /// The file that gets it (default: stdout)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// DER instead of PEM
    #[arg(long)]
    pub der: bool,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct CsrArguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    file: FileArguments,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct SelfSignArguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    #[command(flatten)]
    subject: SubjectArguments,
    /// How long it is good
    #[arg(long, default_value_t = 3650)]
    days: u32,
    /// Let it sign other certificates
    #[arg(long)]
    ca: bool,
    /// Put it on the token too, under the key's label and id
    #[arg(long)]
    store: bool,
    #[command(flatten)]
    file: FileArguments,
    #[command(flatten)]
    who: AsUser,
}

/// What commands answer that make a document: `key csr`, `key self-sign`, `key export`, `cert
/// export`.
#[derive(Serialize, JsonSchema)]
pub struct DocumentReport {
    /// The document in PEM, or OpenSSH's line; null where it went to a file.
    pub document: Option<String>,
    /// The file it went to.
    pub file: Option<String>,
}

impl Report for DocumentReport {
    fn text(&self, _: Style) -> String {
        match (&self.document, &self.file) {
            (Some(document), _) => document.clone(),
            (None, Some(file)) => format!("written to {file}\n"),
            (None, None) => String::new(),
        }
    }
}

/// Gives out a document as the arguments want it.
pub fn deliver(out: Output, file: &FileArguments, label: &'static str, der: &[u8]) -> Result<()> {
    deliver_as(out, file, x509::pem(label, der)?, der)
}

/// The same for one whose text is not PEM.
pub fn deliver_as(out: Output, file: &FileArguments, text: String, der: &[u8]) -> Result<()> {
    let bytes = if file.der { der } else { text.as_bytes() };
    match &file.out {
        Some(path) => {
            write_file(path, bytes, 0o644, file.force)?;
            let file = Some(path.display().to_string());
            out.show(&DocumentReport { document: None, file })
        }
        None if file.der && !out.json => out.bytes(der),
        None => out.show(&DocumentReport { document: Some(text), file: None }),
    }
}

pub fn csr(out: Output, admin: &Admin, arguments: &CsrArguments) -> Result<()> {
    let subject = arguments.subject.subject();
    x509::distinguished_name(subject.name)?;
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let key = info::one(&session, &arguments.key)?;
    let request = x509::request(&session, &key, &subject)?;
    deliver(out, &arguments.file, "CERTIFICATE REQUEST", &request)
}

pub fn self_sign(out: Output, admin: &Admin, arguments: &SelfSignArguments) -> Result<()> {
    let subject = arguments.subject.subject();
    x509::distinguished_name(subject.name)?;
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let key = info::one(&session, &arguments.key)?;
    let certificate = x509::self_signed(&session, &key, &subject, arguments.days, arguments.ca)?;
    let stored = if arguments.store {
        session.create_all(&[cert::template(&certificate, &key.label, &key.id)])?
    } else {
        Vec::new()
    };
    deliver(out, &arguments.file, "CERTIFICATE", &certificate)
        .inspect_err(|_| session.destroy_all(&stored))
}
