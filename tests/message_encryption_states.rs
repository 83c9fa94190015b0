//! What begins, ends and outlives a message-based encryption or decryption, and what it costs.

mod common;

use common::aead::*;
use common::fixture::*;
use common::message_encryption::*;
use common::p11::*;
use cryptoki_sys::*;

const NOTHING: Rv<()> = Err(CKR_OPERATION_NOT_INITIALIZED);
const ACTIVE: CK_RV = CKR_OPERATION_ACTIVE;

fn cancel(m: &Messages<'_>, flags: CK_FLAGS) {
    // SAFETY: no pointers.
    assert_eq!(unsafe { m.p.list.C_SessionCancel.unwrap()(m.session, flags) }, CKR_OK);
}

#[test]
fn c023_what_the_flags_say_is_there() {
    let t = Token::new();
    let flags = |ckm| t.p.mechanism_info(OWNER, ckm).unwrap().flags;
    let messages = CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE;
    for ckm in [CKM_AES_GCM, CKM_AES_CCM] {
        assert_eq!(flags(ckm) & messages, messages);
    }
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    for ckm in t.p.mechanisms(OWNER).unwrap() {
        let there = flags(ckm) & (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT) != 0;
        assert_eq!(there, [CKM_AES_GCM, CKM_AES_CCM].contains(&ckm), "{ckm:#x}");
        for way in [ENCRYPT, DECRYPT] {
            let with_parameter = common::mechanisms::with_parameter;
            let mut mech = if there { Mech::plain(ckm) } else { with_parameter(ckm) };
            let begun = m.init_raw(way, &mut mech.raw(), key);
            assert_eq!(begun.is_ok(), there, "{ckm:#x}: {begun:x?}");
            if !there {
                // Of a key that is derived no parameter is made here.
                let parameter = begun == Err(CKR_MECHANISM_PARAM_INVALID);
                let derives = flags(ckm) & CKF_DERIVE != 0;
                assert!(begun == Err(CKR_MECHANISM_INVALID) || (parameter && derives), "{ckm:#x}");
            }
            cancel(&m, messages);
        }
    }
}

#[test]
fn a_process_begins_with_a_parameter_of_a_message_or_with_none() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    for mut given in Given::both(4) {
        let raw = given.raw();
        for way in [ENCRYPT, DECRYPT] {
            m.init_raw(way, &mut Mech::bytes(given.ckm, &raw).raw(), key).unwrap();
            m.finish(way).unwrap();
            for len in [1, 8, raw.len() - 8, raw.len() - 1] {
                let begun = m.init_raw(way, &mut Mech::bytes(given.ckm, &raw[..len]).raw(), key);
                assert_eq!(begun, Err(CKR_MECHANISM_PARAM_INVALID), "{len}");
            }
            assert_eq!(m.finish(way), NOTHING);
        }
    }
}

#[test]
fn c071_the_key_has_to_be_for_it() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let own = |rest: &[Attr]| {
        let base = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, &KEY),
        ];
        t.p.create(session, &[&base, rest].concat()).unwrap()
    };
    let way = |encrypts| own(&[flag(CKA_ENCRYPT, encrypts), flag(CKA_DECRYPT, !encrypts)]);
    let (encrypts, decrypts) = (way(true), way(false));
    let ctr =
        own(&[flag(CKA_ENCRYPT, true), bytes(CKA_ALLOWED_MECHANISMS, &CKM_AES_CTR.to_ne_bytes())]);
    let secret = t.p.generic_key(session, &KEY);
    let not_permitted = Err(CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, decrypts), not_permitted);
    assert_eq!(m.init(DECRYPT, CKM_AES_GCM, encrypts), not_permitted);
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, ctr), Err(CKR_MECHANISM_INVALID));
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, secret), Err(CKR_KEY_TYPE_INCONSISTENT));
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, 4711), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, encrypts), Ok(()));
    assert_eq!(m.init(ENCRYPT, CKM_AES_GCM, encrypts), Err(ACTIVE));
    assert_eq!(m.init(DECRYPT, CKM_AES_GCM, decrypts), Err(ACTIVE), "one operation at a time");
    let mech = Mech::plain(CKM_AES_ECB);
    assert_eq!(t.p.init(Op::Encrypt, session, mech, encrypts), Err(ACTIVE));
}

#[test]
fn c075_each_call_in_its_place() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let mut given = Given::gcm(16);
    let last = CKF_END_OF_MESSAGE;
    for way in [ENCRYPT, DECRYPT] {
        // Before a process.
        let whole = |given: &mut Given| m.whole_raw(way, &mut given.raw(), AAD, b"", None).0;
        assert_eq!(whole(&mut given), CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(m.begin(way, &mut given, AAD), NOTHING);
        assert_eq!(m.next_raw(way, &mut given, b"", None, 0).0, CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(m.finish(way), NOTHING);
        m.init(way, CKM_AES_GCM, key).unwrap();
        // Before a message.
        for flags in [0, last] {
            let early = m.next_raw(way, &mut given, b"data", None, flags).0;
            assert_eq!(early, CKR_OPERATION_NOT_INITIALIZED);
        }
        // Amid a message in parts another cannot begin, and it goes on.
        m.begin(way, &mut given, AAD).unwrap();
        assert_eq!(m.begin(way, &mut given, AAD), Err(ACTIVE));
        m.next(way, &mut given, b"part", false).unwrap();
        // One that is given whole ends it.
        assert_eq!(whole(&mut given), ACTIVE);
        assert_eq!(m.next_raw(way, &mut given, b"", None, last).0, CKR_OPERATION_NOT_INITIALIZED);
        // The length of a whole one was asked for: only it may go on.
        assert_eq!(whole(&mut given), CKR_OK);
        assert_eq!(m.begin(way, &mut given, AAD), Err(ACTIVE));
        assert_eq!(m.next_raw(way, &mut given, b"", None, last).0, ACTIVE);
        m.finish(way).unwrap();
        assert_eq!(m.finish(way), NOTHING);
    }
}

#[test]
fn c043_c045_a_process_is_cancelled_by_its_flag_and_without_a_mechanism() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    for (way, own, others) in [
        (ENCRYPT, CKF_MESSAGE_ENCRYPT, CKF_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_DECRYPT),
        (DECRYPT, CKF_MESSAGE_DECRYPT, CKF_DECRYPT | CKF_MESSAGE_ENCRYPT | CKF_ENCRYPT),
    ] {
        let null = std::ptr::null_mut();
        assert!(m.init_raw(way, null, 0).is_err(), "there is nothing to cancel");
        for amid in [false, true] {
            m.init(way, CKM_AES_GCM, key).unwrap();
            if amid {
                m.begin(way, &mut Given::gcm(16), AAD).unwrap();
            }
            cancel(&m, others);
            assert_eq!(m.init(way, CKM_AES_GCM, key), Err(ACTIVE), "not what was named");
            cancel(&m, own);
            assert_eq!(m.finish(way), NOTHING);
            m.init(way, CKM_AES_GCM, key).unwrap();
            m.init_raw(way, null, 0).unwrap();
            assert_eq!(m.finish(way), NOTHING);
        }
    }
}

#[test]
fn c059_a_logout_ends_what_was_begun_with_a_private_key() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let base = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        bytes(CKA_VALUE, &KEY),
        flag(CKA_ENCRYPT, true),
        flag(CKA_DECRYPT, true),
    ];
    for private in [true, false] {
        for way in [ENCRYPT, DECRYPT] {
            let template = [&base[..], &[flag(CKA_PRIVATE, private)]].concat();
            let key = t.p.create(session, &template).unwrap();
            m.init(way, CKM_AES_GCM, key).unwrap();
            m.begin(way, &mut Given::gcm(16), AAD).unwrap();
            t.p.logout(session).unwrap();
            let ended = m.finish(way);
            assert_eq!(ended, if private { NOTHING } else { Ok(()) });
            t.p.login(session, CKU_USER, PIN).unwrap();
        }
    }
}

#[test]
fn c082_the_length_is_asked_for_without_a_command_and_nothing_runs_twice() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    let data = vec![7; 2000];
    for mut given in Given::both(2000) {
        let gcm = given.ckm == CKM_AES_GCM;
        let mut raw = given.raw();
        m.init(ENCRYPT, given.ckm, key).unwrap();
        let mut sealed = vec![0; 2000];
        // GHASH's key is fetched once in a process.
        for commands in if gcm { [3, 2, 2] } else { [5, 5, 5] } {
            proxy.reset();
            let (rv, len) = m.whole_raw(ENCRYPT, &mut raw, AAD, &data, None);
            assert_eq!((rv, len), (CKR_OK, 2000));
            let short = m.whole_raw(ENCRYPT, &mut raw, AAD, &data, Some(&mut sealed[..1999]));
            assert_eq!(short, (CKR_BUFFER_TOO_SMALL, 2000));
            assert_eq!(proxy.commands().len(), 0);
            assert!(given.tag.iter().all(|byte| *byte == 0), "no tag for a query");
            let made = m.whole_raw(ENCRYPT, &mut raw, AAD, &data, Some(&mut sealed));
            assert_eq!(made, (CKR_OK, 2000));
            assert_eq!(proxy.commands().len(), commands);
            assert_eq!([&sealed[..], &given.tag].concat(), given.expected(AAD, &data));
            let tag = given.tag.clone();
            given.tag.fill(0);
            assert!(tag.iter().any(|byte| *byte != 0));
        }
        m.whole_raw(ENCRYPT, &mut raw, AAD, &data, Some(&mut sealed));
        m.finish(ENCRYPT).unwrap();
        m.init(DECRYPT, given.ckm, key).unwrap();
        m.begin(DECRYPT, &mut given, AAD).unwrap();
        proxy.reset();
        assert_eq!(m.next(DECRYPT, &mut given, &sealed[..1500], false).unwrap(), b"");
        let mut out = vec![0; 2000];
        for _ in 0..2 {
            let rest = &sealed[1500..];
            let query = m.next_raw(DECRYPT, &mut given, rest, None, CKF_END_OF_MESSAGE);
            assert_eq!(query, (CKR_OK, 2000));
            let room = Some(&mut out[..1999]);
            let short = m.next_raw(DECRYPT, &mut given, rest, room, CKF_END_OF_MESSAGE);
            assert_eq!(short, (CKR_BUFFER_TOO_SMALL, 2000));
        }
        assert_eq!(proxy.commands().len(), 0, "nothing is decrypted before the tag is known");
        let opened =
            m.next_raw(DECRYPT, &mut given, &sealed[1500..], Some(&mut out), CKF_END_OF_MESSAGE);
        assert_eq!((opened, &out), ((CKR_OK, 2000), &data));
        assert_eq!(proxy.commands().len(), if gcm { 3 } else { 5 });
        m.finish(DECRYPT).unwrap();
    }
}

#[test]
fn c085_plaintext_and_ciphertext_may_be_the_same_memory() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let data: Vec<u8> = (0..100).collect();
    let mut given = Given::gcm(16);
    let mut memory = data.clone();
    let at = memory.as_mut_ptr();
    let mut raw = given.raw();
    for way in [ENCRYPT, DECRYPT] {
        m.init(way, CKM_AES_GCM, key).unwrap();
        let list = t.p.list;
        let call = if way { list.C_EncryptMessage } else { list.C_DecryptMessage }.unwrap();
        let mut len = 100;
        let parameter = (raw.as_mut_ptr().cast(), raw.len() as CK_ULONG);
        // SAFETY: one place for both, as the standard allows.
        let rv = unsafe {
            call(
                session,
                parameter.0,
                parameter.1,
                AAD.as_ptr().cast_mut(),
                10,
                at,
                100,
                at,
                &mut len,
            )
        };
        assert_eq!((rv, len), (CKR_OK, 100));
        m.finish(way).unwrap();
        // SAFETY: 100 bytes of this function's memory.
        let now = unsafe { std::slice::from_raw_parts(at, 100) };
        if way == ENCRYPT {
            assert_eq!([now, &given.tag].concat(), other_gcm(&KEY, NONCE, AAD, &data));
        } else {
            assert_eq!(now, data);
        }
    }
}
