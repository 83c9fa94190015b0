//! The description of --json: JSON Schema, made from the very types that are printed, so that the
//! two cannot drift.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{
    cert, demo, disk, doctor, key, lockout, object, output, random, setup, status, token, uri,
};

/// What each command answers, by the command's words.
macro_rules! answers {
    ($($command:literal => $report:ty,)*) => {
        /// The commands that --json describes.
        #[cfg(test)]
        const COMMANDS: &[&str] = &[$($command),*];

        /// The schema as one document: `$defs` has an entry for each command.
        pub fn document() -> Value {
            let mut generator = SchemaSettings::draft2020_12().into_generator();
            let mut commands = Map::new();
            $(
                let schema = generator.subschema_for::<$report>();
                commands.insert($command.to_owned(), schema.to_value());
            )*
            let definitions = generator.take_definitions(true);
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "What hierarkey --json answers",
                "description": "On stdout: what `commands` has for the command. On stderr after a \
                                failure: `commands.error`.",
                "commands": commands,
                "$defs": definitions,
            })
        }
    };
}

answers! {
    "error" => output::ErrorReport,
    "status" => status::StatusReport,
    "doctor" => doctor::DoctorReport,
    "token init" => token::TokenReport,
    "token set-pin" => token::TokenReport,
    "token unblock" => token::TokenReport,
    "token remove" => key::change::DeletedReport,
    "key generate" => key::list::KeyReport,
    "key import" => key::import::ImportReport,
    "key list" => key::list::KeyListReport,
    "key show" => key::list::KeyShowReport,
    "key rename" => key::list::KeyReport,
    "key delete" => key::change::DeletedReport,
    "key export" => key::request::DocumentReport,
    "key csr" => key::request::DocumentReport,
    "key self-sign" => key::request::DocumentReport,
    "key test" => key::test::TestReport,
    "cert import" => cert::CertListReport,
    "cert export" => key::request::DocumentReport,
    "cert list" => cert::CertListReport,
    "object list" => object::ObjectListReport,
    "object get" => object::ValueReport,
    "object put" => object::ObjectReport,
    "object delete" => key::change::DeletedReport,
    "random" => random::RandomReport,
    "lockout show" => lockout::LockoutReport,
    "lockout reset" => lockout::LockoutReport,
    "uri" => uri::UriReport,
    "disk check" => disk::CheckReport,
    "disk passphrase" => disk::PassphraseReport,
    "disk store" => disk::StoreReport,
    "setup disk" => setup::SetupReport,
    "setup openvpn" => setup::SetupReport,
    "setup strongswan" => setup::SetupReport,
    "setup ssh" => setup::SetupReport,
    "setup nss" => setup::SetupReport,
    "demo" => demo::DemoReport,
}

/// The document as it is written.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_that_answers_is_described() {
        let mut commands = vec!["error".to_owned()];
        for command in crate::Arguments::command().get_subcommands() {
            let name = command.get_name();
            if name == "generate" {
                continue;
            }
            let inner: Vec<_> = command.get_subcommands().map(|one| one.get_name()).collect();
            if inner.is_empty() {
                commands.push(name.to_owned());
            }
            commands.extend(inner.iter().map(|one| format!("{name} {one}")));
        }
        commands.sort();
        let mut described = COMMANDS.to_vec();
        described.sort_unstable();
        assert_eq!(described, commands);
    }

    #[test]
    fn the_document_in_docs_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tool.schema.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, text()).unwrap();
        }
        let document = std::fs::read_to_string(path).unwrap_or_default();
        assert!(document == text(), "run again with UPDATE_DOCS=1 and commit {path}");
    }
}
