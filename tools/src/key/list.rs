//! `hierarkey key list` and `key show`.

use std::fmt::Write as _;

use clap::Args;
use hierarkey::admin::Admin;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::info::{self, Key, KeyInfo};
use crate::failure::Result;
use crate::name::Name;
use crate::output::{Output, Report, Style, visible};
use crate::slot::AsUser;
use crate::token_session::Session;

#[derive(Args)]
pub struct Arguments {
    /// Log in and show private and secret keys too
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct ShowArguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    /// Log in and show what only its user sees
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    who: AsUser,
}

/// What `key list` answers.
#[derive(Serialize, JsonSchema)]
pub struct KeyListReport {
    /// Whether the user was logged in: without, private and secret keys are not seen.
    pub logged_in: bool,
    pub keys: Vec<KeyInfo>,
}

/// What `key generate` and `key rename` answer.
#[derive(Serialize, JsonSchema)]
pub struct KeyReport {
    pub key: KeyInfo,
}

/// What `key show` answers.
#[derive(Serialize, JsonSchema)]
pub struct KeyShowReport {
    pub key: KeyInfo,
    /// SubjectPublicKeyInfo in PEM; null of a secret key.
    pub public_key: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo in hexadecimal; null of a secret key.
    pub fingerprint: Option<String>,
}

impl Report for KeyListReport {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.keys.is_empty() {
            text.push_str("no keys\n");
        }
        let width = |of: fn(&KeyInfo) -> String| {
            self.keys.iter().map(|key| of(key).chars().count()).max().unwrap_or(0)
        };
        let (labels, kinds, ids) = (
            width(|key| visible(&key.label)),
            width(|key| key.kind.clone()),
            width(|key| key.id.clone()),
        );
        for key in &self.keys {
            let label = style.bold(&format!("{:labels$}", visible(&key.label)));
            let _ = write!(text, "{label}  {:kinds$}  {:ids$}", key.kind, key.id);
            let _ = writeln!(text, "  {}", facts(key).join(", "));
        }
        if !self.logged_in {
            let _ = writeln!(text, "{}", style.dim("(secret keys are shown with --login)"));
        }
        text
    }
}

/// What a line says of a key besides its names.
fn facts(key: &KeyInfo) -> Vec<String> {
    let mut facts = vec![key.uses.join("+")];
    if facts == [""] {
        let none = if key.private { "no use" } else { "its use is seen with --login" };
        facts = vec![none.into()];
    }
    match key.certificates {
        0 => {}
        1 => facts.push("certificate".into()),
        several => facts.push(format!("{several} certificates")),
    }
    if key.private && !key.public && !key.kind.starts_with(['a', 'h']) {
        facts.push("no public key".into());
    }
    if key.made_in_tpm == Some(false) {
        facts.push("imported".into());
    }
    if key.always_authenticate == Some(true) {
        facts.push("PIN at each use".into());
    }
    facts
}

impl Report for KeyReport {
    fn text(&self, style: Style) -> String {
        let key = &self.key;
        format!("{} {} {}\n", style.bold(&visible(&key.label)), key.kind, key.uri)
    }
}

impl Report for KeyShowReport {
    fn text(&self, style: Style) -> String {
        let key = &self.key;
        let mut text = format!("{}  {}\n", style.bold(&visible(&key.label)), key.kind);
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "  {}  {value}", style.dim(&format!("{name:11}")));
        };
        line("id", &key.id);
        line("for", &facts(key).join(", "));
        line(
            if self.public_key.is_some() { "private key" } else { "secret key" },
            match (key.private, key.made_in_tpm) {
                (false, _) => "not seen without --login",
                (true, Some(true)) => "made in the TPM",
                (true, _) => "in the TPM, imported: it existed outside",
            },
        );
        line("uri", &key.uri);
        if let Some(fingerprint) = &self.fingerprint {
            line("SHA-256", fingerprint);
        }
        if let Some(public) = &self.public_key {
            text.push_str(public);
        }
        text
    }
}

fn open<'a>(admin: &'a Admin, who: &AsUser, login: bool) -> Result<(Session<'a>, bool)> {
    let pin = who.pin.source();
    let login = login || pin.is_named();
    let session = if login {
        Session::of_user(admin, who.at.slot, &pin)?
    } else {
        Session::open(admin, who.at.slot)?
    };
    Ok((session, login))
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let (session, logged_in) = open(admin, &arguments.who, arguments.login)?;
    let keys = info::all(&session)?;
    let keys = keys.iter().map(|key| key.info(&session)).collect::<Result<Vec<_>>>()?;
    out.show(&KeyListReport { logged_in, keys })
}

pub fn show(out: Output, admin: &Admin, arguments: &ShowArguments) -> Result<()> {
    let (session, logged_in) = open(admin, &arguments.who, arguments.login)?;
    let key = info::one(&session, &arguments.key);
    let key = key.map_err(|failure| failure.or_not_seen(logged_in))?;
    out.show(&shown(&session, &key)?)
}

/// A key with its public key.
pub fn shown(session: &Session<'_>, key: &Key) -> Result<KeyShowReport> {
    let public = if key.secret.is_some() { None } else { Some(key.public_key_info(session)?) };
    Ok(KeyShowReport {
        key: key.info(session)?,
        public_key: public.as_deref().map(|der| super::x509::pem("PUBLIC KEY", der)).transpose()?,
        fingerprint: public.map(|der| hex::encode(Sha256::digest(der))),
    })
}
