//! Message-based signing and verifying: conformance statements 23, 43, 45, 59, 70 to 76, 81, 82,
//! 84 to 86 for its ten functions.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;
#[path = "messages/signer.rs"]
mod signer;

use std::ptr;

use common::fixture::*;
use common::mechanisms::{HMAC, with_parameter};
use common::p11::*;
use common::tpm_proxy::Action;
use cryptoki_sys::*;
use signer::*;

const SHA256_RSA: CK_MECHANISM_TYPE = CKM_SHA256_RSA_PKCS;

#[test]
fn c023_c084_every_mechanism_that_signs_signs_messages_whole_and_those_that_hash_in_parts() {
    let s = Signer::rsa();
    let (p, m) = (&s.t.p, s.messages());
    let ec = ec_pair(p, s.session, b"2", false);
    let (aes, secret) = (p.aes_key(s.session, &[3; 16]), p.generic_key(s.session, &[3; 16]));
    let data = [7; 32];
    let (mut whole, mut in_parts) = (0, 0);
    for ckm in p.mechanisms(OWNER).unwrap() {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let can = |flag| flags & flag != 0;
        let (public, private) = match ckm {
            CKM_AES_CMAC | CKM_AES_CMAC_GENERAL | CKM_AES_GMAC => (aes, aes),
            _ if HMAC.contains(&ckm) => (secret, secret),
            _ if can(CKF_EC_F_P) => ec,
            _ => (s.public, s.private),
        };
        let mech = || with_parameter(ckm);
        if !can(CKF_MESSAGE_SIGN) {
            // Its parameter is a nonce, which is for one message only.
            let signs = if ckm == CKM_AES_GMAC { 0 } else { CKF_SIGN };
            assert!(!can(signs | CKF_MESSAGE_VERIFY), "{ckm:#x}");
            assert_eq!(can(CKF_MULTI_MESSAGE), can(CKF_MESSAGE_ENCRYPT), "{ckm:#x}");
            // Without its parameter one that takes a structure with pointers is wrong in two ways.
            let refused =
                |rv| matches!(rv, Err(CKR_MECHANISM_INVALID | CKR_MECHANISM_PARAM_INVALID));
            assert!(refused(m.sign_init(mech(), private)), "{ckm:#x}");
            assert!(refused(m.verify_init(mech(), public)), "{ckm:#x}");
            continue;
        }
        assert!(can(CKF_SIGN) && can(CKF_MESSAGE_VERIFY), "{ckm:#x}");
        whole += 1;
        m.sign_init(mech(), private).unwrap();
        let mut signatures = vec![m.sign(&data).unwrap(), m.sign(&data).unwrap()];
        if can(CKF_MULTI_MESSAGE) {
            in_parts += 1;
            for split in [0, 1, 31, 32] {
                m.begin().unwrap();
                m.next(&data[..split]).unwrap();
                m.next(b"").unwrap();
                signatures.push(m.last(&data[split..]).unwrap());
            }
        } else {
            assert_eq!(m.begin(), Err(CKR_FUNCTION_NOT_SUPPORTED), "{ckm:#x}");
            signatures.push(m.sign(&data).unwrap());
        }
        m.sign_final().unwrap();
        for signature in &signatures {
            p.verify(s.session, mech(), public, &data, signature).unwrap();
        }

        m.verify_init(mech(), public).unwrap();
        for signature in &signatures {
            m.verify(&data, signature).unwrap();
            let mut altered = signature.clone();
            *altered.last_mut().unwrap() ^= 1;
            assert_eq!(m.verify(&data, &altered), Err(CKR_SIGNATURE_INVALID), "{ckm:#x}");
            if !can(CKF_MULTI_MESSAGE) {
                assert_eq!(m.verify_begin(), Err(CKR_FUNCTION_NOT_SUPPORTED), "{ckm:#x}");
                continue;
            }
            for (good, signature) in [(false, &altered), (true, signature)] {
                m.verify_begin().unwrap();
                m.verify_next(&data[..5]).unwrap();
                let expected = if good { Ok(()) } else { Err(CKR_SIGNATURE_INVALID) };
                assert_eq!(m.verify_last(&data[5..], signature), expected, "{ckm:#x}");
            }
        }
        m.verify_final().unwrap();
    }
    assert!(whole > 20 && in_parts > 20 && whole > in_parts, "{whole} whole, {in_parts} in parts");
}

#[test]
fn a_message_that_fails_ends_and_the_process_goes_on() {
    let s = Signer::rsa();
    let m = s.signing(CKM_RSA_PKCS);
    let expected = s_of(&s, CKM_RSA_PKCS, b"data");
    let null = ptr::null_mut::<u8>();
    let sign = s.t.p.list.C_SignMessage.unwrap();
    let mut out = [0xaa; 256];
    let mut data = *b"data";
    for round in 0..5 {
        assert_eq!(m.sign(b"data").unwrap(), expected, "{round}");
        let mut len = 256;
        let told = match round {
            0 => m.sign(&[1; 246]).unwrap_err(),
            1 => unsafe { sign(m.session, null.cast(), 0, null, 5, out.as_mut_ptr(), &mut len) },
            2 => unsafe {
                let (data, out) = (data.as_mut_ptr(), out.as_mut_ptr());
                sign(m.session, null.cast(), 0, data, 4, out, ptr::null_mut())
            },
            3 => unsafe {
                let (data, out) = (data.as_mut_ptr(), out.as_mut_ptr());
                sign(m.session, data.cast(), 4, data, 4, out, &mut len)
            },
            _ => unsafe {
                let (data, out) = (data.as_mut_ptr(), out.as_mut_ptr());
                sign(m.session, null.cast(), 4, data, 4, out, &mut len)
            },
        };
        let expected = [
            CKR_DATA_LEN_RANGE,
            CKR_ARGUMENTS_BAD,
            CKR_ARGUMENTS_BAD,
            CKR_MECHANISM_PARAM_INVALID,
            CKR_MECHANISM_PARAM_INVALID,
        ];
        assert_eq!(told, expected[round]);
        assert_eq!(out, [0xaa; 256]);
    }
    m.sign_final().unwrap();
    assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(m.sign_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
}

/// As `Signer::signature`, in a session of its own.
fn s_of(s: &Signer, ckm: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
    let other = s.t.p.ro(s.t.slot);
    s.t.p.sign(other, Mech::plain(ckm), s.private, data).unwrap()
}

#[test]
fn a_part_that_fails_ends_its_message_and_nothing_of_it_is_in_the_next() {
    let s = Signer::rsa();
    let m = s.signing(SHA256_RSA);
    let next = s.t.p.list.C_SignMessageNext.unwrap();
    let null = ptr::null_mut::<u8>();
    let expected = s_of(&s, SHA256_RSA, b"good");
    for bad in 0..3 {
        m.begin().unwrap();
        m.next(b"lost").unwrap();
        let mut parameter = [0_u8; 2];
        let told = match bad {
            0 => unsafe { next(m.session, null.cast(), 0, null, 5, null, null.cast()) },
            1 => unsafe {
                let parameter = parameter.as_mut_ptr();
                next(m.session, parameter.cast(), 2, null, 0, null, null.cast())
            },
            _ => m.sign(b"amid").unwrap_err(),
        };
        let expected_rv =
            [CKR_ARGUMENTS_BAD, CKR_MECHANISM_PARAM_INVALID, CKR_OPERATION_ACTIVE][bad];
        assert_eq!(told, expected_rv);
        assert_eq!(m.next(b"more"), Err(CKR_OPERATION_NOT_INITIALIZED), "{bad}");
        assert_eq!(m.last(b"more"), Err(CKR_OPERATION_NOT_INITIALIZED), "{bad}");
        m.begin().unwrap();
        m.next(b"go").unwrap();
        assert_eq!(m.last(b"od").unwrap(), expected, "{bad}");
    }
}

#[test]
fn a_message_that_the_tpm_fails_at_can_be_signed_again() {
    let (rig, proxy) = Rig::tapped();
    let s = Signer::on(Token::on(rig, OWNER));
    let m = s.signing(SHA256_RSA);
    let expected = m.sign(b"data").unwrap();
    // TPM_RC_FAILURE, whatever is asked.
    proxy.set_hook(|_| Action::Answer(vec![0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1]));
    assert!(m.sign(b"data").is_err());
    m.begin().unwrap();
    assert!(m.last(b"data").is_err());
    assert_eq!(m.last(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    proxy.clear_hook();
    assert_eq!(m.sign(b"data").unwrap(), expected);
    m.sign_final().unwrap();
}

#[test]
fn a_message_costs_one_command_and_verifying_none() {
    const FLUSH_CONTEXT: u32 = 0x165;
    const RC_RETRY: u32 = 0x922;
    let (rig, proxy) = Rig::tapped();
    let s = Signer::on(Token::on(rig, OWNER));
    let m = s.signing(SHA256_RSA);
    m.sign(b"the key is loaded").unwrap();
    let counted = || {
        let commands = proxy.commands();
        proxy.reset();
        commands.iter().filter(|(code, rc)| *code != FLUSH_CONTEXT && *rc != RC_RETRY).count()
    };
    counted();
    let signature = m.sign(b"data").unwrap();
    assert_eq!(counted(), 1);
    m.begin().unwrap();
    m.next(b"da").unwrap();
    assert_eq!(m.sign_raw(true, b"ta", None), (CKR_OK, 256));
    assert_eq!(counted(), 0);
    m.last(b"ta").unwrap();
    assert_eq!(counted(), 1);
    m.sign_final().unwrap();
    let m = s.verifying(SHA256_RSA);
    m.verify(b"data", &signature).unwrap();
    m.verify_final().unwrap();
    assert_eq!(counted(), 0);
}

#[test]
fn c073_c074_c075_a_length_query_and_a_short_buffer_keep_the_message() {
    let s = Signer::rsa();
    let expected = s.signature(SHA256_RSA, b"one message");
    let m = s.signing(SHA256_RSA);
    for next in [false, true] {
        let data: &[u8] = if next { b" message" } else { b"one message" };
        if next {
            m.begin().unwrap();
            m.next(b"one").unwrap();
        }
        assert_eq!(m.sign_raw(next, data, None), (CKR_OK, 256));
        let mut out = [0xaa; 300];
        let short = m.sign_raw(next, data, Some(&mut out[..255]));
        assert_eq!(short, (CKR_BUFFER_TOO_SMALL, 256));
        assert_eq!(out, [0xaa; 300]);
        assert_eq!(m.begin(), Err(CKR_OPERATION_ACTIVE), "the message waits for its buffer");
        assert_eq!(m.sign_raw(next, data, Some(&mut out[..256])), (CKR_OK, 256));
        assert_eq!(out[..256], expected, "the part was taken once");
        assert_eq!(out[256..], [0xaa; 44]);
    }
    m.sign_final().unwrap();
}

#[test]
fn c073_parts_may_follow_a_length_query_of_the_last_part() {
    let s = Signer::rsa();
    let expected = s.signature(SHA256_RSA, b"one message");
    let m = s.signing(SHA256_RSA);
    m.begin().unwrap();
    assert_eq!(m.sign_raw(true, b"", None), (CKR_OK, 256));
    m.next(b"one message").unwrap();
    assert_eq!(m.last(b"").unwrap(), expected);
}

#[test]
fn c077_a_signature_may_be_written_over_its_message() {
    let s = Signer::rsa();
    let expected = s.signature(SHA256_RSA, &[7; 300]);
    let m = s.signing(SHA256_RSA);
    for (shift, next) in [(0, false), (3, false), (0, true), (3, true)] {
        let mut memory = [7_u8; 300];
        if next {
            m.begin().unwrap();
        }
        let list = s.t.p.list;
        let call = if next { list.C_SignMessageNext } else { list.C_SignMessage }.unwrap();
        let (data, mut len) = (memory.as_mut_ptr(), 256);
        let rv =
            unsafe { call(m.session, ptr::null_mut(), 0, data, 300, data.add(shift), &mut len) };
        assert_eq!((rv, len), (CKR_OK, 256));
        assert_eq!(memory[shift..shift + 256], expected);
    }
}

#[test]
fn c079_messages_whole_and_in_parts_do_not_mix() {
    let s = Signer::rsa();
    let expected = s.signature(SHA256_RSA, b"data");
    let m = s.signing(SHA256_RSA);
    assert_eq!(m.next(b"x"), Err(CKR_OPERATION_NOT_INITIALIZED), "no message was begun");
    assert_eq!(m.sign_raw(true, b"x", None).0, CKR_OPERATION_NOT_INITIALIZED);

    m.begin().unwrap();
    m.next(b"da").unwrap();
    assert_eq!(m.begin(), Err(CKR_OPERATION_ACTIVE));
    assert_eq!(m.last(b"ta").unwrap(), expected, "the message outlived the second begin");

    m.begin().unwrap();
    assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_ACTIVE), "begun, though nothing came yet");
    assert_eq!(m.last(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED), "which ended it");

    assert_eq!(m.sign_raw(false, b"data", None), (CKR_OK, 256));
    assert_eq!(m.next(b"data"), Err(CKR_OPERATION_ACTIVE), "its length was asked for whole");
    assert_eq!(m.sign(b"data").unwrap(), expected);

    m.begin().unwrap();
    m.next(b"not done").unwrap();
    m.sign_final().unwrap();
    assert_eq!(m.last(b""), Err(CKR_OPERATION_NOT_INITIALIZED), "the process ended in its midst");
}

#[test]
fn c081_a_verification_ends_its_message_whatever_it_says() {
    let s = Signer::rsa();
    let signature = s.signature(SHA256_RSA, b"data");
    let m = s.verifying(SHA256_RSA);
    assert_eq!(m.verify(b"data", &signature[1..]), Err(CKR_SIGNATURE_LEN_RANGE));
    assert_eq!(m.verify(b"date", &signature), Err(CKR_SIGNATURE_INVALID));
    assert_eq!(m.verify(b"data", b""), Err(CKR_SIGNATURE_LEN_RANGE));
    assert_eq!(m.verify_raw(false, b"data", (ptr::null(), 256)), Err(CKR_ARGUMENTS_BAD));
    m.verify(b"data", &signature).unwrap();

    assert_eq!(m.verify_next(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    for (given, told) in
        [(&signature[1..], CKR_SIGNATURE_LEN_RANGE), (b"", CKR_SIGNATURE_LEN_RANGE)]
    {
        m.verify_begin().unwrap();
        assert_eq!(m.verify_last(b"data", given), Err(told));
        assert_eq!(m.verify_last(b"data", &signature), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    m.verify_begin().unwrap();
    m.verify_next(b"da").unwrap();
    // No signature, but a length of one: it must not look verified.
    let lost = m.verify_raw(true, b"ta", (ptr::null(), 256));
    assert_eq!(lost, Err(CKR_ARGUMENTS_BAD));
    assert_eq!(m.verify_next(b""), Err(CKR_OPERATION_NOT_INITIALIZED));

    m.verify_begin().unwrap();
    assert_eq!(m.verify_begin(), Err(CKR_OPERATION_ACTIVE));
    m.verify_next(b"da").unwrap();
    m.verify_last(b"ta", &signature).unwrap();
    m.verify_begin().unwrap();
    assert_eq!(m.verify(b"data", &signature), Err(CKR_OPERATION_ACTIVE));
    m.verify(b"data", &signature).unwrap();
    m.verify_final().unwrap();
    assert_eq!(m.verify(b"data", &signature), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(m.verify_begin(), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(m.verify_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c082_an_init_without_mechanism_cancels_the_process() {
    let s = Signer::rsa();
    let m = s.messages();
    assert_eq!(m.cancel_by_init(), [CKR_ARGUMENTS_BAD; 2]);
    s.signing(SHA256_RSA).begin().unwrap();
    assert_eq!(m.cancel_by_init(), [CKR_OK, CKR_ARGUMENTS_BAD]);
    assert_eq!(m.last(b""), Err(CKR_OPERATION_NOT_INITIALIZED));
    s.verifying(SHA256_RSA);
    assert_eq!(m.cancel_by_init(), [CKR_ARGUMENTS_BAD, CKR_OK]);
    assert_eq!(m.verify_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c043_message_flags_cancel_the_processes_and_nothing_else() {
    let s = Signer::rsa();
    let m = s.signing(SHA256_RSA);
    m.begin().unwrap();
    m.cancel(CKF_SIGN | CKF_VERIFY | CKF_MESSAGE_VERIFY | CKF_MESSAGE_ENCRYPT | CKF_DIGEST);
    m.last(b"data").unwrap();
    m.cancel(CKF_MESSAGE_SIGN);
    assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    s.verifying(SHA256_RSA);
    m.cancel(CKF_MESSAGE_SIGN | CKF_VERIFY);
    m.verify_begin().unwrap();
    m.cancel(CKF_MESSAGE_VERIFY);
    assert_eq!(m.verify_next(b""), Err(CKR_OPERATION_NOT_INITIALIZED));
    s.t.p.init(Op::Sign, s.session, Mech::plain(CKM_RSA_PKCS), s.private).unwrap();
    m.cancel(CKF_MESSAGE_SIGN);
    s.t.p.one_shot(Op::Sign, s.session, b"data").unwrap();
}

#[test]
fn c045_a_message_process_is_alone_in_its_session() {
    let s = Signer::rsa();
    let (p, session, m) = (&s.t.p, s.session, s.messages());
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    let active = Err(CKR_OPERATION_ACTIVE);
    for signs in [true, false] {
        if signs {
            s.signing(CKM_RSA_PKCS)
        } else {
            s.verifying(CKM_RSA_PKCS)
        };
        assert_eq!(m.sign_init(rsa(), s.private), active);
        assert_eq!(m.verify_init(rsa(), s.public), active);
        for (op, key) in [(Op::Sign, s.private), (Op::Decrypt, s.private), (Op::Encrypt, s.public)]
        {
            assert_eq!(p.init(op, session, rsa(), key), active, "{op:?}");
        }
        assert_eq!(p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0), active);
        assert_eq!(p.verify_init(session, &mut rsa(), s.public), active);
        assert_eq!(p.find_init(session, &[]), active);
        if signs { m.sign_final() } else { m.verify_final() }.unwrap();
    }
    for (op, key) in [(Op::Sign, s.private), (Op::Decrypt, s.private), (Op::Encrypt, s.public)] {
        p.init(op, session, rsa(), key).unwrap();
        assert_eq!(m.sign_init(rsa(), s.private), active, "beside {op:?}");
        assert_eq!(m.verify_init(rsa(), s.public), active, "beside {op:?}");
        p.one_shot(op, session, &[7; 256][..if op == Op::Decrypt { 256 } else { 9 }]).unwrap();
    }
    p.find_init(session, &[]).unwrap();
    assert_eq!(m.sign_init(rsa(), s.private), active);
    p.find_final(session).unwrap();
    s.signing(CKM_RSA_PKCS).sign_final().unwrap();
}

#[test]
fn c059_signing_messages_with_a_private_key_ends_with_the_logout() {
    let s = Signer::rsa();
    let other = s.t.p.rw(s.t.slot);
    let m = s.signing(SHA256_RSA);
    m.begin().unwrap();
    m.next(b"da").unwrap();
    let v = Messages { p: &s.t.p, session: other };
    v.verify_init(Mech::plain(SHA256_RSA), s.public).unwrap();
    s.t.p.logout(other).unwrap();
    assert_eq!(m.last(b"ta"), Err(CKR_OPERATION_NOT_INITIALIZED));
    s.t.p.login(other, CKU_USER, PIN).unwrap();
    assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(m.sign_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
    // The public key is no private object: its process goes on.
    assert_eq!(v.verify(b"data", &[0; 256]), Err(CKR_SIGNATURE_INVALID));
    v.verify_final().unwrap();
}

#[test]
fn c070_c071_c072_c086_a_failing_init_leaves_nothing_active() {
    let s = Signer::rsa();
    let (p, m) = (&s.t.p, s.messages());
    let (_, ec) = ec_pair(p, s.session, b"2", false);
    let (public, private) = (vec![ulong(CKA_MODULUS_BITS, 2048)], vec![flag(CKA_DECRYPT, true)]);
    let (mute, silent) = p
        .generate_pair(
            s.session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[public, vec![flag(CKA_ENCRYPT, true)]].concat(),
            &private,
        )
        .unwrap();
    let rsa = || Mech::plain(CKM_RSA_PKCS);
    for (mech, key, told) in [
        (rsa(), 0, CKR_KEY_HANDLE_INVALID),
        (rsa(), 12_345, CKR_KEY_HANDLE_INVALID),
        (rsa(), s.public, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (rsa(), silent, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (rsa(), ec, CKR_KEY_TYPE_INCONSISTENT),
        (Mech::plain(CKM_SHA256), s.private, CKR_MECHANISM_INVALID),
        (Mech::plain(0x8000_0001), s.private, CKR_MECHANISM_INVALID),
        (Mech::bytes(CKM_RSA_PKCS, b"x"), s.private, CKR_MECHANISM_PARAM_INVALID),
        (Mech::plain(CKM_RSA_PKCS_PSS), s.private, CKR_MECHANISM_PARAM_INVALID),
    ] {
        assert_eq!(m.sign_init(mech, key), Err(told));
        assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    for (key, told) in [
        (0, CKR_KEY_HANDLE_INVALID),
        (s.private, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (mute, CKR_KEY_FUNCTION_NOT_PERMITTED),
    ] {
        assert_eq!(m.verify_init(rsa(), key), Err(told));
        assert_eq!(m.verify(b"data", b""), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    s.signing(CKM_RSA_PKCS).sign_final().unwrap();
}

#[test]
fn c042_two_threads_in_one_process_of_messages_never_mix_them() {
    let s = Signer::rsa();
    s.signing(SHA256_RSA);
    let expected = [s_of(&s, SHA256_RSA, b"message 0"), s_of(&s, SHA256_RSA, b"message 1")];
    let m = s.messages();
    std::thread::scope(|scope| {
        for (number, expected) in expected.iter().enumerate() {
            let (p, session) = (m.p, m.session);
            scope.spawn(move || {
                let m = Messages { p, session };
                let data = format!("message {number}");
                for _ in 0..20 {
                    assert_eq!(&m.sign(data.as_bytes()).unwrap(), expected);
                }
            });
        }
    });
    m.sign_final().unwrap();
}
