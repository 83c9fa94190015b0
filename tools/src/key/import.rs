//! `hierarkey key import`: a key from a file goes into the TPM. The module wraps it for this TPM
//! before it crosses the bus.

use std::path::PathBuf;

use clap::Args;
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use hierarkey::object::private_key::take_private_key;
use hierarkey::object::template::{RawAttribute, template};
use schemars::JsonSchema;
use serde::Serialize;

use super::generate::{Use, check_label, new_id};
use super::info::{self, Key, KeyInfo};
use super::reader::{self, Contents, PrivateKey};
use crate::cert;
use crate::failure::{Failure, Result};
use crate::name::{self, Id};
use crate::output::{Output, Report, Style, visible};
use crate::pin::Passphrase;
use crate::slot::AsUser;
use crate::token_session::{Session, bytes, flag, ulong};

#[derive(Args)]
pub struct Arguments {
    /// The file with the key; "-" is stdin
    file: PathBuf,
    /// The key's name on the token
    #[arg(long)]
    label: String,
    /// What it is for (default: sign)
    #[arg(long = "use", value_enum, value_delimiter = ',', value_name = "USE,...")]
    uses: Vec<Use>,
    /// CKA_ID in hexadecimal (default: random)
    #[arg(long, value_parser = name::parse_id, value_name = "HEX")]
    id: Option<Id>,
    /// Leave the certificates of the file out
    #[arg(long)]
    no_certificates: bool,
    #[command(flatten)]
    passphrase: Passphrase,
    #[command(flatten)]
    who: AsUser,
}

/// What `key import` answers.
#[derive(Serialize, JsonSchema)]
pub struct ImportReport {
    pub key: KeyInfo,
    /// How many certificates came with it.
    pub certificates: usize,
    /// What an imported key is not.
    pub warning: String,
}

pub const WARNING: &str = "this key existed outside the TPM: whoever has a copy of the file can \
                           use it, and destroying the file does not take copies back";

impl Report for ImportReport {
    fn text(&self, style: Style) -> String {
        let key = &self.key;
        format!("{} {} {}\n", style.bold(&visible(&key.label)), key.kind, key.uri)
    }
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    check_label(&arguments.label)?;
    let file = cert::read_input(&arguments.file)?;
    let ask = || arguments.passphrase.source().read();
    let contents = reader::read(&file, &ask).map_err(|failure| {
        let path = arguments.file.display();
        Failure::new(failure.kind, format!("{path}: {failure}"))
    })?;
    let Contents { key: Some(private), certificates } = contents else {
        return Err(Failure::input(format!(
            "{}: has no private key: `hierarkey cert import` takes certificates",
            arguments.file.display()
        )));
    };
    let certificates = if arguments.no_certificates { Vec::new() } else { certificates };
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let id = arguments.id.clone().map_or_else(new_id, |id| Ok(id.0))?;
    let _turn = session.turn();
    info::must_be_new(&session, &arguments.label, &id)?;
    let uses: &[Use] = if arguments.uses.is_empty() { &[Use::Sign] } else { &arguments.uses };
    must_suit(private.key_type, uses)?;
    let names = Names { label: &arguments.label, id: &id };
    let (key, count) = out.working("the TPM takes the key", || {
        put(&session, &private, &certificates, &names, uses)
    })?;
    if !out.json {
        out.warn(WARNING);
    }
    out.done(&ImportReport {
        key: key.info(&session)?,
        certificates: count,
        warning: WARNING.to_owned(),
    })
}

/// Fails where a key of this type cannot do all that it is to be for. Of one that comes from outside
/// PKCS#11 lets anything be said.
fn must_suit(key_type: CK_KEY_TYPE, uses: &[Use]) -> Result<()> {
    let (name, can): (_, &[Use]) = match key_type {
        CKK_RSA => ("RSA", &[Use::Sign, Use::Decrypt, Use::Unwrap]),
        _ => ("EC", &[Use::Sign, Use::Derive]),
    };
    match uses.iter().find(|one| !can.contains(one)) {
        Some(one) => Err(Failure::input(format!(
            "no {name} key is for {}: choose another --use",
            one.name()
        ))),
        None => Ok(()),
    }
}

struct Names<'a> {
    label: &'a str,
    id: &'a [u8],
}

/// Both halves and the certificates, all or none.
fn put(
    session: &Session<'_>,
    key: &PrivateKey,
    certificates: &[Vec<u8>],
    names: &Names<'_>,
    uses: &[Use],
) -> Result<(Key, usize)> {
    let common = |class| {
        vec![
            ulong(CKA_CLASS, class),
            flag(CKA_TOKEN, true),
            bytes(CKA_LABEL, names.label.as_bytes()),
            bytes(CKA_ID, names.id),
        ]
    };
    let mut private = common(CKO_PRIVATE_KEY);
    private.extend([flag(CKA_PRIVATE, true), flag(CKA_SENSITIVE, true)]);
    private.push(flag(CKA_EXTRACTABLE, false));
    private.extend(info::use_attributes(uses, true, false));
    private.extend(key.attributes());
    let (numbers, spki) = public_half(key)?;
    let mut public = common(CKO_PUBLIC_KEY);
    public.push(ulong(CKA_KEY_TYPE, key.key_type));
    public.extend(info::use_attributes(uses, false, false));
    public.extend(numbers);
    let mut templates = vec![private, public];
    let mut own = 0;
    for certificate in certificates {
        // The key's own certificate goes by its names; those above it by their own.
        if cert::public_key_of(certificate)? == spki {
            templates.push(cert::template(certificate, names.label, names.id));
            own += 1;
        } else if !cert::is_there(session, certificate)? {
            let id = cert::key_identifier(certificate)?;
            templates.push(cert::template(certificate, &cert::label_of(certificate)?, &id));
        }
    }
    let made = session.call(|call| call.create_objects(&templates));
    let made = made.map_err(|error| match key.exponent() {
        Some(exponent) if error.tpm_rc().is_some() && exponent != [1, 0, 1] => Failure::input(
            format!("this TPM takes no RSA key with another public exponent than 65537: {error}"),
        ),
        _ => error.into(),
    })?;
    let key = Key {
        private: made.first().copied(),
        public: made.get(1).copied(),
        certificates: made.iter().skip(2).take(own).copied().collect(),
        id: names.id.to_vec(),
        label: names.label.to_owned(),
        ..Key::default()
    };
    Ok((key, made.len().saturating_sub(2)))
}

/// The numbers of the public half, and its SubjectPublicKeyInfo, as the module itself works them
/// out of the private one.
fn public_half(key: &PrivateKey) -> Result<(Vec<RawAttribute>, Vec<u8>)> {
    let mut attributes = vec![ulong(CKA_CLASS, CKO_PRIVATE_KEY)];
    attributes.extend(key.attributes());
    let mut object = template(&attributes)?;
    take_private_key(&mut object)?;
    let numbers: &[CK_ATTRIBUTE_TYPE] = if key.key_type == CKK_RSA {
        &[CKA_MODULUS, CKA_PUBLIC_EXPONENT]
    } else {
        &[CKA_EC_PARAMS, CKA_EC_POINT]
    };
    let read = |kind| object.bytes(kind).unwrap_or_default().to_vec();
    let numbers = numbers.iter().map(|kind| bytes(*kind, read(*kind))).collect();
    Ok((numbers, read(CKA_PUBLIC_KEY_INFO)))
}
