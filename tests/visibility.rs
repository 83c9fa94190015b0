//! Whose objects are whose, and who sees and changes them: conformance statements 89 to 91, 112.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use common::raw::*;
use cryptoki_sys::*;

#[test]
fn c089_a_read_only_session_makes_and_changes_keys_of_its_own_only() {
    let t = Token::new();
    let (rw, ro) = (t.user(), t.p.ro(t.slot));
    let (public, private) = ec_pair(&t.p, rw, b"1", true);
    for key in [public, private] {
        assert_eq!(t.p.set(ro, key, &[bytes(CKA_ID, b"2")]), Err(CKR_SESSION_READ_ONLY));
        assert_eq!(t.p.destroy(ro, key), Err(CKR_SESSION_READ_ONLY));
        assert_eq!(t.p.copy(ro, key, &[flag(CKA_TOKEN, true)]), Err(CKR_SESSION_READ_ONLY));
    }
    let generate = |session, on_token: [bool; 2]| {
        let [public, private] = on_token.map(|token| flag(CKA_TOKEN, token));
        let public = [public, bytes(CKA_EC_PARAMS, P256)];
        t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[private])
    };
    for on_token in [[true, true], [true, false], [false, true]] {
        assert_eq!(generate(ro, on_token), Err(CKR_SESSION_READ_ONLY));
    }
    assert_eq!(t.p.find(ro, &[]).len(), 2, "nothing half made");
    let (public, private) = generate(ro, [false, false]).unwrap();
    t.p.set(ro, private, &[bytes(CKA_ID, b"2")]).unwrap();
    signs(&t, ro, public, private);
    t.p.destroy(ro, private).unwrap();
    t.p.destroy(ro, public).unwrap();
}

#[test]
fn c090_neither_nobody_nor_the_officer_has_private_objects() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    for officer in [false, true] {
        t.p.logout(session).unwrap();
        if officer {
            t.p.login(session, CKU_SO, SO_PIN).unwrap();
        }
        let set = t.p.set(session, private, &[bytes(CKA_LABEL, b"x")]);
        assert_eq!(set, Err(CKR_OBJECT_HANDLE_INVALID));
        assert_eq!(t.p.get(session, private, CKA_CLASS), Err(CKR_OBJECT_HANDLE_INVALID));
        assert_eq!(t.p.find(session, &[flag(CKA_PRIVATE, true)]), []);
        assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]), []);
        for token in [false, true] {
            let rv = t.p.create(session, &data(b"x", token, true));
            assert_eq!(rv, Err(CKR_USER_NOT_LOGGED_IN));
        }
        assert_eq!(pair_with(&t, session, &[]), Err(CKR_USER_NOT_LOGGED_IN), "private by default");
        assert_eq!(t.p.find(session, &[]).len(), 1, "the public key, and nothing half made");
        let open = t.p.create(session, &data(b"x", false, false)).unwrap();
        let rv = t.p.copy(session, open, &[flag(CKA_PRIVATE, true)]);
        assert_eq!(rv, Err(CKR_USER_NOT_LOGGED_IN));
        t.p.destroy(session, open).unwrap();
        if !officer {
            t.p.login(session, CKU_USER, PIN).unwrap();
        }
    }
}

#[test]
fn c090_a_private_key_that_is_no_private_object_is_everybodys() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    for token in [false, true] {
        let open = [flag(CKA_PRIVATE, false), flag(CKA_TOKEN, token)];
        let public = [bytes(CKA_EC_PARAMS, P256), flag(CKA_TOKEN, token)];
        let (public, private) =
            t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &open).unwrap();
        signs(&t, session, public, private);
        let hidden = [flag(CKA_PRIVATE, true)];
        assert_eq!(t.p.copy(session, private, &hidden), Err(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(t.p.get(session, private, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    }
    // And a public key may be the user's.
    t.p.login(session, CKU_USER, PIN).unwrap();
    let public = [bytes(CKA_EC_PARAMS, P256), flag(CKA_PRIVATE, true), flag(CKA_TOKEN, true)];
    let (public, _) = t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[]).unwrap();
    t.p.logout(session).unwrap();
    assert_eq!(t.p.get(session, public, CKA_CLASS), Err(CKR_OBJECT_HANDLE_INVALID));
    let rv = t.p.verify_init(session, &mut Mech::plain(CKM_ECDSA), public);
    assert_eq!(rv, Err(CKR_KEY_HANDLE_INVALID));
}

#[test]
fn c091_session_objects_are_one_applications_and_their_handles_end_with_them() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    let (first, second) = (t.user(), t.p.rw(t.slot));
    let object = t.p.create(first, &data(b"mine", false, false)).unwrap();
    let (public, private) = ec_pair(&t.p, first, b"1", false);
    let mut other =
        Peer::start("c091_session_objects_are_one_applications_and_their_handles_end_with_them");
    other.run("init").unwrap();
    let theirs = other.one("rw 0");
    other.run(&format!("login {theirs} user-1234")).unwrap();
    assert_eq!(other.run(&format!("find {theirs}")), Ok(vec![]));
    other.run(&format!("data {theirs} theirs no no")).unwrap();
    assert_eq!(t.p.find(second, &[ulong(CKA_CLASS, CKO_DATA)]), [object]);
    other.end();

    signs(&t, second, public, private);
    t.p.close(first).unwrap();
    for object in [object, public, private] {
        let rv = t.p.get(second, object, CKA_CLASS);
        assert_eq!(rv, Err(CKR_OBJECT_HANDLE_INVALID));
    }
    let rv = t.p.sign(second, Mech::plain(CKM_ECDSA), private, &[7; 32]);
    assert_eq!(rv, Err(CKR_KEY_HANDLE_INVALID));
}

#[test]
fn c112_a_search_tells_nothing_of_what_is_hidden() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = rsa_pair(&t.p, session, b"1", true);
    ec_pair(&t.p, session, b"2", false);
    let guesses = [
        CKA_PRIVATE_EXPONENT,
        CKA_PRIME_1,
        CKA_PRIME_2,
        CKA_EXPONENT_1,
        CKA_EXPONENT_2,
        CKA_COEFFICIENT,
        CKA_VALUE,
    ];
    for kind in guesses {
        for guess in [&b""[..], &[0; 32], &[1]] {
            assert_eq!(t.p.find(session, &[bytes(kind, guess)]), [], "{kind:#x}");
        }
    }
    let modulus = t.p.get(session, public, CKA_MODULUS).unwrap();
    let mut found = t.p.find(session, &[bytes(CKA_MODULUS, &modulus)]);
    found.sort_unstable();
    assert_eq!(found, [public, private]);
    let of = |attribute| t.p.find(session, &[bytes(CKA_MODULUS, &modulus), attribute]).len();
    assert_eq!(of(bytes(CKA_SIGN, &[1, 0])), 0);
    assert_eq!(of(ulong(CKA_KEY_TYPE, CKK_RSA)), 2);
    assert_eq!(of(bytes(CKA_KEY_TYPE, &[0])), 0, "a CK_ULONG of another width");
    assert_eq!(of(bytes(CKA_START_DATE, b"no date!")), 0);
    assert_eq!(of(bytes(0xD5A0_DB00, b"")), 0, "another vendor's");
}

#[test]
fn c112_a_key_that_may_leave_is_found_by_what_only_the_tpm_has_of_it() {
    let t = Token::new();
    let session = t.user();
    let open = |token| {
        [flag(CKA_TOKEN, token), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)].to_vec()
    };
    for token in [true, false] {
        let aes = [open(token), vec![ulong(CKA_VALUE_LEN, 16)]].concat();
        let made = t.p.generate_key(session, CKM_AES_KEY_GEN, &aes).unwrap();
        t.p.generate_key(session, CKM_AES_KEY_GEN, &aes).unwrap();
        let value = t.p.get(session, made, CKA_VALUE).unwrap();
        let by_value = [bytes(CKA_VALUE, &value)];
        assert_eq!(t.p.find(session, &by_value), [made]);
        let by_more = [bytes(CKA_VALUE, &value), ulong(CKA_KEY_TYPE, CKK_AES)];
        assert_eq!(t.p.find(session, &by_more), [made]);
        let by_another_type = [bytes(CKA_VALUE, &value), ulong(CKA_KEY_TYPE, CKK_HKDF)];
        assert_eq!(t.p.find(session, &by_another_type), []);
        assert_eq!(t.p.find(session, &[bytes(CKA_VALUE, &value[..15])]), []);
        t.p.set(session, made, &[flag(CKA_SENSITIVE, true)]).unwrap();
        assert_eq!(t.p.find(session, &by_value), [], "a sensitive value is nothing to be guessed");
    }
    for (mechanism, public, kinds) in [
        (CKM_EC_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, P256), &[CKA_VALUE][..]),
        (
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            ulong(CKA_MODULUS_BITS, 2048),
            &[CKA_PRIVATE_EXPONENT, CKA_PRIME_2],
        ),
    ] {
        let private = open(true);
        let (_, mut key) = t.p.generate_pair(session, mechanism, &[public], &private).unwrap();
        for kind in kinds {
            let number = t.p.get(session, key, *kind).unwrap();
            assert_eq!(t.p.find(session, &[bytes(*kind, &number)]), [key]);
            t.p.logout(session).unwrap();
            assert_eq!(t.p.find(session, &[bytes(*kind, &number)]), [], "it is the user's");
            t.p.login(session, CKU_USER, PIN).unwrap();
            let [found] = t.p.find(session, &[bytes(*kind, &number)])[..] else { panic!() };
            key = found;
        }
    }
}
