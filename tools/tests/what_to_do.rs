//! Mistakes that are easily made: each is told in words that lead out of it, and costs nothing.

mod common;

use common::table::{init, with_pin};
use common::{PROGRAM, Rig, finish, judge_refusal};

#[test]
fn a_lockout_authorization_that_there_is_none_of_is_not_tried() {
    let rig = Rig::with_token();
    // Once tried, the TPM would take none until its recovery time has passed.
    let said = rig.refused(&["lockout", "reset", "--auth-file", "wrong"], 4);
    assert!(said.contains("has no lockout authorization: leave --auth-file out"), "{said}");
    rig.ok(&["lockout", "reset"]);
    // Nor one of the configuration.
    rig.write("none.toml", &format!("[hierarchy_auth_files]\nlockout = {:?}\n", rig.path("wrong")));
    common::open_to_all(&rig.path("wrong"), 0o600);
    rig.ok(&["lockout", "reset"]);
    rig.ok(&["lockout", "reset"]);
}

#[test]
fn a_key_that_is_for_something_else_is_told_to_be() {
    let rig = Rig::with_token();
    rig.ok(&with_pin(&["key", "generate", "d", "--use", "derive"], "pin"));
    rig.ok(&with_pin(&["key", "generate", "a", "--type", "aes-128"], "pin"));
    for what in ["csr", "self-sign"] {
        let said = rig.refused(&with_pin(&["key", what, "d", "--subject", "CN=d"], "pin"), 8);
        assert!(said.contains("is for derive, not for signing"), "{said}");
        let said = rig.refused(&with_pin(&["key", what, "a", "--subject", "CN=a"], "pin"), 8);
        assert!(said.contains("a secret key"), "{said}");
    }
    let said = rig.refused(&with_pin(&["key", "generate", "e", "--use", "decrypt"], "pin"), 8);
    assert!(said.contains("no ec-p256 key is for decrypt"), "{said}");
    rig.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"]);
    let import = ["key", "import", "ec.pem", "--label", "e", "--use", "sign,decrypt"];
    let said = rig.refused(&with_pin(&import, "pin"), 8);
    assert!(said.contains("no EC key is for decrypt"), "{said}");
}

#[test]
fn what_is_not_seen_without_a_login_is_not_said_to_be_nothing() {
    let rig = Rig::with_token();
    rig.ok(&with_pin(&["key", "generate", "d", "--use", "derive"], "pin"));
    rig.ok(&with_pin(&["key", "generate", "a", "--type", "aes-128"], "pin"));
    rig.ok(&with_pin(&["object", "put", "note", "rubbish"], "pin"));
    for words in [&["key", "show", "a"][..], &["object", "get", "note"]] {
        let said = rig.refused(words, 6);
        assert!(said.contains("--login"), "{said}");
        let said = rig.refused(&with_pin(&[&words[..2], &["none"]].concat(), "pin"), 6);
        assert!(!said.contains("--login"), "{said}");
    }
    let text = rig.ok(&["key", "list"]).text();
    assert!(!text.contains("no use") && text.contains("its use is seen with --login"), "{text}");
    let text = rig.ok(&with_pin(&["key", "show", "a"], "pin")).text();
    assert!(text.contains("secret key   made in the TPM"), "{text}");
}

#[test]
fn a_subject_with_an_empty_or_an_endless_part_is_refused() {
    let rig = Rig::with_token();
    rig.ok(&with_pin(&["key", "generate", "k"], "pin"));
    // As of a shell's variable that is not set.
    let long = format!("CN={}", "x".repeat(65));
    for (subject, what) in [
        ("CN=", "CN is empty"),
        ("CN=k,O=", "O is empty"),
        ("CN=k,C=Germany", "C has 7 characters: 2 at most"),
        (&long, "CN has 65 characters: 64 at most"),
    ] {
        for command in ["csr", "self-sign"] {
            let said =
                rig.refused(&with_pin(&["key", command, "k", "--subject", subject], "pin"), 8);
            assert!(said.contains(what), "{subject}: {said}");
        }
    }
    let fine = format!("CN={},C=DE,O=B\u{fc}ro", "\u{fc}".repeat(64));
    rig.ok(&with_pin(&["key", "csr", "k", "--subject", &fine, "--out", "k.csr"], "pin"));
    rig.openssl(&["req", "-in", "k.csr", "-noout", "-verify"]);
}

#[test]
fn an_option_that_would_not_be_used_is_refused() {
    let rig = Rig::with_token();
    let set_pin = ["token", "set-pin", "--new-pin-file", "so"];
    let said =
        rig.refused(&[&set_pin[..], &["--so-pin-file", "so", "--pin-file", "pin"]].concat(), 2);
    assert!(said.contains("--so"), "{said}");
    let so = ["--so", "--so-pin-file", "so", "--pin-file", "pin"];
    let said = rig.refused(&[&set_pin[..], &so].concat(), 2);
    assert!(said.contains("--so"), "{said}");
}

#[test]
fn a_directory_is_no_file_that_exists() {
    let rig = Rig::with_token();
    let said = rig.refused(&["random", "8", "--out", "."], 9);
    assert!(said.contains(".: Is a directory"), "{said}");
}

#[test]
fn a_store_that_cannot_be_changed_is_named_and_so_is_the_reason() {
    let rig = Rig::with_token();
    rig.write("none.toml", "[store]\nread_only = true\n");
    let generate = with_pin(&["key", "generate", "k"], "pin");
    let outcome = finish(rig.command(PROGRAM).args(&generate).env_remove("HIERARKEY_STORE"));
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    // HIERARKEY_STORE names another store than the one that the configuration speaks of.
    let home = rig.path(".local/share/hierarkey");
    rig.write("none.toml", "");
    let init = init("owner", "x", "so", "pin");
    let outcome = finish(rig.command(PROGRAM).args(init).env_remove("HIERARKEY_STORE"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    rig.write("none.toml", "[store]\nread_only = true\n");
    let outcome = finish(rig.command(PROGRAM).args(&generate).env_remove("HIERARKEY_STORE"));
    let said = judge_refusal(&generate, &outcome, 7);
    assert!(said.contains("read-only by configuration"), "{said}");
    assert!(said.contains(home.to_str().unwrap()), "{said}");
}

#[test]
fn what_stands_in_the_stores_place_is_told_and_nothing_is_called_lost() {
    let rig = Rig::with_token();
    std::os::unix::fs::symlink(rig.store(), rig.path("link")).unwrap();
    std::fs::create_dir_all(rig.path("odd/hierarkey.sqlite3")).unwrap();
    for (place, what) in [
        ("link", "is a symbolic link"),
        ("rubbish", "is not a directory"),
        ("odd", "is not a regular file"),
    ] {
        let doctor =
            finish(rig.command(PROGRAM).arg("doctor").env("HIERARKEY_STORE", rig.path(place)));
        let text = doctor.text();
        assert!(text.contains(what) && text.contains("HIERARKEY_STORE"), "{text}");
        assert!(!text.contains("lost") && !text.contains("last copy"), "{text}");
    }
}
