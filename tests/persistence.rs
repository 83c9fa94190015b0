//! What lasts in the store, and what another process sees of it: statements 32, 62, 94, 95, 114.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use cryptoki_sys::*;

const PRIVATE_KEY: CK_ULONG = CKO_PRIVATE_KEY;

fn sign(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Rv<Vec<u8>> {
    p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32])
}

fn key_of(p: &P11, session: CK_SESSION_HANDLE, id: &[u8]) -> Vec<CK_OBJECT_HANDLE> {
    p.find(session, &[ulong(CKA_CLASS, PRIVATE_KEY), bytes(CKA_ID, id)])
}

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

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
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

/// Changes one column of one row to a value of the same kind.
fn flip(database: &Path, table: &str, column: &str, row: &str) {
    let db = rusqlite::Connection::open(database).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let select = format!("SELECT {column} FROM {table} WHERE {row}");
    use rusqlite::types::Value;
    let changed = match db.query_row(&select, [], |row| row.get(0)).unwrap() {
        Value::Integer(n) if column == "private" => Value::Integer(1 - n),
        Value::Integer(n) => Value::Integer(n + 1),
        Value::Text(text) => Value::Text(text + "x"),
        Value::Blob(mut blob) => {
            *blob.last_mut().unwrap() ^= 1;
            Value::Blob(blob)
        }
        Value::Null if column == "reset_count" => Value::Integer(1),
        Value::Null => Value::Blob(vec![1; 32]),
        Value::Real(_) => unreachable!("no column is one"),
    };
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
    assert_eq!(db.execute(&update, [changed]).unwrap(), 1);
}

fn columns(database: &Path, table: &str) -> Vec<String> {
    let db = rusqlite::Connection::open(database).unwrap();
    let mut statement =
        db.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A token with two pairs and two data objects: six objects.
fn furnished() -> Token {
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    ec_pair(&t.p, session, b"2", true);
    t.p.create(session, &data(b"public", true, false)).unwrap();
    t.p.create(session, &data(b"private", true, true)).unwrap();
    t.p.finalize().unwrap();
    t
}

fn no_try_spent(t: &Token, what: &str) {
    let Ok(info) = t.p.token_info(t.slot) else { return };
    let spent = CKF_USER_PIN_COUNT_LOW | CKF_SO_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED;
    assert_eq!(info.flags & spent, 0, "{what}: a PIN try was spent");
}

#[test]
fn an_object_row_that_was_altered_is_set_aside_and_the_others_work() {
    let t = furnished();
    let sound = std::fs::read(t.rig.database()).unwrap();
    let of_pair = "id = (SELECT min(id) FROM object WHERE class = 3)";
    let of_data = "id = (SELECT min(id) FROM object WHERE class = 0)";
    for column in columns(&t.rig.database(), "object") {
        for row in [of_pair, of_data] {
            let what = format!("{column} where {row}");
            if column == "id" {
                let db = rusqlite::Connection::open(t.rig.database()).unwrap();
                db.execute(&format!("UPDATE object SET id = 999 WHERE {row}"), []).unwrap();
            } else {
                flip(&t.rig.database(), "object", &column, row);
            }
            t.p.initialize().unwrap();
            let session = t.user();
            let found = t.p.find(session, &[]);
            assert_eq!(found.len(), 5, "{what}");
            sign(&t.p, session, key_of(&t.p, session, b"2")[0]).unwrap();
            for object in found {
                t.p.get(session, object, CKA_LABEL).unwrap();
            }
            t.p.create(session, &data(b"another", true, true)).unwrap();
            no_try_spent(&t, &what);
            t.p.finalize().unwrap();
            std::fs::write(t.rig.database(), &sound).unwrap();
        }
    }
    t.p.initialize().unwrap();
    let session = t.user();
    assert_eq!(t.p.find(session, &[]).len(), 6);
}

#[test]
fn a_token_row_that_was_altered_is_no_token_and_costs_no_pin_try() {
    let t = furnished();
    let sound = std::fs::read(t.rig.database()).unwrap();
    for column in columns(&t.rig.database(), "token") {
        flip(&t.rig.database(), "token", &column, "slot = 0");
        t.p.initialize().unwrap();
        t.p.slots(true).unwrap();
        let opened = t.p.open(t.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION);
        if let Ok(session) = opened {
            let login = t.p.login(session, CKU_USER, PIN);
            let moved = ["slot", "reset_count"].contains(&column.as_str());
            assert!(
                login == Err(CKR_DEVICE_ERROR)
                    || (moved && login == Err(CKR_TOKEN_NOT_INITIALIZED)),
                "{column}: {login:x?}"
            );
            if t.p.find_init(session, &[]).is_ok() {
                assert!(t.p.find_some(session, 1).unwrap().is_empty(), "{column}");
            }
        }
        t.p.finalize().unwrap();
        std::fs::write(t.rig.database(), &sound).unwrap();
        t.p.initialize().unwrap();
        no_try_spent(&t, &column);
        let session = t.user();
        sign(&t.p, session, key_of(&t.p, session, b"1")[0]).unwrap();
        t.p.finalize().unwrap();
    }
}

#[test]
fn a_store_that_is_not_one_gives_slots_without_tokens() {
    let t = furnished();
    let file = t.rig.database();
    let sound = std::fs::read(&file).unwrap();
    let elsewhere = t.rig.path().join("elsewhere");
    type Damage<'a> = (&'a str, &'a dyn Fn());
    let damages: [Damage<'_>; 7] = [
        ("a newer schema", &|| {
            let db = rusqlite::Connection::open(&file).unwrap();
            db.execute_batch("PRAGMA user_version = 4000").unwrap();
        }),
        ("garbage", &|| std::fs::write(&file, [0x5a; 20_000]).unwrap()),
        ("half a file", &|| std::fs::write(&file, &sound[..sound.len() / 2]).unwrap()),
        ("a link", &|| {
            std::fs::rename(&file, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        }),
        ("anybody may write", &|| mode(&file, 0o666)),
        ("anybody may write the directory", &|| mode(t.rig.path(), 0o777)),
        ("a directory", &|| {
            std::fs::remove_file(&file).unwrap();
            std::fs::create_dir(&file).unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        t.p.initialize().unwrap();
        assert_eq!(t.p.slots(false).unwrap().len(), 4, "{what}");
        for slot in t.p.slots(true).unwrap() {
            assert_eq!(slot, OWNER, "{what}");
        }
        let info = t.p.token_info(t.slot);
        assert!(info.is_err() || info.unwrap().flags & CKF_TOKEN_INITIALIZED == 0, "{what}");
        for slot in [OWNER, ENDORSEMENT] {
            let session = t.p.open(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION);
            if let Ok(session) = session {
                assert!(t.p.login(session, CKU_USER, PIN).is_err(), "{what}");
                assert!(t.p.create(session, &data(b"x", true, false)).is_err(), "{what}");
                t.p.close(session).unwrap();
            }
            assert!(t.p.init_token(slot, SO_PIN, "x").is_err(), "{what}: overwritten");
        }
        t.p.finalize().unwrap();
        mode(t.rig.path(), 0o700);
        if file.is_dir() {
            std::fs::remove_dir(&file).unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        std::fs::write(&file, &sound).unwrap();
        mode(&file, 0o600);
        t.p.initialize().unwrap();
        no_try_spent(&t, what);
        let session = t.user();
        assert_eq!(t.p.find(session, &[]).len(), 6, "{what}");
        t.p.finalize().unwrap();
    }
}

/// A file system of a megabyte, away with its value.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=700", "hierarkey-test"]).arg(at);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn c094_a_full_disk_is_device_memory_and_leaves_nothing_half_made() {
    let rig = Rig::new();
    let place = rig.path().join("small");
    std::fs::create_dir(&place).unwrap();
    let Some(_small) = Small::mount(&place) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    rig.set("HIERARKEY_STORE", place.to_str().unwrap());
    let t = Token::on(rig, OWNER);
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    let key = key_of(&t.p, session, b"1")[0];
    let filler = place.join("filler");
    let fill = || {
        use std::io::Write;
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[1; 512]).is_ok() {}
    };
    fill();
    let full = Err(CKR_DEVICE_MEMORY);
    assert_eq!(t.p.create(session, &data(b"x", true, true)), full);
    let public = [flag(CKA_TOKEN, true), bytes(CKA_ID, b"2"), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, true), bytes(CKA_ID, b"2")];
    let pair = t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private);
    assert_eq!(pair.err(), Some(CKR_DEVICE_MEMORY));
    assert_eq!(t.p.set(session, key, &[bytes(CKA_LABEL, b"x")]), Err(CKR_DEVICE_MEMORY));
    assert_eq!(t.p.set_pin(session, PIN, b"another"), Err(CKR_DEVICE_MEMORY));
    sign(&t.p, session, key).unwrap();
    assert_eq!(t.p.find(session, &[]).len(), 2);
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(t.p.find(session, &[]).len(), 2);
    ec_pair(&t.p, session, b"2", true);
    t.p.create(session, &data(b"x", true, true)).unwrap();
    assert_eq!(t.p.find(session, &[]).len(), 5);
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
