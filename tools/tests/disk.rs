//! `hierarkey disk`: the passphrase that a volume's header has for the token's key, and what is said
//! where there is none. The headers are files with as much of LUKS2 as is read.

mod common;

use std::fs;

use common::{PROGRAM, Rig, finish};
use serde_json::{Value, json};

const PIN: [&str; 2] = ["--pin-file", "pin"];
const PASSPHRASE: [&str; 3] = ["disk", "passphrase", "volume"];
const CHECK: [&str; 3] = ["disk", "check", "volume"];

/// What systemd-cryptenroll writes for a token.
fn enrolled(uri: &str, key: &str) -> Value {
    json!({"type": "systemd-pkcs11", "keyslots": ["1"], "pkcs11-uri": uri, "pkcs11-key": key})
}

/// A file that begins as a LUKS2 volume with these tokens does.
fn volume(rig: &Rig, tokens: &[Value]) {
    let tokens: serde_json::Map<_, _> =
        tokens.iter().enumerate().map(|(number, one)| (number.to_string(), one.clone())).collect();
    let mut header = vec![0; 16384];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    header[8..16].copy_from_slice(&16384_u64.to_be_bytes());
    header[168..204].copy_from_slice(b"00112233-4455-6677-8899-aabbccddeeff");
    // As cryptsetup writes it: a slash is escaped.
    let json = json!({"keyslots": {}, "tokens": tokens}).to_string().replace('/', "\\/");
    header[4096..4096 + json.len()].copy_from_slice(json.as_bytes());
    fs::write(rig.path("volume"), header).unwrap();
}

fn base64(rig: &Rig, file: &str) -> String {
    let encoded = rig.openssl(&["base64", "-A", "-in", file]).text();
    assert!(!encoded.is_empty());
    encoded
}

fn generate(rig: &Rig, label: &str, kind: &str, uses: &str) {
    let words = ["key", "generate", label, "--type", kind, "--use", uses];
    rig.ok(&[&words[..], &PIN].concat());
    rig.ok(&["key", "export", label, "--out", &format!("{label}.pem")]);
}

/// A secret, encrypted by the public half of `label`: both as base64.
fn encrypted(rig: &Rig, label: &str) -> (String, String) {
    rig.openssl(&["rand", "-out", "secret", "256"]);
    let secret = fs::read(rig.path("secret")).unwrap();
    // systemd takes as many bytes as fit; 190 do in all of them.
    fs::write(rig.path("secret"), &secret[..190]).unwrap();
    let public = format!("{label}.pem");
    rig.openssl(&[
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-inkey",
        &public,
        "-in",
        "secret",
        "-out",
        "encrypted",
    ]);
    (base64(rig, "secret"), base64(rig, "encrypted"))
}

/// With a key "luks", and a volume that it opens; and the volume's passphrase.
fn with_volume() -> (Rig, String) {
    let rig = Rig::with_token();
    generate(&rig, "luks", "rsa-2048", "decrypt");
    let (secret, ciphertext) = encrypted(&rig, "luks");
    let uri = rig.json(&["uri", "--for", "systemd"])["uri"].as_str().unwrap().to_owned();
    volume(&rig, &[enrolled(&uri, &ciphertext)]);
    (rig, secret)
}

fn opens(rig: &Rig, passphrase: &str) {
    let said = rig.ok(&[&PASSPHRASE[..], &PIN].concat());
    assert_eq!(said.text(), passphrase);
    assert_eq!(said.stderr, "");
}

#[test]
fn an_rsa_key_decrypts_the_passphrase() {
    let (rig, passphrase) = with_volume();
    opens(&rig, &passphrase);
    let answer = rig.json(&[&PASSPHRASE[..], &PIN].concat());
    assert_eq!(answer["passphrase"], passphrase);
    // The PIN from a pipe, as a keyscript has it.
    let mut command = rig.command("sh");
    command.args(["-c", r#""$1" disk passphrase volume --pin-fd 0 <pin"#, "sh", PROGRAM]);
    assert_eq!(finish(command).text(), passphrase);
}

#[test]
fn an_ec_key_agrees_on_the_passphrase() {
    for (kind, curve, point) in [("ec-p256", "P-256", 65), ("ec-p384", "P-384", 97)] {
        let rig = Rig::with_token();
        generate(&rig, "luks", kind, "derive");
        // The other side, whose point stays in the header.
        let option = format!("ec_paramgen_curve:{curve}");
        rig.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-out", "other.pem"]);
        rig.openssl(&["pkey", "-in", "other.pem", "-pubout", "-outform", "DER", "-out", "other"]);
        let other = fs::read(rig.path("other")).unwrap();
        fs::write(rig.path("point"), &other[other.len() - point..]).unwrap();
        rig.openssl(&[
            "pkeyutl",
            "-derive",
            "-inkey",
            "other.pem",
            "-peerkey",
            "luks.pem",
            "-out",
            "secret",
        ]);
        volume(&rig, &[enrolled("pkcs11:token=test%20token", &base64(&rig, "point"))]);
        opens(&rig, &base64(&rig, "secret"));
    }
}

#[test]
fn whether_a_pin_would_be_of_use_is_told_without_one() {
    let (rig, _) = with_volume();
    let answer = rig.json(&CHECK);
    assert_eq!(answer["token"], "test token");
    assert_eq!(answer["uuid"], "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!(answer["tries_left"], 1000);
    let before = rig.stored();
    let said = rig.refused(&[&PASSPHRASE[..], &["--pin-file", "wrong"]].concat(), 4);
    assert!(said.contains("999 of 1000 tries are left"), "{said}");
    rig.refused(&PASSPHRASE, 4);
    assert_eq!(rig.json(&CHECK)["tries_left"], 999);
    assert!(before == rig.stored(), "the store was changed");
}

#[test]
fn the_last_try_is_kept_for_other_keys_unless_it_is_asked_for() {
    let (rig, passphrase) = with_volume();
    rig.tpm.set_lockout(2, 3600);
    rig.refused(&[&PASSPHRASE[..], &["--pin-file", "wrong"]].concat(), 4);
    for words in [&CHECK[..], &[&PASSPHRASE[..], &PIN].concat()] {
        let said = rig.refused(words, 5);
        assert!(said.contains("the last PIN") && said.contains("every 3600 s"), "{said}");
    }
    rig.ok(&[&CHECK[..], &["--last-try"]].concat());
    let said = rig.ok(&[&PASSPHRASE[..], &PIN, &["--last-try"]].concat());
    assert_eq!(said.text(), passphrase);
    rig.refused(&[&PASSPHRASE[..], &["--pin-file", "wrong", "--last-try"]].concat(), 4);
    let said = rig.refused(&[&CHECK[..], &["--last-try"]].concat(), 5);
    assert!(said.contains("accepts no PIN now"), "{said}");
}

#[test]
fn a_volume_that_the_token_does_not_open_is_told_before_a_pin_is_asked_for() {
    let (rig, _) = with_volume();
    for (tokens, why) in [
        (vec![], "no token is enrolled"),
        (vec![json!({"type": "systemd-tpm2"})], "no token is enrolled"),
        (vec![enrolled("pkcs11:token=another", "AAAA")], "another token than \"test token\""),
        (vec![enrolled("pkcs11:token=test%20token;colour=red", "AAAA")], "another token"),
    ] {
        volume(&rig, &tokens);
        for words in [&CHECK[..], &PASSPHRASE] {
            let said = rig.refused(words, 6);
            assert!(said.contains(why), "{said}");
        }
    }
    for file in ["rubbish", "none", "empty", "."] {
        let said = rig.refused(&["disk", "check", file], 8);
        assert!(said.contains(file), "{said}");
    }
    volume(&rig, &[enrolled("pkcs11:token=test%20token", "AAAA")]);
    rig.refused(&[&CHECK[..], &["--slot", "null"]].concat(), 6);
    let mut command = rig.command(PROGRAM);
    command.env("HIERARKEY_TCTI", "device:/none").args(CHECK);
    common::judge_refusal(&CHECK, &finish(command), 3);
}

#[test]
fn a_key_that_is_gone_or_not_the_only_one_is_no_guess() {
    let (rig, passphrase) = with_volume();
    let words = [&PASSPHRASE[..], &PIN].concat();
    // Neither signs in its place: one may not decrypt, the other is longer than what is encrypted.
    generate(&rig, "vpn", "rsa-2048", "sign");
    generate(&rig, "mail", "rsa-3072", "decrypt");
    opens(&rig, &passphrase);
    generate(&rig, "other", "rsa-2048", "decrypt");
    let said = rig.refused(&words, 6);
    assert!(said.contains("2 keys") && said.contains(";object="), "{said}");
    let (passphrase, ciphertext) = encrypted(&rig, "other");
    volume(&rig, &[enrolled("pkcs11:token=test%20token;object=other", &ciphertext)]);
    opens(&rig, &passphrase);
    rig.ok(&[&["key", "delete", "other", "--yes"][..], &PIN].concat());
    let said = rig.refused(&words, 6);
    assert!(said.contains("deleted"), "{said}");
}

#[test]
fn the_directory_of_the_store_is_told_where_nothing_is_there_yet() {
    let rig = Rig::new();
    rig.tpm.stop();
    let directory = rig.store();
    assert_eq!(rig.ok(&["disk", "store"]).text(), format!("{}\n", directory.display()));
    let told = rig.json(&["disk", "store"]);
    assert_eq!(told["directory"], directory.to_str().unwrap());
}
