//! Sessions, login and logout: conformance statements 31 to 60.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const SERIAL: CK_FLAGS = CKF_SERIAL_SESSION;

#[test]
fn c031_open_session_checks_its_flags() {
    let t = Token::new();
    assert_eq!(t.p.open(t.slot, 0), Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
    assert_eq!(t.p.open(t.slot, CKF_RW_SESSION), Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
    assert_eq!(t.p.open(t.slot, SERIAL | (1 << 20)), Err(CKR_ARGUMENTS_BAD));
    assert_eq!(t.p.open(99, SERIAL), Err(CKR_SLOT_ID_INVALID));
    let open = t.p.list.C_OpenSession.unwrap();
    let rv = unsafe { open(t.slot, SERIAL, std::ptr::null_mut(), None, std::ptr::null_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
}

#[test]
fn c033_asynchronous_sessions_are_not_offered() {
    let t = Token::new();
    assert_eq!(t.p.open(t.slot, SERIAL | CKF_ASYNC_SESSION), Err(CKR_SESSION_ASYNC_NOT_SUPPORTED));
}

#[test]
fn c034_no_read_only_session_beside_the_so() {
    let t = Token::new();
    let rw = t.p.rw(t.slot);
    t.p.login(rw, CKU_SO, SO_PIN).unwrap();
    assert_eq!(t.p.open(t.slot, SERIAL), Err(CKR_SESSION_READ_WRITE_SO_EXISTS));
    t.p.logout(rw).unwrap();
    t.p.ro(t.slot);
}

#[test]
fn c035_a_new_session_inherits_the_login() {
    let t = Token::new();
    let first = t.user();
    assert_eq!(t.p.state(first), CKS_RW_USER_FUNCTIONS);
    assert_eq!(t.p.state(t.p.ro(t.slot)), CKS_RO_USER_FUNCTIONS);
    assert_eq!(t.p.state(t.p.rw(t.slot)), CKS_RW_USER_FUNCTIONS);
    t.p.close_all(t.slot).unwrap();
    let rw = t.p.rw(t.slot);
    assert_eq!(t.p.state(rw), CKS_RW_PUBLIC_SESSION);
    t.p.login(rw, CKU_SO, SO_PIN).unwrap();
    assert_eq!(t.p.state(t.p.rw(t.slot)), CKS_RW_SO_FUNCTIONS);
}

#[test]
fn c036_session_handles_are_never_0_and_never_used_again() {
    let t = Token::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let session = t.p.ro(t.slot);
        assert_ne!(session, 0);
        assert!(seen.insert(session), "handle {session} came twice");
        t.p.close(session).unwrap();
        assert_eq!(t.p.close(session), Err(CKR_SESSION_HANDLE_INVALID));
        assert_eq!(t.p.session_info(session).err(), Some(CKR_SESSION_HANDLE_INVALID));
    }
    assert_eq!(t.p.session_info(0).err(), Some(CKR_SESSION_HANDLE_INVALID));
}

#[test]
fn c037_the_session_cap_leaves_open_sessions_unharmed() {
    let t = Token::new();
    let info = t.p.token_info(t.slot).unwrap();
    assert_eq!((info.ulMaxSessionCount, info.ulMaxRwSessionCount), (0, 0));
    let first = t.p.ro(t.slot);
    for _ in 1..65_536 {
        t.p.ro(t.slot);
    }
    assert_eq!(t.p.open(t.slot, SERIAL), Err(CKR_SESSION_COUNT));
    assert_eq!(t.p.state(first), CKS_RO_PUBLIC_SESSION);
    t.p.close(first).unwrap();
    t.p.ro(t.slot);
}

#[test]
fn c038_closing_a_session_destroys_its_objects_and_operations() {
    let t = Token::new();
    let (first, second) = (t.user(), t.p.ro(t.slot));
    let object = t.p.create(first, &data(b"mine", false, false)).unwrap();
    assert!(t.p.get(second, object, CKA_VALUE).is_ok());
    t.p.close(first).unwrap();
    assert_eq!(t.p.get(second, object, CKA_VALUE), Err(CKR_OBJECT_HANDLE_INVALID));
    assert!(t.p.find(second, &[]).is_empty());
}

#[test]
fn c039_closing_the_last_session_logs_out() {
    let t = Token::new();
    let (first, second) = (t.user(), t.p.ro(t.slot));
    t.p.close(first).unwrap();
    assert_eq!(t.p.state(second), CKS_RO_USER_FUNCTIONS);
    t.p.close(second).unwrap();
    assert_eq!(t.p.state(t.p.ro(t.slot)), CKS_RO_PUBLIC_SESSION);
}

#[test]
fn c040_closing_all_sessions_of_one_slot_leaves_the_other_alone() {
    let t = Token::new();
    make_token(&t.p, NULL);
    let owner = t.user();
    let null = t.p.rw(NULL);
    t.p.login(null, CKU_USER, PIN).unwrap();
    t.p.close_all(t.slot).unwrap();
    assert_eq!(t.p.session_info(owner).err(), Some(CKR_SESSION_HANDLE_INVALID));
    assert_eq!(t.p.state(null), CKS_RW_USER_FUNCTIONS);
}

#[test]
fn c041_session_info_tells_slot_flags_and_the_last_tpm_rc() {
    let t = Token::new();
    let rw = t.p.rw(t.slot);
    let info = t.p.session_info(rw).unwrap();
    assert_eq!((info.slotID, info.flags, info.ulDeviceError), (0, SERIAL | CKF_RW_SESSION, 0));
    assert_eq!(t.p.login(rw, CKU_USER, b"wrong"), Err(CKR_PIN_INCORRECT));
    let rc = t.p.session_info(rw).unwrap().ulDeviceError;
    assert_eq!(rc & 0xbf, 0x8e, "TPM_RC_AUTH_FAIL, not {rc:#x}");
    assert_eq!(t.p.session_info(t.p.ro(t.slot)).unwrap().flags, SERIAL);
}

#[test]
fn c042_two_threads_may_use_and_close_one_session() {
    let t = Token::new();
    for _ in 0..50 {
        let session = t.p.rw(t.slot);
        let p = &t.p;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..5 {
                        let rv = p.digest(session, CKM_SHA256, b"x").map(|_| ());
                        assert!(
                            matches!(
                                rv,
                                Ok(())
                                    | Err(CKR_SESSION_CLOSED
                                        | CKR_SESSION_HANDLE_INVALID
                                        | CKR_OPERATION_ACTIVE
                                        | CKR_OPERATION_NOT_INITIALIZED)
                            ),
                            "{rv:x?}"
                        );
                    }
                });
            }
            scope.spawn(move || p.close(session).unwrap());
        });
    }
}

#[test]
fn c045_one_operation_at_a_time() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = rsa_pair(&t.p, session, b"1", false);
    t.p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), private).unwrap();
    let again = t.p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), private);
    assert_eq!(again, Err(CKR_OPERATION_ACTIVE));
    for op in [Op::Decrypt, Op::Digest] {
        let mech = Mech::plain(if op == Op::Digest { CKM_SHA256 } else { CKM_RSA_PKCS });
        assert_eq!(t.p.init(op, session, mech, private), Err(CKR_OPERATION_ACTIVE));
    }
    assert!(t.p.one_shot(Op::Sign, session, b"data").is_ok(), "the first one is unharmed");
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    // Decrypt + digest is one of the four pairs.
    t.p.init(Op::Decrypt, session, Mech::plain(CKM_RSA_PKCS), private).unwrap();
    let third = t.p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), private);
    assert_eq!(third, Err(CKR_OPERATION_ACTIVE));
}

#[test]
fn c046_a_search_is_an_operation() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    t.p.find_init(session, &[]).unwrap();
    assert_eq!(t.p.find_init(session, &[]), Err(CKR_OPERATION_ACTIVE));
    let digest = t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0);
    assert_eq!(digest, Err(CKR_OPERATION_ACTIVE));
    t.p.find_final(session).unwrap();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    assert_eq!(t.p.find_init(session, &[]), Err(CKR_OPERATION_ACTIVE));
}

#[test]
fn c046_a_search_beside_an_operation_can_be_allowed() {
    let rig = Rig::with_config("[compatibility]\nsearch_beside_operation = true\n");
    let t = Token::on(rig, OWNER);
    let session = t.p.ro(t.slot);
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.find_init(session, &[]).unwrap();
    assert_eq!(t.p.find_init(session, &[]), Err(CKR_OPERATION_ACTIVE));
}

#[test]
fn c047_sessions_do_not_influence_each_other() {
    let t = Token::new();
    let (first, second) = (t.user(), t.p.ro(t.slot));
    let (public, private) = ec_pair(&t.p, first, b"1", true);
    let mech = || Mech::plain(CKM_ECDSA_SHA256);
    t.p.init(Op::Sign, first, mech(), private).unwrap();
    t.p.init(Op::Sign, second, mech(), private).unwrap();
    t.p.update(Op::Sign, first, b"one").unwrap();
    t.p.update(Op::Sign, second, b"two").unwrap();
    let one = t.p.finish(Op::Sign, first).unwrap();
    let two = t.p.finish(Op::Sign, second).unwrap();
    t.p.verify(first, mech(), public, b"one", &one).unwrap();
    t.p.verify(first, mech(), public, b"two", &two).unwrap();
}

#[test]
fn c048_calls_without_state_are_allowed_beside_an_operation() {
    let t = Token::new();
    let session = t.user();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    ec_pair(&t.p, session, b"1", false);
    assert_eq!(t.p.random(session, 8).unwrap().len(), 8);
    assert!(t.p.one_shot(Op::Digest, session, b"x").is_ok());
}

#[test]
fn c049_a_login_changes_every_session_of_the_token_at_once() {
    let t = Token::new();
    let (ro, rw) = (t.p.ro(t.slot), t.p.rw(t.slot));
    t.p.login(ro, CKU_USER, PIN).unwrap();
    assert_eq!((t.p.state(ro), t.p.state(rw)), (CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS));
    t.p.logout(rw).unwrap();
    assert_eq!((t.p.state(ro), t.p.state(rw)), (CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION));
}

#[test]
fn c050_the_so_does_not_come_in_beside_a_read_only_session() {
    let t = Token::new();
    let (_ro, rw) = (t.p.ro(t.slot), t.p.rw(t.slot));
    assert_eq!(t.p.login(rw, CKU_SO, SO_PIN), Err(CKR_SESSION_READ_ONLY_EXISTS));
}

#[test]
fn c051_one_role_at_a_time() {
    let t = Token::new();
    let rw = t.user();
    assert_eq!(t.p.login(rw, CKU_USER, PIN), Err(CKR_USER_ALREADY_LOGGED_IN));
    assert_eq!(t.p.login(rw, CKU_SO, SO_PIN), Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN));
    t.p.logout(rw).unwrap();
    t.p.login(rw, CKU_SO, SO_PIN).unwrap();
    assert_eq!(t.p.login(rw, CKU_USER, PIN), Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN));
    assert_eq!(t.p.login(rw, CKU_SO, SO_PIN), Err(CKR_USER_ALREADY_LOGGED_IN));
}

#[test]
fn c052_an_unknown_user_type_is_refused() {
    let t = Token::new();
    assert_eq!(t.p.login(t.p.rw(t.slot), 77, PIN), Err(CKR_USER_TYPE_INVALID));
}

#[test]
fn c056_a_context_login_needs_an_operation_that_waits_for_it() {
    let t = Token::new();
    let rw = t.user();
    assert_eq!(t.p.login(rw, CKU_CONTEXT_SPECIFIC, PIN), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c057_logout_without_login_is_refused() {
    let t = Token::new();
    assert_eq!(t.p.logout(t.p.rw(t.slot)), Err(CKR_USER_NOT_LOGGED_IN));
}

#[test]
fn c058_a_private_handle_dies_with_the_logout() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let (_, volatile) = ec_pair(&t.p, session, b"2", false);
    t.p.logout(session).unwrap();
    for handle in [private, volatile] {
        assert_eq!(t.p.get(session, handle, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
    }
    assert!(t.p.get(session, public, CKA_ID).is_ok(), "public handles stay");
    t.p.login(session, CKU_USER, PIN).unwrap();
    for handle in [private, volatile] {
        assert_eq!(t.p.get(session, handle, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
        let rv = t.p.sign(session, Mech::plain(CKM_ECDSA), handle, &[1; 32]);
        assert_eq!(rv, Err(CKR_KEY_HANDLE_INVALID));
    }
    let found = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
    assert_eq!(found.len(), 1, "the session key was destroyed, the token key is found anew");
    assert_ne!(found[0], private);
}

#[test]
fn c059_what_a_private_key_began_ends_with_the_logout() {
    let t = Token::new();
    let (first, second) = (t.user(), t.p.rw(t.slot));
    let (_, private) = ec_pair(&t.p, first, b"1", true);
    t.p.init(Op::Sign, second, Mech::plain(CKM_ECDSA_SHA256), private).unwrap();
    t.p.update(Op::Sign, second, b"part").unwrap();
    t.p.logout(first).unwrap();
    assert_eq!(t.p.finish(Op::Sign, second), Err(CKR_OPERATION_NOT_INITIALIZED));
    t.p.login(first, CKU_USER, PIN).unwrap();
    assert_eq!(t.p.finish(Op::Sign, second), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c059_so_does_what_a_private_key_that_is_no_private_object_began() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    let open = t.p.copy(session, private, &[flag(CKA_PRIVATE, false)]).unwrap();
    let sign = || t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), open);
    sign().unwrap();
    t.p.logout(session).unwrap();
    let ended = t.p.one_shot(Op::Sign, session, &[1; 32]);
    assert_eq!(ended, Err(CKR_OPERATION_NOT_INITIALIZED));
    // The key itself stays everybody's.
    sign().unwrap();
    t.p.one_shot(Op::Sign, session, &[1; 32]).unwrap();
}

#[test]
fn c060_the_so_neither_sees_nor_makes_private_objects() {
    let t = Token::new();
    let session = t.user();
    t.p.create(session, &data(b"private", true, true)).unwrap();
    t.p.create(session, &data(b"public", true, false)).unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    assert_eq!(t.p.find(session, &[]).len(), 1);
    let made = t.p.create(session, &data(b"another", true, true));
    assert_eq!(made, Err(CKR_USER_NOT_LOGGED_IN));
}
