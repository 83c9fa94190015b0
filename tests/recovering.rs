//! Signatures that hold their data: conformance statements 23, 43 to 45, 59, 70 to 77, 82, 83, 86 for
//! C_SignRecover and C_VerifyRecover.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

#[allow(dead_code, reason = "each test program uses a part")]
#[path = "verifying/rsa.rs"]
mod rsa;
use rsa::Rsa;

const RECOVERABLE: [CK_MECHANISM_TYPE; 2] = [CKM_RSA_PKCS, CKM_RSA_X_509];

#[test]
fn c023_what_was_signed_is_recovered_by_every_mechanism_that_says_so() {
    let s = Rsa::new();
    let p = &s.t.p;
    let mut said = Vec::new();
    for ckm in p.mechanisms(OWNER).unwrap() {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let both = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
        if flags & both == both {
            said.push(ckm);
            continue;
        }
        assert_eq!(flags & both, 0, "{ckm:#x}");
        for told in
            [s.sign_init(Mech::plain(ckm), s.private), s.verify_init(Mech::plain(ckm), s.public)]
        {
            // Without its parameter one that takes one is wrong in two ways.
            let refused = matches!(told, Err(CKR_MECHANISM_INVALID | CKR_MECHANISM_PARAM_INVALID));
            assert!(refused, "{ckm:#x}: {told:x?}");
        }
    }
    assert_eq!(said, RECOVERABLE);

    let longest = [0xff; 245];
    for data in [b"".as_slice(), b"\0", b"\xff\x00 data", &longest] {
        let signature = s.sign(CKM_RSA_PKCS, data).unwrap();
        assert_eq!(s.recover(CKM_RSA_PKCS, &signature).unwrap(), data);
        let plain = p.sign(s.session, Mech::plain(CKM_RSA_PKCS), s.private, data).unwrap();
        assert_eq!(signature, plain, "the same signature as C_Sign's");
        p.verify(s.session, Mech::plain(CKM_RSA_PKCS), s.public, data, &signature).unwrap();
    }
    let signature = s.sign(CKM_RSA_X_509, b"data").unwrap();
    let recovered = s.recover(CKM_RSA_X_509, &signature).unwrap();
    assert_eq!(recovered, [[0; 252].as_slice(), b"data"].concat(), "k bytes of data");
}

#[test]
fn c083_recoverable_data_has_its_lengths() {
    let s = Rsa::new();
    assert_eq!(s.sign(CKM_RSA_PKCS, &[1; 246]), Err(CKR_DATA_LEN_RANGE));
    assert_eq!(s.sign(CKM_RSA_X_509, &[0; 257]), Err(CKR_DATA_LEN_RANGE));
    assert_eq!(s.sign(CKM_RSA_X_509, &[0xff; 256]), Err(CKR_DATA_INVALID));
    assert_eq!(s.finish(true, b"data"), Err(CKR_OPERATION_NOT_INITIALIZED), "each ended it");
}

#[test]
fn a_block_that_no_padding_makes_gives_no_data() {
    let s = Rsa::new();
    let block = |parts: &[&[u8]]| {
        let block = parts.concat();
        assert_eq!(block.len(), 256);
        block
    };
    let invalid = Err(CKR_SIGNATURE_INVALID);
    for bad in [
        block(&[&[0, 2], &[0xff; 200], &[0], &[7; 53]]),
        block(&[&[1, 1], &[0xff; 200], &[0], &[7; 53]]),
        block(&[&[0, 1], &[0xff; 7], &[0], &[7; 246]]),
        block(&[&[0, 1], &[0], &[7; 253]]),
        block(&[&[0, 1], &[0xff; 254]]),
        block(&[&[0, 1], &[0xff; 100], &[0xfe], &[0xff; 99], &[0], &[7; 53]]),
        vec![0; 256],
    ] {
        let signature = s.sign(CKM_RSA_X_509, &bad).unwrap();
        assert_eq!(s.recover(CKM_RSA_PKCS, &signature), invalid);
    }
    let good = block(&[&[0, 1], &[0xff; 8], &[0], &[7; 245]]);
    let signature = s.sign(CKM_RSA_X_509, &good).unwrap();
    assert_eq!(s.recover(CKM_RSA_PKCS, &signature).unwrap(), [7; 245]);

    for ckm in RECOVERABLE {
        assert_eq!(s.recover(ckm, &signature[1..]), Err(CKR_SIGNATURE_LEN_RANGE));
        assert_eq!(s.recover(ckm, b""), Err(CKR_SIGNATURE_LEN_RANGE));
        assert_eq!(s.recover(ckm, &[0xff; 256]), invalid, "not below the modulus");
    }
    let mut altered = signature;
    altered[255] ^= 1;
    assert_eq!(s.recover(CKM_RSA_PKCS, &altered), invalid);
}

#[test]
fn c073_c074_c075_c076_recovering_follows_the_two_call_convention() {
    let s = Rsa::new();
    let signature = s.sign(CKM_RSA_PKCS, b"data").unwrap();
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    for (signs, input, exact) in [(true, b"data".as_slice(), 256), (false, &signature, 4)] {
        let begin = || {
            if signs { s.sign_init(rsa(), s.private) } else { s.verify_init(rsa(), s.public) }
        };
        begin().unwrap();
        assert_eq!(s.raw(signs, input, None), (CKR_OK, exact));
        let mut out = [0xaa; 300];
        let short = s.raw(signs, input, Some(&mut out[..exact - 1]));
        assert_eq!(short, (CKR_BUFFER_TOO_SMALL, exact));
        assert_eq!(out, [0xaa; 300]);
        assert_eq!(s.raw(signs, input, Some(&mut out[..exact])), (CKR_OK, exact));
        assert_eq!(out[..exact], if signs { &*signature } else { b"data" }[..]);
        assert!(out[exact..].iter().all(|byte| *byte == 0xaa));
        assert_eq!(s.raw(signs, input, None).0, CKR_OPERATION_NOT_INITIALIZED);

        let list = s.t.p.list;
        let call = if signs { list.C_SignRecover } else { list.C_VerifyRecover }.unwrap();
        let (start, len) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        begin().unwrap();
        let rv = unsafe { call(s.session, start, len, out.as_mut_ptr(), ptr::null_mut()) };
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        let mut room = 300;
        begin().unwrap();
        let rv = unsafe { call(s.session, ptr::null_mut(), 4, out.as_mut_ptr(), &mut room) };
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        assert_eq!(s.raw(signs, input, None).0, CKR_OPERATION_NOT_INITIALIZED);
    }
}

#[test]
fn a_bad_signature_is_told_before_a_buffer_that_is_too_small() {
    let s = Rsa::new();
    for room in [None, Some(0), Some(1)] {
        for (bad, told) in [(256, CKR_SIGNATURE_INVALID), (255, CKR_SIGNATURE_LEN_RANGE)] {
            s.verify_init(Mech::plain(CKM_RSA_PKCS), s.public).unwrap();
            let mut out = [0xaa; 1];
            let out = room.map(|room| &mut out[..room]);
            assert_eq!(s.raw(false, &vec![1; bad], out).0, told);
            let after = s.finish(false, &[1; 256]);
            assert_eq!(after, Err(CKR_OPERATION_NOT_INITIALIZED));
        }
    }
}

#[test]
fn c077_data_may_be_recovered_over_its_signature() {
    let s = Rsa::new();
    let signature = s.sign(CKM_RSA_PKCS, &[7; 200]).unwrap();
    for shift in [0, 5] {
        let mut memory = [0; 300];
        memory[..256].copy_from_slice(&signature);
        s.verify_init(Mech::plain(CKM_RSA_PKCS), s.public).unwrap();
        let recover = s.t.p.list.C_VerifyRecover.unwrap();
        let (start, mut len) = (memory.as_mut_ptr(), 256);
        let rv = unsafe { recover(s.session, start, 256, start.add(shift), &mut len) };
        assert_eq!((rv, len), (CKR_OK, 200));
        assert_eq!(memory[shift..shift + 200], [7; 200]);
    }
}

#[test]
fn c045_c043_c082_recovering_is_an_operation_of_its_own() {
    let s = Rsa::new();
    let (p, rsa, active) = (&s.t.p, || Mech::plain(CKM_RSA_PKCS), Err(CKR_OPERATION_ACTIVE));
    let list = p.list;
    let inits = [list.C_SignRecoverInit.unwrap(), list.C_VerifyRecoverInit.unwrap()];
    let by_null = || inits.map(|init| unsafe { init(s.session, ptr::null_mut(), 0) });
    assert_eq!(by_null(), [CKR_ARGUMENTS_BAD; 2]);
    for signs in [true, false] {
        let begin = || {
            if signs { s.sign_init(rsa(), s.private) } else { s.verify_init(rsa(), s.public) }
        };
        begin().unwrap();
        assert_eq!(s.sign_init(rsa(), s.private), active);
        assert_eq!(s.verify_init(rsa(), s.public), active);
        for (op, key) in [(Op::Sign, s.private), (Op::Decrypt, s.private), (Op::Encrypt, s.public)]
        {
            assert_eq!(p.init(op, s.session, rsa(), key), active, "{op:?}");
        }
        assert_eq!(p.init(Op::Digest, s.session, Mech::plain(CKM_SHA256), 0), active);
        assert_eq!(p.verify_init(s.session, &mut rsa(), s.public), active);
        assert_eq!(p.find_init(s.session, &[]), active);
        let (own, other) = if signs {
            (CKF_SIGN_RECOVER, CKF_VERIFY_RECOVER | CKF_SIGN)
        } else {
            (CKF_VERIFY_RECOVER, CKF_SIGN_RECOVER | CKF_VERIFY)
        };
        s.cancel(other);
        assert_eq!(begin(), active);
        s.cancel(own);
        begin().unwrap();
        let expected =
            if signs { [CKR_OK, CKR_ARGUMENTS_BAD] } else { [CKR_ARGUMENTS_BAD, CKR_OK] };
        assert_eq!(by_null(), expected);
        assert_eq!(s.raw(signs, b"data", None).0, CKR_OPERATION_NOT_INITIALIZED);
    }
    // C_Sign does not end what C_SignRecoverInit began.
    s.sign_init(rsa(), s.private).unwrap();
    let other = p.one_shot(Op::Sign, s.session, b"data");
    assert_eq!(other, Err(CKR_OPERATION_NOT_INITIALIZED));
    s.finish(true, b"data").unwrap();
    p.init(Op::Digest, s.session, Mech::plain(CKM_SHA256), 0).unwrap();
    assert_eq!(s.sign_init(rsa(), s.private), active, "no pair with a digest");
    let state = list.C_GetOperationState.unwrap();
    s.cancel(CKF_DIGEST);
    s.sign_init(rsa(), s.private).unwrap();
    let mut len = 0;
    let rv = unsafe { state(s.session, ptr::null_mut(), &mut len) };
    assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED, "a recoverable signature is not saved");
}

#[test]
fn c059_a_recoverable_signature_ends_with_the_logout() {
    let s = Rsa::new();
    s.sign_init(Mech::plain(CKM_RSA_PKCS), s.private).unwrap();
    assert_eq!(s.raw(true, b"data", None), (CKR_OK, 256));
    s.t.p.logout(s.session).unwrap();
    assert_eq!(s.finish(true, b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    s.t.p.login(s.session, CKU_USER, PIN).unwrap();
    assert_eq!(s.finish(true, b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c070_c071_c072_c086_recovering_asks_for_its_own_usage() {
    let s = Rsa::new();
    let (p, rsa) = (&s.t.p, || Mech::plain(CKM_RSA_PKCS));
    let (public, private) = rsa_pair(p, s.session, b"2", false);
    let (ec_public, ec_private) = ec_pair(p, s.session, b"3", false);
    for (handle, usage) in [(public, CKA_VERIFY_RECOVER), (private, CKA_SIGN_RECOVER)] {
        assert!(!p.get_bool(s.session, handle, usage).unwrap(), "not unless asked for");
    }
    for (mech, key, told) in [
        (rsa(), 0, CKR_KEY_HANDLE_INVALID),
        (rsa(), private, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (rsa(), s.public, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (rsa(), ec_private, CKR_KEY_TYPE_INCONSISTENT),
        (Mech::plain(CKM_ECDSA), ec_private, CKR_MECHANISM_INVALID),
        (Mech::bytes(CKM_RSA_PKCS, b"x"), s.private, CKR_MECHANISM_PARAM_INVALID),
    ] {
        assert_eq!(s.sign_init(mech, key), Err(told));
        assert_eq!(s.raw(true, b"data", None).0, CKR_OPERATION_NOT_INITIALIZED);
    }
    for (key, told) in [
        (0, CKR_KEY_HANDLE_INVALID),
        (public, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (s.private, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (ec_public, CKR_KEY_TYPE_INCONSISTENT),
    ] {
        assert_eq!(s.verify_init(rsa(), key), Err(told));
        assert_eq!(s.raw(false, b"data", None).0, CKR_OPERATION_NOT_INITIALIZED);
    }
    // A key that only recovers works without CKA_SIGN.
    let (public, private) = p
        .generate_pair(
            s.session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048), flag(CKA_VERIFY_RECOVER, true)],
            &[flag(CKA_SIGN_RECOVER, true)],
        )
        .unwrap();
    let plain = p.init(Op::Sign, s.session, rsa(), private);
    assert_eq!(plain, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    s.sign_init(rsa(), private).unwrap();
    let signature = s.finish(true, b"data").unwrap();
    s.verify_init(rsa(), public).unwrap();
    assert_eq!(s.finish(false, &signature).unwrap(), b"data");
    // An EC pair cannot.
    let made = p.generate_pair(
        s.session,
        CKM_EC_KEY_PAIR_GEN,
        &[bytes(CKA_EC_PARAMS, P256)],
        &[flag(CKA_SIGN_RECOVER, true)],
    );
    assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT));
}

#[test]
fn a_public_key_from_elsewhere_recovers_too() {
    let s = Rsa::new();
    let p = &s.t.p;
    let signature = s.sign(CKM_RSA_PKCS, b"data").unwrap();
    let number = |cka| p.get(s.session, s.public, cka).unwrap();
    let template = |usage| {
        vec![
            ulong(CKA_CLASS, CKO_PUBLIC_KEY),
            ulong(CKA_KEY_TYPE, CKK_RSA),
            bytes(CKA_MODULUS, &number(CKA_MODULUS)),
            bytes(CKA_PUBLIC_EXPONENT, &number(CKA_PUBLIC_EXPONENT)),
            flag(usage, true),
        ]
    };
    let recovers = p.create(s.session, &template(CKA_VERIFY_RECOVER)).unwrap();
    s.verify_init(Mech::plain(CKM_RSA_PKCS), recovers).unwrap();
    assert_eq!(s.finish(false, &signature).unwrap(), b"data");
    let verifies = p.create(s.session, &template(CKA_VERIFY)).unwrap();
    let refused = s.verify_init(Mech::plain(CKM_RSA_PKCS), verifies);
    assert_eq!(refused, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    // Whoever has the public key needs no login.
    p.logout(s.session).unwrap();
    assert_eq!(s.recover(CKM_RSA_PKCS, &signature).unwrap(), b"data");
}

#[test]
fn c044_an_operation_with_recovery_is_none_that_could_be_saved() {
    let s = Rsa::new();
    let save = s.t.p.list.C_GetOperationState.unwrap();
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    for signs in [true, false] {
        let begun =
            if signs { s.sign_init(rsa(), s.private) } else { s.verify_init(rsa(), s.public) };
        begun.unwrap();
        let mut len = 0;
        let rv = unsafe { save(s.session, ptr::null_mut(), &mut len) };
        assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED);
        let both = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
        assert_eq!(unsafe { s.t.p.list.C_SessionCancel.unwrap()(s.session, both) }, CKR_OK);
    }
}
