//! What a terminal is shown and left as: names that somebody else wrote.

mod common;

use common::{Rig, finish, module};

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
