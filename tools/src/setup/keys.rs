//! The key and certificate that a program needs: made where they are missing.

use std::fs;
use std::path::Path;

use hierarkey::admin::Admin;

use super::plan::{Action, Plan, quoted, write_new};
use crate::cert;
use crate::failure::Result;
use crate::key::generate::{KeyType, Use, Wanted, make, new_id};
use crate::key::info::{self, Key};
use crate::key::x509::{self, Subject};
use crate::name::Name;
use crate::output::Output;
use crate::slot::AsUser;
use crate::token_session::Session;

/// What a program wants of its key.
pub struct KeyWanted<'a> {
    pub label: &'a str,
    pub kind: KeyType,
    /// The type as the command line says it.
    pub kind_name: &'a str,
    pub uses: &'static [Use],
}

/// What a program wants of its certificate.
pub struct CertificateWanted<'a> {
    /// The key's.
    pub label: &'a str,
    pub subject: &'a str,
    /// The file for the request.
    pub csr: &'a Path,
}

/// The token as a setup sees it before it does anything: without a login.
pub fn look<'a>(admin: &'a Admin, who: &AsUser) -> Result<Session<'a>> {
    Session::open(admin, who.at.slot)
}

/// The key called `label`, if it is there.
pub fn existing(session: &Session<'_>, label: &str) -> Result<Option<Key>> {
    let found = info::all(session)?.into_iter().find(|key| key.label == label);
    Ok(found)
}

/// Adds the step that makes the key. The login is made when the step is done.
pub fn generate<'a>(
    plan: &mut Plan<'a>,
    out: Output,
    admin: &'a Admin,
    who: &'a AsUser,
    wanted: KeyWanted<'a>,
) {
    let uses: Vec<_> = wanted.uses.iter().map(|one| one.name()).collect();
    let shown = format!(
        "hierarkey key generate {} --type {} --use {}",
        quoted(wanted.label),
        wanted.kind_name,
        uses.join(",")
    );
    let work = move || {
        let session = Session::of_user(admin, who.at.slot, &who.pin.source())?;
        let wanted = Wanted {
            label: wanted.label,
            id: new_id()?,
            kind: wanted.kind,
            uses: wanted.uses,
            always_authenticate: false,
        };
        out.working("the TPM makes the key", || make(&session, &wanted)).map(|_| ())
    };
    plan.step("Make a key in the TPM", Action::Token { shown, work: Box::new(work) });
}

/// Adds the step that gives the key a certificate of its own making.
pub fn self_sign<'a>(
    plan: &mut Plan<'a>,
    why: &str,
    admin: &'a Admin,
    who: &'a AsUser,
    label: &'a str,
    subject: String,
) {
    let shown =
        format!("hierarkey key self-sign {} --subject {} --store", quoted(label), quoted(&subject));
    let work = move || {
        let session = Session::of_user(admin, who.at.slot, &who.pin.source())?;
        let key = info::one(&session, &Name::Label(label.to_owned()))?;
        let subject = plain_subject(&subject);
        let der = x509::self_signed(&session, &key, &subject, 3650, false)?;
        session.create_all(&[cert::template(&der, &key.label, &key.id)]).map(|_| ())
    };
    plan.step(why, Action::Token { shown, work: Box::new(work) });
}

/// Adds the steps towards a certificate that the token has not: a key for signing where there is
/// none, and the request that a certificate authority wants.
pub fn towards_certificate<'a>(
    plan: &mut Plan<'a>,
    out: Output,
    admin: &'a Admin,
    who: &'a AsUser,
    key: Option<&Key>,
    wanted: CertificateWanted<'a>,
) {
    let CertificateWanted { label, subject, csr } = wanted;
    if key.is_none() {
        let uses = &[Use::Sign];
        let wanted = KeyWanted { label, kind: KeyType::EcP256, kind_name: "ec-p256", uses };
        generate(plan, out, admin, who, wanted);
    }
    request(plan, admin, who, label, subject.to_owned(), csr);
    plan.note(format!(
        "have {} signed by your certificate authority, put the certificate on the token with \
         `hierarkey cert import FILE`, and run this again",
        csr.display()
    ));
}

/// Adds the step that writes a request for a certificate.
fn request<'a>(
    plan: &mut Plan<'a>,
    admin: &'a Admin,
    who: &'a AsUser,
    label: &'a str,
    subject: String,
    file: &'a Path,
) {
    let shown = format!(
        "hierarkey key csr {} --subject {} --out {}",
        quoted(label),
        quoted(&subject),
        quoted(&file.display().to_string())
    );
    let work = move || {
        let session = Session::of_user(admin, who.at.slot, &who.pin.source())?;
        let key = info::one(&session, &Name::Label(label.to_owned()))?;
        // Who runs this again while the authority has the request keeps the one that it has.
        let before = fs::read(file).unwrap_or_default();
        if x509::is_request(&before, &key.public_key_info(&session)?, &subject)? {
            return Ok(());
        }
        let der = x509::request(&session, &key, &plain_subject(&subject))?;
        let pem = x509::pem("CERTIFICATE REQUEST", &der)?;
        write_new(file, pem.as_bytes())
    };
    plan.step("Write a request for a certificate", Action::Token { shown, work: Box::new(work) });
}

fn plain_subject(name: &str) -> Subject<'_> {
    Subject { name, dns: &[], ip: &[], email: &[], purposes: &[] }
}
