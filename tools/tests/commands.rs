//! What each command does when all is well, and that --json answers as docs/tool.schema.json says.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::table::init;
use common::{PROGRAM, Rig, finish};
use serde_json::json;

const PIN: [&str; 2] = ["--pin-file", "pin"];

/// `words` with the user's PIN.
fn user<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &PIN].concat()
}

#[test]
fn a_token_is_made_its_pins_change_and_it_is_removed() {
    let rig = Rig::new();
    let status = rig.json(&["status"]);
    assert_eq!(status["slots"][0]["state"], "uninitialised");
    assert_eq!(status["store"]["version"], json!(null));
    let make = init("owner", "one", "so", "pin");
    let made = rig.json(&make);
    assert_eq!((&made["label"], &made["done"]), (&json!("one"), &json!("made")));
    rig.refused(&make, 8);
    rig.json(&[&make[..], &["--destroy-keys"]].concat());
    let status = rig.json(&["status"]);
    assert_eq!(status["slots"][0]["state"], "token");
    assert_eq!(status["slots"][0]["user_pin"], true);

    rig.write("new", "another-pin\n");
    let changed = ["token", "set-pin", "--pin-file", "pin", "--new-pin-file", "new"];
    assert_eq!(rig.json(&changed)["done"], "user-pin-changed");
    rig.refused(&["key", "list", "--pin-file", "pin"], 4);
    rig.ok(&["key", "list", "--pin-file", "new"]);
    rig.json(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "pin"]);
    rig.ok(&["key", "list", "--pin-file", "pin"]);
    let officer = ["token", "set-pin", "--so", "--so-pin-file", "so", "--new-pin-file", "new"];
    assert_eq!(rig.json(&officer)["done"], "so-pin-changed");
    rig.refused(&["token", "unblock", "--so-pin-file", "so", "--new-pin-file", "pin"], 4);
    rig.ok(&["token", "unblock", "--so-pin-file", "new", "--new-pin-file", "pin"]);

    rig.json(&["token", "remove", "--slot", "owner", "--destroy-keys"]);
    assert_eq!(rig.json(&["status"])["slots"][0]["state"], "uninitialised");
}

#[test]
fn a_token_can_be_in_every_slot() {
    let rig = Rig::new();
    for slot in ["owner", "endorsement", "platform", "null"] {
        rig.ok(&init(slot, slot, "so", "pin"));
        rig.ok(&user(&["key", "generate", "k", "--slot", slot]));
        rig.ok(&user(&["key", "test", "k", "--slot", slot]));
    }
    let status = rig.json(&["status"]);
    for slot in 0..4 {
        assert_eq!(status["slots"][slot]["state"], "token", "slot {slot}");
    }
}

#[test]
fn keys_of_every_type_are_made_tested_renamed_and_deleted() {
    let rig = Rig::with_token();
    let types = [
        ("rsa-2048", "sign,decrypt,unwrap"),
        ("ec-p256", "sign,derive"),
        ("ec-p384", "sign"),
        ("ec-p521", "derive"),
        ("aes-128", "decrypt,sign"),
        ("aes-256", "decrypt"),
        ("hmac-256", "sign"),
    ];
    for (kind, uses) in types {
        let made = rig.json(&user(&["key", "generate", kind, "--type", kind, "--use", uses]));
        assert_eq!(made["key"]["type"], kind);
        assert_eq!(made["key"]["made_in_tpm"], true);
        assert_eq!(made["key"]["extractable"], false);
        let said: Vec<_> = made["key"]["uses"].as_array().unwrap().iter().collect();
        assert_eq!(said.len(), uses.split(',').count(), "{kind}");
        let tested = rig.json(&user(&["key", "test", kind]));
        let wanted = uses.split(',').filter(|one| *one != "unwrap").count();
        assert_eq!(tested["passed"].as_array().unwrap().len(), wanted, "{kind}");
    }
    let all = rig.json(&user(&["key", "list"]));
    assert_eq!(all["keys"].as_array().unwrap().len(), types.len());
    let public = rig.json(&["key", "list"]);
    assert_eq!(public["keys"].as_array().unwrap().len(), 4);
    assert_eq!(public["logged_in"], false);

    let shown = rig.json(&user(&["key", "show", "ec-p256"]));
    assert!(shown["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(rig.json(&user(&["key", "show", "aes-128"]))["public_key"], json!(null));
    for kind in ["rsa-2048", "ec-p256", "ec-p384", "ec-p521"] {
        let shown = rig.json(&["key", "show", kind]);
        assert_eq!(rig.json(&["key", "export", kind])["document"], shown["public_key"]);
        rig.ok(&["key", "export", kind, "--der", "--out", "key.der", "--force"]);
        rig.openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "key.der", "-noout"]);
        rig.ok(&["key", "export", kind, "--ssh", "--out", "key.pub", "--force"]);
        let mut keygen = rig.command("ssh-keygen");
        keygen.args(["-e", "-m", "PKCS8", "-f", "key.pub"]);
        assert_eq!(finish(keygen).text(), shown["public_key"].as_str().unwrap());
    }
    rig.refused(&["key", "export", "rsa-2048", "--ssh", "--der"], 2);
    let id = format!("id:{}", shown["key"]["id"].as_str().unwrap());
    rig.json(&user(&["key", "rename", &id, "renamed"]));
    assert_eq!(rig.json(&["key", "show", "renamed"])["key"]["id"], shown["key"]["id"]);
    rig.refused(&["key", "show", "ec-p256"], 6);
    rig.refused(&user(&["key", "delete", "renamed"]), 2);
    rig.json(&user(&["key", "delete", "renamed", "--yes"]));
    rig.refused(&user(&["key", "show", "renamed"]), 6);
}

#[test]
fn a_key_that_asks_at_each_use_is_asked_for() {
    let rig = Rig::with_token();
    let made = rig.json(&user(&["key", "generate", "k", "--always-authenticate"]));
    assert_eq!(made["key"]["always_authenticate"], true);
    rig.json(&user(&["key", "test", "k"]));
    rig.ok(&user(&["key", "csr", "k", "--subject", "CN=k", "--out", "k.csr"]));
    rig.openssl(&["req", "-in", "k.csr", "-noout", "-verify"]);
}

#[test]
fn requests_and_certificates_are_what_openssl_takes() {
    let rig = Rig::with_token();
    for kind in ["rsa-2048", "ec-p256", "ec-p384", "ec-p521"] {
        rig.ok(&user(&["key", "generate", kind, "--type", kind]));
        let csr = format!("{kind}.csr");
        let subject = ["--subject", "CN=vpn.example.org,O=Example", "--dns", "vpn.example.org"];
        let more = ["--ip", "192.0.2.1", "--ip", "2001:db8::1", "--for", "server,client"];
        let words = [&["key", "csr", kind, "--out", &csr], &subject[..], &more].concat();
        rig.json(&user(&words));
        let text = rig.openssl(&["req", "-in", &csr, "-noout", "-text", "-verify"]).text();
        for wanted in ["O = Example", "DNS:vpn.example.org", "192.0.2.1", "TLS Web Server"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let pem = format!("{kind}.pem");
        let words =
            ["key", "self-sign", kind, "--subject", "CN=x", "--ca", "--store", "--out", &pem];
        rig.json(&user(&words));
        rig.openssl(&["verify", "-x509_strict", "-CAfile", &pem, &pem]);
        let exported = rig.json(&["cert", "export", kind]);
        let on_disk = fs::read_to_string(rig.path(&pem)).unwrap();
        assert_eq!(exported["document"].as_str().unwrap(), on_disk);
        rig.ok(&["cert", "export", kind, "--der", "--out", "cert.der", "--force"]);
        rig.openssl(&["x509", "-inform", "DER", "-in", "cert.der", "-noout"]);
    }
    let certs = rig.json(&["cert", "list"]);
    let certs = certs["certificates"].as_array().unwrap();
    assert_eq!(certs.len(), 4);
    assert!(certs.iter().all(|one| one["has_key"] == true));
}

#[test]
fn a_signed_certificate_finds_its_key() {
    let rig = Rig::with_token();
    let key = rig.json(&user(&["key", "generate", "vpn"]));
    rig.ok(&user(&["key", "csr", "vpn", "--subject", "CN=vpn", "--out", "vpn.csr"]));
    rig.openssl(&[
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=ca",
    ]);
    rig.openssl(&[
        "x509", "-req", "-in", "vpn.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "vpn.pem",
    ]);
    let chain = [fs::read(rig.path("vpn.pem")).unwrap(), fs::read(rig.path("ca.pem")).unwrap()];
    fs::write(rig.path("chain.pem"), chain.concat()).unwrap();
    let put = rig.json(&user(&["cert", "import", "chain.pem"]));
    assert_eq!(put["certificates"][0]["id"], key["key"]["id"]);
    assert_eq!(put["certificates"][0]["label"], "vpn");
    assert_eq!(put["certificates"][1]["has_key"], false);
    assert_eq!(rig.json(&["key", "show", "vpn"])["key"]["certificates"], 1);
    let gone = rig.json(&user(&["key", "delete", "vpn", "--certificates", "--yes"]));
    assert_eq!(gone["objects"], 3);
    assert_eq!(rig.json(&["cert", "list"])["certificates"].as_array().unwrap().len(), 1);
}

#[test]
fn keys_come_in_from_every_kind_of_file() {
    let rig = Rig::with_token();
    let hello = "pass:hello";
    rig.openssl(&["ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", "sec1.pem"]);
    rig.openssl(&["ec", "-in", "sec1.pem", "-outform", "DER", "-out", "sec1.der"]);
    let pkcs8 = ["pkcs8", "-topk8", "-in", "sec1.pem"];
    let of = |more: &[&'static str]| [&pkcs8[..], more].concat();
    rig.openssl(&of(&["-nocrypt", "-out", "pkcs8.pem"]));
    rig.openssl(&of(&["-nocrypt", "-outform", "DER", "-out", "pkcs8.der"]));
    rig.openssl(&of(&["-passout", hello, "-out", "encrypted.pem"]));
    rig.openssl(&of(&["-passout", hello, "-outform", "DER", "-out", "encrypted.der"]));
    rig.openssl(&of(&["-passout", hello, "-scrypt", "-out", "scrypt.pem"]));
    rig.openssl(&["genrsa", "-out", "rsa.pem", "2048"]);
    rig.openssl(&["rsa", "-in", "rsa.pem", "-traditional", "-out", "pkcs1.pem"]);
    rig.openssl(&["rsa", "-in", "rsa.pem", "-traditional", "-outform", "DER", "-out", "pkcs1.der"]);
    rig.openssl(&["req", "-x509", "-key", "rsa.pem", "-subj", "/CN=in", "-out", "crt.pem"]);
    let p12 = ["pkcs12", "-export", "-inkey", "rsa.pem", "-in", "crt.pem", "-passout", hello];
    rig.openssl(&[&p12[..], &["-out", "new.p12"]].concat());
    rig.openssl(&[&p12[..], &["-legacy", "-out", "old.p12"]].concat());
    for (name, kind, bits, passphrase) in [
        ("ssh-ec", "ecdsa", "256", ""),
        ("ssh-ec-encrypted", "ecdsa", "384", "hello"),
        ("ssh-rsa", "rsa", "2048", ""),
        ("ssh-rsa-encrypted", "rsa", "3072", "hello"),
    ] {
        let mut keygen = rig.command("ssh-keygen");
        keygen.args(["-q", "-t", kind, "-b", bits, "-N", passphrase, "-f", name]);
        assert_eq!(finish(keygen).code, 0);
    }
    let files = [
        "sec1.pem",
        "sec1.der",
        "pkcs8.pem",
        "pkcs8.der",
        "encrypted.pem",
        "encrypted.der",
        "scrypt.pem",
        "rsa.pem",
        "pkcs1.pem",
        "pkcs1.der",
        "new.p12",
        "old.p12",
        "ssh-ec",
        "ssh-ec-encrypted",
        "ssh-rsa",
        "ssh-rsa-encrypted",
    ];
    for file in files {
        let words = ["key", "import", file, "--label", file, "--passphrase-file", "pass"];
        let made = rig.json(&user(&words));
        assert_eq!(made["key"]["made_in_tpm"], false, "{file}");
        assert_eq!(made["certificates"], u8::from(file.ends_with("p12")), "{file}");
        assert!(made["warning"].as_str().unwrap().contains("existed outside"));
        rig.json(&user(&["key", "test", file]));
    }
    // In text the warning is on stderr.
    let said = rig.ok(&user(&["key", "import", "rsa.pem", "--label", "again"])).stderr;
    assert!(said.contains("existed outside"), "{said}");
    // The public key is the file's.
    let shown = rig.json(&["key", "show", "rsa.pem"]);
    let public = rig.openssl(&["rsa", "-in", "rsa.pem", "-pubout"]).text();
    assert_eq!(shown["public_key"].as_str().unwrap(), public);
}

#[test]
fn data_objects_are_put_listed_got_and_deleted() {
    let rig = Rig::with_token();
    rig.write("note", "a note\n");
    rig.json(&user(&["object", "put", "public", "note", "--public"]));
    let put = rig.json(&user(&["object", "put", "private", "note"]));
    assert_eq!(put["object"]["private"], true);
    let seen = |rig: &Rig, words: &[&str]| rig.json(words)["objects"].as_array().unwrap().len();
    assert_eq!(seen(&rig, &["object", "list"]), 1);
    assert_eq!(seen(&rig, &user(&["object", "list"])), 2);
    assert_eq!(rig.ok(&["object", "get", "public"]).text(), "a note\n");
    rig.refused(&["object", "get", "private"], 6);
    rig.ok(&user(&["object", "get", "private", "--out", "got"]));
    assert_eq!(fs::read_to_string(rig.path("got")).unwrap(), "a note\n");
    assert_eq!(fs::metadata(rig.path("got")).unwrap().permissions().mode() & 0o777, 0o600);
    rig.refused(&user(&["object", "get", "private", "--out", "got"]), 9);
    assert_eq!(rig.json(&["object", "get", "public"])["value"], "61206e6f74650a");
    let unique = format!("uid:{}", put["object"]["unique_id"].as_str().unwrap());
    rig.json(&user(&["object", "delete", &unique, "--yes"]));
    assert_eq!(seen(&rig, &user(&["object", "list"])), 1);
}

#[test]
fn random_bytes_lockout_and_uris_answer() {
    let rig = Rig::new();
    assert_eq!(rig.ok(&["random", "20"]).text().len(), 41);
    assert_eq!(rig.ok(&["random", "20", "--format", "raw"]).stdout.len(), 20);
    let first = rig.json(&["random", "32"]);
    assert_ne!(first, rig.json(&["random", "32"]));
    rig.ok(&["random", "100000", "--format", "raw", "--out", "bytes"]);
    assert_eq!(fs::metadata(rig.path("bytes")).unwrap().len(), 100_000);

    let rig = Rig::with_token();
    rig.refused(&["key", "list", "--pin-file", "wrong"], 4);
    assert_eq!(rig.json(&["lockout", "show"])["tries_left"], 999);
    assert_eq!(rig.json(&["lockout", "reset"])["tries_left"], 1000);

    rig.ok(&user(&["key", "generate", "k", "--id", "01ab"]));
    let uri = |words: &[&str]| rig.json(words)["uri"].as_str().unwrap().to_owned();
    assert!(uri(&["uri"]).ends_with(";token=test%20token"));
    assert_eq!(uri(&["uri", "k"]), "pkcs11:token=test%20token;id=%01%AB");
    let openssl = "pkcs11:token=test%20token;id=%01%AB;type=private";
    assert_eq!(uri(&["uri", "k", "--for", "openssl"]), openssl);
    assert!(uri(&["uri", "id:01ab", "--for", "openvpn"]).ends_with("/test\\x20token/01AB"));
}

#[test]
fn pins_come_from_descriptors_credentials_and_files_never_from_arguments() {
    let rig = Rig::with_token();
    let mut command = rig.command(PROGRAM);
    command.args(["key", "list", "--pin-fd", "0"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"user-pin-1").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());

    fs::create_dir(rig.path("credentials")).unwrap();
    rig.write("credentials/hierarkey.pin", "user-pin-1");
    let mut command = rig.command("setsid");
    command.args(["--wait", PROGRAM, "key", "list", "--login"]);
    command.env("CREDENTIALS_DIRECTORY", rig.path("credentials"));
    assert_eq!(finish(command).code, 0);

    // Without any of them, and without a terminal, nobody is asked.
    let said = rig.refused(&["key", "list", "--login"], 4);
    assert!(said.contains("--pin-file"), "{said}");
    rig.refused(&["key", "list", "--pin", "user-pin-x"], 2);
}

#[test]
fn colours_are_for_terminals_and_for_who_asks() {
    let rig = Rig::with_token();
    assert!(!rig.ok(&["status"]).text().contains('\x1b'));
    assert!(rig.ok(&["--color", "always", "status"]).text().contains('\x1b'));
}

#[test]
fn status_says_who_else_has_the_store_open() {
    let rig = Rig::with_token();
    assert_eq!(rig.json(&["status"])["open_by"], json!([]));
    let mut other = rig.command("cat");
    let file = fs::File::open(rig.store().join("hierarkey.sqlite3")).unwrap();
    // It waits for its input, with the store for its standard error's place.
    let mut other = other.stdin(Stdio::piped()).stderr(Stdio::from(file)).spawn().unwrap();
    let status = rig.json(&["status"]);
    let mut openers = status["open_by"].as_array().unwrap().iter();
    assert!(openers.any(|one| one["pid"] == other.id() && one["what"] == "store"), "{status:#}");
    assert!(rig.ok(&["status"]).text().contains("the store is open in"));
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Runs a command on a terminal at which `typed` is typed; what the terminal shows, and the code.
fn on_a_terminal(rig: &Rig, line: &str, typed: &str) -> (String, Option<i32>) {
    let mut command = rig.command("script");
    command.args(["-qec", &format!("{PROGRAM} {line}"), "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    drop(keyboard);
    let done = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&done.stdout).into_owned(), done.status.code())
}

#[test]
fn a_terminal_is_asked_for_pins_and_before_anything_is_destroyed() {
    let rig = Rig::with_token();
    rig.ok(&user(&["key", "generate", "k"]));
    let (shown, code) = on_a_terminal(&rig, "key list --login", "user-pin-1\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("user PIN: ") && shown.contains('\x1b'), "{shown}");
    let delete = "key delete k --pin-file pin";
    let (shown, code) = on_a_terminal(&rig, delete, "n\n");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("for good? [y/N]"), "{shown}");
    rig.ok(&["key", "show", "k"]);
    let (shown, code) = on_a_terminal(&rig, delete, "y\n");
    assert_eq!(code, Some(0), "{shown}");
    rig.refused(&["key", "show", "k"], 6);
    // A new PIN is typed twice.
    let change = "token set-pin --pin-file pin";
    let (shown, code) = on_a_terminal(&rig, change, "new-pin-1\nnew-pin-2\n");
    assert_eq!(code, Some(4), "{shown}");
    let (shown, code) = on_a_terminal(&rig, change, "new-pin-1\nnew-pin-1\n");
    assert_eq!(code, Some(0), "{shown}");
    rig.write("pin", "new-pin-1");
    rig.ok(&user(&["key", "list"]));
}

#[test]
fn the_manual_and_the_completions_name_every_command() {
    let rig = Rig::new();
    rig.ok(&["generate", "man", "man"]);
    let page = fs::read_to_string(rig.path("man/hierarkey.1")).unwrap();
    for word in ["status", "doctor", "token", "key", "cert", "object", "lockout", "uri", "setup"] {
        assert!(page.contains(word), "{word}");
    }
    for name in ["key-generate", "key-import", "setup-disk", "token-init"] {
        assert!(rig.path(&format!("man/hierarkey-{name}.1")).is_file(), "{name}");
    }
    rig.ok(&["generate", "completions", "completions"]);
    for name in ["hierarkey.bash", "_hierarkey", "hierarkey.fish"] {
        let text = fs::read_to_string(rig.path("completions").join(name)).unwrap();
        assert!(text.contains("self-sign"), "{name}");
    }
    rig.ok(&["generate", "schema", "."]);
    let written = fs::read_to_string(rig.path("tool.schema.json")).unwrap();
    assert_eq!(written, include_str!("../../docs/tool.schema.json"));
}

#[test]
fn the_demonstration_works_and_leaves_nothing() {
    let rig = Rig::new();
    let shown = rig.json(&["demo"]);
    assert!(shown["steps"].as_array().unwrap().len() > 5);
    assert!(rig.ok(&["demo"]).text().contains("sign works"));
}

#[test]
fn the_session_in_the_documentation_works() {
    let rig = Rig::new();
    let page = include_str!("../../docs/tool.md");
    let (_, session) = page.split_once("```console\n").unwrap();
    let (session, _) = session.split_once("```").unwrap();
    fs::copy(rig.path("so"), rig.path("so-pin")).unwrap();
    let program = std::path::Path::new(PROGRAM);
    std::os::unix::fs::symlink(common::module(), rig.path("libhierarkey.so")).unwrap();
    let path = format!("{}:{}", program.parent().unwrap().display(), env!("PATH"));
    let commands: Vec<_> = session.lines().map(|line| line.strip_prefix("$ ").unwrap()).collect();
    assert!(commands.len() > 20);
    for line in commands {
        let mut command = rig.command("sh");
        let outcome = finish({
            command.args(["-c", line]).env("PATH", &path);
            command
        });
        assert_eq!(outcome.code, 0, "{line}: {}{}", outcome.text(), outcome.stderr);
    }
}
