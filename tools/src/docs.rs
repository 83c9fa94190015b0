//! docs/tool.md: what of it is printed from the program's own tables.

use clap::{Command, CommandFactory};

use crate::failure::EXIT_CODES;

/// A table of every command with what it does.
fn commands() -> String {
    let mut table = "| command | what it does |\n|---|---|\n".to_owned();
    let mut row = |words: &str, command: &Command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let mut arguments = String::new();
        for argument in command.get_positionals() {
            let name = argument.get_id().as_str().to_uppercase();
            let shown = if argument.is_required_set() { name } else { format!("[{name}]") };
            arguments.push(' ');
            arguments.push_str(&shown);
        }
        table.push_str(&format!("| `hierarkey {words}{arguments}` | {about} |\n"));
    };
    for command in crate::Arguments::command().get_subcommands() {
        let name = command.get_name();
        if !command.has_subcommands() {
            row(name, command);
        }
        for inner in command.get_subcommands() {
            row(&format!("{name} {}", inner.get_name()), inner);
        }
    }
    table
}

fn exit_codes() -> String {
    let mut table = "| code | `kind` in JSON | what it means |\n|---|---|---|\n".to_owned();
    for (code, kind, what) in EXIT_CODES {
        let kind = if kind.is_empty() { "".to_owned() } else { format!("`{kind}`") };
        table.push_str(&format!("| {code} | {kind} | {what} |\n"));
    }
    table
}

/// `page` with the part between the marks of `name` replaced.
fn with_part(page: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).expect("a mark where the part begins");
    let (_, after) = rest.split_once(&end).expect("a mark where the part ends");
    format!("{before}{begin}{part}{end}{after}")
}

#[test]
fn the_page_in_docs_has_every_command_and_every_exit_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tool.md");
    let page = std::fs::read_to_string(path).unwrap();
    let fresh = with_part(&page, "commands", &commands());
    let fresh = with_part(&fresh, "exit codes", &exit_codes());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page == fresh, "run again with UPDATE_DOCS=1 and commit {path}");
}

#[test]
fn the_exit_codes_are_the_kinds() {
    use crate::failure::Kind;
    for kind in [
        Kind::Failed,
        Kind::Usage,
        Kind::NoTpm,
        Kind::Pin,
        Kind::Locked,
        Kind::NotFound,
        Kind::Denied,
        Kind::Input,
        Kind::Output,
        Kind::Findings,
    ] {
        let name = serde_json::to_value(kind).unwrap();
        let row = EXIT_CODES.iter().find(|row| row.0 == kind as u8).unwrap();
        assert_eq!(name, row.1);
    }
    assert_eq!(EXIT_CODES.len(), 11);
}

#[test]
fn every_command_and_every_option_says_what_it_is() {
    fn look(command: &Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{name}");
        for argument in command.get_arguments() {
            let said = argument.get_help().is_some_and(|help| !help.to_string().is_empty());
            assert!(said, "{name}: {}", argument.get_id());
        }
        command.get_subcommands().for_each(look);
    }
    look(&crate::Arguments::command());
}
