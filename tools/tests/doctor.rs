//! `hierarkey doctor`: what is wrong is found, with its remedy, and what is right is not accused.

mod common;

use std::fs;

use common::{Rig, described, finish, open_to_all};
use serde_json::Value;

/// What doctor says, and its exit code.
fn examine(rig: &Rig) -> (Value, i32) {
    let outcome = rig.run(&["--json", "doctor"]);
    (described(&["doctor"], &outcome.stdout), outcome.code)
}

/// The severity of the finding of `check` that has `words`, which must have a remedy.
fn finding(report: &Value, check: &str, words: &str) -> String {
    let findings = report["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|one| one["check"] == check && one["finding"].as_str().unwrap().contains(words));
    let found =
        found.unwrap_or_else(|| panic!("no finding of {check} with \"{words}\": {report:#}"));
    assert!(found["remedy"].as_str().unwrap().len() > 10);
    found["severity"].as_str().unwrap().to_owned()
}

fn passed(report: &Value, check: &str) -> bool {
    report["passed"].as_array().unwrap().iter().any(|one| one == check)
}

fn sqlite(rig: &Rig, statement: &str) {
    let mut command = rig.command("sqlite3");
    command.arg(rig.store().join("hierarkey.sqlite3")).arg(statement);
    let done = finish(command);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_machine_in_order_has_no_problem() {
    let rig = Rig::with_token();
    let modules = rig.path(".config/pkcs11/modules");
    fs::create_dir_all(&modules).unwrap();
    let module = common::module();
    fs::write(modules.join("hierarkey.module"), format!("module: {}\n", module.display())).unwrap();
    rig.tpm.set_lockout(32, 600);
    let (report, code) = examine(&rig);
    assert_eq!(code, 0, "{report:#}");
    for check in [
        "configuration",
        "tpm",
        "firmware",
        "lockout",
        "dictionary-attack",
        "hierarchies",
        "store",
        "store-permissions",
        "disk-space",
        "owner-token",
        "p11-kit",
    ] {
        assert!(passed(&report, check), "{check}: {report:#}");
    }
    // An emulator's lockout authorization is empty: a warning, and a failure for who is strict.
    assert_eq!(finding(&report, "lockout-authorization", "empty"), "warning");
    assert_eq!(finding(&report, "software-tpm", "emulator"), "note");
    assert_eq!(rig.run(&["doctor", "--strict"]).code, 10);
}

#[test]
fn the_lockout_authorization_is_asked_for_once_it_is_set() {
    let rig = Rig::with_token();
    let mut change = rig.command("tpm2_changeauth");
    change.args(["-T", &rig.tpm.tcti(), "-c", "lockout", "sesame"]);
    let changed = finish(change);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert!(passed(&examine(&rig).0, "lockout-authorization"));
    rig.refused(&["lockout", "reset"], 4);
    rig.write("auth", "sesame\n");
    assert_eq!(rig.json(&["lockout", "reset", "--auth-file", "auth"])["authorization_set"], true);
    rig.refused(&["lockout", "reset", "--auth-file", "wrong"], 4);
    // After one wrong value it takes none for a while: said, not shown as success.
    rig.refused(&["lockout", "reset", "--auth-file", "auth"], 4);
}

#[test]
fn settings_that_let_pins_be_guessed_are_found() {
    let rig = Rig::with_token();
    rig.tpm.set_lockout(32, 600);
    assert!(passed(&examine(&rig).0, "dictionary-attack"));
    rig.tpm.set_lockout(5000, 600);
    assert_eq!(finding(&examine(&rig).0, "dictionary-attack", "5000"), "warning");
    rig.tpm.set_lockout(32, 5);
    assert_eq!(finding(&examine(&rig).0, "dictionary-attack", "every 5 s"), "warning");
    rig.tpm.set_lockout(32, 0);
    let (report, code) = examine(&rig);
    assert_eq!(finding(&report, "dictionary-attack", "never lock"), "problem");
    assert_eq!(code, 10);
    rig.tpm.set_lockout(32, 600);
    rig.refused(&["key", "list", "--pin-file", "wrong"], 4);
    assert_eq!(finding(&examine(&rig).0, "lockout", "1 of 32 tries"), "note");
}

#[test]
fn a_store_that_others_could_have_written_is_found() {
    let rig = Rig::with_token();
    let file = rig.store().join("hierarkey.sqlite3");
    open_to_all(&file, 0o644);
    assert_eq!(finding(&examine(&rig).0, "store-permissions", "everybody may read"), "warning");
    open_to_all(&file, 0o666);
    let (report, code) = examine(&rig);
    assert_eq!((finding(&report, "store", "written by others").as_str(), code), ("problem", 10));
    open_to_all(&file, 0o600);
    assert!(passed(&examine(&rig).0, "store-permissions"));
}

#[test]
fn rows_that_were_changed_and_newer_stores_are_found() {
    let rig = Rig::with_token();
    rig.write("note", "hello");
    rig.ok(&["object", "put", "one", "note", "--public", "--pin-file", "pin"]);
    rig.ok(&["object", "put", "two", "note", "--public", "--pin-file", "pin"]);
    sqlite(
        &rig,
        "UPDATE object SET content = zeroblob(50) WHERE id = (SELECT min(id) FROM object)",
    );
    let (report, code) = examine(&rig);
    assert_eq!(finding(&report, "owner-token", "1 objects"), "problem");
    assert_eq!(code, 10);
    assert_eq!(rig.json(&["object", "list"])["objects"].as_array().unwrap().len(), 1);
    sqlite(&rig, "PRAGMA user_version = 99");
    assert_eq!(finding(&examine(&rig).0, "store", "version 99 is newer"), "problem");
}

#[test]
fn a_wrong_configuration_is_found_by_file_and_line() {
    let rig = Rig::with_token();
    rig.write("none.toml", "tcti = \"device:/dev/tpmrm0\"\nnonsense = 1\n");
    let (report, code) = examine(&rig);
    assert_eq!(finding(&report, "configuration", "none.toml:2"), "problem");
    assert_eq!(code, 10);
    rig.write("none.toml", "[hierarchy_auth_files]\nlockout = \"/none/lockout\"\n");
    assert_eq!(finding(&examine(&rig).0, "configuration", "/none/lockout"), "warning");
}

#[test]
fn a_device_that_is_not_there_or_not_for_us_is_told_from_one_that_is_silent() {
    let rig = Rig::with_token();
    let with = |tcti: &str| {
        let mut command = rig.command(common::PROGRAM);
        command.args(["--json", "doctor"]).env("HIERARKEY_TCTI", tcti);
        let outcome = finish(command);
        assert_eq!(outcome.code, 10);
        described(&["doctor"], &outcome.stdout)
    };
    assert_eq!(finding(&with("device:/none/tpm"), "tpm", "/none/tpm"), "problem");
    assert_eq!(finding(&with("swtpm:path=/none/tpm"), "tpm", "does not answer"), "problem");
    let module = with("nonsense:x=y");
    assert_eq!(finding(&module, "tpm", "does not answer"), "problem");
}

#[test]
fn a_user_outside_the_devices_group_is_told_which() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let rig = Rig::new();
    open_to_all(rig.folder.path(), 0o755);
    rig.write("tpm", "");
    open_to_all(&rig.path("tpm"), 0o660);
    let program = rig.path("hierarkey");
    fs::copy(common::PROGRAM, &program).unwrap();
    let mut command = rig.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.args(["--json", "doctor"]);
    command.env("HIERARKEY_TCTI", format!("device:{}", rig.path("tpm").display()));
    let report = described(&["doctor"], &finish(command).stdout);
    assert_eq!(finding(&report, "tpm", "is for group root"), "problem");
    let text = report.to_string();
    assert!(text.contains("usermod -aG root nobody"), "{text}");
}

#[test]
fn a_module_file_that_leads_nowhere_is_found() {
    let rig = Rig::new();
    let modules = rig.path(".config/pkcs11/modules");
    fs::create_dir_all(&modules).unwrap();
    fs::write(modules.join("x.module"), "module: /none/libhierarkey.so\n").unwrap();
    assert_eq!(finding(&examine(&rig).0, "p11-kit", "/none/libhierarkey.so"), "problem");
}
