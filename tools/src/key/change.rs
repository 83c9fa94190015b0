//! `hierarkey key rename` and `key delete`.

use clap::Args;
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::generate::check_label;
use super::info;
use super::list::KeyReport;
use crate::failure::{Failure, Result};
use crate::name::Name;
use crate::output::{Output, Report, Style, visible};
use crate::setup::ask;
use crate::slot::AsUser;
use crate::token_session::{Session, bytes};

#[derive(Args)]
pub struct RenameArguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    /// Its new label
    label: String,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    /// Delete the certificates with its id too
    #[arg(long)]
    certificates: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    who: AsUser,
}

/// What `key delete`, `object delete` and `token remove` answer.
#[derive(Serialize, JsonSchema)]
pub struct DeletedReport {
    /// What was deleted, by name.
    pub deleted: String,
    /// How many objects went with it; null where they were not counted.
    pub objects: Option<usize>,
}

impl Report for DeletedReport {
    fn text(&self, _: Style) -> String {
        format!("{} is deleted\n", self.deleted)
    }
}

pub fn rename(out: Output, admin: &Admin, arguments: &RenameArguments) -> Result<()> {
    check_label(&arguments.label)?;
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let _turn = session.turn();
    let mut key = info::one(&session, &arguments.key)?;
    let classes = [CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY];
    if !Name::Label(arguments.label.clone()).all(&session, &classes)?.is_empty() {
        return Err(Failure::input(format!(
            "a key \"{}\" is on the token already: choose another label",
            arguments.label
        )));
    }
    let objects = [key.objects(), key.certificates.clone()].concat();
    session.set(&objects, vec![bytes(CKA_LABEL, arguments.label.as_bytes())])?;
    key.label.clone_from(&arguments.label);
    out.done(&KeyReport { key: key.info(&session)? })
}

pub fn delete(out: Output, admin: &Admin, arguments: &DeleteArguments) -> Result<()> {
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let key = info::one(&session, &arguments.key)?;
    let what = format!("the key \"{}\" (id {})", visible(&key.label), hex::encode(&key.id));
    ask(&format!("Destroy {what} for good?"), arguments.yes)?;
    let mut objects = key.objects();
    if arguments.certificates {
        objects.extend(&key.certificates);
    }
    session.destroy(&objects)?;
    out.done(&DeletedReport { deleted: what, objects: Some(objects.len()) })
}
