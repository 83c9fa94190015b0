//! `hierarkey setup openvpn`.

use std::path::PathBuf;

use clap::Args;
use hierarkey::admin::Admin;

use super::keys::{self, CertificateWanted};
use super::module;
use super::plan::{Action, Manner, Plan};
use crate::failure::Result;
use crate::output::Output;
use crate::slot::AsUser;
use crate::uri;

#[derive(Args)]
pub struct Arguments {
    /// The key's name on the token; it is made if it is not there
    #[arg(long, default_value = "openvpn")]
    label: String,
    /// Whom the certificate is to be about, in the request
    #[arg(long, default_value = "CN=openvpn", value_name = "NAME")]
    subject: String,
    /// The file for the request, where there is no certificate yet
    #[arg(long, default_value = "openvpn.csr", value_name = "FILE")]
    csr: PathBuf,
    /// The file for OpenVPN's lines
    #[arg(long, default_value = "openvpn-hierarkey.conf", value_name = "FILE")]
    out: PathBuf,
    /// The module (default: the one that is installed)
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    who: AsUser,
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    let module = module::find(arguments.module.as_deref())?;
    crate::key::x509::distinguished_name(&arguments.subject)?;
    let session = keys::look(admin, &arguments.who)?;
    let facts = session.facts()?;
    let label = &arguments.label;
    let mut plan = Plan::default();
    let key = keys::existing(&session, label)?;
    match key.as_ref().filter(|key| !key.certificates.is_empty()) {
        Some(key) => {
            let contents = format!(
                "pkcs11-providers {}\npkcs11-id '{}'\n",
                module.display(),
                uri::of_openvpn(facts, &key.id)
            );
            plan.step(
                "Write the lines for OpenVPN's configuration",
                Action::Write { path: arguments.out.clone(), contents },
            );
            plan.note(format!(
                "put `config {}` into OpenVPN's configuration in place of its cert and key lines; \
                 the PIN comes by the management interface or by systemd-ask-password",
                arguments.out.display()
            ));
        }
        None => {
            let wanted =
                CertificateWanted { label, subject: &arguments.subject, csr: &arguments.csr };
            keys::towards_certificate(&mut plan, out, admin, &arguments.who, key.as_ref(), wanted);
        }
    }
    drop(session);
    plan.run(out, &arguments.manner)
}
