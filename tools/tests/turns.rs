//! Several of the tool at once on one store: what one makes no other replaces or makes again.

mod common;

use std::process::{Child, Stdio};

use common::table::init;
use common::{PROGRAM, Rig};

/// Starts all of them before it waits for any; how many did what they were asked.
fn succeeding(rig: &Rig, commands: &[Vec<&str>]) -> usize {
    let start = |words: &Vec<&str>| {
        let mut command = rig.command(PROGRAM);
        command.args(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = commands.iter().map(start).collect();
    let succeeded = children.into_iter().filter_map(|child| {
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!([Some(0), Some(8)].contains(&done.status.code()), "{said}");
        done.status.success().then_some(())
    });
    succeeded.count()
}

#[test]
fn a_name_that_many_want_at_once_is_given_once() {
    let rig = Rig::with_token();
    rig.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"]);
    let pin = ["--pin-file", "pin"];
    for command in [
        &["key", "generate", "one"][..],
        &["key", "generate", "two", "--type", "rsa-2048"],
        &["key", "import", "ec.pem", "--label", "three"],
        &["object", "put", "four", "ec.pem"],
    ] {
        assert_eq!(succeeding(&rig, &vec![[command, &pin].concat(); 5]), 1, "{command:?}");
    }
    let labels = ["a", "b", "c", "d", "e"];
    let of_one_id =
        labels.map(|label| [&["key", "generate", label, "--id", "07"], &pin[..]].concat());
    assert_eq!(succeeding(&rig, &of_one_id), 1);
    let renamed =
        ["one", "two", "three"].map(|key| [&["key", "rename", key, "last"], &pin[..]].concat());
    assert_eq!(succeeding(&rig, &renamed), 1);
}

#[test]
fn a_token_that_was_just_made_is_not_replaced_unasked() {
    let rig = Rig::with_token();
    for _ in 0..3 {
        let labels = ["a", "b", "c", "d"];
        let all = labels.map(|label| init("null", label, "so", "pin").to_vec());
        assert_eq!(succeeding(&rig, &all), 1);
        rig.ok(&["key", "generate", "k", "--slot", "null", "--pin-file", "pin"]);
        rig.ok(&["token", "remove", "--slot", "null", "--destroy-keys"]);
    }
}

#[test]
fn of_many_first_tokens_of_a_machine_one_is_made() {
    let rig = Rig::new();
    let labels = ["a", "b", "c", "d"];
    let all = labels.map(|label| init("null", label, "so", "pin").to_vec());
    for _ in 0..4 {
        let _ = std::fs::remove_dir_all(rig.store());
        assert_eq!(succeeding(&rig, &all), 1);
    }
}
