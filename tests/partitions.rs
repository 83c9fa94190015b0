//! Templates within a key say which other keys it wraps, opens and derives.

mod common;

use common::encapsulation::{decapsulate, encapsulate};
use common::fixture::*;
use common::p11::*;
use common::wrapping::*;
use cryptoki_sys::*;

fn wrap_mech() -> Mech {
    Mech::plain(CKM_AES_KEY_WRAP)
}

/// A key that wraps and unwraps, with a template of the kind `cka`.
fn confined(
    p: &P11,
    session: CK_SESSION_HANDLE,
    cka: CK_ATTRIBUTE_TYPE,
    entries: &[Attr],
) -> CK_OBJECT_HANDLE {
    let template = secret(CKK_AES, &KEK, &[CKA_WRAP, CKA_UNWRAP]);
    p.create(session, &[template, vec![templates(cka, entries)]].concat()).unwrap()
}

/// What is said of a key that comes from outside, but for its attributes.
fn generic() -> Vec<Attr> {
    vec![ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)]
}

#[test]
fn c119_a_key_wraps_those_alone_that_its_template_matches() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let open = p.create(session, &secret(CKK_GENERIC_SECRET, &[7; 32], &[CKA_SIGN])).unwrap();
    let hidden =
        [secret(CKK_GENERIC_SECRET, &[7; 32], &[CKA_SIGN]), vec![flag(CKA_COPYABLE, false)]];
    let mut hidden = hidden.concat();
    hidden.retain(|Attr(cka, _)| *cka != CKA_SENSITIVE);
    let hidden = p.create(session, &hidden).unwrap();
    let value = bytes(CKA_VALUE, &[7; 32]);
    let backup = || bytes(CKA_LABEL, b"backup");
    for (entries, wraps_open, wraps_hidden) in [
        (vec![], true, true),
        (vec![flag(CKA_SIGN, true)], true, true),
        (vec![flag(CKA_SIGN, false)], false, false),
        (vec![flag(CKA_COPYABLE, true)], true, false),
        (vec![flag(CKA_SIGN, true), backup()], false, false),
        (vec![bytes(CKA_MODULUS, b"")], false, false),
        // What the TPM alone knows matches nothing: wrapping is no way to guess a value.
        (vec![value], false, false),
    ] {
        let with = confined(p, session, CKA_WRAP_TEMPLATE, &entries);
        for (key, wraps) in [(open, wraps_open), (hidden, wraps_hidden)] {
            let told = p.wrap(session, wrap_mech(), with, key).map(|wrapped| wrapped.len());
            let expected = if wraps { Ok(40) } else { Err(CKR_KEY_HANDLE_INVALID) };
            assert_eq!(told, expected, "{entries:?}");
        }
    }
    // What counts is what the key says now.
    let with = confined(p, session, CKA_WRAP_TEMPLATE, &[backup()]);
    assert_eq!(p.wrap(session, wrap_mech(), with, open), Err(CKR_KEY_HANDLE_INVALID));
    p.set(session, open, &[backup()]).unwrap();
    assert!(p.wrap(session, wrap_mech(), with, open).is_ok());
}

#[test]
fn c120_a_key_that_is_unwrapped_stays_unless_it_is_said_otherwise() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let stays = flag(CKA_EXTRACTABLE, false);
    let free = confined(p, session, CKA_UNWRAP_TEMPLATE, &[]);
    let keeping = confined(p, session, CKA_UNWRAP_TEMPLATE, std::slice::from_ref(&stays));
    let key = p.create(session, &secret(CKK_GENERIC_SECRET, &[7; 32], &[CKA_SIGN])).unwrap();
    let wrapped = p.wrap(session, wrap_mech(), free, key).unwrap();
    let says = |said: &[Attr]| [generic(), said.to_vec()].concat();
    let leaves = flag(CKA_EXTRACTABLE, true);
    for (with, said, extractable) in [
        (free, vec![], Ok(false)),
        (free, vec![leaves.clone()], Ok(true)),
        (free, vec![stays.clone()], Ok(false)),
        (keeping, vec![], Ok(false)),
        (keeping, vec![stays], Ok(false)),
        (keeping, vec![leaves], Err(CKR_TEMPLATE_INCONSISTENT)),
    ] {
        let made = p.unwrap(session, wrap_mech(), with, &wrapped, &says(&said));
        let told = made.and_then(|key| p.get_bool(session, key, CKA_EXTRACTABLE));
        assert_eq!(told, extractable, "{said:?}");
        let Ok(made) = made else { continue };
        assert_eq!(p.get_bool(session, made, CKA_SENSITIVE), Ok(true));
        assert_eq!(p.get_bool(session, made, CKA_NEVER_EXTRACTABLE), Ok(false));
        let again = p.wrap(session, wrap_mech(), free, made);
        let expected =
            if extractable == Ok(true) { Ok(wrapped.clone()) } else { Err(CKR_KEY_UNEXTRACTABLE) };
        assert_eq!(again, expected, "{said:?}");
    }
    // A key that asks for the PIN at each use does not leave, and need not say so.
    let point = [bytes(CKA_EC_PARAMS, P256)];
    let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SIGN, true)];
    let (_, private) = p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &point, &open).unwrap();
    let mech = || Mech::bytes(CKM_AES_CBC_PAD, &[3; 16]);
    let wrapped = p.wrap(session, mech(), free, private).unwrap();
    let each_time = [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        flag(CKA_SIGN, true),
        flag(CKA_ALWAYS_AUTHENTICATE, true),
    ];
    let made = p.unwrap(session, mech(), free, &wrapped, &each_time).unwrap();
    assert_eq!(p.get_bool(session, made, CKA_EXTRACTABLE), Ok(false));
}

#[test]
fn c120_what_an_unwrapping_key_adds_is_as_if_the_caller_had_said_it() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let free = kek(p, session);
    let key = p.create(session, &secret(CKK_GENERIC_SECRET, &[7; 32], &[CKA_SIGN])).unwrap();
    let wrapped = p.wrap(session, wrap_mech(), free, key).unwrap();
    let before = p.find(session, &[]).len();
    for (added, said, told) in [
        (vec![bytes(CKA_LABEL, b"a")], vec![bytes(CKA_LABEL, b"a")], None),
        (
            vec![bytes(CKA_LABEL, b"a")],
            vec![bytes(CKA_LABEL, b"b")],
            Some(CKR_TEMPLATE_INCONSISTENT),
        ),
        (vec![ulong(CKA_KEY_TYPE, CKK_AES)], vec![], Some(CKR_TEMPLATE_INCONSISTENT)),
        (vec![flag(CKA_LOCAL, false)], vec![], Some(CKR_ATTRIBUTE_READ_ONLY)),
        (vec![flag(CKA_TRUSTED, true)], vec![], Some(CKR_ATTRIBUTE_READ_ONLY)),
        (vec![bytes(CKA_MODULUS, b"1")], vec![], Some(CKR_TEMPLATE_INCONSISTENT)),
        (
            vec![flag(CKA_ENCRYPT, true), flag(CKA_SIGN, true)],
            vec![],
            Some(CKR_TEMPLATE_INCONSISTENT),
        ),
        (vec![ulong(CKA_VALUE_LEN, 16)], vec![], Some(CKR_WRAPPED_KEY_LEN_RANGE)),
    ] {
        let with = confined(p, session, CKA_UNWRAP_TEMPLATE, &added);
        let made = p.unwrap(session, wrap_mech(), with, &wrapped, &[generic(), said].concat());
        assert_eq!(made.err(), told, "{added:?}");
        if let Ok(made) = made {
            assert_eq!(p.get(session, made, CKA_LABEL).unwrap(), b"a");
            p.destroy(session, made).unwrap();
        }
        p.destroy(session, with).unwrap();
        assert_eq!(p.find(session, &[]).len(), before, "{added:?}");
    }
    // In a session that may not make it.
    let with = confined(p, session, CKA_UNWRAP_TEMPLATE, &[flag(CKA_TOKEN, true)]);
    let reader = p.ro(t.slot);
    let made = p.unwrap(reader, wrap_mech(), with, &wrapped, &generic());
    assert_eq!(made, Err(CKR_SESSION_READ_ONLY));
    let made = p.unwrap(session, wrap_mech(), with, &wrapped, &generic()).unwrap();
    assert_eq!(p.get_bool(reader, made, CKA_TOKEN), Ok(true));
}

#[test]
fn c121_what_a_base_key_adds_is_as_if_the_caller_had_said_it() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let (public, _) = ec_pair(p, session, b"1", false);
    let point = p.get(session, public, CKA_EC_POINT).unwrap();
    let adds = [bytes(CKA_LABEL, b"shared"), flag(CKA_EXTRACTABLE, false)];
    let private = [flag(CKA_DERIVE, true), templates(CKA_DERIVE_TEMPLATE, &adds)];
    let curve = [bytes(CKA_EC_PARAMS, P256)];
    let (_, base) = p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &curve, &private).unwrap();
    let derive =
        |said: &[Attr]| p.derive(session, CKM_ECDH1_DERIVE, (CKD_NULL, b"", &point), base, said);
    for said in [vec![], adds.to_vec()] {
        let made = derive(&said).unwrap();
        assert_eq!(p.get(session, made, CKA_LABEL).unwrap(), b"shared");
        assert_eq!(p.get_bool(session, made, CKA_EXTRACTABLE), Ok(false));
    }
    let before = p.find(session, &[]).len();
    for said in [bytes(CKA_LABEL, b"mine"), flag(CKA_EXTRACTABLE, true)] {
        assert_eq!(derive(&[said]), Err(CKR_TEMPLATE_INCONSISTENT));
    }
    assert_eq!(p.find(session, &[]).len(), before);
}

#[test]
fn c123_what_a_decapsulating_key_adds_comes_before_what_is_usual() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let stays = [flag(CKA_EXTRACTABLE, false)];
    let public = [bytes(CKA_EC_PARAMS, P256), flag(CKA_ENCAPSULATE, true)];
    let private = [flag(CKA_DECAPSULATE, true), templates(CKA_DECAPSULATE_TEMPLATE, &stays)];
    let (public, private) =
        p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap();
    let ecdh = || Mech::bytes(CKM_ECDH1_DERIVE, &[1, 0, 0, 0, 0].map(usize::to_ne_bytes).concat());
    let rsa = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_ENCAPSULATE, true)];
    let opens = [flag(CKA_DECAPSULATE, true), templates(CKA_DECAPSULATE_TEMPLATE, &stays)];
    let (rsa, opens) = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &rsa, &opens).unwrap();
    let len = [ulong(CKA_VALUE_LEN, 32)];
    for (mech, public, private) in
        [(ecdh as fn() -> Mech, public, private), (|| Mech::plain(CKM_RSA_PKCS), rsa, opens)]
    {
        let (sent, _) = encapsulate(p, session, mech(), public, &len).unwrap();
        let made = decapsulate(p, session, mech(), private, &sent, &len).unwrap();
        assert_eq!(p.get_bool(session, made, CKA_EXTRACTABLE), Ok(false));
        let leaves = [flag(CKA_EXTRACTABLE, true), ulong(CKA_VALUE_LEN, 32)];
        let refused = decapsulate(p, session, mech(), private, &sent, &leaves);
        assert_eq!(refused, Err(CKR_TEMPLATE_INCONSISTENT));
    }
}
