//! Bad input, command by command: one line on stderr that says why, an exit code that is not 0, and
//! nothing half made. What the machine lacks is in `bad_times.rs`.

mod common;

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use common::table::{OF_OFFICER, OF_USER, contents, init, prepared, with_pin};
use common::{PROGRAM, Rig, finish, judge_refusal};

#[test]
fn a_wrong_or_missing_pin_is_exit_4_and_changes_nothing() {
    let rig = prepared();
    let before = (rig.stored(), contents(&rig));
    for words in OF_USER {
        let said = rig.refused(&with_pin(words, "wrong"), 4);
        assert!(said.contains("the PIN is wrong") && said.contains("tries are left"), "{said}");
        for file in ["none", "empty", "long", "."] {
            rig.refused(&with_pin(words, file), 4);
        }
        rig.refused(words, 4);
        rig.refused(&[words, &["--pin-fd", "99"][..]].concat(), 4);
    }
    for words in OF_OFFICER {
        let of = |file: &'static str| {
            words.iter().map(|one| if *one == "SO" { file } else { *one }).collect::<Vec<_>>()
        };
        let said = rig.refused(&of("wrong"), 4);
        assert!(said.contains("PIN"), "{said}");
        rig.refused(&of("none"), 4);
    }
    rig.write("short", "abc");
    for words in [
        &["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "short"][..],
        &["token", "set-pin", "--pin-file", "wrong", "--new-pin-file", "so"],
        &["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "short"],
        &init("null", "x", "short", "pin"),
        &init("null", "x", "so", "short"),
    ] {
        rig.refused(words, 4);
    }
    assert!(before == (rig.stored(), contents(&rig)), "something was changed");
}

#[test]
fn a_descriptor_is_the_one_that_was_given_and_no_other() {
    let rig = Rig::with_token();
    // What the tool opens for itself gets the lowest numbers: none is taken for the caller's.
    let without = "exec \"$0\" \"$@\" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    for number in 3..10 {
        let mut command = rig.command("sh");
        command.args(["-c", without, PROGRAM, "key", "list", "--pin-fd", &number.to_string()]);
        let said = judge_refusal(&[without], &finish(command), 4);
        assert!(said.contains(&format!("descriptor {number}: is not open")), "{said}");
    }
    assert_eq!(rig.json(&["lockout", "show"])["tries_left"], 1000, "a PIN was tried");
    // A socket, which is what some programs make of a child's input, and has no name to be opened by.
    let (ours, theirs) = UnixStream::pair().unwrap();
    (&ours).write_all(b"user-pin-1\n").unwrap();
    drop(ours);
    let mut command = rig.command(PROGRAM);
    command.args(["key", "list", "--pin-fd", "0"]).stdin(OwnedFd::from(theirs));
    let outcome = finish(command);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn a_key_is_not_called_what_names_another() {
    let rig = Rig::with_token();
    let before = rig.stored();
    rig.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"]);
    for label in ["id:01", "id:", "id:xyz", "uid:1"] {
        rig.refused(&with_pin(&["key", "generate", label], "pin"), 8);
        rig.refused(&with_pin(&["key", "import", "ec.pem", "--label", label], "pin"), 8);
        rig.refused(&with_pin(&["object", "put", label, "ec.pem"], "pin"), 8);
    }
    assert!(before == rig.stored(), "something was changed");
}

#[test]
fn wrong_files_are_exit_8_and_change_nothing() {
    let rig = prepared();
    rig.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem"]);
    rig.openssl(&["ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "k1.pem"]);
    rig.openssl(&["genrsa", "-out", "small.pem", "1024"]);
    rig.openssl(&[
        "rsa",
        "-in",
        "rsa.pem",
        "-traditional",
        "-aes128",
        "-passout",
        "pass:hello",
        "-out",
        "old.pem",
    ]);
    let pem = fs::read_to_string(rig.path("rsa.pem")).unwrap();
    rig.write("cut.pem", &pem[..pem.len() / 2]);
    rig.write("two.pem", &format!("{pem}{pem}"));
    rig.write("bent.pem", &pem.replacen("MII", "MIJ", 1));
    let p12 = fs::read(rig.path("rsa.p12")).unwrap();
    fs::write(rig.path("cut.p12"), &p12[..p12.len() / 2]).unwrap();
    let before = rig.stored();
    for file in [
        "none",
        "rubbish",
        "empty",
        ".",
        "other.pem",
        "ed25519.pem",
        "k1.pem",
        "old.pem",
        "cut.pem",
        "two.pem",
        "bent.pem",
        "cut.p12",
        "long",
    ] {
        let words = ["key", "import", file, "--label", "x", "--passphrase-file", "pass"];
        let said = rig.refused(&with_pin(&words, "pin"), 8);
        assert!(said.contains(file), "{said}");
    }
    for file in ["none", "rubbish", "empty", ".", "rsa.pem", "cut.pem", "long"] {
        rig.refused(&with_pin(&["cert", "import", file], "pin"), 8);
    }
    // A wrong passphrase is a wrong secret.
    let words = ["key", "import", "rsa.p12", "--label", "x", "--passphrase-file", "wrong"];
    rig.refused(&with_pin(&words, "pin"), 4);
    rig.refused(&with_pin(&words[..5], "pin"), 4);
    // Names that are taken, or that are none.
    rig.refused(&with_pin(&["key", "generate", "k"], "pin"), 8);
    rig.refused(&with_pin(&["key", "generate", ""], "pin"), 8);
    rig.refused(&with_pin(&["key", "generate", "a\nb"], "pin"), 8);
    rig.refused(&with_pin(&["key", "import", "rsa.pem", "--label", "k"], "pin"), 8);
    rig.refused(&with_pin(&["object", "put", "secret", "rubbish"], "pin"), 8);
    rig.refused(&with_pin(&["object", "put", "new", "none"], "pin"), 8);
    rig.refused(&with_pin(&["cert", "import", "k.pem"], "pin"), 8);
    rig.refused(
        &with_pin(&["key", "generate", "x", "--type", "aes-128", "--always-authenticate"], "pin"),
        8,
    );
    for subject in ["", "host", "NOSUCH=x"] {
        rig.refused(&with_pin(&["key", "csr", "k", "--subject", subject], "pin"), 8);
        rig.refused(&with_pin(&["key", "self-sign", "k", "--subject", subject], "pin"), 8);
    }
    for (option, value) in
        [("--dns", ""), ("--dns", "a b"), ("--dns", "b\u{fc}ro"), ("--email", "")]
    {
        rig.refused(&with_pin(&["key", "csr", "k", "--subject", "CN=k", option, value], "pin"), 8);
    }
    rig.refused(
        &with_pin(&["key", "self-sign", "k", "--subject", "CN=k", "--days", "4000000000"], "pin"),
        8,
    );
    let label = "x".repeat(33);
    rig.refused(&init("null", &label, "so", "pin"), 8);
    for what in ["none", "rubbish", "."] {
        let said = rig.refused(&["setup", "disk", what, "--yes"], 8);
        assert!(said.contains(what), "{said}");
    }
    assert!(before == rig.stored(), "something was changed");
    // A size that TPMs may or may not take is refused whole where it is.
    let words = ["key", "import", "small.pem", "--label", "small"];
    let outcome = rig.run(&with_pin(&words, "pin"));
    assert!([0, 8].contains(&outcome.code), "{}", outcome.stderr);
}

#[test]
fn files_that_want_years_of_work_for_a_passphrase_are_exit_8() {
    let rig = Rig::with_token();
    rig.openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        "ec.pem",
    ]);
    rig.openssl(&["req", "-x509", "-key", "ec.pem", "-subj", "/CN=k", "-out", "k.crt"]);
    let pass = ["-passout", "pass:hello", "-iter", "65537"];
    let pkcs8 = [
        "pkcs8",
        "-topk8",
        "-in",
        "ec.pem",
        "-v2",
        "aes-256-cbc",
        "-outform",
        "DER",
        "-out",
        "k.der",
    ];
    rig.openssl(&[&pkcs8[..], &pass].concat());
    let pkcs12 =
        ["pkcs12", "-export", "-inkey", "ec.pem", "-in", "k.crt", "-maciter", "-out", "k.p12"];
    rig.openssl(&[&pkcs12[..], &pass].concat());
    let mut keygen = rig.command("ssh-keygen");
    keygen.args(["-q", "-t", "ecdsa", "-N", "hello", "-a", "5", "-f", "k.ssh"]);
    assert_eq!(finish(keygen).code, 0);
    // 65537 rounds become more than any program makes.
    for file in ["k.der", "k.p12"] {
        let mut der = fs::read(rig.path(file)).unwrap();
        let mut found = 0;
        for at in 0..der.len() - 5 {
            if der[at..at + 5] == [2, 3, 1, 0, 1] {
                der[at + 2..at + 5].copy_from_slice(&[0x7f, 0xff, 0xff]);
                found += 1;
            }
        }
        assert!(found > 0, "{file}");
        fs::write(rig.path(&format!("dear-{file}")), der).unwrap();
    }
    for file in ["k.der", "k.p12", "k.ssh"] {
        let import = ["key", "import", file, "--label", file, "--passphrase-file", "pass"];
        rig.ok(&with_pin(&import, "pin"));
    }
    for file in ["dear-k.der", "dear-k.p12"] {
        let import = ["key", "import", file, "--label", file, "--passphrase-file", "pass"];
        let said = rig.refused(&with_pin(&import, "pin"), 8);
        assert!(said.contains("more work"), "{said}");
    }
}

#[test]
fn names_that_are_not_there_are_exit_6() {
    let rig = prepared();
    let before = rig.stored();
    for name in ["nobody", "id:0102", "uid:00"] {
        for words in [
            &["key", "show", name][..],
            &["key", "rename", name, "x"],
            &["key", "delete", name, "--yes"],
            &["key", "csr", name, "--subject", "CN=x"],
            &["key", "self-sign", name, "--subject", "CN=x"],
            &["key", "test", name],
            &["object", "get", name],
            &["object", "delete", name, "--yes"],
        ] {
            rig.refused(&with_pin(words, "pin"), 6);
        }
        rig.refused(&["key", "export", name], 6);
        rig.refused(&["cert", "export", name], 6);
        rig.refused(&["uri", name], 6);
    }
    // Slots without a token.
    for slot in ["endorsement", "null"] {
        for words in OF_USER {
            let said = rig.refused(&with_pin(&[words, &["--slot", slot][..]].concat(), "pin"), 6);
            assert!(said.contains("token init --slot"), "{said}");
        }
        rig.refused(&["token", "remove", "--slot", slot, "--destroy-keys"], 6);
    }
    assert!(before == rig.stored(), "something was changed");
}

#[test]
fn a_wrong_command_line_is_exit_2_in_one_line() {
    let rig = Rig::new();
    for words in [
        &["nonsense"][..],
        &["key", "nonsense"],
        &["key", "generate"],
        &["key", "generate", "x", "--type", "rsa-512"],
        &["key", "generate", "x", "--use", "magic"],
        &["key", "generate", "x", "--id", "zz"],
        &["key", "show", "id:xyz"],
        &["key", "import", "f"],
        &["key", "csr", "k"],
        &["key", "csr", "k", "--subject", "CN=k", "--ip", "nowhere"],
        &["token", "init"],
        &["token", "remove", "--slot", "owner"],
        &["token", "remove", "--destroy-keys"],
        &["random"],
        &["random", "0"],
        &["random", "99999999999"],
        &["object", "put", "x"],
        &["uri", "--for", "nobody"],
        &["setup", "disk"],
        &["--color", "pink", "status"],
        &["key", "list", "--pin", "user-pin-x"],
        &["key", "list", "--pin-file", "pin", "--pin-fd", "0"],
    ] {
        rig.refused(words, 2);
    }
    for words in [&["--json", "nonsense"][..], &["--json"], &["--json", "key"]] {
        let outcome = rig.run(words);
        assert_eq!((outcome.code, outcome.text().as_str()), (2, ""), "{words:?}");
        let error = common::described(&["error"], outcome.stderr.as_bytes());
        assert_eq!(error["error"]["exit_code"], 2);
    }
}

#[test]
fn failures_in_json_are_described_too() {
    let rig = Rig::with_token();
    let outcome = rig.run(&["--json", "key", "list", "--pin-file", "wrong"]);
    assert_eq!((outcome.code, outcome.stdout.len()), (4, 0));
    let error = common::described(&["error"], outcome.stderr.as_bytes());
    assert_eq!(error["error"]["kind"], "pin");
    assert_eq!(error["error"]["exit_code"], 4);
}

/// What `setup` says while it goes is on stdout; why it ends is one line on stderr.
fn setup_fails(rig: &Rig, words: &[&str], code: i32) {
    let outcome = rig.run(words);
    assert_eq!(outcome.code, code, "{words:?}: {}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{words:?}: {}", outcome.stderr);
}

#[test]
fn setups_and_the_demonstration_fail_in_one_line_too() {
    let rig = Rig::with_token();
    let before = rig.stored();
    for program in ["ssh", "openvpn", "strongswan"] {
        let words = ["setup", program, "--module", PROGRAM, "--yes"];
        setup_fails(&rig, &with_pin(&words, "wrong"), 4);
        setup_fails(&rig, &with_pin(&words, "none"), 4);
        setup_fails(&rig, &with_pin(&words[..4], "pin"), 2);
        setup_fails(&rig, &["setup", program, "--module", "none", "--yes"], 8);
    }
    for program in ["openvpn", "strongswan"] {
        let words = ["setup", program, "--module", PROGRAM, "--subject", "nonsense", "--yes"];
        setup_fails(&rig, &with_pin(&words, "pin"), 8);
    }
    setup_fails(&rig, &["setup", "nss", "rubbish", "--module", PROGRAM, "--yes"], 8);
    assert!(before == rig.stored(), "something was changed");
    // The key is made; the configuration cannot be written. Run again, it goes on there.
    let words = ["setup", "ssh", "--module", PROGRAM, "--config", "rubbish/config", "--yes"];
    setup_fails(&rig, &with_pin(&words, "pin"), 8);
    rig.ok(&["key", "show", "ssh"]);
    let words = ["setup", "ssh", "--module", PROGRAM, "--config", "config", "--yes"];
    assert_eq!(rig.json(&with_pin(&words, "pin"))["steps"].as_array().unwrap().len(), 1);

    let mut demo = rig.command(PROGRAM);
    demo.arg("demo").env("PATH", "/none");
    let said = judge_refusal(&["demo"], &finish(demo), 3);
    assert!(said.contains("swtpm"), "{said}");
}
