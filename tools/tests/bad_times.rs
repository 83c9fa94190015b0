//! No TPM, no rights, no room: each command says so in one line, with an exit code that says which,
//! and leaves nothing half made.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::table::{CHANGING, OF_ANYBODY, OF_USER, contents, fill, init, prepared, with_pin};
use common::{PROGRAM, Rig, finish, judge_refusal, open_to_all};

#[test]
fn a_locked_tpm_is_exit_5_and_says_how_to_reset_it() {
    let rig = prepared();
    rig.tpm.set_lockout(2, 3600);
    let refused = |file| rig.run(&["key", "list", "--pin-file", file]).code;
    while refused("wrong") != 5 {}
    for words in OF_USER {
        let said = rig.refused(&with_pin(words, "pin"), 5);
        assert!(said.contains("hierarkey lockout reset"), "{said}");
    }
    let outcome = rig.run(&["doctor"]);
    assert_eq!(outcome.code, 10);
    assert!(outcome.text().contains("locked out"), "{}", outcome.text());
    rig.ok(&["lockout", "reset"]);
    rig.ok(&["key", "list", "--pin-file", "pin"]);
}

#[test]
fn without_a_tpm_every_command_is_exit_3_and_says_so() {
    let rig = prepared();
    rig.tpm.stop();
    let without = |words: &[&str]| {
        let outcome = rig.run(words);
        let said = judge_refusal(words, &outcome, 3);
        assert!(said.contains("does not answer") || said.contains("no TPM"), "{said}");
    };
    OF_USER.iter().for_each(|words| without(&with_pin(words, "pin")));
    OF_ANYBODY.iter().for_each(|words| without(words));
    without(&["lockout", "reset"]);
    without(&init("owner", "x", "so", "pin"));
    without(&["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "so"]);
    without(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "pin"]);
    without(&["setup", "ssh", "--module", PROGRAM, "--yes"]);
    without(&["setup", "openvpn", "--module", PROGRAM, "--yes"]);
    without(&["setup", "strongswan", "--module", PROGRAM, "--yes"]);
    assert!(rig.ok(&["status"]).text().contains("does not answer"));
    assert_eq!(rig.run(&["doctor"]).code, 10);
}

#[test]
fn a_process_without_descriptors_is_told_so() {
    let rig = prepared();
    let mut refused = 0;
    for limit in 3..10 {
        for words in [&["key", "list"][..], &with_pin(&["key", "test", "k"], "pin")] {
            let mut command = rig.command("prlimit");
            command.arg(format!("--nofile={limit}:{limit}")).arg(PROGRAM).args(words);
            let outcome = finish(command);
            if outcome.code != 0 && !outcome.stderr.contains("shared libraries") {
                let said = judge_refusal(words, &outcome, 3);
                assert!(said.contains("Too many open files"), "{limit}: {said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "none of them was too few");
    rig.ok(&with_pin(&["key", "test", "k"], "pin"));
}

#[test]
fn a_full_output_is_exit_9_and_takes_back_what_was_made() {
    let rig = prepared();
    let full = |words: &[&str]| {
        let mut command = rig.command(PROGRAM);
        let device = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        command.args(words).stdout(Stdio::from(device));
        let said = judge_refusal(words, &finish(command), 9);
        assert!(said.contains("stdout"), "{said}");
    };
    OF_ANYBODY.iter().for_each(|words| full(words));
    full(&["status"]);
    full(&["doctor"]);
    let before = contents(&rig);
    full(&with_pin(&["key", "csr", "k", "--subject", "CN=k"], "pin"));
    full(&with_pin(&["key", "self-sign", "k", "--subject", "CN=k", "--store"], "pin"));
    full(&with_pin(&["object", "get", "secret"], "pin"));
    assert_eq!(before, contents(&rig));
    for out in ["/dev/full", "nowhere/x", "k.pem"] {
        for words in [
            &["key", "csr", "k", "--subject", "CN=k", "--out", out][..],
            &["key", "self-sign", "k", "--subject", "CN=k", "--store", "--out", out],
            &["object", "get", "secret", "--out", out],
        ] {
            rig.refused(&with_pin(words, "pin"), 9);
        }
        rig.refused(&["cert", "export", "k", "--out", out], 9);
        rig.refused(&["random", "8", "--out", out], 9);
    }
    assert_eq!(before, contents(&rig));
    for words in [&["generate", "man"], &["generate", "completions"], &["generate", "schema"]] {
        rig.refused(&[&words[..], &["rubbish"]].concat(), 9);
    }
}

/// A file system of a megabyte, away with its value.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &std::path::Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=700", "hierarkey-test"]).arg(at);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[1; 512]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_exit_9_and_leaves_nothing_half_made() {
    let rig = Rig::new();
    fs::create_dir(rig.store()).unwrap();
    let Some(small) = Small::mount(&rig.store()) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let make = init("owner", "x", "so", "pin");
    small.fill();
    rig.refused(&make, 9);
    small.empty();
    assert!(rig.ok(&["status"]).text().contains("not initialised"));
    rig.ok(&make);
    fill(&rig);
    let before = contents(&rig);
    small.fill();
    for words in CHANGING {
        let said = rig.refused(&with_pin(words, "pin"), 9);
        assert!(said.contains("make room"), "{said}");
    }
    rig.refused(&["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "so"], 9);
    rig.refused(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "so"], 9);
    rig.refused(&init("null", "x", "so", "pin"), 9);
    let out = rig.store().join("csr");
    let words = ["key", "csr", "k", "--subject", "CN=k", "--out", out.to_str().unwrap()];
    rig.refused(&with_pin(&words, "pin"), 9);
    assert!(!out.exists());
    let doctor = rig.run(&["doctor"]);
    assert_eq!(doctor.code, 10);
    assert!(doctor.text().contains("disk-space"), "{}", doctor.text());
    small.empty();
    assert_eq!(before, contents(&rig));
    rig.ok(&with_pin(&["key", "test", "k"], "pin"));
}

/// Runs the tool as nobody, who may use the TPM if `tpm`.
fn as_nobody(rig: &Rig, tpm: bool, words: &[&str]) -> common::Outcome {
    finish(command_of_nobody(rig, tpm, words))
}

fn command_of_nobody(rig: &Rig, tpm: bool, words: &[&str]) -> Command {
    open_to_all(rig.folder.path(), 0o755);
    for name in ["pin", "so", "none.toml", "rsa.pem", "rsa.p12", "other.pem", "rubbish", "pass"] {
        open_to_all(&rig.path(name), 0o644);
    }
    open_to_all(rig.tpm.directory(), if tpm { 0o755 } else { 0o700 });
    open_to_all(&rig.tpm.socket(), 0o777);
    let program = rig.path("hierarkey");
    if !program.exists() {
        fs::copy(PROGRAM, &program).unwrap();
        open_to_all(&program, 0o755);
    }
    let mut command = rig.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(words);
    command
}

#[test]
fn a_users_processes_take_turns_by_one_file_whatever_their_environment() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let rig = prepared();
    let runtime = rig.path("runtime");
    fs::create_dir(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(65534), Some(65534)).unwrap();
    open_to_all(&runtime, 0o700);
    let mut command = command_of_nobody(&rig, true, &["lockout", "show"]);
    let outcome = finish(command.env("XDG_RUNTIME_DIR", &runtime));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0);
}

#[test]
fn without_rights_every_command_is_exit_7_and_says_whom_to_ask() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let rig = prepared();
    let before = rig.stored();
    // Neither TPM nor store.
    let others: Vec<_> = OF_ANYBODY.iter().map(|words| words.to_vec()).collect();
    let users: Vec<_> = OF_USER.iter().map(|words| with_pin(words, "pin")).collect();
    for words in users.iter().chain(&others) {
        judge_refusal(words, &as_nobody(&rig, false, words), 7);
    }
    // The TPM, and not the store: what needs no store works.
    for words in users.iter().chain(&others) {
        if matches!(words[..], ["random", ..] | ["lockout", ..]) {
            continue;
        }
        let said = judge_refusal(words, &as_nobody(&rig, true, words), 7);
        assert!(said.contains("doctor"), "{said}");
    }
    for words in [
        &init("owner", "x", "so", "pin")[..],
        &["token", "remove", "--slot", "owner", "--destroy-keys"],
        &["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "so"],
        &["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "pin"],
    ] {
        judge_refusal(words, &as_nobody(&rig, true, words), 7);
    }
    let doctor = as_nobody(&rig, true, &["doctor"]);
    assert_eq!(doctor.code, 10, "{}", doctor.stderr);
    assert!(doctor.text().contains("Permission denied"), "{}", doctor.text());
    assert_eq!(as_nobody(&rig, true, &["status"]).code, 0);
    // A place where this user can make none.
    let mut elsewhere = command_of_nobody(&rig, true, &["doctor"]);
    let text = finish(elsewhere.env("HIERARKEY_STORE", "/nowhere/store")).text();
    assert!(
        text.contains("this user cannot make it") && text.contains("HIERARKEY_STORE"),
        "{text}"
    );
    assert!(!text.contains("keys can be used"), "{text}");
    assert!(before == rig.stored(), "something was changed");
}

#[test]
fn a_store_that_may_only_be_read_is_exit_7_for_who_changes_it() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let rig = prepared();
    open_to_all(&rig.store(), 0o755);
    open_to_all(&rig.store().join("hierarkey.sqlite3"), 0o644);
    let before = rig.stored();
    for words in CHANGING {
        let words = with_pin(words, "pin");
        judge_refusal(&words, &as_nobody(&rig, true, &words), 7);
    }
    let using = with_pin(&["key", "test", "k"], "pin");
    let outcome = as_nobody(&rig, true, &using);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(before == rig.stored(), "something was changed");
    let mode = fs::metadata(rig.store()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn a_change_that_was_interrupted_is_no_damage_to_who_may_only_read() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let rig = prepared();
    let file = rig.store().join("hierarkey.sqlite3");
    let mut dying = rig.command("sqlite3");
    dying.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut dying = dying.spawn().unwrap();
    // More than its cache holds, so that some of it is in the file.
    let half = "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE half (a);\n\
                INSERT INTO half VALUES (randomblob(500000)); SELECT 'half';\n";
    dying.stdin.as_mut().unwrap().write_all(half.as_bytes()).unwrap();
    let mut said = [0; 4];
    dying.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    dying.kill().unwrap();
    dying.wait().unwrap();
    open_to_all(&rig.store(), 0o755);
    for one in fs::read_dir(rig.store()).unwrap() {
        open_to_all(&one.unwrap().path(), 0o644);
    }
    assert!(rig.store().join("hierarkey.sqlite3-journal").exists(), "nothing to undo");
    let said = judge_refusal(&["key list"], &as_nobody(&rig, true, &["key", "list"]), 1);
    assert!(said.contains("was interrupted") && said.contains("may write it"), "{said}");
    let doctor = as_nobody(&rig, true, &["doctor"]);
    assert_eq!(doctor.code, 10);
    assert!(doctor.text().contains("run `hierarkey status`"), "{}", doctor.text());
    assert!(!doctor.text().contains("put back"), "{}", doctor.text());
    // And so it is.
    rig.ok(&["status"]);
    assert_eq!(as_nobody(&rig, true, &["key", "list"]).code, 0);
    rig.ok(&with_pin(&["key", "test", "k"], "pin"));
}

#[test]
fn a_cleared_tpm_and_a_damaged_store_are_told_plainly() {
    let rig = prepared();
    rig.tpm.clear();
    for words in OF_USER {
        let outcome = rig.run(&with_pin(words, "pin"));
        assert_eq!(outcome.code, 1, "{words:?}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("cleared"), "{words:?}: {}", outcome.stderr);
    }
    assert!(rig.ok(&["status"]).text().contains("cleared"));
    let doctor = rig.run(&["doctor"]);
    assert_eq!(doctor.code, 10);
    assert!(doctor.text().contains("token remove --slot owner --destroy-keys"));
    // What can be told to remove something is told so in full.
    let said = rig.refused(&["key", "list"], 1);
    assert!(said.contains("token remove --slot"), "{said}");
    rig.ok(&["token", "remove", "--slot", "owner", "--destroy-keys"]);

    fs::write(rig.store().join("hierarkey.sqlite3"), "no database at all").unwrap();
    for words in OF_USER {
        let outcome = rig.run(&with_pin(words, "pin"));
        assert_ne!(outcome.code, 0, "{words:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
    assert_eq!(rig.run(&["doctor"]).code, 10);
}

#[test]
fn a_newer_store_is_left_alone_and_nobody_is_told_to_remove_it() {
    let rig = Rig::with_token();
    let mut newer = rig.command("sqlite3");
    newer.arg(rig.store().join("hierarkey.sqlite3")).arg("PRAGMA user_version = 99");
    assert_eq!(finish(newer).code, 0);
    let before = rig.stored();
    for words in [
        &["key", "list"][..],
        &init("owner", "x", "so", "pin"),
        &["token", "remove", "--slot", "owner", "--destroy-keys"],
    ] {
        let said = rig.refused(words, 1);
        assert!(said.contains("newer") && said.contains("hierarkey doctor"), "{said}");
        assert!(!said.contains("token remove"), "{said}");
    }
    assert!(rig.run(&["doctor"]).text().contains("install that one again"));
    assert!(before == rig.stored(), "something was changed");
}

#[test]
fn a_wrong_configuration_is_exit_8_and_is_what_is_told() {
    let rig = Rig::with_token();
    rig.write("none.toml", "nonsense = 1\n");
    for words in [&["key", "list"][..], &["random", "8"], &init("null", "x", "so", "pin")] {
        let said = rig.refused(words, 8);
        assert!(said.contains("none.toml:1") && said.contains("nonsense"), "{said}");
    }
    let status = rig.ok(&["status"]).text();
    assert!(status.contains("configuration  ") && status.contains("none.toml:1"), "{status}");
    // Nobody asked the TPM.
    assert!(!status.contains("does not answer"), "{status}");
    let status = rig.json(&["status"]);
    assert!(status["configuration"].as_str().unwrap().contains("nonsense"), "{status}");
    rig.write("none.toml", "");
    assert!(rig.json(&["status"])["configuration"].is_null());
    let elsewhere = |store: &str, tcti: &str, code| {
        let mut command = rig.command(PROGRAM);
        command.args(["key", "list"]).env("HIERARKEY_STORE", store);
        if !tcti.is_empty() {
            command.env("HIERARKEY_TCTI", tcti);
        }
        judge_refusal(&[store, tcti], &finish(command), code)
    };
    let said = elsewhere("relative", "", 8);
    assert!(said.contains("HIERARKEY_STORE"), "{said}");
    let said = elsewhere("/dev/null", "", 8);
    assert!(said.contains("is not a directory"), "{said}");
    elsewhere(rig.store().to_str().unwrap(), "device:/dev/null", 3);
    let said = elsewhere(rig.store().to_str().unwrap(), "nonsense:x", 8);
    assert!(said.contains("HIERARKEY_TCTI") && said.contains("nonsense"), "{said}");
    rig.write("none.toml", "tcti = \"swtpm:path=relative\"\n");
    let mut command = rig.command(PROGRAM);
    let outcome = finish(command.arg("status").env_remove("HIERARKEY_TCTI"));
    assert!(outcome.text().contains("none.toml: tcti: "), "{}", outcome.text());
    assert!(!outcome.text().contains("does not answer"), "{}", outcome.text());
}
