//! Operations saved and restored: conformance statement 44.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const DIGESTS: [CK_MECHANISM_TYPE; 11] = [
    CKM_SHA_1,
    CKM_SHA224,
    CKM_SHA256,
    CKM_SHA384,
    CKM_SHA512,
    CKM_SHA512_224,
    CKM_SHA512_256,
    CKM_SHA3_224,
    CKM_SHA3_256,
    CKM_SHA3_384,
    CKM_SHA3_512,
];

fn get_raw(p: &P11, session: CK_SESSION_HANDLE, out: Option<&mut [u8]>) -> (CK_RV, usize) {
    let get = p.list.C_GetOperationState.unwrap();
    into_room(out, |buffer, len| unsafe { get(session, buffer, len) })
}

fn get(p: &P11, session: CK_SESSION_HANDLE) -> Rv<Vec<u8>> {
    let mut state = vec![0; 1024];
    let (rv, len) = get_raw(p, session, Some(&mut state));
    state.truncate(len);
    if rv == CKR_OK { Ok(state) } else { Err(rv) }
}

fn set_with(
    p: &P11,
    session: CK_SESSION_HANDLE,
    state: &[u8],
    keys: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
) -> Rv<()> {
    let set = p.list.C_SetOperationState.unwrap();
    let (start, len) = (state.as_ptr().cast_mut(), state.len() as CK_ULONG);
    match unsafe { set(session, start, len, keys.0, keys.1) } {
        CKR_OK => Ok(()),
        rv => Err(rv),
    }
}

fn set(p: &P11, session: CK_SESSION_HANDLE, state: &[u8]) -> Rv<()> {
    set_with(p, session, state, (0, 0))
}

/// A state of SHA-256 that has taken `part`, from a session that is unharmed by it.
fn saved(p: &P11, session: CK_SESSION_HANDLE, part: &[u8]) -> Vec<u8> {
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    p.update(Op::Digest, session, part).unwrap();
    let state = get(p, session).unwrap();
    p.finish(Op::Digest, session).unwrap();
    state
}

#[test]
fn c044_every_digest_goes_on_from_where_it_was_saved() {
    let t = Token::new();
    let (p, first, second) = (&t.p, t.p.ro(t.slot), t.p.ro(t.slot));
    let data: Vec<u8> = (0..300_u16).map(|i| i as u8).collect();
    for ckm in DIGESTS {
        let expected = p.digest(first, ckm, &data).unwrap();
        for split in [0, 1, 63, 64, 65, 135, 136, 300] {
            p.init(Op::Digest, first, Mech::plain(ckm), 0).unwrap();
            p.update(Op::Digest, first, &data[..split]).unwrap();
            let state = get(p, first).unwrap();
            p.update(Op::Digest, first, &data[split..]).unwrap();
            assert_eq!(p.finish(Op::Digest, first).unwrap(), expected, "the source goes on");
            for session in [second, first] {
                set(p, session, &state).unwrap();
                p.update(Op::Digest, session, &data[split..]).unwrap();
                assert_eq!(p.finish(Op::Digest, session).unwrap(), expected, "{ckm:#x} {split}");
            }
        }
    }
}

#[test]
fn c044_a_state_is_where_it_was_saved_and_can_be_restored_often() {
    let t = Token::new();
    let (p, session) = (&t.p, t.p.ro(t.slot));
    let state = saved(p, session, b"ab");
    for _ in 0..2 {
        set(p, session, &state).unwrap();
        p.update(Op::Digest, session, b"lost").unwrap();
        // Into the midst of itself.
        set(p, session, &state).unwrap();
        p.update(Op::Digest, session, b"c").unwrap();
        assert_eq!(p.finish(Op::Digest, session).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
    // After a part no one-shot call ends it; before any part it does.
    set(p, session, &state).unwrap();
    assert_eq!(p.one_shot(Op::Digest, session, b"c"), Err(CKR_OPERATION_ACTIVE));
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    let fresh = get(p, session).unwrap();
    assert_eq!(p.one_shot_raw(Op::Digest, session, b"abc", None), (CKR_OK, 32));
    let asked = get(p, session).unwrap();
    for state in [fresh, asked] {
        set(p, session, &state).unwrap();
        let digest = p.one_shot(Op::Digest, session, b"abc").unwrap();
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}

#[test]
fn c044_c073_c074_c076_the_state_follows_the_two_call_convention() {
    let t = Token::new();
    let (p, session) = (&t.p, t.p.ro(t.slot));
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    p.update(Op::Digest, session, b"ab").unwrap();
    let (rv, len) = get_raw(p, session, None);
    assert_eq!(rv, CKR_OK);
    let mut state = vec![0xaa; len + 8];
    assert_eq!(get_raw(p, session, Some(&mut state[..len - 1])), (CKR_BUFFER_TOO_SMALL, len));
    assert_eq!(state, vec![0xaa; len + 8]);
    let get = p.list.C_GetOperationState.unwrap();
    let rv = unsafe { get(session, state.as_mut_ptr(), ptr::null_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    assert_eq!(get_raw(p, session, Some(&mut state[..len])), (CKR_OK, len));
    assert_eq!(state[len..], [0xaa; 8]);
    p.update(Op::Digest, session, b"c").unwrap();
    assert_eq!(p.finish(Op::Digest, session).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
    set(p, session, &state[..len]).unwrap();
    assert_eq!(get_raw(p, session, None), (CKR_OK, len));
}

#[test]
fn c044_garbage_is_no_state_and_harms_nothing() {
    let t = Token::new();
    let (p, session) = (&t.p, t.p.ro(t.slot));
    let state = saved(p, session, &[7; 100]);
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    p.update(Op::Digest, session, b"ab").unwrap();
    let invalid = Err(CKR_SAVED_STATE_INVALID);
    for len in 0..state.len() {
        assert_eq!(set(p, session, &state[..len]), invalid, "{len} bytes");
    }
    for bit in 0..state.len() * 8 {
        let mut altered = state.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(set(p, session, &altered), invalid, "bit {bit}");
    }
    for garbage in [vec![0; 64], vec![0xff; 64], vec![0x55; 100_000], [state, vec![0]].concat()] {
        assert_eq!(set(p, session, &garbage), invalid);
        assert_eq!(set_with(p, session, &garbage, (1, 1)), invalid);
    }
    let set = p.list.C_SetOperationState.unwrap();
    assert_eq!(unsafe { set(session, ptr::null_mut(), 0, 0, 0) }, CKR_SAVED_STATE_INVALID);
    assert_eq!(unsafe { set(session, ptr::null_mut(), 64, 0, 0) }, CKR_ARGUMENTS_BAD);
    p.update(Op::Digest, session, b"c").unwrap();
    assert_eq!(p.finish(Op::Digest, session).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn c044_a_state_of_another_token_session_state_or_life_is_foreign() {
    let t = Token::new();
    let p = &t.p;
    make_token(p, NULL);
    let (session, other) = (p.rw(t.slot), p.rw(NULL));
    let state = saved(p, session, b"ab");
    let invalid = Err(CKR_SAVED_STATE_INVALID);
    assert_eq!(set(p, other, &state), invalid, "another token");
    let read_only = p.ro(t.slot);
    assert_eq!(set(p, read_only, &state), invalid, "another session state");
    p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(set(p, session, &state), invalid, "another login");
    let private = saved(p, session, b"ab");
    p.logout(session).unwrap();
    assert_eq!(set(p, session, &private), invalid, "after the logout");
    set(p, session, &state).unwrap();
    p.close_all(t.slot).unwrap();
    let session = p.rw(t.slot);
    set(p, session, &state).unwrap();
    p.close_all(t.slot).unwrap();

    p.init_token(t.slot, SO_PIN, "again").unwrap();
    let session = p.rw(t.slot);
    assert_eq!(set(p, session, &state), invalid, "the token was made anew");
    let state = saved(p, session, b"ab");
    set(p, session, &state).unwrap();
    p.finalize().unwrap();
    p.initialize().unwrap();
    let session = p.rw(t.slot);
    assert_eq!(set(p, session, &state), invalid, "from before C_Finalize");
}

#[test]
fn c044_a_digest_needs_no_key() {
    let t = Token::new();
    let (p, session) = (&t.p, t.user());
    let (public, private) = ec_pair(p, session, b"1", false);
    let state = saved(p, session, b"ab");
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), private).unwrap();
    for keys in [(private, 0), (0, public), (12_345, 12_345)] {
        assert_eq!(set_with(p, session, &state, keys), Err(CKR_KEY_NOT_NEEDED));
    }
    p.one_shot(Op::Sign, session, &[1; 32]).expect("the refusals ended nothing");
    let flags = p.token_info(t.slot).unwrap().flags;
    assert_ne!(flags & CKF_RESTORE_KEY_NOT_NEEDED, 0);
}

#[test]
fn c044_restoring_ends_whatever_is_active() {
    let t = Token::new();
    let (p, session) = (&t.p, t.user());
    let (public, private) = rsa_pair(p, session, b"1", false);
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    let state = saved(p, session, b"ab");
    let restored = |what: &str| {
        set(p, session, &state).unwrap();
        p.update(Op::Digest, session, b"c").unwrap();
        assert_eq!(p.finish(Op::Digest, session).unwrap()[..2], [0xba, 0x78], "{what}");
    };
    for (op, key) in [(Op::Sign, private), (Op::Decrypt, private), (Op::Encrypt, public)] {
        p.init(op, session, rsa(), key).unwrap();
        restored("an operation");
        assert_eq!(p.one_shot(op, session, b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    p.init(Op::Digest, session, Mech::plain(CKM_SHA512), 0).unwrap();
    p.init(Op::Decrypt, session, rsa(), private).unwrap();
    restored("a pair");
    assert_eq!(p.one_shot(Op::Decrypt, session, &[1; 256]), Err(CKR_OPERATION_NOT_INITIALIZED));
    p.find_init(session, &[]).unwrap();
    restored("a search");
    assert_eq!(p.find_final(session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c044_what_has_a_key_cannot_be_saved_and_goes_on() {
    let t = Token::new();
    let (p, session) = (&t.p, t.user());
    let (public, private) = rsa_pair(p, session, b"1", false);
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    assert_eq!(get(p, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    for (op, key) in [(Op::Sign, private), (Op::Encrypt, public)] {
        p.init(op, session, rsa(), key).unwrap();
        assert_eq!(get(p, session), Err(CKR_STATE_UNSAVEABLE), "{op:?}");
        assert_eq!(get_raw(p, session, None).0, CKR_STATE_UNSAVEABLE, "{op:?}");
        p.one_shot(op, session, b"data").unwrap();
    }
    p.verify_init(session, &mut rsa(), public).unwrap();
    assert_eq!(get(p, session), Err(CKR_STATE_UNSAVEABLE));
    let cancel = |flags| assert_eq!(unsafe { p.list.C_SessionCancel.unwrap()(session, flags) }, 0);
    cancel(CKF_VERIFY);
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    p.init(Op::Decrypt, session, rsa(), private).unwrap();
    assert_eq!(get(p, session), Err(CKR_STATE_UNSAVEABLE), "one of a pair");
    cancel(CKF_DECRYPT);
    get(p, session).expect("the other one is left");
    cancel(CKF_DIGEST);
    // Neither is among what the specification lets be saved.
    p.find_init(session, &[]).unwrap();
    assert_eq!(get(p, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    p.find_final(session).unwrap();
    let init = p.list.C_MessageSignInit.unwrap();
    assert_eq!(unsafe { init(session, &mut rsa().raw(), private) }, CKR_OK);
    assert_eq!(get(p, session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn a_state_shows_nothing_of_what_is_hashed() {
    let t = Token::new();
    let (p, session) = (&t.p, t.p.ro(t.slot));
    let first = saved(p, session, b"a secret in the last block");
    let second = saved(p, session, b"a secret in the last block");
    assert!(!first.windows(6).any(|bytes| bytes == b"secret"));
    assert!(first.starts_with(b"HKOS\x01") && second.starts_with(b"HKOS\x01"));
    assert_ne!(first[5..], second[5..], "equal data is not seen either");
}

#[test]
fn c047_threads_restore_one_state_in_sessions_of_their_own() {
    let t = Token::new();
    let p = &t.p;
    let state = saved(p, p.ro(t.slot), b"ab");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let session = p.ro(t.slot);
                for _ in 0..50 {
                    set(p, session, &state).unwrap();
                    let again = get(p, session).unwrap();
                    set(p, session, &again).unwrap();
                    p.update(Op::Digest, session, b"c").unwrap();
                    assert_eq!(p.finish(Op::Digest, session).unwrap()[..2], [0xba, 0x78]);
                }
            });
        }
    });
}
