//! Key files as programs write them: PKCS#12 by each encryption and each MAC, with and without
//! certificates; PKCS#8 by older encryptions; and what no TPM takes.

mod common;

use common::table::with_pin;
use common::{Outcome, Rig, judge_refusal};

const EXPORT: [&str; 8] =
    ["pkcs12", "-export", "-inkey", "ec.pem", "-passout", "pass:hello", "-out", "k.p12"];

fn rig() -> Rig {
    let rig = Rig::with_token();
    rig.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"]);
    rig.openssl(&["req", "-x509", "-key", "ec.pem", "-subj", "/CN=k", "-out", "k.crt"]);
    rig
}

fn import(rig: &Rig, label: &str, passphrase: &str) -> Outcome {
    let words = ["key", "import", "k.p12", "--label", label, "--passphrase-file", passphrase];
    rig.run(&with_pin(&words, "pin"))
}

#[test]
fn files_of_every_kind_are_read_and_none_by_another_passphrase() {
    let rig = rig();
    rig.openssl(&["pkey", "-in", "ec.pem", "-pubout", "-out", "public.pem"]);
    let public = std::fs::read_to_string(rig.path("public.pem")).unwrap();
    let with_certificate = ["-in", "k.crt"];
    for (number, words) in [
        &["-nocerts"][..],
        &["-keypbe", "NONE", "-certpbe", "NONE"],
        &["-legacy"],
        &["-keypbe", "PBE-SHA1-2DES", "-certpbe", "PBE-SHA1-3DES"],
        &["-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-RC2-128", "-legacy"],
        &["-keypbe", "aes-128-cbc", "-certpbe", "aes-256-cbc"],
        &["-macalg", "sha1"],
        &["-macalg", "sha384"],
        &["-macalg", "sha512", "-name", "any name"],
        &["-nomac"],
    ]
    .into_iter()
    .enumerate()
    {
        let certificate = if words == ["-nocerts"] { &[][..] } else { &with_certificate };
        rig.openssl(&[&EXPORT, certificate, words].concat());
        let outcome = import(&rig, "other", "wrong");
        assert_eq!(outcome.code, 4, "{words:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("passphrase does not open"), "{}", outcome.stderr);
        let label = format!("k{number}");
        let outcome = import(&rig, &label, "pass");
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        assert_eq!(rig.ok(&["key", "export", &label]).text(), public, "{words:?}");
        let certificates = rig.json(&["cert", "list"])["certificates"].as_array().unwrap().len();
        assert_eq!(certificates, usize::from(!certificate.is_empty()), "{words:?}");
        rig.ok(&with_pin(&["key", "delete", &label, "--certificates", "--yes"], "pin"));
    }
    // One that nothing in it asks a passphrase for.
    let open = ["-in", "k.crt", "-nomac", "-keypbe", "NONE", "-certpbe", "NONE"];
    rig.openssl(&[&EXPORT, &open[..]].concat());
    rig.ok(&with_pin(&["key", "import", "k.p12", "--label", "open"], "pin"));
}

#[test]
fn an_empty_passphrase_is_not_asked_for() {
    let rig = rig();
    let export = ["pkcs12", "-export", "-inkey", "ec.pem", "-in", "k.crt", "-out", "k.p12"];
    rig.openssl(&[&export[..], &["-passout", "pass:"]].concat());
    rig.ok(&with_pin(&["key", "import", "k.p12", "--label", "k"], "pin"));
}

#[test]
fn older_encryptions_are_read_and_what_is_not_taken_is_told() {
    let rig = rig();
    let old = ["pkcs8", "-topk8", "-in", "ec.pem", "-passout", "pass:hello", "-out", "k.p12"];
    rig.openssl(&[&old[..], &["-v1", "PBE-SHA1-3DES"]].concat());
    assert_eq!(import(&rig, "old", "wrong").code, 4);
    let outcome = import(&rig, "old", "pass");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    rig.openssl(
        &[&old[..], &["-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"]]
            .concat(),
    );
    for (words, what) in [
        (&[][..], "encrypted in a way that is not read here"),
        (&["ec", "-in", "ec.pem", "-param_enc", "explicit", "-out", "k.p12"], "instead of named"),
        (&["genpkey", "-algorithm", "RSA-PSS", "-out", "k.p12"], "for PSS alone"),
        (&["genrsa", "-3", "-out", "k.p12", "2048"], "another public exponent than 65537"),
    ] {
        if !words.is_empty() {
            rig.openssl(words);
        }
        let outcome = import(&rig, "other", "pass");
        let said = judge_refusal(&["key", "import"], &outcome, 8);
        assert!(said.contains(what), "{said}");
    }
}
