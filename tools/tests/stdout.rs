//! A stdout whose reader has gone.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use common::PROGRAM;
use common::table::{OF_ANYBODY, contents, prepared, with_pin};

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
