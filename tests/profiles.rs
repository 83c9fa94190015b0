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

/// A certificate in shape only, of the key in `public_key_info`.
fn certificate_of(public_key_info: &[u8]) -> Vec<u8> {
    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len()).unwrap();
        let long: &[u8] = if len < 0x80 { &[] } else { &[0x81] };
        [&[tag], long, &[len], content].concat()
    }
    let empty = value(0x30, &[]);
    let serial_number = value(0x02, &[1]);
    let names = [&serial_number, &empty, &empty, &empty, &empty].map(Vec::as_slice).concat();
    let tbs = value(0x30, &[&names, public_key_info].concat());
    value(0x30, &[tbs, empty, value(0x03, &[0])].concat())
}

/// A token on which only certificates and keys are put, and who asks it for its profiles.
struct Certificates {
    t: Token,
    session: CK_SESSION_HANDLE,
}

impl Certificates {
    fn new() -> Self {
        let t = Token::new();
        let session = t.user();
        Self { t, session }
    }

    fn put(&self, id: &[u8], public_key_info: &[u8], private: bool) {
        let template = [
            class(CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, private),
            bytes(CKA_ID, id),
            bytes(CKA_VALUE, &certificate_of(public_key_info)),
        ];
        self.t.p.create(self.session, &template).unwrap();
    }

    /// The public key's handle, and its CKA_PUBLIC_KEY_INFO.
    fn pair(&self, id: &[u8]) -> (CK_OBJECT_HANDLE, Vec<u8>) {
        let (public, _) = ec_pair(&self.t.p, self.session, id, true);
        (public, self.t.p.get(self.session, public, CKA_PUBLIC_KEY_INFO).unwrap())
    }

    /// A handle of a private object is good until the next logout only.
    fn one(&self, of: CK_OBJECT_CLASS) -> CK_OBJECT_HANDLE {
        self.t.p.find(self.session, &[class(of)])[0]
    }

    fn claimed(&self) -> bool {
        profiles(&self.t.p, self.session).contains(&CKP_PUBLIC_CERTIFICATES_TOKEN)
    }

    /// The same without a login.
    fn claimed_to_all(&self) -> bool {
        self.t.p.logout(self.session).unwrap();
        let claimed = self.claimed();
        self.t.p.login(self.session, CKU_USER, PIN).unwrap();
        claimed
    }
}

#[test]
fn a_certificate_whose_key_is_elsewhere_needs_none_here_to_be_public() {
    let c = Certificates::new();
    let (public, info) = c.pair(b"1");
    c.t.p.destroy(c.session, public).unwrap();
    c.put(b"1", &info, false);
    assert!(!c.claimed_to_all() && !c.claimed(), "nobody finds its key without a login");
    c.t.p.destroy(c.session, c.one(CKO_PRIVATE_KEY)).unwrap();
    assert!(c.claimed_to_all() && c.claimed(), "it has no key here, as an authority's");
}

#[test]
fn a_certificate_is_public_with_its_own_key_and_with_no_other_of_its_id() {
    let c = Certificates::new();
    let (_, info) = c.pair(b"1");
    c.put(b"1", &info, false);
    assert!(c.claimed_to_all() && c.claimed());
    let p = &c.t.p;
    p.set(c.session, c.one(CKO_PRIVATE_KEY), &[bytes(CKA_ID, b"2")]).unwrap();
    assert!(!c.claimed(), "its private key has another CKA_ID");
    p.set(c.session, c.one(CKO_PRIVATE_KEY), &[bytes(CKA_ID, b"1")]).unwrap();
    p.set(c.session, c.one(CKO_PUBLIC_KEY), &[bytes(CKA_ID, b"2")]).unwrap();
    assert!(!c.claimed_to_all() && !c.claimed(), "its public key has another CKA_ID");
    let own = c.one(CKO_PUBLIC_KEY);
    c.pair(b"1");
    assert!(!c.claimed_to_all() && !c.claimed(), "a key of its CKA_ID that is another");
    p.set(c.session, own, &[bytes(CKA_ID, b"1")]).unwrap();
    assert!(c.claimed_to_all() && c.claimed());
}
