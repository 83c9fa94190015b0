//! What one process does, another sees at once; and a store that is damaged or may only be read.
//! Conformance statements 32, 62 and 114.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

/// What tells this test executable that it is the other process.
const OTHER: &str = "HIERARKEY_TEST_OTHER_PROCESS";

/// Another process with the module, which does what it is told and says when it is done.
struct Other {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    /// Runs `the_other_process` in a process of its own, with this one's environment.
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture"])
            .env(OTHER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, orders, answers }
    }

    /// Has `order` carried out.
    fn does(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        let mut line = String::new();
        while !line.starts_with("done ") {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the other process died");
        }
        assert_eq!(line.trim(), format!("done {order}"));
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: the other process of the tests below.
#[test]
fn the_other_process() {
    if std::env::var_os(OTHER).is_none() {
        return;
    }
    let p = P11::start();
    let session = p.rw(OWNER);
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        let order = line.trim().to_owned();
        line.clear();
        match order.as_str() {
            "login" => p.login(session, CKU_USER, PIN).unwrap(),
            "make a key" => drop(ec_pair(&p, session, b"other", true)),
            "make data" => drop(p.create(session, &data(b"other", true, false)).unwrap()),
            "destroy everything" => {
                p.find(session, &[]).into_iter().for_each(|object| {
                    p.destroy(session, object).unwrap();
                });
            }
            "relabel" => {
                let object = p.find(session, &[ulong(CKA_CLASS, CKO_DATA)])[0];
                p.set(session, object, &[bytes(CKA_LABEL, b"relabelled")]).unwrap();
            }
            "change the PIN" => p.set_pin(session, PIN, b"changed").unwrap(),
            "initialise the token anew" => {
                p.close_all(OWNER).unwrap();
                make_token(&p, OWNER);
            }
            other => panic!("no such order: {other}"),
        }
        println!("\ndone {order}");
    }
}

#[test]
fn c114_what_another_process_makes_and_destroys_shows_in_the_next_call() {
    let t = Token::new();
    let session = t.user();
    let mut other = Other::start();
    other.does("login");
    other.does("make a key");
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    other.does("make data");
    let object = t.p.find(session, &[ulong(CKA_CLASS, CKO_DATA)])[0];
    other.does("relabel");
    assert_eq!(t.p.get(session, object, CKA_LABEL).unwrap(), b"relabelled");
    assert_eq!(t.p.find(session, &[bytes(CKA_LABEL, b"relabelled")]), [object]);
    other.does("destroy everything");
    assert!(t.p.find(session, &[]).is_empty());
    assert_eq!(t.p.get(session, object, CKA_LABEL), Err(CKR_OBJECT_HANDLE_INVALID));
    let rv = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]);
    assert_eq!(rv, Err(CKR_KEY_HANDLE_INVALID), "a destroyed key never signs again");
}

#[test]
fn c062_a_login_here_is_none_there() {
    let t = Token::new();
    let session = t.p.rw(OWNER);
    let mut other = Other::start();
    other.does("login");
    assert_eq!(t.p.state(session), CKS_RW_PUBLIC_SESSION);
    t.p.login(session, CKU_USER, PIN).unwrap();
    other.does("make a key");
    assert_eq!(t.p.find(session, &[]).len(), 2);
}

#[test]
fn a_pin_that_another_process_changed_holds_here() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    Other::start().does("change the PIN");
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    t.p.logout(session).unwrap();
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    t.p.login(session, CKU_USER, b"changed").unwrap();
}

#[test]
fn a_token_that_another_process_made_anew_is_another_token() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    Other::start().does("initialise the token anew");
    assert!(t.p.find(session, &[]).is_empty());
    for object in [public, private] {
        assert_eq!(t.p.get(session, object, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
    }
    let made = t.p.create(session, &data(b"x", true, true));
    assert!(made.is_err(), "the login was to the old token");
    t.p.close_all(OWNER).unwrap();
    let session = t.user();
    t.p.create(session, &data(b"x", true, true)).unwrap();
}

#[test]
fn c032_a_store_that_may_only_be_read_signs_and_refuses_to_change() {
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    let object = t.p.create(session, &data(b"x", true, false)).unwrap();
    let id = t.p.get(session, object, CKA_UNIQUE_ID).unwrap();
    t.p.finalize().unwrap();
    let store = t.rig.path().to_str().unwrap();
    let config = format!("[store]\ndirectory = \"{store}\"\nread_only = true\n");
    let file = t.rig.path().join("read-only.toml");
    std::fs::write(&file, config).unwrap();
    t.rig.set("HIERARKEY_CONF", file.to_str().unwrap());
    t.rig.unset("HIERARKEY_STORE");
    t.p.initialize().unwrap();

    assert_ne!(t.p.token_info(OWNER).unwrap().flags & CKF_WRITE_PROTECTED, 0);
    let session = t.user();
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    ec_pair(&t.p, session, b"2", false);
    let object = t.p.find(session, &[bytes(CKA_UNIQUE_ID, &id)])[0];
    let refused = Err(CKR_TOKEN_WRITE_PROTECTED);
    assert_eq!(t.p.create(session, &data(b"y", true, false)).map(|_| ()), refused);
    assert_eq!(t.p.set(session, object, &[bytes(CKA_LABEL, b"y")]), refused);
    assert_eq!(t.p.destroy(session, object), refused);
    assert_eq!(t.p.set_pin(session, PIN, b"another"), refused);
    assert!(t.p.get(session, object, CKA_LABEL).is_ok(), "a refused destruction destroys nothing");
    t.p.close_all(OWNER).unwrap();
    assert_eq!(t.p.init_token(OWNER, SO_PIN, "x"), refused);
}

#[test]
fn a_row_that_was_altered_is_set_aside_and_costs_no_try() {
    let t = Token::new();
    let session = t.user();
    for label in [b"one", b"two"] {
        t.p.create(session, &data(label, true, false)).unwrap();
    }
    ec_pair(&t.p, session, b"1", true);
    t.p.finalize().unwrap();
    let database = rusqlite::Connection::open(t.rig.database()).unwrap();
    let changed = database
        .execute("UPDATE object SET content = x'00' WHERE id = (SELECT min(id) FROM object)", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    t.p.initialize().unwrap();
    let session = t.user();
    assert_eq!(t.p.find(session, &[]).len(), 3, "one is set aside, the others are there");
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    t.p.finalize().unwrap();

    let database = rusqlite::Connection::open(t.rig.database()).unwrap();
    for sql in [
        "UPDATE token SET label = zeroblob(32)",
        "UPDATE token SET user_private = x'0000'",
        "UPDATE token SET primary_public = x'0000'",
    ] {
        database.execute_batch("BEGIN").unwrap();
        let before: (Vec<u8>, Vec<u8>, Vec<u8>) = database
            .query_row("SELECT label, user_private, primary_public FROM token", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        database.execute_batch(sql).unwrap();
        database.execute_batch("COMMIT").unwrap();
        t.p.initialize().unwrap();
        let session = t.p.rw(OWNER);
        assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_DEVICE_ERROR), "{sql}");
        t.p.finalize().unwrap();
        database
            .execute("UPDATE token SET label = ?1, user_private = ?2, primary_public = ?3", before)
            .unwrap();
    }
    t.p.initialize().unwrap();
    let info = t.p.token_info(OWNER).unwrap();
    assert_eq!(info.flags & CKF_USER_PIN_COUNT_LOW, 0, "no try was spent");
    t.user();
}

#[test]
fn a_store_that_is_no_database_shows_no_token_and_crashes_nothing() {
    let t = Token::new();
    t.p.finalize().unwrap();
    for garbage in [&b""[..], b"this is no database", &[0xff; 5000]] {
        std::fs::write(t.rig.database(), garbage).unwrap();
        t.p.initialize().unwrap();
        assert_eq!(t.p.slots(false).unwrap().len(), 4);
        t.p.slots(true).unwrap();
        let info = t.p.token_info(OWNER);
        if let Ok(info) = info {
            assert_eq!(info.flags & CKF_TOKEN_INITIALIZED, 0);
        }
        t.p.finalize().unwrap();
    }
}
