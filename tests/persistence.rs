//! What lasts in the store, and what another process sees of it: statements 32, 62, 114, 117.

mod common;
#[allow(dead_code, reason = "each test program uses a part")]
#[path = "persistence/furnished.rs"]
mod furnished;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use cryptoki_sys::*;
use furnished::*;

/// A second process with the user in, and its session.
fn second(test: &str) -> (Peer, CK_SESSION_HANDLE) {
    let mut b = Peer::start(test);
    b.run("init").unwrap();
    let session = b.one("rw 0");
    b.run(&format!("login {session} user-1234")).unwrap();
    (b, session)
}

#[test]
fn c114_what_another_process_makes_and_destroys_shows_in_the_next_call() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    let session = t.user();
    let test = "c114_what_another_process_makes_and_destroys_shows_in_the_next_call";
    let (mut b, theirs) = second(test);
    for round in 0..3 {
        let pair = b.run(&format!("pair {theirs} id-{round} yes")).unwrap();
        let id = format!("id-{round}");
        let mine = key_of(&t.p, session, id.as_bytes());
        assert_eq!(mine.len(), 1, "B's key is in A's next search");
        sign(&t.p, session, mine[0]).unwrap();
        let renamed = format!("rename {theirs} {} name-{round}", pair[1]);
        b.run(&renamed).unwrap();
        let label = t.p.get(session, mine[0], CKA_LABEL).unwrap();
        assert_eq!(label, format!("name-{round}").as_bytes(), "B's change is in A's next call");

        let begun = t.p.rw(t.slot);
        t.p.init(Op::Sign, begun, Mech::plain(CKM_ECDSA), mine[0]).unwrap();
        b.run(&format!("destroy {theirs} {}", pair[1])).unwrap();
        assert!(sign(&t.p, session, mine[0]).is_err(), "a destroyed key signed again");
        // Statement 110: what was begun is completed or refused, and nothing new begins.
        let completed = t.p.one_shot(Op::Sign, begun, &[7; 32]);
        let refusals = [CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID];
        assert!(completed.is_ok() || refusals.contains(&completed.unwrap_err()));
        assert_eq!(sign(&t.p, begun, mine[0]), Err(CKR_KEY_HANDLE_INVALID));
        assert!(key_of(&t.p, session, id.as_bytes()).is_empty());
        assert_eq!(t.p.get(session, mine[0], CKA_LABEL), Err(CKR_OBJECT_HANDLE_INVALID));
    }
    b.end();
}

#[test]
fn c062_a_login_is_its_own_process_business_and_a_new_pin_holds_in_all() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    t.rig.tpm.set_lockout(32, 1000);
    let session = t.p.rw(t.slot);
    let test = "c062_a_login_is_its_own_process_business_and_a_new_pin_holds_in_all";
    let (mut b, theirs) = second(test);
    b.run(&format!("pair {theirs} 1 yes")).unwrap();
    assert_eq!(t.p.state(session), CKS_RW_PUBLIC_SESSION);
    assert!(key_of(&t.p, session, b"1").is_empty(), "B's login shows A nothing private");
    t.p.login(session, CKU_USER, PIN).unwrap();
    let key = key_of(&t.p, session, b"1")[0];
    b.run(&format!("logout {theirs}")).unwrap();
    sign(&t.p, session, key).unwrap();

    b.run(&format!("set-pin {theirs} user-1234 changed-by-b")).unwrap();
    sign(&t.p, session, key).unwrap();
    t.p.logout(session).unwrap();
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    t.p.login(session, CKU_USER, b"changed-by-b").unwrap();
    sign(&t.p, session, key_of(&t.p, session, b"1")[0]).unwrap();
    b.end();
}

#[test]
fn a_token_that_another_process_initialises_anew_ends_the_old_ones_logins_and_handles() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    sign(&t.p, session, private).unwrap();
    let mut b = Peer::start(
        "a_token_that_another_process_initialises_anew_ends_the_old_ones_logins_and_handles",
    );
    b.run("init").unwrap();
    b.run("init-token 0 officer-1234 anew").unwrap();

    assert_eq!(t.p.token_info(t.slot).unwrap().label[..4], *b"anew");
    assert!(sign(&t.p, session, private).is_err());
    assert!(t.p.get(session, public, CKA_LABEL).is_err());
    assert!(t.p.find(session, &[]).is_empty());
    // The old login opens nothing of the new token.
    assert!(t.p.create(session, &data(b"private", true, true)).is_err());
    let theirs = b.one("rw 0");
    b.run(&format!("login-so {theirs} officer-1234")).unwrap();
    b.run(&format!("init-pin {theirs} new-user")).unwrap();
    b.run(&format!("logout {theirs}")).unwrap();
    b.run(&format!("login {theirs} new-user")).unwrap();
    b.run(&format!("pair {theirs} 2 yes")).unwrap();
    assert!(key_of(&t.p, session, b"2").is_empty());
    let _ = t.p.logout(session);
    t.p.login(session, CKU_USER, b"new-user").unwrap();
    sign(&t.p, session, key_of(&t.p, session, b"2")[0]).unwrap();
    b.end();
}

#[test]
fn c032_a_store_that_is_read_only_by_configuration_signs() {
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    t.p.finalize().unwrap();
    // HIERARKEY_STORE would name a store of the user's own, without what the file says of its.
    let toml = format!("[store]\nread_only = true\ndirectory = {:?}\n", t.rig.path());
    std::fs::write(t.rig.path().join("no.toml"), toml).unwrap();
    t.rig.unset("HIERARKEY_STORE");
    t.p.initialize().unwrap();
    assert_ne!(t.p.token_info(t.slot).unwrap().flags & CKF_WRITE_PROTECTED, 0);
    let session = t.user();
    let key = key_of(&t.p, session, b"1")[0];
    sign(&t.p, session, key).unwrap();
    let refused = CKR_TOKEN_WRITE_PROTECTED;
    assert_eq!(t.p.create(session, &data(b"x", true, false)).err(), Some(refused));
    assert_eq!(t.p.set(session, key, &[bytes(CKA_LABEL, b"x")]), Err(refused));
    assert_eq!(t.p.destroy(session, key), Err(refused));
    assert_eq!(t.p.set_pin(session, PIN, b"another"), Err(refused));
    let (_, volatile) = ec_pair(&t.p, session, b"2", false);
    sign(&t.p, session, volatile).unwrap();
    t.p.close_all(t.slot).unwrap();
    assert_eq!(t.p.init_token(t.slot, SO_PIN, "x"), Err(refused));
}

#[test]
fn c032_a_user_who_may_only_read_the_store_signs() {
    if peer::served() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become somebody who may only read");
        return;
    }
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    mode(t.rig.path(), 0o755);
    mode(&t.rig.database(), 0o644);
    mode(&t.rig.path().join("no.toml"), 0o644);
    mode(t.rig.tpm.directory(), 0o755);
    mode(&t.rig.tpm.socket(), 0o666);
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let program = std::env::current_exe().unwrap();
    let reads = |path: &Path| {
        let [first, others @ ..] = &nobody;
        Command::new(first).args(others).args(["test", "-r"]).arg(path).status().unwrap().success()
    };
    if !reads(&program) || !reads(&t.rig.database()) {
        println!("skipped: others may not run {} or read the store", program.display());
        return;
    }
    t.p.finalize().unwrap();
    let test = "c032_a_user_who_may_only_read_the_store_signs";
    let mut b = Peer::start_as(test, "serve", &nobody);
    b.run("init").unwrap();
    let s = b.one("rw 0");
    b.run(&format!("login {s} user-1234")).unwrap();
    let found = b.run(&format!("find {s}")).unwrap();
    assert_eq!(found.len(), 2);
    let signed = found.iter().filter(|key| b.run(&format!("sign {s} {key}")).is_ok()).count();
    assert_eq!(signed, 1);
    let refused = Err(CKR_TOKEN_WRITE_PROTECTED);
    assert_eq!(b.run(&format!("data {s} x yes no")), refused);
    assert_eq!(b.run(&format!("pair {s} 2 no")).map(|pair| pair.len()), Ok(2));
    assert_eq!(b.run(&format!("rename {s} {} x", found[0])), refused);
    assert_eq!(b.run(&format!("destroy {s} {}", found[0])), refused);
    assert_eq!(b.run(&format!("set-pin {s} user-1234 another")), refused);
    b.end();
}

/// Makes, changes and destroys for ever, and tells each thing before and after.
fn work_until_killed(words: &[String]) {
    let p = P11::start();
    let session = p.rw(OWNER);
    let mut pin = words[2..].iter().find(|pin| p.login(session, CKU_USER, pin.as_bytes()).is_ok());
    let first = pin.take().expect("neither the old PIN nor the new one opens the token").clone();
    peer::tell(&format!("pin {first}"));
    let mut pin = first;
    for round in 0.. {
        let id = format!("{}-{round}", words[1]);
        let (public, private) = ec_pair(&p, session, id.as_bytes(), true);
        peer::tell(&format!("pair {id}"));
        let label = format!("data-{id}");
        p.create(session, &data(label.as_bytes(), true, round % 2 == 0)).unwrap();
        peer::tell(&format!("data {label}"));
        let new = format!("pin-{id}");
        peer::tell(&format!("pin-to-be {new}"));
        p.set_pin(session, pin.as_bytes(), new.as_bytes()).unwrap();
        peer::tell(&format!("pin {new}"));
        pin = new;
        if round % 2 == 1 {
            peer::tell(&format!("destroying {id}"));
            p.destroy(session, public).unwrap();
            p.destroy(session, private).unwrap();
            peer::tell(&format!("destroyed {id}"));
        }
    }
}

#[test]
fn killed_at_any_moment_no_acknowledged_object_is_lost_and_no_pair_is_half() {
    let test = "killed_at_any_moment_no_acknowledged_object_is_lost_and_no_pair_is_half";
    if let Some(words) = peer::role() {
        return work_until_killed(&words);
    }
    let kills =
        if std::env::var("HIERARKEY_TEST_SIZE").as_deref() == Ok("full") { 1000 } else { 30 };
    let t = Token::new();
    t.rig.tpm.set_lockout(32, 0);
    t.p.finalize().unwrap();
    let mut seed = u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15;
    println!("seed {seed}");
    let mut pins = vec!["user-1234".to_owned()];
    let (mut data_made, mut destroyed) = (BTreeSet::new(), BTreeSet::new());
    let (mut pairs, mut leaving) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..kills {
        let mut child = Peer::start_as(test, &format!("work {kill} {}", pins.join(" ")), &[]);
        let mut heard = Vec::new();
        heard.extend(child.hear());
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Any moment will do: nothing waits for this one.
        std::thread::sleep(Duration::from_micros(seed % 150_000));
        child.kill();
        heard.extend(std::iter::from_fn(|| child.hear()));
        assert!(!heard.is_empty(), "the process after kill {kill} did not work");
        for line in heard {
            let (what, name) = line.split_once(' ').unwrap();
            let name = name.to_owned();
            match what {
                "pin" => pins = vec![name],
                "pin-to-be" => pins.push(name),
                "pair" => drop(pairs.insert(name)),
                "data" => drop(data_made.insert(name)),
                "destroying" => drop(leaving.insert(name)),
                "destroyed" => drop(destroyed.insert(name)),
                other => panic!("{other}"),
            }
        }

        t.p.initialize().unwrap();
        let session = t.p.rw(t.slot);
        let opens = pins.iter().any(|pin| t.p.login(session, CKU_USER, pin.as_bytes()).is_ok());
        assert!(opens, "after kill {kill} none of {pins:?} opens the token");
        let mut halves: BTreeMap<String, usize> = BTreeMap::new();
        let mut labels = BTreeSet::new();
        for object in t.p.find(session, &[]) {
            if t.p.get_ulong(session, object, CKA_CLASS) == Ok(CKO_DATA) {
                labels.insert(
                    String::from_utf8(t.p.get(session, object, CKA_LABEL).unwrap()).unwrap(),
                );
            } else {
                let id = String::from_utf8(t.p.get(session, object, CKA_ID).unwrap()).unwrap();
                *halves.entry(id).or_default() += 1;
            }
        }
        assert!(data_made.is_subset(&labels), "after kill {kill}");
        for pair in pairs.difference(&leaving) {
            assert_eq!(halves.get(pair), Some(&2), "pair {pair} after kill {kill}");
        }
        for (id, count) in &halves {
            assert!(*count == 2 || leaving.contains(id), "half of {id} after kill {kill}");
            assert!(!destroyed.contains(id), "{id} is back after kill {kill}");
        }
        if let Some(last) = pairs.difference(&leaving).last() {
            sign(&t.p, session, key_of(&t.p, session, last.as_bytes())[0]).unwrap();
        }
        t.p.finalize().unwrap();
    }
    println!(
        "{} pairs, {} data objects, {} destroyed",
        pairs.len(),
        data_made.len(),
        destroyed.len()
    );
}

/// Every attribute of every object, and what refused the others.
fn everything(p: &P11, session: CK_SESSION_HANDLE) -> BTreeSet<String> {
    let objects = p.find(session, &[]);
    let of = |object: &CK_OBJECT_HANDLE| {
        // Where the specification has attributes of certificates, data and keys.
        let kinds = [0..0x14, 0x80..0x8b, 0x100..0x138, 0x160..0x185, 0x202..0x203];
        let all: Vec<_> =
            kinds.into_iter().flatten().map(|kind| p.get(session, *object, kind)).collect();
        assert!(all.iter().filter(|value| value.is_ok()).count() > 7);
        format!("{all:?}")
    };
    objects.iter().map(of).collect()
}

#[test]
fn c117_every_attribute_reads_back_the_same_after_finalize_a_reset_and_in_another_directory() {
    let t = furnished();
    t.p.initialize().unwrap();
    let session = t.user();
    rsa_pair(&t.p, session, b"rsa", true);
    let before = everything(&t.p, session);
    assert_eq!(before.len(), 8);
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert_eq!(everything(&t.p, t.user()), before);

    t.rig.tpm.restart();
    assert_eq!(everything(&t.p, t.p.ro(t.slot)), before, "in the running process");
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert_eq!(everything(&t.p, t.user()), before);

    // As an administrator restores a backup.
    t.p.finalize().unwrap();
    let restored = t.rig.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    mode(&restored, 0o700);
    std::fs::copy(t.rig.database(), restored.join("hierarkey.sqlite3")).unwrap();
    t.rig.set("HIERARKEY_STORE", restored.to_str().unwrap());
    t.p.initialize().unwrap();
    let session = t.user();
    assert_eq!(everything(&t.p, session), before);
    sign(&t.p, session, key_of(&t.p, session, b"1")[0]).unwrap();
}
