//! `hierarkey key test`: each use of a key once, and its result checked.

use clap::Args;
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use hierarkey::mechanism::parameter::{MechanismChoice, Parameter};
use schemars::JsonSchema;
use serde::Serialize;

use super::info::{self, Key};
use super::x509;
use crate::failure::{Failure, Kind, Result};
use crate::name::Name;
use crate::output::{Output, Report, Style, visible};
use crate::slot::AsUser;
use crate::token_session::{Handle, Session, bytes, flag, plain};

#[derive(Args)]
pub struct Arguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    #[command(flatten)]
    who: AsUser,
}

/// What `key test` answers.
#[derive(Serialize, JsonSchema)]
pub struct TestReport {
    pub label: String,
    /// The uses that were tried; each one worked.
    pub passed: Vec<String>,
}

impl Report for TestReport {
    fn text(&self, style: Style) -> String {
        let passed: Vec<_> =
            self.passed.iter().map(|one| format!("{one} {}", style.good("works"))).collect();
        format!("{}: {}\n", style.bold(&visible(&self.label)), passed.join(", "))
    }
}

const MESSAGE: &[u8] = b"Hierarkey tests this key.";

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let key = info::one(&session, &arguments.key)?;
    let private = key.private_half(&arguments.key)?;
    let mut passed = Vec::new();
    for (name, attribute, check) in USES {
        if !session.is_set(private, *attribute)? {
            continue;
        }
        let checked = out.working(name, || check(&session, &key, private));
        checked.map_err(|failure| {
            Failure::new(failure.kind, format!("{name} does not work: {failure}"))
        })?;
        passed.push((*name).to_owned());
    }
    if passed.is_empty() {
        return Err(Failure::new(Kind::Failed, "the key has no use that can be tested"));
    }
    out.show(&TestReport { label: key.label, passed })
}

type Check = fn(&Session<'_>, &Key, Handle) -> Result<()>;

const USES: &[(&str, CK_ATTRIBUTE_TYPE, Check)] = &[
    ("sign", CKA_SIGN, signs),
    ("decrypt", CKA_DECRYPT, decrypts),
    ("derive", CKA_DERIVE, derives),
];

fn wrong(what: &str) -> Failure {
    Failure::new(Kind::Failed, format!("the result of {what} is wrong"))
}

fn signs(session: &Session<'_>, key: &Key, private: Handle) -> Result<()> {
    if key.secret.is_some() {
        let choice = match session.number(private, CKA_KEY_TYPE)? {
            Some(CKK_AES) => plain(CKM_AES_CMAC),
            _ => plain(CKM_SHA256_HMAC),
        };
        let mac = session.sign(choice.clone(), private, MESSAGE)?;
        return session.verify(choice, private, MESSAGE, &mac);
    }
    let public = public_of(key)?;
    let algorithm = x509::Algorithm::of(session, private)?;
    let signature = session.sign(plain(algorithm.mechanism), private, MESSAGE)?;
    session.verify(plain(algorithm.mechanism), public, MESSAGE, &signature)
}

fn decrypts(session: &Session<'_>, key: &Key, private: Handle) -> Result<()> {
    let (choice, other, message) = if key.secret.is_some() {
        let iv = Parameter::Bytes(session.random(16)?);
        (MechanismChoice { ckm: CKM_AES_CBC_PAD, parameter: iv }, private, MESSAGE)
    } else {
        (plain(CKM_RSA_PKCS), public_of(key)?, MESSAGE)
    };
    let ciphertext = session.encrypt(choice.clone(), other, message)?;
    if session.decrypt(choice, private, &ciphertext)? == message {
        return Ok(());
    }
    Err(wrong("decrypting"))
}

/// Agrees with a second key, from both sides.
fn derives(session: &Session<'_>, key: &Key, private: Handle) -> Result<()> {
    let params = session.attribute(private, CKA_EC_PARAMS)?.unwrap_or_default();
    let own_point = session.attribute(public_of(key)?, CKA_EC_POINT)?.unwrap_or_default();
    let (other_public, other_private) = session.call(|call| {
        call.generate_key_pair(
            plain(CKM_EC_KEY_PAIR_GEN),
            vec![flag(CKA_TOKEN, false), bytes(CKA_EC_PARAMS, params)],
            vec![flag(CKA_TOKEN, false), flag(CKA_DERIVE, true), flag(CKA_SIGN, false)],
        )
    })?;
    let other_point = session.attribute(other_public, CKA_EC_POINT)?.unwrap_or_default();
    let ours = session.agree(private, other_point)?;
    let theirs = session.agree(other_private, own_point)?;
    if !ours.is_empty() && ours == theirs { Ok(()) } else { Err(wrong("the key agreement")) }
}

fn public_of(key: &Key) -> Result<Handle> {
    key.public.ok_or_else(|| Failure::not_found("its public key is not on the token"))
}
