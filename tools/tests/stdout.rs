//! A stdout that is closed, and one whose reader has gone.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use common::table::{OF_ANYBODY, contents, prepared, with_pin};
use common::{PROGRAM, Rig, finish, judge_refusal};

/// Runs the tool as a shell does after `>&-`.
fn with_stdout_closed(rig: &Rig, words: &[&str]) -> common::Outcome {
    let mut command = rig.command("sh");
    command.args(["-c", "exec \"$@\" >&-", "sh", PROGRAM]).args(words);
    finish(command)
}

#[test]
fn a_closed_output_is_exit_9() {
    let rig = prepared();
    let closed = |words: &[&str]| {
        let said = judge_refusal(words, &with_stdout_closed(&rig, words), 9);
        assert!(said.contains("stdout: Bad file descriptor"), "{said}");
    };
    for words in OF_ANYBODY.iter().chain(&[&["status"][..], &["doctor"], &["demo"]]) {
        closed(words);
    }
    closed(&["--help"]);
    closed(&["--version"]);
    closed(&["key", "list", "--help"]);
    let before = contents(&rig);
    closed(&with_pin(&["key", "csr", "k", "--subject", "CN=k"], "pin"));
    closed(&with_pin(&["key", "self-sign", "k", "--subject", "CN=k", "--store"], "pin"));
    closed(&with_pin(&["object", "get", "secret"], "pin"));
    assert_eq!(before, contents(&rig));
    // What is written elsewhere needs none, and is not written into what was opened in its place.
    let words = ["generate", "schema", "."];
    assert_eq!(with_stdout_closed(&rig, &words).code, 0);
    // Somewhere else is somewhere: nobody is told that /dev/null is closed.
    let mut command = rig.command("sh");
    command.args(["-c", "exec \"$@\" 1<>/dev/null", "sh", PROGRAM, "random", "8"]);
    assert_eq!(finish(command).code, 0);
}

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
