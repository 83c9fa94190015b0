//! `hierarkey setup strongswan`: charon's pkcs11 plugin and swanctl.

use std::path::PathBuf;

use clap::Args;
use hierarkey::admin::Admin;
use hierarkey::slot::slot_of;

use super::keys::{self, CertificateWanted};
use super::module;
use super::plan::{Action, Manner, Plan};
use crate::failure::Result;
use crate::output::Output;
use crate::slot::AsUser;

#[derive(Args)]
pub struct Arguments {
    /// The key's name on the token; it is made if it is not there
    #[arg(long, default_value = "ipsec")]
    label: String,
    /// Whom the certificate is to be about, in the request
    #[arg(long, default_value = "CN=ipsec", value_name = "NAME")]
    subject: String,
    /// The file for the request, where there is no certificate yet
    #[arg(long, default_value = "ipsec.csr", value_name = "FILE")]
    csr: PathBuf,
    /// The folder of strongSwan's configuration, which has strongswan.d and swanctl
    #[arg(long, default_value = "/etc", value_name = "DIRECTORY")]
    etc: PathBuf,
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
    let label = &arguments.label;
    let mut plan = Plan::default();
    let key = keys::existing(&session, label)?;
    if let Some(key) = key.as_ref().filter(|key| !key.certificates.is_empty()) {
        let plugin = format!(
            "charon {{\n  plugins {{\n    pkcs11 {{\n      load = yes\n      modules {{\n        \
             hierarkey {{\n          path = {}\n        }}\n      }}\n    }}\n  }}\n}}\n",
            module.display()
        );
        plan.step(
            "Tell charon of the module",
            Action::Write {
                path: arguments.etc.join("strongswan.d/hierarkey.conf"),
                contents: plugin,
            },
        );
        let slot = slot_of(arguments.who.at.slot.hierarchy());
        let secrets = format!(
            "secrets {{\n  token-hierarkey {{\n    handle = {}\n    slot = {slot}\n    \
             module = hierarkey\n  }}\n}}\n",
            hex::encode(&key.id)
        );
        plan.step(
            "Tell swanctl of the key; it asks for the PIN",
            Action::Write {
                path: arguments.etc.join("swanctl/conf.d/hierarkey.conf"),
                contents: secrets,
            },
        );
        plan.note(format!(
            "name the certificate in your connection: local {{ cert-hierarkey {{ handle = {} ; slot \
             = {slot} ; module = hierarkey }} }}; then restart charon and run swanctl --load-all",
            hex::encode(&key.id)
        ));
    } else {
        let wanted = CertificateWanted { label, subject: &arguments.subject, csr: &arguments.csr };
        keys::towards_certificate(&mut plan, out, admin, &arguments.who, key.as_ref(), wanted);
    }
    drop(session);
    plan.run(out, &arguments.manner)
}
