//! Every mechanism that is listed works, and no other: conformance statement 23.

mod common;

use common::fixture::*;
use common::mechanisms::*;
use common::p11::*;
use cryptoki_sys::*;

#[test]
fn c023_every_listed_mechanism_does_what_its_flags_say_and_nothing_else() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let rsa = rsa_pair(p, session, b"1", false);
    let ec = ec_pair(p, session, b"2", false);
    let aes = p.aes_key(session, &[0x33; 16]);
    let secret = p.generic_key(session, &[0x33; 16]);
    let listed = p.mechanisms(OWNER).unwrap();
    assert!(listed.len() > 40, "{} mechanisms", listed.len());
    for ckm in listed {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let (public, private) = match ckm {
            _ if AES.contains(&ckm) => (aes, aes),
            _ if HMAC.contains(&ckm) => (secret, secret),
            _ if flags & CKF_EC_F_P != 0 => ec,
            _ => rsa,
        };
        let mech = || with_parameter(ckm);
        // A digest's length, for the mechanisms that take one.
        let data = [7u8; 32];
        let can = |flag| flags & flag != 0;
        // Without its parameter one that takes a structure with pointers is wrong in two ways.
        let derives = flags & (CKF_DERIVE | CKF_SIGN | CKF_ENCRYPT) == CKF_DERIVE;
        let refused = Some(if derives && !DIGESTING.contains(&ckm) {
            CKR_MECHANISM_PARAM_INVALID
        } else {
            CKR_MECHANISM_INVALID
        });

        if can(CKF_SIGN) {
            assert!(can(CKF_VERIFY) && can(CKF_HW), "{ckm:#x}");
            let signature = p.sign(session, mech(), private, &data).unwrap();
            p.verify(session, mech(), public, &data, &signature).unwrap();
        } else {
            assert_eq!(p.init(Op::Sign, session, mech(), private).err(), refused, "{ckm:#x}");
            let rv = p.verify_init(session, &mut mech(), public);
            assert_eq!(rv.err(), refused, "{ckm:#x}");
        }
        if can(CKF_DECRYPT) {
            assert!(can(CKF_ENCRYPT) && can(CKF_HW), "{ckm:#x}");
            let secret = p.encrypt(session, mech(), public, &data).unwrap();
            let plain = p.decrypt(session, mech(), private, &secret).unwrap();
            assert!(plain.ends_with(&data), "{ckm:#x}");
        } else {
            assert_eq!(p.init(Op::Decrypt, session, mech(), private).err(), refused, "{ckm:#x}");
            assert_eq!(p.init(Op::Encrypt, session, mech(), public).err(), refused, "{ckm:#x}");
        }
        if can(CKF_DIGEST) {
            assert!(!can(CKF_HW), "{ckm:#x}: digests are software");
            assert!(p.digest(session, ckm, &data).unwrap().len() >= 20);
        } else {
            assert_eq!(p.init(Op::Digest, session, mech(), 0).err(), refused, "{ckm:#x}");
        }
        let makes = p.generate_key(session, ckm, &[ulong(CKA_VALUE_LEN, 16)]);
        assert_eq!(makes.is_ok(), can(CKF_GENERATE), "{ckm:#x}: {makes:x?}");
        let makes = p.generate_pair(
            session,
            ckm,
            &[if can(CKF_EC_F_P) {
                bytes(CKA_EC_PARAMS, P256)
            } else {
                ulong(CKA_MODULUS_BITS, 2048)
            }],
            &[flag(CKA_SIGN, true)],
        );
        assert_eq!(makes.is_ok(), can(CKF_GENERATE_KEY_PAIR), "{ckm:#x}: {makes:x?}");
        if makes.is_err() {
            // Without its parameter one that takes one is wrong in two ways.
            let said = makes.err();
            assert!(said == refused || said == Some(CKR_MECHANISM_PARAM_INVALID), "{ckm:#x}");
        }
    }
    for unlisted in [CKM_AES_XTS, CKM_MD5_HMAC, CKM_ECMQV_DERIVE, CKM_DSA, 0x8000_0001] {
        assert_eq!(p.mechanism_info(OWNER, unlisted).err(), Some(CKR_MECHANISM_INVALID));
        for op in [Op::Sign, Op::Decrypt, Op::Encrypt, Op::Digest] {
            let rv = p.init(op, session, Mech::plain(unlisted), rsa.1);
            assert!(
                matches!(rv, Err(CKR_MECHANISM_INVALID | CKR_KEY_FUNCTION_NOT_PERMITTED)),
                "{unlisted:#x}: {rv:x?}"
            );
        }
    }
}

#[test]
fn rsa_3072_signs_and_decrypts() {
    let t = Token::new();
    let session = t.user();
    let (public, private) =
        t.p.generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 3072), flag(CKA_ENCRYPT, true), flag(CKA_VERIFY, true)],
            &[flag(CKA_SIGN, true), flag(CKA_DECRYPT, true)],
        )
        .unwrap();
    assert_eq!(t.p.get(session, public, CKA_MODULUS).unwrap().len(), 384);
    let pss = || Mech::pss(CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48);
    let signature = t.p.sign(session, pss(), private, b"data").unwrap();
    t.p.verify(session, pss(), public, b"data", &signature).unwrap();
    let oaep = || Mech::oaep(CKM_SHA512, CKG_MGF1_SHA512, b"label");
    let secret = t.p.encrypt(session, oaep(), public, b"secret").unwrap();
    assert_eq!(t.p.decrypt(session, oaep(), private, &secret).unwrap(), b"secret");
}

#[test]
fn c017_the_set_of_slots_never_changes() {
    let t = Token::new();
    let before = t.p.slots(false).unwrap();
    make_token(&t.p, NULL);
    t.rig.tpm.kill();
    assert_eq!(t.p.slots(false).unwrap(), before);
}

#[test]
fn c084_one_shot_and_every_split_give_the_same() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = rsa_pair(&t.p, session, b"1", false);
    let data: Vec<u8> = (0..97).collect();
    // PKCS #1 v1.5 signatures and digests are the same each time.
    let mech = || Mech::plain(CKM_SHA256_RSA_PKCS);
    let signature = t.p.sign(session, mech(), private, &data).unwrap();
    let digest = t.p.digest(session, CKM_SHA512, &data).unwrap();
    for split in 0..=data.len() {
        let (first, second) = data.split_at(split);
        for (op, mech, key, whole) in [
            (Op::Sign, mech(), private, &signature),
            (Op::Digest, Mech::plain(CKM_SHA512), 0, &digest),
        ] {
            t.p.init(op, session, mech, key).unwrap();
            t.p.update(op, session, first).unwrap();
            t.p.update(op, session, second).unwrap();
            assert_eq!(&t.p.finish(op, session).unwrap(), whole, "split at {split}");
        }
        t.p.verify_parts(session, mech(), public, &[first, second], &signature).unwrap();
    }
}

#[test]
fn c081_a_verification_always_ends_its_operation() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let mech = || Mech::plain(CKM_ECDSA_SHA256);
    let good = t.p.sign(session, mech(), private, b"data").unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    for (signature, said) in [
        (&good[..], Ok(())),
        (&good[1..], Err(CKR_SIGNATURE_LEN_RANGE)),
        (&bad, Err(CKR_SIGNATURE_INVALID)),
    ] {
        assert_eq!(t.p.verify(session, mech(), public, b"data", signature), said);
        // Another can begin each time: the last is over.
        let parts = t.p.verify_parts(session, mech(), public, &[b"da", b"ta"], signature);
        assert_eq!(parts, said);
    }
    t.p.verify_init(session, &mut mech(), public).unwrap();
    let second = t.p.verify_init(session, &mut mech(), public);
    assert_eq!(second, Err(CKR_OPERATION_ACTIVE), "one that was not finished is not over");
}

#[test]
fn c067_what_is_wrong_with_the_session_is_told_before_what_is_wrong_with_the_token() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", false);
    t.rig.tpm.kill();
    let sign = |session| t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]);
    assert_eq!(sign(session + 99), Err(CKR_SESSION_HANDLE_INVALID));
    let gone = sign(session);
    assert!(matches!(gone, Err(CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED)), "{gone:x?}");
    // Of a token: that it is not there, before that it is not initialised.
    assert_eq!(t.p.init_token(NULL, SO_PIN, "x"), Err(CKR_TOKEN_NOT_PRESENT));
    assert_eq!(t.p.token_info(NULL).err(), Some(CKR_TOKEN_NOT_PRESENT));
}
