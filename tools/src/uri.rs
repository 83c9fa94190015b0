//! `hierarkey uri`: how programs name a token and what is on it.
//!
//! RFC 7512 for all but OpenVPN's library, which has a form of its own.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::name::Name;
use crate::output::{Output, Report, Style};
use crate::slot::Where;
use crate::token_session::{Session, TokenFacts};

#[derive(Args)]
pub struct Arguments {
    /// A key or certificate, by its label or "id:01ab" (default: the token itself)
    name: Option<Name>,
    /// What of it the program is to find
    #[arg(long = "type", value_enum)]
    part: Option<Part>,
    /// The program that gets it: the shortest form that it takes
    #[arg(long = "for", value_enum, default_value = "any", value_name = "PROGRAM")]
    client: Client,
    #[command(flatten)]
    at: Where,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Private,
    Public,
    Cert,
    SecretKey,
    Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Whoever reads RFC 7512: token, object and type
    Any,
    /// systemd-cryptenroll and /etc/crypttab: the token
    Systemd,
    /// ssh -i, IdentityFile: the key
    Ssh,
    /// curl, nginx, openssl: the key, with its type
    Openssl,
    /// --pkcs11-id: the certificate's serialized id
    Openvpn,
}

#[derive(Serialize, JsonSchema)]
pub struct UriReport {
    /// The URI, or OpenVPN's serialized id.
    pub uri: String,
}

impl Report for UriReport {
    fn text(&self, _: Style) -> String {
        format!("{}\n", self.uri)
    }
}

/// The URI of a token.
pub fn of_token(facts: &TokenFacts) -> String {
    format!(
        "pkcs11:model={};manufacturer={};serial={};token={}",
        escape(&facts.model),
        escape(&facts.manufacturer),
        escape(&facts.serial),
        escape(&facts.label)
    )
}

/// The URI of an object by its token's label and its own id, or its own label where it has no id.
pub fn of_object(facts: &TokenFacts, id: &[u8], label: &str, part: Option<Part>) -> String {
    let mut uri = format!("pkcs11:token={}", escape(&facts.label));
    if id.is_empty() {
        let _ = write!(uri, ";object={}", escape(label));
    } else {
        let _ = write!(uri, ";id={}", escape_bytes(id));
    }
    let kind = match part {
        Some(Part::Private) => "private",
        Some(Part::Public) => "public",
        Some(Part::Cert) => "cert",
        Some(Part::SecretKey) => "secret-key",
        Some(Part::Data) => "data",
        None => return uri,
    };
    let _ = write!(uri, ";type={kind}");
    uri
}

/// What `openvpn --show-pkcs11-ids` shows: manufacturer/model/serial/label/id, each escaped.
pub fn of_openvpn(facts: &TokenFacts, id: &[u8]) -> String {
    let field = |text: &str| {
        text.bytes().fold(String::new(), |mut escaped, byte| {
            if byte.is_ascii_alphanumeric() {
                escaped.push(char::from(byte));
            } else {
                let _ = write!(escaped, "\\x{byte:02X}");
            }
            escaped
        })
    };
    [
        field(&facts.manufacturer),
        field(&facts.model),
        field(&facts.serial),
        field(&facts.label),
        hex::encode_upper(id),
    ]
    .join("/")
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

fn escape_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let session = Session::open(admin, arguments.at.slot)?;
    let facts = session.facts()?;
    let Some(name) = &arguments.name else {
        let uri = match arguments.client {
            Client::Openvpn => {
                return Err(Failure::not_found(
                    "OpenVPN wants a certificate: name one (`hierarkey cert list` has them)",
                ));
            }
            Client::Any | Client::Systemd => of_token(facts),
            Client::Ssh | Client::Openssl => {
                format!("pkcs11:token={}", escape(&facts.label))
            }
        };
        return out.show(&UriReport { uri });
    };
    // A private key is not seen without a login; its public key and certificate have its names.
    let classes = [CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_DATA];
    let found = name.all(&session, &classes)?;
    let Some(first) = found.first() else {
        return Err(Failure::not_found(format!(
            "there is no key or certificate {name} on the token"
        )));
    };
    let id = session.attribute(*first, CKA_ID)?.unwrap_or_default();
    let label = session.text(*first, CKA_LABEL)?;
    for other in &found {
        if session.attribute(*other, CKA_ID)?.unwrap_or_default() != id {
            return Err(Failure::not_found(format!(
                "several keys are called {name}: name one by its id:"
            )));
        }
    }
    let uri = match arguments.client {
        Client::Any => of_object(facts, &id, &label, arguments.part),
        Client::Systemd => of_token(facts),
        Client::Ssh => of_object(facts, &id, &label, None),
        Client::Openssl => of_object(facts, &id, &label, arguments.part.or(Some(Part::Private))),
        Client::Openvpn => of_openvpn(facts, &id),
    };
    out.show(&UriReport { uri })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A token that URIs of tests name, here and where they are read.
    pub fn facts() -> TokenFacts {
        TokenFacts {
            label: "my token".into(),
            serial: "0123abcd".into(),
            manufacturer: "IBM".into(),
            model: "SW TPM".into(),
        }
    }

    #[test]
    fn a_token_is_named_by_all_that_it_says_of_itself() {
        assert_eq!(
            of_token(&facts()),
            "pkcs11:model=SW%20TPM;manufacturer=IBM;serial=0123abcd;token=my%20token"
        );
    }

    #[test]
    fn an_object_is_named_by_its_id_and_without_one_by_its_label() {
        assert_eq!(
            of_object(&facts(), &[1, 0xab], "x", Some(Part::Private)),
            "pkcs11:token=my%20token;id=%01%AB;type=private"
        );
        assert_eq!(of_object(&facts(), &[], "a/b", None), "pkcs11:token=my%20token;object=a%2Fb");
    }

    #[test]
    fn openvpn_has_five_fields_with_slashes() {
        assert_eq!(of_openvpn(&facts(), &[1]), "IBM/SW\\x20TPM/0123abcd/my\\x20token/01");
    }
}
