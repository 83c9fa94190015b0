//! Tokens made anew, and PINs: conformance statements 24 to 29, 53 to 55, 61.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

#[test]
fn c024_init_token_with_an_open_session_is_refused() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    assert_eq!(t.p.init_token(t.slot, SO_PIN, "again"), Err(CKR_SESSION_EXISTS));
    t.p.close(session).unwrap();
    assert_eq!(t.p.init_token(t.slot, SO_PIN, "again"), Ok(()));
}

#[test]
fn c025_reinitialising_needs_the_so_pin_and_destroys_everything() {
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    t.p.create(session, &data(b"public", true, false)).unwrap();
    t.p.close(session).unwrap();
    let before = t.p.token_info(t.slot).unwrap();

    assert_eq!(t.p.init_token(t.slot, b"not the pin", "again"), Err(CKR_PIN_INCORRECT));
    let info = t.p.token_info(t.slot).unwrap();
    assert_ne!(info.flags & CKF_SO_PIN_COUNT_LOW, 0, "the try was counted");
    assert_eq!(info.label, before.label);

    t.p.init_token(t.slot, SO_PIN, "again").unwrap();
    let info = t.p.token_info(t.slot).unwrap();
    assert_eq!(&info.label, b"again                           ");
    assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
    assert_eq!(info.serialNumber, before.serialNumber, "the serial number survives");
    let session = t.p.rw(t.slot);
    assert!(t.p.find(session, &[]).is_empty());
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_USER_PIN_NOT_INITIALIZED));
}

#[test]
fn c026_init_pin_is_for_the_so_in_a_read_write_session() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    assert_eq!(t.p.init_pin(session, b"4321"), Err(CKR_USER_NOT_LOGGED_IN));
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(t.p.init_pin(session, b"4321"), Err(CKR_USER_NOT_LOGGED_IN));
}

#[test]
fn the_so_resets_a_forgotten_pin_and_the_keys_stay_usable() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let first = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[7; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[7; 32], &first).unwrap();
    t.p.logout(session).unwrap();

    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    t.p.init_pin(session, b"a new one").unwrap();
    t.p.logout(session).unwrap();

    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    t.p.login(session, CKU_USER, b"a new one").unwrap();
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    let again = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[8; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[8; 32], &again).unwrap();
}

#[test]
fn c027_set_pin_changes_the_pin_of_the_sessions_state() {
    let t = Token::new();
    let ro = t.p.ro(t.slot);
    assert_eq!(t.p.set_pin(ro, PIN, b"changed"), Err(CKR_SESSION_READ_ONLY));
    t.p.close(ro).unwrap();
    let rw = t.p.rw(t.slot);

    // R/W Public: the user's.
    t.p.set_pin(rw, PIN, b"changed").unwrap();
    assert_eq!(t.p.login(rw, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    t.p.login(rw, CKU_USER, b"changed").unwrap();
    // R/W User: the user's.
    t.p.set_pin(rw, b"changed", b"changed again").unwrap();
    t.p.logout(rw).unwrap();
    t.p.login(rw, CKU_USER, b"changed again").unwrap();
    t.p.logout(rw).unwrap();
    // R/W SO: the SO's, who stays able to work with the new one.
    t.p.login(rw, CKU_SO, SO_PIN).unwrap();
    t.p.set_pin(rw, SO_PIN, b"new officer").unwrap();
    t.p.init_pin(rw, b"from the officer").unwrap();
    t.p.logout(rw).unwrap();
    t.p.login(rw, CKU_USER, b"from the officer").unwrap();
    t.p.logout(rw).unwrap();
    assert_eq!(t.p.login(rw, CKU_SO, SO_PIN), Err(CKR_PIN_INCORRECT));
    t.p.login(rw, CKU_SO, b"new officer").unwrap();
}

#[test]
fn c028_a_wrong_old_pin_is_counted_and_a_new_one_has_4_to_255_bytes() {
    let t = Token::new();
    let rw = t.p.rw(t.slot);
    assert_eq!(t.p.set_pin(rw, PIN, b"123"), Err(CKR_PIN_LEN_RANGE));
    assert_eq!(t.p.set_pin(rw, PIN, &[b'x'; 256]), Err(CKR_PIN_LEN_RANGE));
    assert_eq!(t.p.token_info(t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW, 0);
    assert_eq!(t.p.set_pin(rw, b"wrong", b"12345"), Err(CKR_PIN_INCORRECT));
    assert_ne!(t.p.token_info(t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW, 0);
    t.p.set_pin(rw, PIN, &[b'x'; 255]).unwrap();
    t.p.login(rw, CKU_USER, &[b'x'; 255]).unwrap();
    t.p.logout(rw).unwrap();
    t.p.login(rw, CKU_SO, SO_PIN).unwrap();
    assert_eq!(t.p.init_pin(rw, b"123"), Err(CKR_PIN_LEN_RANGE));
    t.p.close(rw).unwrap();
    t.rig.tpm.set_lockout(32, 1000);
    assert_eq!(t.p.init_token(t.slot, b"123", "x"), Err(CKR_PIN_INCORRECT));
}

#[test]
fn c029_a_pin_is_bytes() {
    let t = Token::new();
    t.rig.tpm.set_lockout(32, 1000);
    let rw = t.p.rw(t.slot);
    for pin in [&b"a\0b\0"[..], "grüße".as_bytes(), &[0xff; 5], &[b'y'; 33]] {
        t.p.set_pin(rw, PIN, pin).unwrap();
        let mut shorter = pin.to_vec();
        shorter.pop();
        assert_eq!(t.p.login(rw, CKU_USER, &shorter), Err(CKR_PIN_INCORRECT));
        t.p.login(rw, CKU_USER, pin).unwrap();
        t.p.logout(rw).unwrap();
        t.p.set_pin(rw, pin, PIN).unwrap();
    }
    let login = t.p.list.C_Login.unwrap();
    let rv = unsafe { login(rw, CKU_USER, std::ptr::null_mut(), 4) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
}

#[test]
fn c053_without_a_user_pin_no_try_is_counted() {
    let rig = Rig::new();
    let p = P11::start();
    p.init_token(OWNER, SO_PIN, "x").unwrap();
    let rw = p.rw(OWNER);
    assert_eq!(p.login(rw, CKU_USER, PIN), Err(CKR_USER_PIN_NOT_INITIALIZED));
    assert_eq!(p.token_info(OWNER).unwrap().flags & CKF_SO_PIN_COUNT_LOW, 0);
    drop(rig);
}

#[test]
fn c054_wrong_pins_are_counted_by_the_tpm_until_it_locks() {
    let t = Token::new();
    t.rig.tpm.set_lockout(3, 1000);
    let rw = t.p.rw(t.slot);
    let flags = || {
        let low = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
        t.p.token_info(t.slot).unwrap().flags & low
    };
    assert_eq!(flags(), 0);
    assert_eq!(t.p.login(rw, CKU_USER, b""), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(), CKF_USER_PIN_COUNT_LOW);
    assert_eq!(t.p.login(rw, CKU_USER, &[b'z'; 10_000]), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
    let third = t.p.login(rw, CKU_USER, b"wrong");
    assert!(matches!(third, Err(CKR_PIN_INCORRECT | CKR_PIN_LOCKED)), "{third:x?}");
    assert_eq!(flags(), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED);
    assert_eq!(t.p.login(rw, CKU_USER, PIN), Err(CKR_PIN_LOCKED), "even the right one");
    t.rig.tpm.reset_lockout();
    assert_eq!(flags(), 0);
    t.p.login(rw, CKU_USER, PIN).unwrap();
}

#[test]
fn c055_a_tpm_that_fails_during_login_is_no_wrong_pin() {
    let t = Token::new();
    let rw = t.p.rw(t.slot);
    t.rig.tpm.kill();
    let rv = t.p.login(rw, CKU_USER, PIN);
    assert!(matches!(rv, Err(CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED)), "{rv:x?}");
}

#[test]
fn c061_a_user_name_is_refused_without_a_try_and_an_empty_one_is_c_login() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let login = |pin, name: &[u8]| t.p.login_user(session, CKU_USER, pin, name);
    let low = || t.p.token_info(t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW != 0;
    assert_eq!(login(PIN, b"somebody"), Err(CKR_PIN_INCORRECT));
    assert!(!low());
    assert_eq!(login(b"wrong", b""), Err(CKR_PIN_INCORRECT));
    assert!(low());
    login(PIN, b"").unwrap();
    assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
}

#[test]
fn c061_what_keeps_anybody_out_is_told_before_the_name() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let login = |user| t.p.login_user(session, user, PIN, b"somebody");
    assert_eq!(login(CKU_CONTEXT_SPECIFIC + 1), Err(CKR_USER_TYPE_INVALID));
    assert_eq!(login(CKU_CONTEXT_SPECIFIC), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(login(CKU_SO), Err(CKR_PIN_INCORRECT));
    let beside = t.p.ro(t.slot);
    assert_eq!(login(CKU_SO), Err(CKR_SESSION_READ_ONLY_EXISTS));
    t.p.close(beside).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(login(CKU_USER), Err(CKR_USER_ALREADY_LOGGED_IN));
    assert_eq!(login(CKU_SO), Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN));
}
