//! Objects and attributes: conformance statements 89 to 117.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

#[test]
fn c089_a_read_only_session_makes_session_objects_only() {
    let t = Token::new();
    let rw = t.p.rw(t.slot);
    let object = t.p.create(rw, &data(b"there", true, false)).unwrap();
    let ro = t.p.ro(t.slot);
    assert_eq!(t.p.create(ro, &data(b"x", true, false)), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(t.p.set(ro, object, &[bytes(CKA_LABEL, b"y")]), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(t.p.destroy(ro, object), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(t.p.copy(ro, object, &[]), Err(CKR_SESSION_READ_ONLY));
    let copy = t.p.copy(ro, object, &[flag(CKA_TOKEN, false)]).unwrap();
    t.p.set(ro, copy, &[bytes(CKA_LABEL, b"y")]).unwrap();
    t.p.destroy(ro, copy).unwrap();
    assert!(t.p.create(ro, &data(b"x", false, false)).is_ok());
}

#[test]
fn c090_without_a_login_private_objects_are_not_there() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    for token in [false, true] {
        let rv = t.p.create(session, &data(b"x", token, true));
        assert_eq!(rv, Err(CKR_USER_NOT_LOGGED_IN));
    }
    t.p.login(session, CKU_USER, PIN).unwrap();
    let private = t.p.create(session, &data(b"x", true, true)).unwrap();
    t.p.logout(session).unwrap();
    assert!(t.p.find(session, &[]).is_empty());
    assert_eq!(t.p.get(session, private, CKA_LABEL), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(t.p.copy(session, private, &[]), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(t.p.destroy(session, private), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(t.p.size(session, private), Err(CKR_OBJECT_HANDLE_INVALID));
}

#[test]
fn c091_session_objects_are_seen_by_all_sessions_and_go_with_theirs() {
    let t = Token::new();
    let (first, second) = (t.p.rw(t.slot), t.p.ro(t.slot));
    t.p.create(first, &data(b"x", false, false)).unwrap();
    assert_eq!(t.p.find(second, &[]).len(), 1);
    t.p.close(first).unwrap();
    assert!(t.p.find(second, &[]).is_empty());
}

#[test]
fn c092_a_template_is_checked_whole() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let with = |more: &[Attr]| t.p.create(session, &[&data(b"x", false, false), more].concat());
    assert_eq!(with(&[bytes(0x8765_4321, b"?")]), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    assert_eq!(with(&[bytes(CKA_MODIFIABLE, &[1, 1])]), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(with(&[bytes(CKA_CLASS, &[0; 7])]), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(with(&[bytes(CKA_LABEL, b"other")]), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(with(&[bytes(CKA_UNIQUE_ID, b"mine")]), Err(CKR_ATTRIBUTE_READ_ONLY));
    let no_class = t.p.create(session, &[bytes(CKA_VALUE, b"v")]);
    assert_eq!(no_class, Err(CKR_TEMPLATE_INCOMPLETE));
    let no_class = t.p.create(session, &[]);
    assert_eq!(no_class, Err(CKR_TEMPLATE_INCOMPLETE));
    assert!(t.p.find(session, &[]).is_empty(), "nothing half made");
}

#[test]
fn c093_the_same_attribute_with_the_same_value_counts_once() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let twice = [data(b"x", false, false), vec![bytes(CKA_LABEL, b"x")]].concat();
    assert!(t.p.create(session, &twice).is_ok());
}

#[test]
fn c095_a_pair_is_made_whole_or_not_at_all() {
    let t = Token::new();
    let session = t.user();
    let public = [flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, P256)];
    for bad in [bytes(0x8765_4321, b"?"), bytes(CKA_LOCAL, &[1]), bytes(CKA_SIGN, &[2, 2])] {
        let private = [flag(CKA_TOKEN, true), bad];
        assert!(t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).is_err());
    }
    assert!(t.p.find(session, &[]).is_empty());
}

#[test]
fn c096_what_the_token_alone_sets_says_how_a_key_came_to_be() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    for key in [public, private] {
        assert_eq!(t.p.get_bool(session, key, CKA_LOCAL), Ok(true));
        let by = t.p.get_ulong(session, key, CKA_KEY_GEN_MECHANISM);
        assert_eq!(by, Ok(CKM_EC_KEY_PAIR_GEN));
    }
    for kind in [CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        assert_eq!(t.p.get_bool(session, private, kind), Ok(true), "{kind:#x}");
    }
    assert_eq!(t.p.get_bool(session, private, CKA_EXTRACTABLE), Ok(false));
    let made = t.p.create(session, &public_key_template(&t.p, session, public)).unwrap();
    assert_eq!(t.p.get_bool(session, made, CKA_LOCAL), Ok(false));
    assert_eq!(t.p.get_ulong(session, made, CKA_KEY_GEN_MECHANISM), Ok(CK_UNAVAILABLE_INFORMATION));
}

fn public_key_template(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, &p.get(session, key, CKA_EC_PARAMS).unwrap()),
        bytes(CKA_EC_POINT, &p.get(session, key, CKA_EC_POINT).unwrap()),
        flag(CKA_VERIFY, true),
    ]
}

#[test]
fn c097_one_way_attributes_go_one_way() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    for (kind, back) in [(CKA_SENSITIVE, false), (CKA_EXTRACTABLE, true)] {
        let rv = t.p.set(session, private, &[flag(kind, back)]);
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
        let rv = t.p.copy(session, private, &[flag(kind, back)]).err();
        assert!(
            matches!(rv, Some(CKR_ATTRIBUTE_READ_ONLY | CKR_TEMPLATE_INCONSISTENT)),
            "{kind:#x}: {rv:x?}"
        );
    }
    t.p.set(session, private, &[flag(CKA_WRAP_WITH_TRUSTED, true)]).unwrap();
    let rv = t.p.set(session, private, &[flag(CKA_WRAP_WITH_TRUSTED, false)]);
    assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY));
    let object = t.p.create(session, &data(b"x", false, false)).unwrap();
    t.p.set(session, object, &[flag(CKA_COPYABLE, false)]).unwrap();
    let rv = t.p.set(session, object, &[flag(CKA_COPYABLE, true)]);
    assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY));
}

#[test]
fn c098_trust_is_the_security_officers_to_give() {
    let t = Token::new();
    let session = t.user();
    let (public, _) = ec_pair(&t.p, session, b"1", true);
    let mut template = public_key_template(&t.p, session, public);
    template.push(flag(CKA_TRUSTED, true));
    template.push(flag(CKA_PRIVATE, false));
    assert!(t.p.create(session, &template).is_err());
    assert!(t.p.set(session, public, &[flag(CKA_TRUSTED, true)]).is_err());
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    let made = t.p.create(session, &template).unwrap();
    assert_eq!(t.p.get_bool(session, made, CKA_TRUSTED), Ok(true));
}

#[test]
fn c099_what_an_object_is_cannot_be_set() {
    let t = Token::new();
    let session = t.user();
    let (public, _) = rsa_pair(&t.p, session, b"1", true);
    for change in [
        ulong(CKA_CLASS, CKO_DATA),
        ulong(CKA_KEY_TYPE, CKK_EC),
        flag(CKA_TOKEN, false),
        flag(CKA_PRIVATE, true),
        flag(CKA_MODIFIABLE, false),
        bytes(CKA_MODULUS, &[1; 256]),
        flag(CKA_LOCAL, false),
    ] {
        let rv = t.p.set(session, public, std::slice::from_ref(&change));
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{change:?}");
    }
}

#[test]
fn c100_modifiable_destroyable_and_copyable_are_obeyed() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let make = |kind| {
        let template = [data(b"x", true, false), vec![flag(kind, false)]].concat();
        t.p.create(session, &template).unwrap()
    };
    let object = make(CKA_MODIFIABLE);
    let rv = t.p.set(session, object, &[bytes(CKA_LABEL, b"y")]);
    assert_eq!(rv, Err(CKR_ACTION_PROHIBITED));
    let object = make(CKA_DESTROYABLE);
    assert_eq!(t.p.destroy(session, object), Err(CKR_ACTION_PROHIBITED));
    let object = make(CKA_COPYABLE);
    assert_eq!(t.p.copy(session, object, &[]), Err(CKR_ACTION_PROHIBITED));
}

#[test]
fn c101_setting_attributes_is_all_or_nothing() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    for token in [false, true] {
        let object = t.p.create(session, &data(b"before", token, false)).unwrap();
        let changes = [bytes(CKA_LABEL, b"after"), ulong(CKA_CLASS, CKO_CERTIFICATE)];
        assert!(t.p.set(session, object, &changes).is_err());
        assert_eq!(t.p.get(session, object, CKA_LABEL).unwrap(), b"before");
    }
}

#[test]
fn c103_every_object_has_a_unique_id_that_survives() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let volatile = t.p.create(session, &data(b"x", false, false)).unwrap();
    let id = |object| t.p.get(session, object, CKA_UNIQUE_ID).unwrap();
    let ids = [id(public), id(private), id(volatile)];
    assert!(ids.iter().all(|id| !id.is_empty()));
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    let again = t.p.find(session, &[bytes(CKA_UNIQUE_ID, &ids[1])]);
    assert_eq!(again.len(), 1);
    assert_eq!(t.p.get_ulong(session, again[0], CKA_CLASS), Ok(CKO_PRIVATE_KEY));
}

#[test]
fn c104_every_entry_of_a_query_is_answered() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let object = t.p.create(session, &data(b"the label", false, false)).unwrap();
    let (mut label, mut value) = ([0u8; 32], [0u8; 3]);
    let entry = |type_, buffer: &mut [u8]| CK_ATTRIBUTE {
        type_,
        pValue: buffer.as_mut_ptr().cast(),
        ulValueLen: buffer.len() as CK_ULONG,
    };
    let mut unknown = [0u8; 4];
    let mut entries = [
        entry(CKA_MODULUS, &mut unknown),
        entry(CKA_VALUE, &mut value),
        entry(CKA_LABEL, &mut label),
    ];
    let rv =
        unsafe { t.p.list.C_GetAttributeValue.unwrap()(session, object, entries.as_mut_ptr(), 3) };
    assert!(matches!(rv, CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL), "{rv:x}");
    assert_eq!(entries[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_eq!(entries[1].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_eq!((entries[2].ulValueLen, &label[..9]), (9, &b"the label"[..]));
    assert_eq!(value, [0; 3], "a short buffer is left alone");
}

#[test]
fn c105_a_length_query_is_exact_and_empty_values_are_fine() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let object = t.p.create(session, &data(b"", false, false)).unwrap();
    let mut entry = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: ptr::null_mut(), ulValueLen: 99 };
    let call = t.p.list.C_GetAttributeValue.unwrap();
    assert_eq!(unsafe { call(session, object, &mut entry, 1) }, CKR_OK);
    assert_eq!(entry.ulValueLen, 0);
    assert_eq!(t.p.get(session, object, CKA_LABEL).unwrap(), b"");
}

#[test]
fn c107_allowed_mechanisms_are_kept_answered_and_enforced() {
    let t = Token::new();
    let session = t.user();
    let allowed = [CKM_ECDSA_SHA256, CKM_ECDSA].map(CK_MECHANISM_TYPE::to_ne_bytes).concat();
    let (_, private) =
        t.p.generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, P256)],
            &[flag(CKA_SIGN, true), bytes(CKA_ALLOWED_MECHANISMS, &allowed)],
        )
        .unwrap();
    assert_eq!(t.p.get(session, private, CKA_ALLOWED_MECHANISMS).unwrap(), allowed);
    assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[1; 32]).is_ok());
    let rv = t.p.sign(session, Mech::plain(CKM_ECDSA_SHA384), private, b"x");
    assert_eq!(rv, Err(CKR_MECHANISM_INVALID));
}

#[test]
fn a_key_allowed_one_hash_is_bound_to_it_by_the_tpm() {
    let t = Token::new();
    let session = t.user();
    let (ec, rsa) = (CKM_ECDSA_SHA256, CKM_SHA256_RSA_PKCS);
    for (generator, ckm, public) in [
        (CKM_EC_KEY_PAIR_GEN, ec, bytes(CKA_EC_PARAMS, P256)),
        (CKM_RSA_PKCS_KEY_PAIR_GEN, rsa, ulong(CKA_MODULUS_BITS, 2048)),
    ] {
        let private = [flag(CKA_SIGN, true), bytes(CKA_ALLOWED_MECHANISMS, &ckm.to_ne_bytes())];
        let (public, private) =
            t.p.generate_pair(session, generator, &[public, flag(CKA_VERIFY, true)], &private)
                .unwrap();
        let signature = t.p.sign(session, Mech::plain(ckm), private, b"message").unwrap();
        t.p.verify(session, Mech::plain(ckm), public, b"message", &signature).unwrap();
    }
}

#[test]
fn c108_public_key_info_is_the_real_one() {
    let t = Token::new();
    let session = t.user();
    for (public, private) in
        [ec_pair(&t.p, session, b"1", true), rsa_pair(&t.p, session, b"2", true)]
    {
        let info = t.p.get(session, public, CKA_PUBLIC_KEY_INFO).unwrap();
        assert_eq!(t.p.get(session, private, CKA_PUBLIC_KEY_INFO).unwrap(), info);
        use spki::DecodePublicKey as _;
        if let Ok(key) = p256::PublicKey::from_public_key_der(&info) {
            use p256::elliptic_curve::sec1::ToEncodedPoint as _;
            let point = t.p.get(session, private, CKA_EC_POINT).unwrap();
            assert_eq!(point[..2], [4, 65], "a DER OCTET STRING");
            assert_eq!(key.to_encoded_point(false).as_bytes(), &point[2..]);
        } else {
            use rsa::traits::PublicKeyParts as _;
            let key = rsa::RsaPublicKey::from_public_key_der(&info).unwrap();
            let modulus = t.p.get(session, private, CKA_MODULUS).unwrap();
            assert_eq!(key.n().to_bytes_be(), modulus);
            let exponent = t.p.get(session, private, CKA_PUBLIC_EXPONENT).unwrap();
            assert_eq!(exponent, [1, 0, 1]);
        }
    }
    let (public, _) = ec_pair(&t.p, session, b"3", false);
    let mut template = public_key_template(&t.p, session, public);
    template.push(bytes(CKA_PUBLIC_KEY_INFO, b"something else"));
    assert_eq!(t.p.create(session, &template), Err(CKR_ATTRIBUTE_VALUE_INVALID));
}

#[test]
fn c110_a_destroyed_key_is_gone_for_every_session() {
    let t = Token::new();
    let (first, second) = (t.user(), t.p.rw(t.slot));
    let (_, private) = ec_pair(&t.p, first, b"1", true);
    t.p.init(Op::Sign, second, Mech::plain(CKM_ECDSA), private).unwrap();
    t.p.destroy(first, private).unwrap();
    let rv = t.p.one_shot(Op::Sign, second, &[1; 32]).map(|_| ());
    assert!(
        matches!(rv, Ok(()) | Err(CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID)),
        "{rv:x?}"
    );
    let rv = t.p.sign(second, Mech::plain(CKM_ECDSA), private, &[1; 32]);
    assert_eq!(rv, Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(t.p.destroy(first, private), Err(CKR_OBJECT_HANDLE_INVALID));
}

#[test]
fn c111_object_handles_are_the_applications_and_never_used_again() {
    let t = Token::new();
    let (first, second) = (t.p.rw(t.slot), t.p.ro(t.slot));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let object = t.p.create(first, &data(b"x", true, false)).unwrap();
        assert_ne!(object, 0);
        assert!(seen.insert(object));
        assert_eq!(t.p.find(second, &[]), [object]);
        t.p.destroy(first, object).unwrap();
    }
}

#[test]
fn c112_a_search_matches_every_attribute_to_the_byte() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"id", true);
    let object = t.p.create(session, &data(b"pair", true, false)).unwrap();
    let find = |template: &[Attr]| {
        let mut found = t.p.find(session, template);
        found.sort_unstable();
        found
    };
    let mut all = vec![public, private, object];
    all.sort_unstable();
    assert_eq!(find(&[]), all);
    assert_eq!(find(&[bytes(CKA_LABEL, b"pair")]), all);
    assert_eq!(find(&[bytes(CKA_LABEL, b"pai")]), []);
    assert_eq!(find(&[bytes(CKA_LABEL, b"pair\0")]), []);
    assert_eq!(find(&[bytes(CKA_ID, b"id"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]), [private]);
    assert_eq!(find(&[ulong(CKA_KEY_TYPE, CKK_RSA)]), []);
    assert_eq!(find(&[bytes(CKA_VALUE, &[0; 32]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]), []);
    assert_eq!(find(&[ulong(CKA_CLASS, CKO_PROFILE), bytes(CKA_LABEL, b"none")]), []);
}

#[test]
fn c113_a_search_is_a_snapshot() {
    let t = Token::new();
    let (first, second) = (t.p.rw(t.slot), t.p.rw(t.slot));
    let objects: Vec<_> =
        (0..20).map(|_| t.p.create(first, &data(b"x", true, false)).unwrap()).collect();
    t.p.find_init(first, &[]).unwrap();
    assert_eq!(t.p.find_some(first, 0).unwrap(), []);
    let mut seen = t.p.find_some(first, 5).unwrap();
    t.p.destroy(second, objects[19]).unwrap();
    t.p.create(second, &data(b"x", true, false)).unwrap();
    loop {
        let more = t.p.find_some(first, 5).unwrap();
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    assert_eq!(t.p.find_some(first, 5).unwrap(), [], "still nothing, and no error");
    t.p.find_final(first).unwrap();
    assert_eq!(t.p.find_final(first), Err(CKR_OPERATION_NOT_INITIALIZED));
    let mut unique = seen.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), seen.len(), "each at most once");
    assert!(objects[..19].iter().all(|object| seen.contains(object)), "none left out");
    assert_eq!(t.p.find_some(first, 1), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c115_an_objects_size_is_told() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let object = t.p.create(session, &data(b"x", true, false)).unwrap();
    assert!(t.p.size(session, object).unwrap() > 20);
}

#[test]
fn c117_every_attribute_reads_back_to_the_byte_after_a_restart() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = rsa_pair(&t.p, session, &[0, 1, 0xff], true);
    let object = t.p.create(session, &data("größe\0".as_bytes(), true, true)).unwrap();
    let kinds: Vec<CK_ATTRIBUTE_TYPE> = (0..0x700).collect();
    let read = |session, object| -> Vec<_> {
        kinds.iter().map(|kind| t.p.get(session, object, *kind).ok()).collect()
    };
    let handles = [public, private, object];
    let before: Vec<_> = handles.iter().map(|object| read(session, *object)).collect();
    let ids: Vec<_> =
        handles.iter().map(|object| t.p.get(session, *object, CKA_UNIQUE_ID).unwrap()).collect();
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    for (id, before) in ids.iter().zip(before) {
        let object = t.p.find(session, &[bytes(CKA_UNIQUE_ID, id)])[0];
        assert_eq!(read(session, object), before);
    }
}

#[test]
fn a_data_object_of_64_kib_is_kept() {
    let t = Token::new();
    let session = t.user();
    let value: Vec<u8> = (0..65_536u32).map(|i| (i % 251) as u8).collect();
    for private in [false, true] {
        let template = [
            ulong(CKA_CLASS, CKO_DATA),
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, private),
            bytes(CKA_APPLICATION, b"test"),
            bytes(CKA_VALUE, &value),
        ];
        let object = t.p.create(session, &template).unwrap();
        assert_eq!(t.p.get(session, object, CKA_VALUE).unwrap(), value);
    }
    let file = std::fs::read(t.rig.database()).unwrap();
    let piece = &value[..64];
    let seen = file.windows(64).filter(|window| *window == piece).count();
    assert!(seen >= 1, "the public one is there in clear");
    let public = t.p.find(session, &[flag(CKA_PRIVATE, false)])[0];
    t.p.destroy(session, public).unwrap();
    let file = std::fs::read(t.rig.database()).unwrap();
    let seen = file.windows(64).filter(|window| *window == piece).count();
    assert_eq!(seen, 0, "the private one is encrypted, and what was deleted is overwritten");
}
