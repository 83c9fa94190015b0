//! The four slots and the TPM's hierarchies: conformance statements 127 to 133.

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use common::swtpm::{Swtpm, authorized_command, response_code};
use cryptoki_sys::*;

const RH_OWNER: u32 = 0x4000_0001;
const RH_ENDORSEMENT: u32 = 0x4000_000B;
const RH_PLATFORM: u32 = 0x4000_000C;
const NO_SLOT: [CK_SLOT_ID; 0] = [];
const ALL: [CK_SLOT_ID; 4] = [OWNER, ENDORSEMENT, PLATFORM, NULL];

/// TPM2_HierarchyControl by the platform.
fn switch(tpm: &Swtpm, hierarchy: u32, on: bool) {
    let parameters = [&hierarchy.to_be_bytes()[..], &[on.into()]].concat();
    let answer = tpm.transmit(&authorized_command(0x121, RH_PLATFORM, &parameters));
    assert_eq!(response_code(&answer), 0);
}

fn sign(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Rv<Vec<u8>> {
    p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32])
}

fn initialised(p: &P11, slot: CK_SLOT_ID) -> bool {
    p.token_info(slot).unwrap().flags & CKF_TOKEN_INITIALIZED != 0
}

/// All rows of the store, to tell whether anything in it was changed.
fn rows(rig: &Rig) -> Vec<String> {
    let db = rusqlite::Connection::open(rig.database()).unwrap();
    let mut all = Vec::new();
    for table in ["token", "object"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut read = statement.query([]).unwrap();
        while let Some(row) = read.next().unwrap() {
            let values: Vec<rusqlite::types::Value> =
                (0..columns).map(|column| row.get(column).unwrap()).collect();
            all.push(format!("{values:?}"));
        }
    }
    all
}

fn count(rig: &Rig, query: &str) -> i64 {
    let db = rusqlite::Connection::open(rig.database()).unwrap();
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn c127_a_disabled_hierarchy_is_an_empty_slot_and_its_token_comes_back() {
    let t = Token::in_slot(ENDORSEMENT);
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    for fresh in [false, true] {
        switch(&t.rig.tpm, RH_ENDORSEMENT, false);
        if fresh {
            t.p.finalize().unwrap();
            t.p.initialize().unwrap();
        }
        assert_eq!(t.p.slots(false).unwrap(), ALL);
        assert_eq!(t.p.slots(true).unwrap(), [OWNER], "fresh: {fresh}");
        assert_eq!(t.p.slot_info(ENDORSEMENT).unwrap().flags & CKF_TOKEN_PRESENT, 0);
        assert_eq!(t.p.token_info(ENDORSEMENT).err(), Some(CKR_TOKEN_NOT_PRESENT));
        let flags = CKF_SERIAL_SESSION;
        assert_eq!(t.p.open(ENDORSEMENT, flags), Err(CKR_TOKEN_NOT_PRESENT));
        t.p.close_all(ENDORSEMENT).unwrap();
        let refused = t.p.init_token(ENDORSEMENT, SO_PIN, "another");
        assert_eq!(refused, Err(CKR_TOKEN_NOT_PRESENT));
        switch(&t.rig.tpm, RH_ENDORSEMENT, true);
        assert_eq!(t.p.slots(true).unwrap(), [OWNER, ENDORSEMENT]);
        let session = t.p.rw(ENDORSEMENT);
        let _ = t.p.login(session, CKU_USER, PIN);
        let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
        sign(&t.p, session, key).unwrap();
    }
}

#[test]
fn c127_a_tpm_with_nothing_enabled_is_four_empty_slots() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    for hierarchy in [RH_OWNER, RH_ENDORSEMENT, RH_PLATFORM] {
        switch(&t.rig.tpm, hierarchy, false);
    }
    assert_eq!(t.p.slots(true).unwrap(), NO_SLOT);
    assert!(sign(&t.p, session, private).is_err());
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert_eq!(t.p.slots(false).unwrap(), ALL);
    assert_eq!(t.p.slots(true).unwrap(), NO_SLOT);
    assert_eq!(t.p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
    // The next reset enables them.
    t.rig.tpm.restart();
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);
    let session = t.user();
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    sign(&t.p, session, key).unwrap();
}

#[test]
fn c128_the_configuration_shows_slots_before_they_are_initialised() {
    let _rig = Rig::with_config("show_slots = [\"endorsement\", \"platform\", \"null\"]\n");
    let p = P11::start();
    assert_eq!(p.slots(true).unwrap(), ALL);
    for slot in ALL {
        assert!(!initialised(&p, slot));
        let session = p.rw(slot);
        assert_eq!(p.state(session), CKS_RW_PUBLIC_SESSION);
        assert!(p.find(session, &[]).is_empty());
        p.close(session).unwrap();
    }
    for slot in ALL {
        make_token(&p, slot);
        assert!(initialised(&p, slot));
        let session = p.rw(slot);
        p.login(session, CKU_USER, PIN).unwrap();
        let (_, private) = ec_pair(&p, session, b"1", true);
        sign(&p, session, private).unwrap();
    }
    let serials: std::collections::BTreeSet<_> =
        ALL.map(|slot| p.token_info(slot).unwrap().serialNumber).into();
    assert_eq!(serials.len(), 4, "a serial number for each slot");
}

#[test]
fn c128_a_hidden_slot_shows_its_token_once_it_is_initialised() {
    let _rig = Rig::new();
    let p = P11::start();
    for (slot, shown) in [(PLATFORM, &[0, 2][..]), (NULL, &[0, 2, 3]), (ENDORSEMENT, &ALL)] {
        assert_eq!(p.token_info(slot).err(), Some(CKR_TOKEN_NOT_PRESENT));
        make_token(&p, slot);
        assert_eq!(p.slots(true).unwrap(), shown);
    }
}

#[test]
fn c129_the_null_slots_token_ends_with_the_tpms_reset() {
    if peer::served() {
        return;
    }
    let name = "c129_the_null_slots_token_ends_with_the_tpms_reset";
    let t = Token::in_slot(NULL);
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    t.p.create(session, &data(b"public", true, false)).unwrap();
    sign(&t.p, session, private).unwrap();
    // Another process has it too, until the reset.
    let mut other = Peer::start(name);
    other.run("init").unwrap();
    assert_eq!(other.run("slots"), Ok(vec![OWNER, NULL]));
    let theirs = other.one("rw 3");
    other.run(&format!("login {theirs} user-1234")).unwrap();
    assert_eq!(other.run(&format!("find {theirs}")).unwrap().len(), 3);
    // Another slot's token outlives the reset.
    make_token(&t.p, OWNER);
    assert_eq!(count(&t.rig, "SELECT count(*) FROM object"), 3);

    t.rig.tpm.restart();
    assert_eq!(t.p.state(session), CKS_RW_PUBLIC_SESSION, "nobody is logged in to nothing");
    assert!(sign(&t.p, session, private).is_err(), "in the running process");
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);
    assert_eq!(t.p.token_info(NULL).err(), Some(CKR_TOKEN_NOT_PRESENT));
    assert!(t.p.find(session, &[]).is_empty());
    assert_eq!(t.p.open(NULL, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
    assert_eq!(other.run(&format!("find {theirs}")), Ok(vec![]));
    assert_eq!(other.run("slots"), Ok(vec![OWNER]), "in the other running process");
    other.end();
    let mut fresh = Peer::start(name);
    fresh.run("init").unwrap();
    assert_eq!(fresh.run("slots"), Ok(vec![OWNER]), "in a new process");
    assert_eq!(fresh.run("flags 3"), Err(CKR_TOKEN_NOT_PRESENT));

    // It is made anew without the old SO PIN, and nothing of the old one is left.
    fresh.run("init-token 3 another-officer next").unwrap();
    assert_eq!(count(&t.rig, "SELECT count(*) FROM object"), 0);
    assert_eq!(count(&t.rig, "SELECT count(*) FROM token"), 2);
    let new = fresh.one("rw 3");
    assert_eq!(fresh.run(&format!("find {new}")), Ok(vec![]));
    fresh.run(&format!("login-so {new} another-officer")).unwrap();
    fresh.end();
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert!(initialised(&t.p, NULL), "this process sees the new one");
}

#[test]
fn c129_a_shown_null_slot_reads_as_uninitialised_after_the_reset() {
    let rig = Rig::with_config("show_slots = [\"null\"]\n");
    let t = Token::on(rig, NULL);
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    assert!(initialised(&t.p, NULL));
    t.rig.tpm.restart();
    assert!(!initialised(&t.p, NULL));
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert!(!initialised(&t.p, NULL));
    let session = t.p.rw(NULL);
    assert!(t.p.find(session, &[]).is_empty());
    assert!(t.p.login(session, CKU_USER, PIN).is_err());
    t.p.close(session).unwrap();
    make_token(&t.p, NULL);
    let session = t.user();
    assert!(t.p.find(session, &[]).is_empty());
    let (_, private) = ec_pair(&t.p, session, b"2", true);
    sign(&t.p, session, private).unwrap();
}

/// What holds of a token that this TPM did not make, or makes no more.
fn is_foreign(p: &P11, rig: &Rig, before: &[String]) {
    // That it is foreign shows when somebody uses the token; from then on the slots say so.
    for slot in [OWNER, ENDORSEMENT] {
        let session = p.ro(slot);
        assert_eq!(p.find_init(session, &[]), Err(CKR_DEVICE_ERROR));
        assert_eq!(p.login(session, CKU_USER, PIN), Err(CKR_DEVICE_ERROR));
        p.close(session).unwrap();
    }
    assert_eq!(p.slots(false).unwrap(), ALL);
    assert_eq!(p.slots(true).unwrap(), [OWNER], "slots 1 to 3 show none");
    assert_eq!(p.token_info(OWNER).err(), Some(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(p.init_token(OWNER, SO_PIN, "x"), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(p.token_info(ENDORSEMENT).err(), Some(CKR_TOKEN_NOT_PRESENT));
    assert!(p.init_token(ENDORSEMENT, SO_PIN, "x").is_err());
    assert_eq!(rows(rig), before, "nothing in the store is touched");
}

/// Two tokens, and the rows of the store.
fn two_tokens() -> (Token, Vec<String>) {
    let t = Token::new();
    make_token(&t.p, ENDORSEMENT);
    for slot in [OWNER, ENDORSEMENT] {
        let session = t.p.rw(slot);
        t.p.login(session, CKU_USER, PIN).unwrap();
        ec_pair(&t.p, session, b"1", true);
    }
    let before = rows(&t.rig);
    (t, before)
}

/// In a process of its own, as the command line tool would.
fn remove_tokens_if_asked() -> bool {
    let Some(words) = peer::role() else { return false };
    assert_eq!(words, ["remove"]);
    let admin = hierarkey::admin::Admin::open().unwrap();
    assert!(admin.remove_token(hierarkey::tpm::Hierarchy::Owner).unwrap());
    assert!(admin.remove_token(hierarkey::tpm::Hierarchy::Endorsement).unwrap());
    true
}

fn is_made_anew_after_removal(test: &str, p: &P11) {
    Peer::start_as(test, "remove", &[]).end();
    assert_eq!(p.slots(true).unwrap(), [OWNER]);
    assert!(!initialised(p, OWNER));
    for slot in [OWNER, ENDORSEMENT] {
        make_token(p, slot);
        let session = p.rw(slot);
        p.login(session, CKU_USER, PIN).unwrap();
        assert!(p.find(session, &[]).is_empty());
        let (_, private) = ec_pair(p, session, b"1", true);
        sign(p, session, private).unwrap();
    }
}

#[test]
fn c130_a_cleared_tpm_does_not_recognise_its_tokens_and_loses_nothing() {
    if remove_tokens_if_asked() {
        return;
    }
    let (t, _) = two_tokens();
    t.p.finalize().unwrap();
    let db = rusqlite::Connection::open(t.rig.database()).unwrap();
    // TPM2_Clear leaves the endorsement hierarchy's seed, so its token goes on.
    db.execute("DELETE FROM token WHERE slot = 1", []).unwrap();
    db.execute("DELETE FROM object WHERE token_id NOT IN (SELECT id FROM token)", []).unwrap();
    drop(db);
    let before = rows(&t.rig);
    t.rig.tpm.clear();
    t.p.initialize().unwrap();
    assert_eq!(t.p.init_token(OWNER, SO_PIN, "x"), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);
    assert_eq!(t.p.token_info(OWNER).err(), Some(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(rows(&t.rig), before);
    // The other slot is free for a token of this TPM meanwhile.
    make_token(&t.p, ENDORSEMENT);
    assert!(initialised(&t.p, ENDORSEMENT));
    let test = "c130_a_cleared_tpm_does_not_recognise_its_tokens_and_loses_nothing";
    t.p.finalize().unwrap();
    Peer::start_as(test, "remove", &[]).end();
    t.p.initialize().unwrap();
    make_token(&t.p, OWNER);
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    sign(&t.p, session, private).unwrap();
}

#[test]
fn c130_a_tpm_cleared_under_a_running_process_does_not_recognise_its_token() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    let before = rows(&t.rig);
    t.rig.tpm.clear();
    assert!(sign(&t.p, session, private).is_err());
    assert!(sign(&t.p, session, private).is_err());
    assert_eq!(t.p.find_init(session, &[]), Err(CKR_DEVICE_ERROR));
    t.p.close_all(OWNER).unwrap();
    assert_eq!(t.p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.init_token(OWNER, SO_PIN, "x"), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.token_info(OWNER).err(), Some(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(rows(&t.rig), before);
}

#[test]
fn c130_another_tpm_does_not_recognise_the_tokens_and_they_work_again_with_theirs() {
    if remove_tokens_if_asked() {
        return;
    }
    let (t, before) = two_tokens();
    t.p.finalize().unwrap();
    let another = Swtpm::start();
    t.rig.set("HIERARKEY_TCTI", &another.tcti());
    t.p.initialize().unwrap();
    is_foreign(&t.p, &t.rig, &before);

    // Back on its own TPM everything is as it was.
    t.p.finalize().unwrap();
    t.rig.set("HIERARKEY_TCTI", &t.rig.tpm.tcti());
    t.p.initialize().unwrap();
    for slot in [OWNER, ENDORSEMENT] {
        let session = t.p.rw(slot);
        t.p.login(session, CKU_USER, PIN).unwrap();
        let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
        sign(&t.p, session, key).unwrap();
    }

    t.p.finalize().unwrap();
    t.rig.set("HIERARKEY_TCTI", &another.tcti());
    t.p.initialize().unwrap();
    let test = "c130_another_tpm_does_not_recognise_the_tokens_and_they_work_again_with_theirs";
    is_made_anew_after_removal(test, &t.p);
}

#[test]
fn c131_a_wrong_pin_in_one_slot_shows_in_anothers_flags() {
    let t = Token::new();
    make_token(&t.p, NULL);
    t.rig.tpm.set_lockout(3, 100_000);
    t.rig.tpm.reset_lockout();
    const LOW: CK_FLAGS = CKF_USER_PIN_COUNT_LOW;
    const FINAL: CK_FLAGS = CKF_USER_PIN_FINAL_TRY;
    const LOCKED: CK_FLAGS = CKF_USER_PIN_LOCKED;
    let session = t.p.rw(NULL);
    let expected = [0, LOW, LOW | FINAL, LOCKED];
    for (tries, expected) in expected.into_iter().enumerate() {
        for slot in [OWNER, NULL] {
            let flags = t.p.token_info(slot).unwrap().flags & (LOW | FINAL | LOCKED);
            let wanted = if expected == LOCKED { flags & LOCKED } else { flags };
            assert_eq!(wanted, expected, "slot {slot} after {tries} wrong PINs");
        }
        let wrong = t.p.login(session, CKU_USER, b"wrong PIN");
        let wanted = if tries == 3 { CKR_PIN_LOCKED } else { CKR_PIN_INCORRECT };
        assert_eq!(wrong, Err(wanted), "after {tries}");
    }
    let owner = t.p.rw(OWNER);
    assert_eq!(t.p.login(owner, CKU_USER, PIN), Err(CKR_PIN_LOCKED));
    t.rig.tpm.reset_lockout();
    t.p.login(owner, CKU_USER, PIN).unwrap();
}

#[test]
fn c133_after_a_tpm_restart_an_idle_process_goes_on() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    for sudden in [false, true] {
        if sudden {
            t.rig.tpm.kill();
            t.rig.tpm.start_again();
        } else {
            t.rig.tpm.restart();
        }
        let first = sign(&t.p, session, private);
        if first.is_err() {
            assert_eq!(first, Err(CKR_DEVICE_ERROR), "one at most");
        }
        sign(&t.p, session, private).unwrap();
        assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
    }
}
