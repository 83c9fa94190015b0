//! What a terminal is shown and left as: names that somebody else wrote, and questions that are not
//! answered.

mod common;

use std::io::{Read, Write};
use std::process::Stdio;

use common::{PROGRAM, Rig, finish, module};

/// A label as another program may write it: it would rename the window, and begin another line of
/// authorized_keys.
const EVIL: &str = "evil\x1b]0;owned\x07\nssh-rsa AAAA";

/// OpenSC's tool on the rig's token, as its user.
fn other_program(rig: &Rig, arguments: &[&str]) {
    let mut command = rig.command("pkcs11-tool");
    command.arg("--module").arg(module()).args(["--token-label", "test token", "--login"]);
    command.args(["--pin", "user-pin-1"]).args(arguments);
    let done = finish(command);
    assert_eq!(done.code, 0, "{}{}", done.text(), done.stderr);
}

#[test]
fn names_steer_no_terminal_and_begin_no_line() {
    let rig = Rig::with_token();
    let pair = ["--keypairgen", "--key-type", "EC:prime256v1", "--usage-sign", "--id", "01"];
    other_program(&rig, &[&pair[..], &["--label", EVIL]].concat());
    other_program(&rig, &["--write-object", "rubbish", "--type", "data", "--label", EVIL]);
    for (words, lines) in [
        (&["key", "list", "--login", "--pin-file", "pin"][..], 1),
        (&["object", "list", "--pin-file", "pin"], 3),
        (&["key", "export", "id:01", "--ssh"], 1),
        (&["key", "test", "id:01", "--pin-file", "pin"], 1),
        (&["key", "delete", "id:01", "--yes", "--pin-file", "pin"], 1),
    ] {
        // The name as it is, for programs.
        let raw = rig.json(&["object", "list"]);
        assert_eq!(raw["objects"][0]["label"], EVIL);
        let text = rig.ok(words).text();
        assert_eq!(text.lines().count(), lines, "{words:?}: {text:?}");
        assert!(text.contains("\\u{1b}]0;owned\\u{7}\\nssh-rsa AAAA"), "{words:?}: {text:?}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{words:?}: {text:?}");
    }
    let said = rig.refused(&["key", "show", "\x1b[31mred"], 6);
    assert!(!said.contains('\x1b'), "{said:?}");
}

/// Runs a shell's line on a terminal, and types `keys` once it shows `question`; what it shows.
fn answered(rig: &Rig, line: &str, question: &str, keys: &str) -> String {
    let mut command = rig.command("script");
    command.args(["-qec", line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut some = [0; 256];
    let mut typed = false;
    loop {
        let len = screen.read(&mut some).unwrap();
        if len == 0 {
            break;
        }
        shown.extend_from_slice(&some[..len]);
        if !typed && String::from_utf8_lossy(&shown).contains(question) {
            keyboard.write_all(keys.as_bytes()).unwrap();
            typed = true;
        }
    }
    drop(keyboard);
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn a_question_that_is_interrupted_leaves_a_terminal_that_shows_what_is_typed() {
    let rig = Rig::with_token();
    for (keys, code) in [("\x03", 130), ("half\x03", 130), ("\x1c", 131)] {
        // The terminal's signal is for the shell too.
        let line = format!("trap : INT QUIT; {PROGRAM} key list --login; echo code $?; stty -a");
        let shown = answered(&rig, &line, "user PIN: ", keys);
        // As of any program that Ctrl-C ended.
        assert!(shown.contains(&format!("code {code}")), "{keys:?}: {shown}");
        assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{keys:?}: {shown}");
        assert!(!shown.contains("-isig") && !shown.contains("half"), "{keys:?}: {shown}");
    }
}

#[test]
fn a_question_that_a_signal_ends_leaves_a_terminal_that_shows_what_is_typed() {
    let rig = Rig::with_token();
    let ask = format!("{PROGRAM} key list --login");
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        // From elsewhere, while the question waits: the terminal says so by not echoing.
        let kill = format!(
            "tty=$(tty); ({ask} & echo $! >asking; wait $!; echo code $? >ended) & \
             while stty -F \"$tty\" -a | grep -q ' echo '; do :; done; \
             kill -{signal} $(cat asking); wait; cat ended; stty -a"
        );
        let shown = answered(&rig, &kill, "nobody answers", "");
        assert!(shown.contains(&format!("code {code}")), "{signal}: {shown}");
        assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{signal}: {shown}");
    }
}

/// A shell with job control; what it runs is told once it has gone on.
fn stopped(rig: &Rig, keys: &str, then: &str) -> String {
    let line = format!("{PROGRAM} key list --login; echo code $?; stty -a; {then}");
    rig.write("script", &line);
    answered(rig, "bash -m script", "user PIN: ", keys)
}

#[test]
fn a_question_that_is_stopped_leaves_a_terminal_that_shows_what_is_typed() {
    let rig = Rig::with_token();
    // Typed on after the return: hidden again, and what was typed before the stop is forgotten.
    for keys in ["\x1auser-pin-1\n", "half\x1auser-pin-1\n"] {
        let shown = stopped(&rig, keys, "fg; echo then $?; stty -a");
        assert!(shown.contains("code 147") && shown.contains("then 0"), "{keys:?}: {shown}");
        assert_eq!(shown.matches("user PIN: ").count(), 2, "{keys:?}: {shown}");
        assert_eq!(shown.matches(" echo ").count(), 2, "{keys:?}: {shown}");
        assert!(!shown.contains("-echo ") && !shown.contains("half"), "{keys:?}: {shown}");
    }
    // Where no shell would continue it, Ctrl-Z does nothing.
    let line = format!("{PROGRAM} key list --login; echo code $?; stty -a");
    let shown = answered(&rig, &line, "user PIN: ", "half\x1auser-pin-1\n");
    assert!(shown.contains("code 0") && !shown.contains("-echo "), "{shown}");
}

#[test]
fn a_pin_that_was_not_typed_costs_no_try() {
    let rig = Rig::with_token();
    for keys in ["\n", "\x04", "12\x0134\n"] {
        let line = format!("{PROGRAM} key list --login; echo code $?");
        let shown = answered(&rig, &line, "user PIN: ", keys);
        assert!(
            shown.contains("code 4") && shown.contains("nothing was done"),
            "{keys:?}: {shown}"
        );
    }
    assert_eq!(rig.json(&["lockout", "show"])["tries_left"], 1000);
}

#[test]
fn a_key_whose_certificate_must_stay_stays_whole() {
    let rig = Rig::with_token();
    let pin = ["--pin-file", "pin"];
    rig.ok(&[&["key", "generate", "k", "--id", "01"][..], &pin].concat());
    let sign = ["key", "self-sign", "k", "--subject", "CN=k", "--der", "--out", "k.der"];
    rig.ok(&[&sign[..], &pin].concat());
    let write = ["--write-object", "k.der", "--type", "cert", "--id", "01", "--label", "k"];
    other_program(&rig, &[&write[..], &["--undestroyable"]].concat());
    let before = rig.stored();
    let delete = ["key", "delete", "k", "--certificates", "--yes"];
    rig.refused(&[&delete[..], &pin].concat(), 1);
    assert!(before == rig.stored(), "half of it is gone");
    rig.ok(&[&["key", "test", "k"][..], &pin].concat());
    // All of it goes by another name at once.
    rig.ok(&[&["key", "rename", "k", "l"][..], &pin].concat());
    let objects = rig.json(&[&["object", "list"][..], &pin].concat());
    let labels = objects["objects"].as_array().unwrap().iter().map(|one| &one["label"]);
    assert_eq!(labels.collect::<Vec<_>>(), ["l", "l", "l"]);
}
