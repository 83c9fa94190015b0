//! A stdout whose reader has gone, and one that has no room.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use common::table::{OF_ANYBODY, contents, prepared, with_pin};
use common::{PROGRAM, finish, judge_refusal};

#[test]
fn a_reader_who_has_gone_ends_it_without_a_word() {
    let rig = prepared();
    for words in OF_ANYBODY.iter().chain(&[&["status"][..], &["doctor"], &["--help"]]) {
        for json in [&[][..], &["--json"]] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = rig.command(PROGRAM);
            command.args(json).args(*words).stdout(writer).stderr(Stdio::piped());
            let done = command.spawn().unwrap().wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            // SIGPIPE, as of any program in a pipeline.
            assert_eq!(done.status.signal(), Some(13), "{words:?}: {said}");
            assert_eq!(said, "", "{words:?}");
        }
    }
    // What was made is taken back before it ends.
    let before = contents(&rig);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = rig.command(PROGRAM);
    let words = ["key", "self-sign", "k", "--subject", "CN=k", "--store"];
    command.args(with_pin(&words, "pin")).stdout(writer);
    assert_eq!(command.status().unwrap().signal(), Some(13));
    assert_eq!(before, contents(&rig));
}

#[test]
fn a_change_whose_answer_nobody_takes_stays_and_is_said_to_be_done() {
    let rig = prepared();
    let words = with_pin(&["key", "generate", "made"], "pin");
    let mut command = rig.command("sh");
    command.args(["-c", "exec \"$@\" >/dev/full", "sh", PROGRAM]).args(&words);
    let said = judge_refusal(&words, &finish(command), 9);
    assert!(said.contains("it is done, and could not be told: stdout"), "{said}");
    rig.ok(&with_pin(&["key", "test", "made"], "pin"));
}
