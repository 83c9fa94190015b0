//! Bad input, command by command: one line on stderr that says why, an exit code that is not 0, and
//! nothing half made.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::{PROGRAM, Rig, finish, judge_refusal, open_to_all};

/// Every command that needs the user's PIN, as it succeeds on [`prepared`].
const OF_USER: &[&[&str]] = &[
    &["key", "generate", "new"],
    &["key", "import", "rsa.pem", "--label", "new"],
    &["key", "list", "--login"],
    &["key", "show", "k", "--login"],
    &["key", "rename", "k", "new"],
    &["key", "delete", "k", "--yes"],
    &["key", "csr", "k", "--subject", "CN=k"],
    &["key", "self-sign", "k", "--subject", "CN=k", "--store"],
    &["key", "test", "k"],
    &["cert", "import", "other.pem"],
    &["object", "list", "--login"],
    &["object", "get", "secret", "--login"],
    &["object", "put", "new", "rubbish"],
    &["object", "delete", "secret", "--yes"],
];

/// Those that need none.
const OF_ANYBODY: &[&[&str]] = &[
    &["key", "list"],
    &["key", "show", "k"],
    &["key", "export", "k"],
    &["cert", "list"],
    &["cert", "export", "k"],
    &["object", "list"],
    &["random", "8"],
    &["uri"],
    &["uri", "k"],
    &["lockout", "show"],
];

/// Those that change the store.
const CHANGING: &[&[&str]] = &[
    &["key", "generate", "new"],
    &["key", "generate", "new", "--type", "rsa-2048"],
    &["key", "generate", "new", "--type", "aes-128"],
    &["key", "import", "rsa.pem", "--label", "new"],
    &["key", "import", "rsa.p12", "--label", "new", "--passphrase-file", "pass"],
    &["key", "rename", "k", "new"],
    &["key", "delete", "k", "--yes"],
    &["key", "self-sign", "k", "--subject", "CN=k", "--store"],
    &["cert", "import", "other.pem"],
    &["object", "put", "new", "other.pem"],
    &["object", "delete", "secret", "--yes"],
];

/// What the officer does.
const OF_OFFICER: &[&[&str]] = &[
    &["token", "unblock", "--so-pin-file", "SO", "--new-pin-file", "pin"],
    &["token", "set-pin", "--so", "--so-pin-file", "SO", "--new-pin-file", "pin"],
    &[
        "token",
        "init",
        "--label",
        "x",
        "--destroy-keys",
        "--so-pin-file",
        "SO",
        "--pin-file",
        "pin",
    ],
];

/// A token with a key, its certificate and a data object, and files to import.
fn prepared() -> Rig {
    let rig = Rig::with_token();
    fill(&rig);
    rig
}

fn fill(rig: &Rig) {
    rig.openssl(&["genrsa", "-out", "rsa.pem", "2048"]);
    rig.openssl(&["req", "-x509", "-key", "rsa.pem", "-subj", "/CN=other", "-out", "other.pem"]);
    rig.openssl(&[
        "pkcs12",
        "-export",
        "-inkey",
        "rsa.pem",
        "-in",
        "other.pem",
        "-passout",
        "pass:hello",
        "-out",
        "rsa.p12",
    ]);
    rig.ok(&with_pin(&["key", "generate", "k"], "pin"));
    let words = ["key", "self-sign", "k", "--subject", "CN=k", "--store", "--out", "k.pem"];
    rig.ok(&with_pin(&words, "pin"));
    rig.ok(&with_pin(&["object", "put", "secret", "rubbish"], "pin"));
}

fn with_pin<'a>(words: &[&'a str], pin: &'a str) -> Vec<&'a str> {
    [words, &["--pin-file", pin]].concat()
}

/// What is on the token, as its user sees it.
fn contents(rig: &Rig) -> String {
    let all = rig.ok(&with_pin(&["--json", "object", "list"], "pin"));
    all.text()
}

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
        &[
            "token",
            "init",
            "--slot",
            "null",
            "--label",
            "x",
            "--so-pin-file",
            "short",
            "--pin-file",
            "pin",
        ],
        &[
            "token",
            "init",
            "--slot",
            "null",
            "--label",
            "x",
            "--so-pin-file",
            "so",
            "--pin-file",
            "short",
        ],
    ] {
        rig.refused(words, 4);
    }
    assert!(before == (rig.stored(), contents(&rig)), "something was changed");
}

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
    without(&["token", "init", "--label", "x", "--so-pin-file", "so", "--pin-file", "pin"]);
    without(&["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "so"]);
    without(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "pin"]);
    without(&["setup", "ssh", "--module", PROGRAM, "--yes"]);
    without(&["setup", "openvpn", "--module", PROGRAM, "--yes"]);
    without(&["setup", "strongswan", "--module", PROGRAM, "--yes"]);
    assert!(rig.ok(&["status"]).text().contains("does not answer"));
    assert_eq!(rig.run(&["doctor"]).code, 10);
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
    rig.refused(
        &with_pin(&["key", "self-sign", "k", "--subject", "CN=k", "--days", "4000000000"], "pin"),
        8,
    );
    let label = "x".repeat(33);
    rig.refused(
        &[
            "token",
            "init",
            "--slot",
            "null",
            "--label",
            &label,
            "--so-pin-file",
            "so",
            "--pin-file",
            "pin",
        ],
        8,
    );
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
            let outcome = rig.run(&with_pin(&[words, &["--slot", slot][..]].concat(), "pin"));
            assert!([3, 6].contains(&outcome.code), "{words:?}: {}", outcome.stderr);
            assert_eq!(outcome.stderr.lines().count(), 1);
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
    let outcome = rig.run(&["--json", "nonsense"]);
    let error: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], 2);
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
        let words = ["setup", program, "--module", "rubbish", "--yes"];
        setup_fails(&rig, &with_pin(&words, "wrong"), 4);
        setup_fails(&rig, &with_pin(&words, "none"), 4);
        setup_fails(&rig, &with_pin(&words[..4], "pin"), 2);
        setup_fails(&rig, &["setup", program, "--module", "none", "--yes"], 8);
    }
    for program in ["openvpn", "strongswan"] {
        let words = ["setup", program, "--module", "rubbish", "--subject", "nonsense", "--yes"];
        setup_fails(&rig, &with_pin(&words, "pin"), 8);
    }
    setup_fails(&rig, &["setup", "nss", "rubbish", "--module", "rubbish", "--yes"], 8);
    assert!(before == rig.stored(), "something was changed");
    // The key is made; the configuration cannot be written. Run again, it goes on there.
    let words = ["setup", "ssh", "--module", "rubbish", "--config", "rubbish/config", "--yes"];
    setup_fails(&rig, &with_pin(&words, "pin"), 8);
    rig.ok(&["key", "show", "ssh"]);
    let words = ["setup", "ssh", "--module", "rubbish", "--config", "config", "--yes"];
    assert_eq!(rig.json(&with_pin(&words, "pin"))["steps"].as_array().unwrap().len(), 1);

    let mut demo = rig.command(PROGRAM);
    demo.arg("demo").env("PATH", "/none");
    let said = judge_refusal(&["demo"], &finish(demo), 3);
    assert!(said.contains("swtpm"), "{said}");
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
        use std::io::Write;
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
    let init = ["token", "init", "--label", "x", "--so-pin-file", "so", "--pin-file", "pin"];
    small.fill();
    rig.refused(&init, 9);
    small.empty();
    assert!(rig.ok(&["status"]).text().contains("not initialised"));
    rig.ok(&init);
    fill(&rig);
    let before = contents(&rig);
    small.fill();
    for words in CHANGING {
        let said = rig.refused(&with_pin(words, "pin"), 9);
        assert!(said.contains("make room"), "{said}");
    }
    rig.refused(&["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "so"], 9);
    rig.refused(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "so"], 9);
    rig.refused(
        &[
            "token",
            "init",
            "--slot",
            "null",
            "--label",
            "x",
            "--so-pin-file",
            "so",
            "--pin-file",
            "pin",
        ],
        9,
    );
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
    finish(command)
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
        &["token", "init", "--label", "x", "--so-pin-file", "so", "--pin-file", "pin"][..],
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
    rig.ok(&["token", "remove", "--slot", "owner", "--destroy-keys"]);

    fs::write(rig.store().join("hierarkey.sqlite3"), "no database at all").unwrap();
    for words in OF_USER {
        let outcome = rig.run(&with_pin(words, "pin"));
        assert_ne!(outcome.code, 0, "{words:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
    assert_eq!(rig.run(&["doctor"]).code, 10);
}
