//! `hierarkey key export`: the public key, for who checks signatures or encrypts.

use clap::Args;
use der::Decode;
use hierarkey::admin::Admin;
use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Mpint, PublicKey};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::info;
use super::request::{FileArguments, deliver, deliver_as};
use crate::failure::{Failure, Kind, Result};
use crate::name::Name;
use crate::output::{Output, visible};
use crate::slot::Where;
use crate::token_session::Session;

#[derive(Args)]
pub struct Arguments {
    /// The key, by its label or "id:01ab"
    key: Name,
    /// The line that OpenSSH wants in authorized_keys
    #[arg(long, conflicts_with = "der")]
    ssh: bool,
    #[command(flatten)]
    file: FileArguments,
    #[command(flatten)]
    at: Where,
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let session = Session::open(admin, arguments.at.slot)?;
    let key = info::one(&session, &arguments.key)?;
    let spki = key.public_key_info(&session)?;
    if arguments.ssh {
        let line = openssh(&spki, &key.label)?;
        return deliver_as(out, &arguments.file, line, &spki);
    }
    deliver(out, &arguments.file, "PUBLIC KEY", &spki)
}

/// OpenSSH's line of a public key.
fn openssh(spki: &[u8], comment: &str) -> Result<String> {
    let broken = |what: String| Failure::new(Kind::Failed, what);
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|e| broken(e.to_string()))?;
    let bits = info.subject_public_key.raw_bytes();
    let data = if let Ok(key) = pkcs1::RsaPublicKey::from_der(bits) {
        let number = |number: der::asn1::UintRef<'_>| {
            Mpint::from_positive_bytes(number.as_bytes()).map_err(|e| broken(e.to_string()))
        };
        KeyData::Rsa(RsaPublicKey { e: number(key.public_exponent)?, n: number(key.modulus)? })
    } else {
        let point = EcdsaPublicKey::from_sec1_bytes(bits);
        KeyData::Ecdsa(point.map_err(|e| broken(e.to_string()))?)
    };
    // A line's end in a label would begin another line of authorized_keys.
    let line =
        PublicKey::new(data, visible(comment)).to_openssh().map_err(|e| broken(e.to_string()))?;
    Ok(format!("{line}\n"))
}
