//! Profile and mechanism objects: found when they are asked for, and claimed where they are true.

mod common;

use common::certificate::CERTIFICATE;
use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

fn class(class: CK_OBJECT_CLASS) -> Attr {
    ulong(CKA_CLASS, class)
}

fn profiles(p: &P11, session: CK_SESSION_HANDLE) -> Vec<CK_ULONG> {
    let found = p.find(session, &[class(CKO_PROFILE)]);
    found.into_iter().map(|at| p.get_ulong(session, at, CKA_PROFILE_ID).unwrap()).collect()
}

const BASE: [CK_ULONG; 2] = [CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER];

#[test]
fn c112_profile_and_mechanism_objects_are_found_only_by_who_asks_for_their_class() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    assert!(p.find(session, &[]).is_empty());
    assert!(p.find(session, &[ulong(CKA_PROFILE_ID, CKP_BASELINE_PROVIDER)]).is_empty());
    let one = [class(CKO_PROFILE), ulong(CKA_PROFILE_ID, CKP_BASELINE_PROVIDER)];
    let found = p.find(session, &one);
    assert_eq!(found.len(), 1);
    assert_eq!(p.find(session, &one), found, "the same object has the same handle");
    let none = [class(CKO_PROFILE), ulong(CKA_PROFILE_ID, CKP_COMPLETE_PROVIDER)];
    assert!(p.find(session, &none).is_empty());
    let listed = p.mechanisms(OWNER).unwrap();
    let mut told: Vec<_> = p
        .find(session, &[class(CKO_MECHANISM)])
        .into_iter()
        .map(|at| p.get_ulong(session, at, CKA_MECHANISM_TYPE).unwrap())
        .collect();
    told.sort_unstable();
    let mut listed = listed;
    listed.sort_unstable();
    assert_eq!(told, listed);
}

#[test]
fn a_profile_is_claimed_where_its_conditions_are_met_and_no_longer() {
    let rig = Rig::new();
    let p = P11::start();
    let session = p.rw(OWNER);
    assert_eq!(profiles(&p, session), BASE, "of a token that is not initialised");
    p.close(session).unwrap();
    make_token(&p, OWNER);
    let session = p.rw(OWNER);
    let with = |more: &[CK_ULONG]| [&BASE[..], more].concat();
    assert_eq!(profiles(&p, session), with(&[CKP_AUTHENTICATION_TOKEN]));
    p.login(session, CKU_USER, PIN).unwrap();
    let certificate = |id: &[u8], private| {
        let template = [
            class(CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, private),
            bytes(CKA_ID, id),
            bytes(CKA_VALUE, &hex::decode(CERTIFICATE).unwrap()),
        ];
        p.create(session, &template[..]).unwrap()
    };
    certificate(b"1", false);
    assert_eq!(profiles(&p, session), with(&[CKP_AUTHENTICATION_TOKEN]), "no key of its ID");
    ec_pair(&p, session, b"1", true);
    let all = with(&[CKP_AUTHENTICATION_TOKEN, CKP_PUBLIC_CERTIFICATES_TOKEN]);
    assert_eq!(profiles(&p, session), all);
    let hidden = certificate(b"1", true);
    for _ in 0..2 {
        assert_eq!(profiles(&p, session), with(&[CKP_AUTHENTICATION_TOKEN]), "one is private");
        if p.state(session) == CKS_RW_USER_FUNCTIONS {
            p.logout(session).unwrap();
        }
    }
    p.login(session, CKU_USER, PIN).unwrap();
    let hidden = p
        .find(session, &[class(CKO_CERTIFICATE), flag(CKA_PRIVATE, true)])
        .into_iter()
        .chain([hidden])
        .next()
        .unwrap();
    p.destroy(session, hidden).unwrap();
    assert_eq!(profiles(&p, session), all);
    drop(rig);
}

#[test]
fn what_describes_the_token_is_nobodys_to_change() {
    let t = Token::new();
    let session = t.user();
    for kind in [CKO_PROFILE, CKO_MECHANISM] {
        let object = t.p.find(session, &[class(kind)])[0];
        let prohibited = Err(CKR_ACTION_PROHIBITED);
        assert_eq!(t.p.set(session, object, &[bytes(CKA_LABEL, b"x")]), prohibited);
        assert_eq!(t.p.copy(session, object, &[]).map(drop), prohibited);
        assert_eq!(t.p.destroy(session, object), prohibited);
        assert!(t.p.get(session, object, CKA_UNIQUE_ID).is_ok());
        let made = t.p.create(session, &[class(kind)]);
        assert!(matches!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID | CKR_TEMPLATE_INCONSISTENT)));
    }
}
