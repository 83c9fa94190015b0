//! Which return values a function has: conformance statements 43, 44, 61, 67 to 69, 76, 78, 80, 126.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::calls::*;
use common::fixture::*;
use common::p11::*;
use common::prototypes::PROTOTYPES;
use common::return_values::place;
use cryptoki_sys::*;

/// These change which calls are valid at all.
const LIFE_CYCLE: [&str; 3] = ["C_Initialize", "C_Finalize", "C_CloseAllSessions"];

/// Each call checks itself: see `common/return_values.rs`.
#[test]
fn c069_every_result_is_in_the_functions_list() {
    let t = Token::new();
    t.rig.tpm.set_lockout(1000, 1000);
    let p = &t.p;
    for login in [None, Some((CKU_USER, PIN)), Some((CKU_SO, SO_PIN))] {
        let officer = matches!(login, Some((CKU_SO, _)));
        // It keeps the login while the sessions beside it come and go.
        let anchor = p.rw(t.slot);
        let enter = || {
            if let Some((user, pin)) = login
                && p.state(anchor) == CKS_RW_PUBLIC_SESSION
            {
                p.login(anchor, user, pin).unwrap();
            }
        };
        for (name, _) in PROTOTYPES.iter().filter(|(name, _)| !LIFE_CYCLE.contains(name)) {
            for read_write in [true, officer] {
                // Zeros are an empty mechanism, an empty PIN, a length of 0, the end of a text.
                for (number, zeros) in
                    [(0, false), (1, false), (usize::MAX, false), (0, true), (4, true)]
                {
                    enter();
                    let session = if read_write { p.rw(t.slot) } else { p.ro(t.slot) };
                    let mut memory = [0_u64; 512];
                    let pointer = if zeros { memory.as_mut_ptr().expose_provenance() } else { 0 };
                    call_with(p, name, session, number, pointer);
                    let closed = p.close(session);
                    assert!(closed.is_ok() || *name == "C_CloseSession", "{name}: {closed:x?}");
                }
            }
        }
        p.close(anchor).unwrap();
    }
}

/// The token in each of its states, and the errors that hang on them.
#[test]
fn c069_an_uninitialised_token_says_so() {
    let rig = Rig::new();
    let p = P11::start();
    let session = p.rw(OWNER);
    let not_initialized = Err(CKR_TOKEN_NOT_INITIALIZED);
    assert_eq!(p.login(session, CKU_SO, SO_PIN), not_initialized);
    assert_eq!(p.login(session, CKU_USER, PIN), not_initialized);
    assert_eq!(p.set_pin(session, PIN, b"another"), not_initialized);
    let token_object = p.create(session, &data(b"x", true, false));
    assert_eq!(token_object.map(|_| ()), not_initialized);
    assert!(p.find(session, &[]).is_empty());
    p.close(session).unwrap();
    // With one, but without a user PIN: nothing is the right old PIN, and no try is counted.
    p.init_token(OWNER, SO_PIN, "x").unwrap();
    let session = p.rw(OWNER);
    assert_eq!(p.set_pin(session, PIN, b"another"), Err(CKR_PIN_INCORRECT));
    assert_eq!(p.login(session, CKU_USER, PIN), Err(CKR_USER_PIN_NOT_INITIALIZED));
    let flags = p.token_info(OWNER).unwrap().flags;
    assert_eq!(flags & (CKF_USER_PIN_COUNT_LOW | CKF_SO_PIN_COUNT_LOW), 0);
    drop(rig);
}

#[test]
fn c069_a_locked_token_locks_no_function_that_takes_no_pin() {
    let t = Token::new();
    t.rig.tpm.set_lockout(2, 1000);
    let session = t.p.rw(t.slot);
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    for _ in 0..3 {
        let _ = t.p.set_pin(session, b"wrong", b"another");
    }
    assert_eq!(t.p.set_pin(session, SO_PIN, b"another"), Err(CKR_PIN_LOCKED));
    assert_eq!(t.p.init_pin(session, b"another"), Err(CKR_FUNCTION_FAILED));
    assert_ne!(t.p.session_info(session).unwrap().ulDeviceError, 0, "what the TPM said");
}

#[test]
fn c069_a_write_protected_token_comes_before_a_read_only_session() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let object = t.p.create(session, &data(b"x", true, false)).unwrap();
    let ro = t.p.ro(t.slot);
    let tries = |ro, object| {
        [
            t.p.create(ro, &data(b"y", true, false)).map(|_| ()),
            t.p.copy(ro, object, &[]).map(|_| ()),
            t.p.set(ro, object, &[bytes(CKA_LABEL, b"z")]),
            t.p.destroy(ro, object),
            t.p.set_pin(ro, PIN, b"another"),
        ]
    };
    assert_eq!(tries(ro, object), [Err(CKR_SESSION_READ_ONLY); 5]);
    t.p.finalize().unwrap();
    let config = t.rig.path().join("no.toml");
    let toml = format!("[store]\nread_only = true\ndirectory = {:?}\n", t.rig.path());
    std::fs::write(config, toml).unwrap();
    t.rig.unset("HIERARKEY_STORE");
    t.p.initialize().unwrap();
    let ro = t.p.ro(t.slot);
    let object = t.p.find(ro, &[])[0];
    assert_eq!(tries(ro, object), [Err(CKR_TOKEN_WRITE_PROTECTED); 5]);
}

#[test]
fn c076_null_in_any_one_pointer_is_a_bad_argument() {
    let s = Scene::new();
    let mut called = 0;
    for (at, (name, prototype)) in PROTOTYPES.iter().enumerate() {
        let Some(good) = s.arguments(name) else { continue };
        assert_eq!(call(&s.t.p, at, &good), CKR_OK, "{name}, as it should be called");
        s.cancel();
        for (argument, _) in prototype.char_indices().filter(|(_, kind)| *kind == 'p') {
            let mut arguments = s.arguments(name).unwrap();
            arguments[argument] = 0;
            let expected = if null_is_allowed(name, argument) { CKR_OK } else { CKR_ARGUMENTS_BAD };
            assert_eq!(call(&s.t.p, at, &arguments), expected, "{name}, argument {argument}");
            s.cancel();
            called += 1;
        }
    }
    assert!(called > 60, "{called}");
}

/// NULL for a PIN asks for a protected authentication path, which no slot here has. It is no try.
#[test]
fn c029_c076_null_is_no_pin_and_costs_no_try() {
    let t = Token::new();
    let p = &t.p;
    let (pin, len) = (PIN.as_ptr().expose_provenance(), PIN.len());
    let label = [b' '; 32].as_ptr().expose_provenance();
    let flags = || p.token_info(t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW;
    let bad = |name: &str, arguments: &[usize]| {
        let rv = call(p, place(name), arguments);
        assert_eq!(rv, CKR_ARGUMENTS_BAD, "{name} {arguments:x?}");
        assert_eq!(flags(), 0, "{name} counted a try");
    };
    for null_len in [0, 1, 8] {
        bad("C_InitToken", &[t.slot as usize, 0, null_len, label]);
    }
    bad("C_InitToken", &[t.slot as usize, pin, len, 0]);
    let session = p.rw(t.slot);
    let s = session as usize;
    for null_len in [0, 1, 8] {
        for user in [CKU_USER, CKU_SO] {
            bad("C_Login", &[s, user as usize, 0, null_len]);
            bad("C_LoginUser", &[s, user as usize, 0, null_len, 0, 0]);
        }
        bad("C_SetPIN", &[s, 0, null_len, pin, len]);
        bad("C_SetPIN", &[s, pin, len, 0, null_len]);
    }
    bad("C_LoginUser", &[s, CKU_USER as usize, pin, len, 0, 4]);
    p.login(session, CKU_SO, SO_PIN).unwrap();
    for null_len in [0, 1, 8] {
        bad("C_InitPIN", &[s, 0, null_len]);
    }
    p.logout(session).unwrap();
    p.login(session, CKU_USER, PIN).unwrap();
}

#[test]
fn c001_c009_nothing_works_between_two_lives() {
    let s = Scene::new();
    let good: Vec<_> = PROTOTYPES
        .iter()
        .map(|(name, _)| {
            s.cancel();
            s.arguments(name)
        })
        .collect();
    s.t.p.finalize().unwrap();
    for (at, (name, prototype)) in PROTOTYPES.iter().enumerate() {
        let arguments = good[at].clone().unwrap_or_else(|| vec![0; prototype.len()]);
        let expected = match *name {
            "C_Initialize" => continue,
            "C_GetFunctionList" | "C_GetInterfaceList" | "C_GetInterface" => CKR_OK,
            _ => CKR_CRYPTOKI_NOT_INITIALIZED,
        };
        assert_eq!(call(&s.t.p, at, &arguments), expected, "{name}");
    }
    // Nor do the handles of the first life in the second.
    s.t.p.initialize().unwrap();
    for (at, (name, prototype)) in PROTOTYPES.iter().enumerate() {
        if prototype.starts_with('s') {
            let arguments = good[at].clone().unwrap_or_else(|| vec![0; prototype.len()]);
            let arguments = [&[s.session as usize], &arguments[1..]].concat();
            assert_eq!(call(&s.t.p, at, &arguments), CKR_SESSION_HANDLE_INVALID, "{name}");
        }
    }
}

/// With arguments that are right otherwise, as the sweep in `abi.rs` has them wrong.
#[test]
fn c068_a_closed_session_wins_over_a_tpm_that_is_gone() {
    let s = Scene::new();
    let (first, second) = (s.t.p.rw(s.t.slot), s.t.p.rw(s.t.slot));
    s.t.p.close(first).unwrap();
    for gone in [false, true] {
        for (at, (name, prototype)) in PROTOTYPES.iter().enumerate() {
            if !prototype.starts_with('s') {
                continue;
            }
            s.cancel();
            let arguments = if gone { None } else { s.arguments(name) };
            let mut arguments = arguments.unwrap_or_else(|| vec![0; prototype.len()]);
            for session in [0, first, second + 1000, CK_ULONG::MAX] {
                arguments[0] = session as usize;
                let told = call(&s.t.p, at, &arguments);
                assert_eq!(told, CKR_SESSION_HANDLE_INVALID, "{name}");
            }
        }
        s.cancel();
        if !gone {
            s.t.rig.tpm.kill();
        }
    }
}

/// Begun while the TPM was there, called when it is gone: what needs the TPM says that it is.
#[test]
fn c067_c068_a_tpm_that_goes_away_under_a_session_is_removed_or_in_error() {
    const NEED_IT: [&str; 5] =
        ["C_SetPIN", "C_Decrypt", "C_Sign", "C_SignFinal", "C_GenerateKeyPair"];
    for (at, (name, prototype)) in PROTOTYPES.iter().enumerate() {
        // One rig for those that need it, which is slow; the others follow on the last.
        if !NEED_IT.contains(name) && *name != "C_GenerateRandom" {
            continue;
        }
        let s = Scene::new();
        let arguments = s.arguments(name).unwrap();
        s.t.rig.tpm.kill();
        let told = call(&s.t.p, at, &arguments);
        assert!([CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED].contains(&told), "{name}: {told:#x}");
        assert!(prototype.starts_with('s'));
        // What ends an operation otherwise ends it here.
        let again = s.t.p.digest(s.session, CKM_SHA256, b"abc");
        assert!(again.is_ok(), "{name} left something: {again:x?}");
        for slot_function in ["C_GetTokenInfo", "C_GetMechanismList", "C_OpenSession"] {
            let arguments = s.arguments(slot_function).unwrap();
            let told = call(&s.t.p, place(slot_function), &arguments);
            assert_eq!(told, CKR_TOKEN_NOT_PRESENT, "{slot_function} after {name}");
        }
        // What ends works without it.
        let info = s.t.p.session_info(s.session).unwrap();
        assert_eq!(info.state, CKS_RW_USER_FUNCTIONS);
        s.t.p.logout(s.session).unwrap();
        s.t.p.close(s.session).unwrap();
        s.t.p.close_all(s.t.slot).unwrap();
        s.t.p.finalize().unwrap();
    }
}

/// A function is offered exactly if a mechanism has its flag; the others say that they are not,
/// whatever their arguments, but after the check of the session.
#[test]
fn c126_what_is_not_offered_says_so_after_the_session_check() {
    const BY_FLAG: [(&str, CK_FLAGS); 22] = [
        ("C_EncryptInit", CKF_ENCRYPT),
        ("C_DecryptInit", CKF_DECRYPT),
        ("C_DigestInit", CKF_DIGEST),
        ("C_SignInit", CKF_SIGN),
        ("C_SignRecoverInit", CKF_SIGN_RECOVER),
        ("C_SignRecover", CKF_SIGN_RECOVER),
        ("C_VerifyInit", CKF_VERIFY),
        ("C_VerifyRecoverInit", CKF_VERIFY_RECOVER),
        ("C_VerifyRecover", CKF_VERIFY_RECOVER),
        ("C_GenerateKey", CKF_GENERATE),
        ("C_GenerateKeyPair", CKF_GENERATE_KEY_PAIR),
        ("C_WrapKey", CKF_WRAP),
        ("C_UnwrapKey", CKF_UNWRAP),
        ("C_DeriveKey", CKF_DERIVE),
        ("C_MessageEncryptInit", CKF_MESSAGE_ENCRYPT),
        ("C_EncryptMessage", CKF_MESSAGE_ENCRYPT),
        ("C_MessageDecryptInit", CKF_MESSAGE_DECRYPT),
        ("C_DecryptMessage", CKF_MESSAGE_DECRYPT),
        ("C_MessageSignInit", CKF_MESSAGE_SIGN),
        ("C_SignMessage", CKF_MESSAGE_SIGN),
        ("C_MessageVerifyInit", CKF_MESSAGE_VERIFY),
        ("C_VerifyMessage", CKF_MESSAGE_VERIFY),
    ];
    let t = Token::new();
    let session = t.user();
    let mechanisms = t.p.mechanisms(t.slot).unwrap();
    let flags = mechanisms.iter().map(|ckm| t.p.mechanism_info(t.slot, *ckm).unwrap().flags);
    let flags = flags.fold(0, |all, flags| all | flags);
    for (name, flag) in BY_FLAG {
        let told = call_with(&t.p, name, session, 0, 0);
        assert_eq!(told != CKR_FUNCTION_NOT_SUPPORTED, flags & flag != 0, "{name}");
    }
    for (name, _) in PROTOTYPES.iter().filter(|(_, arguments)| arguments.starts_with('s')) {
        if call_with(&t.p, name, session, 0, 0) != CKR_FUNCTION_NOT_SUPPORTED {
            continue;
        }
        let session = t.p.rw(t.slot);
        let mut memory = [0_u64; 512];
        let zeros = memory.as_mut_ptr().expose_provenance();
        for (number, pointer) in [(0, zeros), (1, zeros), (1, 0), (usize::MAX, 0)] {
            let told = call_with(&t.p, name, session, number, pointer);
            assert_eq!(told, CKR_FUNCTION_NOT_SUPPORTED, "{name} with {number:#x}");
            let told = call_with(&t.p, name, 12_345, number, pointer);
            assert_eq!(told, CKR_SESSION_HANDLE_INVALID, "{name} with {number:#x}");
        }
    }
}

#[test]
fn c043_cancelling_ends_what_is_named_and_nothing_else() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", false);
    let cancel = |flags| unsafe { t.p.list.C_SessionCancel.unwrap()(session, flags) };
    t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), key).unwrap();
    assert_eq!(cancel(0), CKR_OK);
    assert_eq!(cancel(CKF_DIGEST | CKF_FIND_OBJECTS), CKR_OK);
    t.p.one_shot(Op::Sign, session, &[1; 32]).unwrap();
    t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), key).unwrap();
    assert_eq!(cancel(CKF_SIGN), CKR_OK);
    let after = t.p.one_shot(Op::Sign, session, &[1; 32]);
    assert_eq!(after, Err(CKR_OPERATION_NOT_INITIALIZED));
    t.p.find_init(session, &[]).unwrap();
    assert_eq!(cancel(CKF_FIND_OBJECTS), CKR_OK);
    assert_eq!(t.p.find_final(session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c076_without_a_place_for_the_length_nothing_is_done() {
    let t = Token::new();
    let session = t.user();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    let mut out = [0xaa; 64];
    let mut data = *b"data";
    let digest = t.p.list.C_Digest.unwrap();
    let rv = unsafe { digest(session, data.as_mut_ptr(), 4, out.as_mut_ptr(), ptr::null_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    assert_eq!(out, [0xaa; 64]);
}

#[test]
fn c077_a_digest_may_be_written_over_its_input() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let expected = t.p.digest(session, CKM_SHA256, &[7; 100]).unwrap();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    for shift in [0, 1] {
        if shift > 0 {
            t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
        }
        let mut memory = [7; 100];
        let (data, mut len) = (memory.as_mut_ptr(), 32);
        let digest = t.p.list.C_Digest.unwrap();
        let rv = unsafe { digest(session, data, 100, data.add(shift), &mut len) };
        assert_eq!((rv, len), (CKR_OK, 32));
        assert_eq!(memory[shift..shift + 32], expected);
    }
}

#[test]
fn c078_c080_an_empty_update_is_fine_and_a_failing_one_ends_the_operation() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.update(Op::Digest, session, b"").unwrap();
    let update = t.p.list.C_DigestUpdate.unwrap();
    assert_eq!(unsafe { update(session, ptr::null_mut(), 0) }, CKR_OK);
    t.p.update(Op::Digest, session, b"abc").unwrap();
    assert_eq!(t.p.finish(Op::Digest, session).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);

    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.update(Op::Digest, session, b"abc").unwrap();
    assert_eq!(unsafe { update(session, ptr::null_mut(), 5) }, CKR_ARGUMENTS_BAD);
    assert_eq!(t.p.finish(Op::Digest, session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c068_a_session_function_never_says_that_the_token_is_not_present() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    t.rig.tpm.kill();
    let told = [
        t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).map(|_| ()),
        t.p.random(session, 8).map(|_| ()),
        t.p.set_pin(session, PIN, b"other"),
    ];
    for rv in told {
        let rv = rv.unwrap_err();
        assert!(matches!(rv, CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED), "{rv:#x}");
    }
}
