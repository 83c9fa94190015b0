//! A hierarchy is a slot: conformance statements 127 to 133.

mod common;

use common::fixture::*;
use common::p11::*;
use common::swtpm::{Swtpm, authorized_command, response_code};
use cryptoki_sys::*;

const HIERARCHY_CONTROL: u32 = 0x121;
const RH_PLATFORM: u32 = 0x4000_000c;
const RH_ENDORSEMENT: u32 = 0x4000_000b;

/// TPM2_HierarchyControl by the platform.
fn enable(tpm: &Swtpm, hierarchy: u32, state: bool) {
    let parameters = [&hierarchy.to_be_bytes()[..], &[state.into()]].concat();
    let answer = tpm.transmit(&authorized_command(HIERARCHY_CONTROL, RH_PLATFORM, &parameters));
    assert_eq!(response_code(&answer), 0);
}

#[test]
fn c127_a_disabled_hierarchy_is_a_slot_without_a_token() {
    let t = Token::in_slot(ENDORSEMENT);
    assert_eq!(t.p.slots(true).unwrap(), [OWNER, ENDORSEMENT]);
    enable(&t.rig.tpm, RH_ENDORSEMENT, false);
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);
    assert_eq!(t.p.slots(false).unwrap(), [0, 1, 2, 3]);
    assert_eq!(t.p.slot_info(ENDORSEMENT).unwrap().flags & CKF_TOKEN_PRESENT, 0);
    assert_eq!(t.p.token_info(ENDORSEMENT).err(), Some(CKR_TOKEN_NOT_PRESENT));
    assert_eq!(t.p.open(ENDORSEMENT, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
    assert_eq!(t.p.init_token(ENDORSEMENT, SO_PIN, "x"), Err(CKR_TOKEN_NOT_PRESENT));
    enable(&t.rig.tpm, RH_ENDORSEMENT, true);
    assert_eq!(t.p.slots(true).unwrap(), [OWNER, ENDORSEMENT]);
    let session = t.p.rw(ENDORSEMENT);
    t.p.login(session, CKU_USER, PIN).unwrap();
}

#[test]
fn c128_the_configuration_can_show_slots_before_they_are_initialised() {
    let rig = Rig::with_config("show_slots = [\"null\"]\n");
    let p = P11::start();
    assert_eq!(p.slots(true).unwrap(), [OWNER, NULL]);
    assert_eq!(p.token_info(NULL).unwrap().flags & CKF_TOKEN_INITIALIZED, 0);
    let session = p.ro(NULL);
    assert!(p.find(session, &[]).is_empty());
    p.close(session).unwrap();
    p.init_token(NULL, SO_PIN, "x").unwrap();
    assert_ne!(p.token_info(NULL).unwrap().flags & CKF_TOKEN_INITIALIZED, 0);
    drop(rig);
}

#[test]
fn c129_the_null_slots_token_ends_with_the_next_reset() {
    let t = Token::in_slot(NULL);
    let session = t.p.rw(NULL);
    t.p.login(session, CKU_USER, PIN).unwrap();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[1; 32], &signature).unwrap();
    t.p.close_all(NULL).unwrap();

    t.rig.tpm.restart();
    assert_eq!(t.p.token_info(NULL).err(), Some(CKR_TOKEN_NOT_PRESENT));
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);
    assert_eq!(t.p.open(NULL, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert_eq!(t.p.slots(true).unwrap(), [OWNER]);

    // Nobody's PIN stands in the way of a new one, and nothing of the old one comes back.
    t.p.init_token(NULL, b"another officer", "anew").unwrap();
    let session = t.p.rw(NULL);
    assert!(t.p.find(session, &[]).is_empty());
}

#[test]
fn c130_a_cleared_tpm_does_not_recognize_its_old_tokens() {
    let t = Token::new();
    make_token(&t.p, ENDORSEMENT);
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    t.p.finalize().unwrap();
    t.rig.tpm.clear();
    let before = std::fs::read(t.rig.database()).unwrap();
    t.p.initialize().unwrap();

    for slot in [OWNER, ENDORSEMENT] {
        // The first use of the token finds it out.
        if let Ok(session) = t.p.open(slot, CKF_SERIAL_SESSION) {
            assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_DEVICE_ERROR));
            assert_eq!(t.p.find_init(session, &[]), Err(CKR_DEVICE_ERROR));
            t.p.close(session).unwrap();
        }
    }
    assert_eq!(t.p.token_info(OWNER).err(), Some(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(t.p.slots(true).unwrap(), [OWNER], "the endorsement slot shows no token");
    let refused = t.p.init_token(OWNER, SO_PIN, "x");
    assert_eq!(refused, Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(std::fs::read(t.rig.database()).unwrap(), before, "nothing was deleted");
}

#[test]
fn c130_neither_does_another_tpm() {
    let t = Token::new();
    t.p.finalize().unwrap();
    let other = Swtpm::start();
    t.rig.set("HIERARKEY_TCTI", &other.tcti());
    t.p.initialize().unwrap();
    let session = t.p.ro(OWNER);
    assert_eq!(t.p.find_init(session, &[]), Err(CKR_DEVICE_ERROR));
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_DEVICE_ERROR));
    assert_eq!(t.p.token_info(OWNER).err(), Some(CKR_TOKEN_NOT_RECOGNIZED));
    // Back at its own TPM it is as it was.
    t.p.finalize().unwrap();
    t.rig.set("HIERARKEY_TCTI", &t.rig.tpm.tcti());
    t.p.initialize().unwrap();
    t.user();
}

#[test]
fn c131_the_pins_of_all_slots_share_the_tpms_counter() {
    let t = Token::new();
    make_token(&t.p, NULL);
    let session = t.p.rw(NULL);
    assert_eq!(t.p.login(session, CKU_USER, b"wrong"), Err(CKR_PIN_INCORRECT));
    for slot in [OWNER, NULL] {
        let flags = t.p.token_info(slot).unwrap().flags;
        assert_ne!(flags & CKF_USER_PIN_COUNT_LOW, 0);
        assert_ne!(flags & CKF_SO_PIN_COUNT_LOW, 0);
    }
}

#[test]
fn c132_a_tpm_that_is_gone_is_told_and_comes_back() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    t.rig.tpm.kill();
    for _ in 0..3 {
        let rv = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]).err();
        assert!(matches!(rv, Some(CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED)), "{rv:x?}");
        assert!(t.p.find(session, &[]).len() == 2, "what needs no TPM goes on");
    }
    t.rig.tpm.start_again();
    t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]).unwrap();
}

#[test]
fn c133_after_a_restart_of_the_tpm_an_idle_process_goes_on() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let (_, volatile) = ec_pair(&t.p, session, b"2", false);
    for key in [private, volatile] {
        t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    }
    t.rig.tpm.restart();
    let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[1; 32], &signature).unwrap();
    t.p.sign(session, Mech::plain(CKM_ECDSA), volatile, &[1; 32]).unwrap();
    t.rig.tpm.restart();
    t.p.random(session, 100).unwrap();
    t.rig.tpm.restart();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
}
