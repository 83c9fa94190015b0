//! A store that was altered, is none, or has no room: statements 32, 94.

mod common;
#[allow(dead_code, reason = "each test program uses a part")]
#[path = "persistence/furnished.rs"]
mod furnished;

use std::path::Path;
use std::process::Command;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;
use furnished::*;

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
