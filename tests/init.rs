//! Which key an operation may begin with: conformance statements 70, 71, 72, 107.

mod common;

use std::collections::BTreeSet;

use common::calls::*;
use common::fixture::*;
use common::p11::*;
use common::return_values::{name, place};
use cryptoki_sys::*;

/// Function, the flag of its mechanisms, the attribute and the class of its keys.
const BEGINNINGS: [(&str, CK_FLAGS, CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS); 4] = [
    ("C_EncryptInit", CKF_ENCRYPT, CKA_ENCRYPT, CKO_PUBLIC_KEY),
    ("C_DecryptInit", CKF_DECRYPT, CKA_DECRYPT, CKO_PRIVATE_KEY),
    ("C_SignInit", CKF_SIGN, CKA_SIGN, CKO_PRIVATE_KEY),
    ("C_VerifyInit", CKF_VERIFY, CKA_VERIFY, CKO_PUBLIC_KEY),
];

/// A hash with what is made of it: PKCS#1, PSS with its mask, ECDSA.
type Hashed = [CK_MECHANISM_TYPE; 5];
const HASHED: [Hashed; 9] = [
    [CKM_SHA_1, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKG_MGF1_SHA1, CKM_ECDSA_SHA1],
    [CKM_SHA224, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKG_MGF1_SHA224, CKM_ECDSA_SHA224],
    [CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKG_MGF1_SHA256, CKM_ECDSA_SHA256],
    [CKM_SHA384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKG_MGF1_SHA384, CKM_ECDSA_SHA384],
    [CKM_SHA512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKG_MGF1_SHA512, CKM_ECDSA_SHA512],
    [
        CKM_SHA3_224,
        CKM_SHA3_224_RSA_PKCS,
        CKM_SHA3_224_RSA_PKCS_PSS,
        CKG_MGF1_SHA3_224,
        CKM_ECDSA_SHA3_224,
    ],
    [
        CKM_SHA3_256,
        CKM_SHA3_256_RSA_PKCS,
        CKM_SHA3_256_RSA_PKCS_PSS,
        CKG_MGF1_SHA3_256,
        CKM_ECDSA_SHA3_256,
    ],
    [
        CKM_SHA3_384,
        CKM_SHA3_384_RSA_PKCS,
        CKM_SHA3_384_RSA_PKCS_PSS,
        CKG_MGF1_SHA3_384,
        CKM_ECDSA_SHA3_384,
    ],
    [
        CKM_SHA3_512,
        CKM_SHA3_512_RSA_PKCS,
        CKM_SHA3_512_RSA_PKCS_PSS,
        CKG_MGF1_SHA3_512,
        CKM_ECDSA_SHA3_512,
    ],
];

/// Of which type a mechanism's keys are, and the mechanism with a parameter; `None` for those of
/// other keys, or of none.
fn known(ckm: CK_MECHANISM_TYPE) -> Option<(CK_KEY_TYPE, Mech)> {
    let plain = |key_type| Some((key_type, Mech::plain(ckm)));
    match ckm {
        CKM_RSA_PKCS | CKM_RSA_X_509 => plain(CKK_RSA),
        CKM_ECDSA => plain(CKK_EC),
        CKM_RSA_PKCS_OAEP => Some((CKK_RSA, Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b""))),
        CKM_RSA_PKCS_PSS => Some((CKK_RSA, Mech::pss(ckm, CKM_SHA256, CKG_MGF1_SHA256, 32))),
        _ => {
            let [hash, pkcs, pss, mgf, _] = HASHED.iter().find(|row| row[1..].contains(&ckm))?;
            match ckm {
                _ if ckm == *pkcs => plain(CKK_RSA),
                _ if ckm == *pss => Some((CKK_RSA, Mech::pss(ckm, *hash, *mgf, 20))),
                _ => plain(CKK_EC),
            }
        }
    }
}

/// What the token says of a key, or `None` where there is none.
struct Told {
    class: CK_OBJECT_CLASS,
    key_type: CK_KEY_TYPE,
    usages: BTreeSet<CK_ATTRIBUTE_TYPE>,
    allowed: Vec<CK_MECHANISM_TYPE>,
}

fn told(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Option<Told> {
    let class = p.get_ulong(session, key, CKA_CLASS).ok()?;
    let key_type = p.get_ulong(session, key, CKA_KEY_TYPE).ok()?;
    let usages = BEGINNINGS.iter().map(|(_, _, usage, _)| *usage);
    let usages = usages.filter(|usage| p.get_bool(session, key, *usage) == Ok(true)).collect();
    let allowed = p.get(session, key, CKA_ALLOWED_MECHANISMS).unwrap_or_default();
    let allowed = allowed
        .chunks_exact(size_of::<CK_MECHANISM_TYPE>())
        .map(|bytes| CK_MECHANISM_TYPE::from_ne_bytes(bytes.try_into().unwrap()))
        .collect();
    Some(Told { class, key_type, usages, allowed })
}

/// Every key with every mechanism in every function: begun where the attributes allow it, and
/// refused for a reason that holds. Of a wrong type and a forbidden use, the type is told.
#[test]
fn c071_c107_every_key_with_every_mechanism_in_every_function() {
    let s = Scene::new();
    let (p, session) = (&s.t.p, s.session);
    let one_way = p
        .generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048), flag(CKA_ENCRYPT, false), flag(CKA_VERIFY, true)],
            &[flag(CKA_SIGN, true), flag(CKA_DECRYPT, false)],
        )
        .unwrap();
    let only = bytes(CKA_ALLOWED_MECHANISMS, &CKM_ECDSA_SHA256.to_ne_bytes());
    let limited = p
        .generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, P256), flag(CKA_VERIFY, true), only.clone()],
            &[flag(CKA_SIGN, true), only],
        )
        .unwrap();
    let gone = p.create(session, &data(b"gone", false, false)).unwrap();
    p.destroy(session, gone).unwrap();
    let keys = [
        s.rsa.0,
        s.rsa.1,
        s.ec.0,
        s.ec.1,
        one_way.0,
        one_way.1,
        limited.0,
        limited.1,
        s.object,
        gone,
        0,
        12_345,
        CK_OBJECT_HANDLE::MAX,
    ];
    let listed = p.mechanisms(s.t.slot).unwrap();
    let mechanisms = listed.iter().copied().chain([CKM_DES3_CBC, CKM_VENDOR_DEFINED, 0x7fff_0000]);
    let mut begun = 0;
    for ckm in mechanisms {
        let flags = p.mechanism_info(s.t.slot, ckm).map_or(0, |info| info.flags);
        let (key_type, mut mechanism) = match known(ckm) {
            Some((key_type, mechanism)) => (Some(key_type), mechanism),
            None => (None, Mech::plain(ckm)),
        };
        for (function, flag, usage, class) in BEGINNINGS {
            for key in keys {
                let what = format!("{function} of {ckm:#x} with key {key}");
                let mut raw = mechanism.raw();
                let raw = (&raw mut raw).expose_provenance();
                let rv = call(p, place(function), &[session as usize, raw, key as usize]);
                s.cancel();
                let mut reasons = Vec::new();
                if flags & flag == 0 {
                    reasons.push(CKR_MECHANISM_INVALID);
                }
                match told(p, session, key) {
                    None => reasons.push(CKR_KEY_HANDLE_INVALID),
                    Some(told) => {
                        if key_type != Some(told.key_type) {
                            reasons.push(CKR_KEY_TYPE_INCONSISTENT);
                        } else if told.class != class || !told.usages.contains(&usage) {
                            reasons.push(CKR_KEY_FUNCTION_NOT_PERMITTED);
                        }
                        if !told.allowed.is_empty() && !told.allowed.contains(&ckm) {
                            reasons.push(CKR_MECHANISM_INVALID);
                        }
                    }
                }
                // No parameter is made here for the mechanisms of other keys.
                if !reasons.is_empty() && key_type.is_none() {
                    reasons.push(CKR_MECHANISM_PARAM_INVALID);
                }
                if reasons.is_empty() {
                    reasons.push(CKR_OK);
                    begun += 1;
                }
                assert!(reasons.contains(&rv), "{what}: {}, not one of {reasons:x?}", name(rv));
            }
        }
        let mut raw = mechanism.raw();
        let raw = (&raw mut raw).expose_provenance();
        let rv = call(p, place("C_DigestInit"), &[session as usize, raw]);
        s.cancel();
        let digests = flags & CKF_DIGEST != 0;
        let told = match rv {
            CKR_OK => digests,
            CKR_MECHANISM_INVALID => !digests,
            CKR_MECHANISM_PARAM_INVALID => !digests && key_type.is_none(),
            _ => false,
        };
        assert!(told, "C_DigestInit of {ckm:#x}: {}", name(rv));
    }
    assert!(begun > 40, "{begun}");
}

#[test]
fn c070_a_key_that_cannot_be_seen_is_not_there() {
    let s = Scene::new();
    let p = &s.t.p;
    make_token(p, ENDORSEMENT);
    let elsewhere = p.rw(ENDORSEMENT);
    p.login(elsewhere, CKU_USER, PIN).unwrap();
    let begin = |session, op, ckm, key| p.init(op, session, Mech::plain(ckm), key);
    let invalid = Err(CKR_KEY_HANDLE_INVALID);
    // On another token.
    assert_eq!(begin(elsewhere, Op::Sign, CKM_ECDSA, s.ec.1), invalid);
    assert_eq!(begin(elsewhere, Op::Encrypt, CKM_RSA_PKCS, s.rsa.0), invalid);
    assert_eq!(p.get(elsewhere, s.ec.1, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
    // After a logout, and after the login that follows.
    p.logout(s.session).unwrap();
    for again in [false, true] {
        if again {
            p.login(s.session, CKU_USER, PIN).unwrap();
        }
        assert_eq!(begin(s.session, Op::Sign, CKM_ECDSA, s.ec.1), invalid);
        assert_eq!(begin(s.session, Op::Decrypt, CKM_RSA_PKCS, s.rsa.1), invalid);
        assert_eq!(p.get(s.session, s.ec.1, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
        assert_eq!(p.destroy(s.session, s.ec.1), Err(CKR_OBJECT_HANDLE_INVALID));
        let public = begin(s.session, Op::Encrypt, CKM_RSA_PKCS, s.rsa.0);
        assert_eq!(public, Ok(()), "public objects and their handles stay");
        s.cancel();
    }
}

/// Whatever a beginning fails for, nothing has begun; and what was active goes on.
#[test]
fn c072_no_failing_beginning_leaves_or_takes_an_operation() {
    let s = Scene::new();
    let (p, session) = (&s.t.p, s.session);
    let failures = || {
        [
            p.init(Op::Sign, session, Mech::plain(0x7fff_0000), s.ec.1),
            p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), s.ec.1),
            p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), s.ec.0),
            p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), 0),
            p.init(Op::Sign, session, Mech::bytes(CKM_ECDSA, b"extra"), s.ec.1),
            p.init(Op::Decrypt, session, Mech::plain(CKM_RSA_PKCS_OAEP), s.rsa.1),
            p.init(Op::Encrypt, session, Mech::plain(CKM_ECDSA), s.ec.0),
            p.init(Op::Digest, session, Mech::plain(CKM_ECDSA), 0),
            p.verify_init(session, &mut Mech::plain(CKM_ECDSA), s.ec.1),
        ]
    };
    for (at, failure) in failures().into_iter().enumerate() {
        assert!(!matches!(failure, Ok(()) | Err(CKR_OPERATION_ACTIVE)), "{at}: {failure:x?}");
    }
    for op in [Op::Sign, Op::Encrypt, Op::Decrypt, Op::Digest] {
        let ended = p.one_shot(op, session, &[1; 32]);
        assert_eq!(ended, Err(CKR_OPERATION_NOT_INITIALIZED), "{op:?}");
    }
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA_SHA256), s.ec.1).unwrap();
    p.update(Op::Sign, session, b"first, ").unwrap();
    assert!(failures().iter().all(Result::is_err));
    p.update(Op::Sign, session, b"second").unwrap();
    let signature = p.finish(Op::Sign, session).unwrap();
    let mech = Mech::plain(CKM_ECDSA_SHA256);
    p.verify(session, mech, s.ec.0, b"first, second", &signature).unwrap();
}
