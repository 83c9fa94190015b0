//! `hierarkey object`: whatever is on a token, and data objects.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cert::read_limited;
use crate::failure::{Failure, Result};
use crate::key::change::DeletedReport;
use crate::key::generate::check_label;
use crate::name::Name;
use crate::output::{Output, Report, Style, visible, write_file};
use crate::setup::ask;
use crate::slot::AsUser;
use crate::token_session::{Handle, Session, bytes, flag, ulong};

#[derive(Subcommand)]
pub enum Command {
    /// List every object
    List(ListArguments),
    /// Write a data object's value
    Get(GetArguments),
    /// Keep a file on the token as a data object
    Put(PutArguments),
    /// Destroy an object for good
    Delete(DeleteArguments),
}

#[derive(Args)]
pub struct ListArguments {
    /// Log in and list private objects too
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct GetArguments {
    /// The object, by its label or "uid:…"
    name: Name,
    /// The file that gets it (default: stdout)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Log in: it is a private object
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct PutArguments {
    /// The object's name
    label: String,
    /// The file; "-" is stdin
    file: PathBuf,
    /// CKA_APPLICATION
    #[arg(long, default_value = "")]
    application: String,
    /// Let everybody read it who may use the store (default: its user alone, encrypted at rest)
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// The object, by its label, "id:01ab" or "uid:…"
    name: Name,
    /// Which kind of object it is
    #[arg(long = "type", value_enum)]
    class: Option<Class>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Class {
    Data,
    Cert,
    Public,
    Private,
    SecretKey,
}

impl Class {
    fn cko(self) -> CK_OBJECT_CLASS {
        match self {
            Self::Data => CKO_DATA,
            Self::Cert => CKO_CERTIFICATE,
            Self::Public => CKO_PUBLIC_KEY,
            Self::Private => CKO_PRIVATE_KEY,
            Self::SecretKey => CKO_SECRET_KEY,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Cert => "cert",
            Self::Public => "public",
            Self::Private => "private",
            Self::SecretKey => "secret-key",
        }
    }

    const ALL: [Self; 5] = [Self::Private, Self::SecretKey, Self::Public, Self::Cert, Self::Data];
}

/// An object.
#[derive(Serialize, JsonSchema)]
pub struct ObjectInfo {
    /// "private", "secret-key", "public", "cert" or "data".
    #[serde(rename = "type")]
    pub class: String,
    pub label: String,
    /// CKA_ID in hexadecimal; empty where there is none.
    pub id: String,
    /// CKA_UNIQUE_ID: names this object alone.
    pub unique_id: String,
    /// Whether only the token's user sees it.
    pub private: bool,
    /// Bytes it takes in the store.
    pub size: u64,
}

/// What `object list` answers.
#[derive(Serialize, JsonSchema)]
pub struct ObjectListReport {
    /// Whether the user was logged in: without, private objects are not seen.
    pub logged_in: bool,
    pub objects: Vec<ObjectInfo>,
}

/// What `object put` answers.
#[derive(Serialize, JsonSchema)]
pub struct ObjectReport {
    pub object: ObjectInfo,
}

/// What `object get` answers.
#[derive(Serialize, JsonSchema)]
pub struct ValueReport {
    /// The value in hexadecimal; null where it went to a file.
    pub value: Option<String>,
    /// The file it went to.
    pub file: Option<String>,
}

impl Report for ObjectListReport {
    fn text(&self, style: Style) -> String {
        let mut text: String = self.objects.iter().map(|one| line(one, style)).collect();
        if self.objects.is_empty() {
            text.push_str("no objects\n");
        }
        if !self.logged_in {
            text.push_str(&style.dim("(private objects are shown with --login)"));
            text.push('\n');
        }
        text
    }
}

fn line(one: &ObjectInfo, style: Style) -> String {
    let id = if one.id.is_empty() { "-" } else { &one.id };
    let label = style.bold(&visible(&one.label));
    format!("{:10}  {label}  id:{id}  uid:{}  {} bytes\n", one.class, one.unique_id, one.size)
}

impl Report for ObjectReport {
    fn text(&self, style: Style) -> String {
        line(&self.object, style)
    }
}

impl Report for ValueReport {
    fn text(&self, _: Style) -> String {
        self.file.as_ref().map_or(String::new(), |file| format!("written to {file}\n"))
    }
}

/// No data object is longer.
const LIMIT: u64 = 1 << 20;

fn info(session: &Session<'_>, object: Handle) -> Result<ObjectInfo> {
    let class = session.number(object, CKA_CLASS)?;
    let class = Class::ALL.into_iter().find(|one| Some(one.cko()) == class);
    Ok(ObjectInfo {
        class: class.map_or("other", Class::name).to_owned(),
        label: session.text(object, CKA_LABEL)?,
        id: hex::encode(session.attribute(object, CKA_ID)?.unwrap_or_default()),
        unique_id: session.text(object, CKA_UNIQUE_ID)?,
        private: session.is_set(object, CKA_PRIVATE)?,
        size: session.call(|call| call.object_size(object))?.into(),
    })
}

fn open<'a>(admin: &'a Admin, who: &AsUser, login: bool) -> Result<(Session<'a>, bool)> {
    let pin = who.pin.source();
    if login || pin.is_named() {
        return Ok((Session::of_user(admin, who.at.slot, &pin)?, true));
    }
    Ok((Session::open(admin, who.at.slot)?, false))
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::List(arguments) => list(out, admin, &arguments),
        Command::Get(arguments) => get(out, admin, &arguments),
        Command::Put(arguments) => put(out, admin, &arguments),
        Command::Delete(arguments) => delete(out, admin, &arguments),
    }
}

fn list(out: Output, admin: &Admin, arguments: &ListArguments) -> Result<()> {
    let (session, logged_in) = open(admin, &arguments.who, arguments.login)?;
    let mut objects = Vec::new();
    for class in Class::ALL {
        let all = vec![ulong(CKA_CLASS, class.cko()), flag(CKA_TOKEN, true)];
        for object in session.find(all)? {
            objects.push(info(&session, object)?);
        }
    }
    out.show(&ObjectListReport { logged_in, objects })
}

fn get(out: Output, admin: &Admin, arguments: &GetArguments) -> Result<()> {
    let (session, logged_in) = open(admin, &arguments.who, arguments.login)?;
    let object = arguments.name.one(&session, &[CKO_DATA], "data object");
    let object = object.map_err(|failure| failure.or_not_seen(logged_in))?;
    let value = session.attribute(object, CKA_VALUE)?.unwrap_or_default();
    match &arguments.out {
        Some(path) => {
            // It may be a secret: nobody else reads it until its owner says so.
            write_file(path, &value, 0o600, arguments.force)?;
            out.show(&ValueReport { value: None, file: Some(path.display().to_string()) })
        }
        None if out.json => out.show(&ValueReport { value: Some(hex::encode(value)), file: None }),
        None => out.bytes(&value),
    }
}

fn put(out: Output, admin: &Admin, arguments: &PutArguments) -> Result<()> {
    check_label(&arguments.label)?;
    let value = read_limited(&arguments.file, LIMIT)?;
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let _turn = session.turn();
    let name = Name::Label(arguments.label.clone());
    if !name.all(&session, &[CKO_DATA])?.is_empty() {
        return Err(Failure::input(format!(
            "a data object {name} is on the token already: delete it first, or choose another name"
        )));
    }
    let template = vec![
        ulong(CKA_CLASS, CKO_DATA),
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, !arguments.public),
        bytes(CKA_LABEL, arguments.label.as_bytes()),
        bytes(CKA_APPLICATION, arguments.application.as_bytes()),
        bytes(CKA_VALUE, value.to_vec()),
    ];
    let made = session.create_all(&[template])?;
    let object = made.into_iter().next().ok_or_else(|| Failure::not_found("the object is gone"))?;
    out.done(&ObjectReport { object: info(&session, object)? })
}

fn delete(out: Output, admin: &Admin, arguments: &DeleteArguments) -> Result<()> {
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let classes: Vec<_> = match arguments.class {
        Some(class) => vec![class.cko()],
        None => Class::ALL.map(Class::cko).to_vec(),
    };
    let object = arguments.name.one(&session, &classes, "object")?;
    let found = info(&session, object)?;
    let what = format!("the {} object \"{}\"", found.class, visible(&found.label));
    ask(&format!("Destroy {what} for good?"), arguments.yes)?;
    session.destroy(&[object])?;
    out.done(&DeletedReport { deleted: what, objects: Some(1) })
}
