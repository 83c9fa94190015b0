//! `hierarkey setup`: steps are shown, done, and not done twice; what they write is what the program
//! reads.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{PROGRAM, Rig, finish};
use serde_json::Value;

const YES: [&str; 3] = ["--yes", "--pin-file", "pin"];

fn module() -> String {
    common::module().to_str().unwrap().to_owned()
}

/// A program that writes down how it was called, in place of one that changes the machine.
fn stand_in(rig: &Rig, name: &str, status: u8) -> String {
    let folder = rig.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let called = rig.path(&format!("{name}.called"));
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}\nexit {status}\n", called.display());
    fs::write(folder.join(name), script).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// A file that begins as a LUKS2 volume does.
fn luks(rig: &Rig) -> &'static str {
    let mut header = vec![0; 4096];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    header[168..204].copy_from_slice(b"00112233-4455-6677-8899-aabbccddeeff");
    fs::write(rig.path("volume"), header).unwrap();
    "volume"
}

fn steps(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| step["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_dry_run_shows_every_step_and_does_none() {
    let rig = Rig::with_token();
    let module = module();
    let before = rig.stored();
    let volume = luks(&rig);
    let disk = rig.json(&["setup", "disk", volume, "--dry-run", "--crypttab", "crypttab"]);
    let shown = steps(&disk);
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert!(shown[0].starts_with("hierarkey key generate disk --type rsa-2048"));
    assert!(shown[1].starts_with("hierarkey key self-sign disk"));
    assert!(shown[2].starts_with("systemd-cryptenroll") && shown[2].ends_with(" volume"));
    assert!(shown[3].contains("luks-00112233-4455-6677-8899-aabbccddeeff"));
    for program in ["openvpn", "strongswan", "ssh"] {
        let words = ["setup", program, "--dry-run", "--module", &module];
        let report = rig.json(&words);
        assert_eq!(report["dry_run"], true);
        assert!(steps(&report)[0].starts_with("hierarkey key generate"), "{program}");
        let text = rig.ok(&words).text();
        assert!(text.contains("1. Make a key in the TPM"), "{text}");
    }
    let nss = rig.json(&["setup", "nss", "nssdb", "--dry-run", "--module", &module]);
    assert_eq!(steps(&nss).len(), 3);
    assert!(before == rig.stored());
    for name in ["crypttab", "nssdb", ".ssh", "openvpn.csr", "ipsec.csr"] {
        assert!(!rig.path(name).exists(), "{name}");
    }
}

#[test]
fn nothing_is_done_unasked() {
    let rig = Rig::with_token();
    let before = rig.stored();
    let volume = luks(&rig);
    let said = {
        let outcome = rig.run(&["setup", "disk", volume, "--pin-file", "pin"]);
        assert_eq!(outcome.code, 2);
        outcome.stderr
    };
    assert!(said.contains("--yes"), "{said}");
    assert!(before == rig.stored());
}

#[test]
fn a_disk_is_enrolled_by_the_tokens_uri_and_written_into_crypttab_once() {
    let rig = Rig::with_token();
    let volume = luks(&rig);
    let path = format!("{}:{}", stand_in(&rig, "systemd-cryptenroll", 0), env!("PATH"));
    let run = || {
        let mut command = rig.command(PROGRAM);
        command.args(["--json", "setup", "disk", volume, "--crypttab", "crypttab"]).args(YES);
        command.env("PATH", &path);
        let outcome = finish(command);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        common::described(&["setup", "disk"], &outcome.stdout)
    };
    rig.write("crypttab", "# a comment");
    assert_eq!(steps(&run()).len(), 4);
    let called = fs::read_to_string(rig.path("systemd-cryptenroll.called")).unwrap();
    let uri = rig.json(&["uri", "--for", "systemd"])["uri"].as_str().unwrap().to_owned();
    assert_eq!(called, format!("--pkcs11-token-uri={uri}\nvolume\n"));
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let table = fs::read_to_string(rig.path("crypttab")).unwrap();
    assert_eq!(table, format!("# a comment\nluks-{uuid} UUID={uuid} none pkcs11-uri=auto\n"));
    // The key has a certificate and decrypts, as systemd wants it.
    let key = rig.json(&["key", "show", "disk", "--pin-file", "pin"]);
    assert_eq!((&key["key"]["certificates"], &key["key"]["type"]), (&1.into(), &"rsa-2048".into()));
    rig.ok(&["key", "test", "disk", "--pin-file", "pin"]);
    // What is there is left alone.
    assert_eq!(steps(&run()).len(), 1);
    assert_eq!(fs::read_to_string(rig.path("crypttab")).unwrap(), table);
    // systemd takes a token with one such key alone.
    rig.ok(&[
        "key",
        "generate",
        "x",
        "--type",
        "rsa-2048",
        "--use",
        "decrypt",
        "--pin-file",
        "pin",
    ]);
    let said = rig.refused(&["setup", "disk", volume, "--dry-run"], 8);
    assert!(said.contains("(x)"), "{said}");
}

#[test]
fn a_step_that_fails_ends_the_plan_in_one_line() {
    let rig = Rig::with_token();
    let volume = luks(&rig);
    let path = format!("{}:{}", stand_in(&rig, "systemd-cryptenroll", 1), env!("PATH"));
    let mut command = rig.command(PROGRAM);
    command.args(["--json", "setup", "disk", volume, "--crypttab", "crypttab"]).args(YES);
    command.env("PATH", path);
    let outcome = finish(command);
    assert_eq!((outcome.code, outcome.stdout.len()), (1, 0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("systemd-cryptenroll ended with"), "{}", outcome.stderr);
    assert!(!rig.path("crypttab").exists());
}

#[test]
fn ssh_reads_what_is_written_for_it_and_lists_the_key() {
    let rig = Rig::with_token();
    let module = module();
    rig.write("config", "Host other\n  User x\n");
    let words =
        ["setup", "ssh", "--module", &module, "--config", "config", "--host", "*.example.org"];
    let words = [&words[..], &YES].concat();
    assert_eq!(steps(&rig.json(&words)).len(), 2);
    assert_eq!(steps(&rig.json(&words)).len(), 0);
    let mut ssh = rig.command("ssh");
    ssh.args(["-G", "-F", "config", "a.example.org"]);
    let read = finish(ssh).text();
    let module = fs::canonicalize(module).unwrap();
    assert!(read.contains(&format!("pkcs11provider {}", module.display())), "{read}");
    let mut keygen = rig.command("ssh-keygen");
    keygen.arg("-D").arg(module);
    let listed = finish(keygen);
    assert!(listed.text().contains("ecdsa-sha2-nistp256"), "{}", listed.stderr);
}

#[test]
fn vpns_get_a_request_first_and_their_lines_once_there_is_a_certificate() {
    let rig = Rig::with_token();
    let module = module();
    fs::create_dir_all(rig.path("etc/strongswan.d")).unwrap();
    fs::create_dir_all(rig.path("etc/swanctl/conf.d")).unwrap();
    for (program, key, csr) in
        [("openvpn", "openvpn", "openvpn.csr"), ("strongswan", "ipsec", "ipsec.csr")]
    {
        let mut words =
            vec!["setup", program, "--module", &module, "--subject", "CN=gate,O=Example"];
        if program == "strongswan" {
            words.extend(["--etc", "etc"]);
        }
        words.extend(YES);
        assert_eq!(steps(&rig.json(&words)).len(), 2);
        let text = rig.openssl(&["req", "-in", csr, "-noout", "-subject", "-verify"]).text();
        assert!(text.contains("O = Example"), "{text}");
        rig.ok(&[
            "key",
            "self-sign",
            key,
            "--subject",
            "CN=gate",
            "--store",
            "--out",
            "c.pem",
            "--force",
            "--pin-file",
            "pin",
        ]);
        assert!(!steps(&rig.json(&words)).is_empty());
    }
    let openvpn = fs::read_to_string(rig.path("openvpn-hierarkey.conf")).unwrap();
    let id = rig.json(&["uri", "openvpn", "--for", "openvpn"])["uri"].as_str().unwrap().to_owned();
    assert!(openvpn.contains(&format!("pkcs11-id '{id}'")), "{openvpn}");
    // Where OpenVPN is installed, it names the certificate so itself.
    if std::path::Path::new("/usr/sbin/openvpn").exists() {
        let mut show = rig.command("/usr/sbin/openvpn");
        show.args(["--show-pkcs11-ids", &module]);
        let shown = finish(show).text();
        assert!(shown.lines().any(|line| line.ends_with(&format!(" {id}"))), "{id}: {shown}");
    }
    let shown = rig.json(&["key", "show", "ipsec"]);
    let swanctl = fs::read_to_string(rig.path("etc/swanctl/conf.d/hierarkey.conf")).unwrap();
    assert!(swanctl.contains(&format!("handle = {}", shown["key"]["id"].as_str().unwrap())));
    assert!(!swanctl.contains("pin"), "{swanctl}");
    let charon = fs::read_to_string(rig.path("etc/strongswan.d/hierarkey.conf")).unwrap();
    assert!(charon.contains("libhierarkey.so"), "{charon}");
}

#[test]
fn an_nss_database_is_made_and_knows_the_module() {
    let rig = Rig::with_token();
    let module = module();
    let words = ["setup", "nss", "nssdb", "--module", &module, "--yes"];
    if finish(rig.command("modutil")).stderr.is_empty() {
        println!("skipped: modutil (Debian package libnss3-tools) is not installed");
        return;
    }
    // What modutil and certutil say on stdout is theirs; the answer is told apart by being last.
    let done = rig.ok(&words);
    assert!(done.text().contains("note:"), "{}", done.text());
    let known = fs::read_to_string(rig.path("nssdb/pkcs11.txt")).unwrap();
    assert!(known.contains("libhierarkey.so"), "{known}");
    assert!(rig.ok(&words).text().contains("nothing is left to do"));
    let mut certutil = rig.command("certutil");
    certutil.args(["-U", "-d", "sql:nssdb"]);
    let listed = finish(certutil).text();
    assert!(listed.contains("test token"), "{listed}");
}

#[test]
fn a_setup_that_waits_for_an_authority_can_be_run_again() {
    let rig = Rig::with_token();
    let module = module();
    let words = ["setup", "openvpn", "--module", &module];
    let run = |more: &[&str]| rig.run(&[&words[..], &YES, more].concat());
    assert_eq!(run(&[]).code, 0);
    let request = fs::read(rig.path("openvpn.csr")).unwrap();
    let outcome = run(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.text().contains("have openvpn.csr signed"), "{}", outcome.text());
    assert!(fs::read(rig.path("openvpn.csr")).unwrap() == request, "another request");
    // Another subject, and another file of that name, are somebody's decision.
    for change in [&["--subject", "CN=other"][..], &["--csr", "rubbish"]] {
        let outcome = run(change);
        assert_eq!(outcome.code, 9, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("exists, with other contents: move it away"));
        assert!(!outcome.stderr.contains("--force"), "{}", outcome.stderr);
    }
    let text = rig.refused(&["setup", "ssh", "--module", "rubbish", "--yes"], 8);
    assert!(text.contains("is no shared library"), "{text}");
}

#[test]
fn a_configuration_that_is_a_link_stays_one() {
    let rig = Rig::with_token();
    let module = module();
    fs::create_dir(rig.path(".ssh")).unwrap();
    rig.write("dotfiles", "Host a\n");
    std::os::unix::fs::symlink(rig.path("dotfiles"), rig.path(".ssh/config")).unwrap();
    rig.ok(&[&["setup", "ssh", "--module", &module][..], &YES].concat());
    assert!(rig.path(".ssh/config").is_symlink());
    let text = fs::read_to_string(rig.path("dotfiles")).unwrap();
    assert!(text.starts_with("Host a\n") && text.contains("PKCS11Provider"), "{text}");
}
