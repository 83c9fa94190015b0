//! Attributes to the letter: conformance statements 92 to 115 where one object and one template are
//! not enough, and what clients insist on (K).

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use common::raw::*;
use cryptoki_sys::*;

#[test]
fn c092_a_template_that_is_none_is_refused_by_every_function() {
    let t = Token::new();
    let session = t.user();
    let object = t.p.create(session, &data(b"x", false, false)).unwrap();
    let list = t.p.list;
    let mut made = 0;
    let mut label = length_of(CKA_LABEL);
    let places: [(CK_ATTRIBUTE_PTR, CK_ULONG); 4] = [
        (ptr::null_mut(), 1),
        (ptr::null_mut(), CK_ULONG::MAX),
        (&mut label, CK_ULONG::MAX),
        (&mut label, CK_ULONG::MAX / size_of::<CK_ATTRIBUTE>() as CK_ULONG + 2),
    ];
    for (at, count) in places {
        let mut mechanism = Mech::plain(CKM_EC_KEY_PAIR_GEN);
        let told = unsafe {
            [
                list.C_CreateObject.unwrap()(session, at, count, &mut made),
                list.C_CopyObject.unwrap()(session, object, at, count, &mut made),
                list.C_GetAttributeValue.unwrap()(session, object, at, count),
                list.C_SetAttributeValue.unwrap()(session, object, at, count),
                list.C_FindObjectsInit.unwrap()(session, at, count),
                list.C_GenerateKeyPair.unwrap()(
                    session,
                    &mut mechanism.raw(),
                    at,
                    count,
                    ptr::null_mut(),
                    0,
                    &mut made,
                    &mut made,
                ),
            ]
        };
        assert_eq!(told, [CKR_ARGUMENTS_BAD; 6], "{count:#x}");
    }
    assert_eq!(label.ulValueLen, 99);
    // No entries need no array.
    unsafe {
        assert_eq!(list.C_GetAttributeValue.unwrap()(session, object, ptr::null_mut(), 0), CKR_OK);
        assert_eq!(list.C_SetAttributeValue.unwrap()(session, object, ptr::null_mut(), 0), CKR_OK);
        let copy = list.C_CopyObject.unwrap();
        assert_eq!(copy(session, object, ptr::null_mut(), 0, &mut made), CKR_OK);
    }
    t.p.destroy(session, made).unwrap();
    // Without a place for the handle nothing is made.
    let mut template = [entry(CKA_CLASS, &mut CKO_DATA.to_ne_bytes())];
    unsafe {
        let create = list.C_CreateObject.unwrap();
        let rv = create(session, template.as_mut_ptr(), 1, ptr::null_mut());
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        let rv = list.C_CopyObject.unwrap()(session, object, ptr::null_mut(), 0, ptr::null_mut());
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        let rv = list.C_GetObjectSize.unwrap()(session, object, ptr::null_mut());
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
    }
    assert_eq!(t.p.find(session, &[]), [object]);
}

#[test]
fn c092_a_bad_value_is_told_by_create_set_copy_and_generate() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let template = public_template(&t.p, session, public);
    let before = t.p.find(session, &[]).len();
    for (attribute, rv) in [
        (bytes(CKA_START_DATE, b"20260230x"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_START_DATE, b"2026013"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_START_DATE, b"2026O131"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_START_DATE, &[0; 8]), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_END_DATE, b"20261301"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_END_DATE, b"20260132"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_DERIVE, b""), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_DERIVE, &[0, 0]), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_DERIVE, &[2]), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_CLASS, b""), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_KEY_TYPE, &[3]), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_ALLOWED_MECHANISMS, &[0; 9]), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_VENDOR_DEFINED, b"x"), CKR_ATTRIBUTE_TYPE_INVALID),
        (bytes(CKA_APPLICATION, b"of data"), CKR_TEMPLATE_INCONSISTENT),
        (ulong(CKA_CERTIFICATE_TYPE, CKC_X_509), CKR_TEMPLATE_INCONSISTENT),
        (bytes(CKA_MODULUS, &[1; 256]), CKR_TEMPLATE_INCONSISTENT),
        (ulong(CKA_VALUE_LEN, 32), CKR_TEMPLATE_INCONSISTENT),
    ] {
        let one = std::slice::from_ref(&attribute);
        let create: Vec<_> =
            template.iter().filter(|given| given.0 != attribute.0).chain(one).cloned().collect();
        assert_eq!(t.p.create(session, &create), Err(rv), "{attribute:?}");
        assert_eq!(pair_with(&t, session, one), Err(rv), "{attribute:?}");
        for key in [public, private] {
            assert_eq!(t.p.set(session, key, one), Err(rv), "{attribute:?}");
            assert_eq!(t.p.copy(session, key, one), Err(rv), "{attribute:?}");
        }
    }
    // A date is eight digits or nothing at all.
    for date in [&b"20260131"[..], b"", b"19991231"] {
        t.p.set(session, private, &[bytes(CKA_START_DATE, date)]).unwrap();
        assert_eq!(t.p.get(session, private, CKA_START_DATE).unwrap(), date);
    }
    // A length without a value.
    let mut null = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: ptr::null_mut(), ulValueLen: 3 };
    let rv = unsafe { t.p.list.C_SetAttributeValue.unwrap()(session, private, &mut null, 1) };
    assert_eq!(rv, CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(t.p.get(session, private, CKA_LABEL).unwrap(), b"pair");
    assert_eq!(t.p.find(session, &[]).len(), before, "nothing half made");
}

#[test]
fn c093_what_is_said_twice_counts_once_wherever_it_is_said() {
    let t = Token::new();
    let session = t.user();
    let twice = |value: &[u8]| [bytes(CKA_LABEL, b"a"), bytes(CKA_LABEL, value)];
    let (_, private) = pair_with(&t, session, &twice(b"a")).unwrap();
    assert_eq!(pair_with(&t, session, &twice(b"b")), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(t.p.set(session, private, &twice(b"b")), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(t.p.copy(session, private, &twice(b"b")), Err(CKR_TEMPLATE_INCONSISTENT));
    t.p.set(session, private, &twice(b"a")).unwrap();
    assert!(t.p.copy(session, private, &twice(b"a")).is_ok());
    // What the mechanism says anyway may be said.
    let same = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_EC)];
    assert!(pair_with(&t, session, &same).is_ok());
    assert_eq!(
        pair_with(&t, session, &[ulong(CKA_KEY_TYPE, CKK_RSA)]),
        Err(CKR_TEMPLATE_INCONSISTENT)
    );
}

#[test]
fn c096_what_the_token_alone_says_is_read_only_in_every_template() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let template = public_template(&t.p, session, public);
    for attribute in [
        flag(CKA_LOCAL, true),
        flag(CKA_LOCAL, false),
        ulong(CKA_KEY_GEN_MECHANISM, CKM_EC_KEY_PAIR_GEN),
        flag(CKA_ALWAYS_SENSITIVE, true),
        flag(CKA_NEVER_EXTRACTABLE, true),
        bytes(CKA_UNIQUE_ID, b"x"),
    ] {
        let one = std::slice::from_ref(&attribute);
        let told = Err(CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(pair_with(&t, session, one), told, "{attribute:?}");
        assert_eq!(t.p.set(session, private, one).map(|()| (0, 0)), told, "{attribute:?}");
        if !matches!(attribute.0, CKA_ALWAYS_SENSITIVE | CKA_NEVER_EXTRACTABLE) {
            let created = t.p.create(session, &[&template[..], one].concat());
            assert_eq!(created.map(|_| (0, 0)), told, "{attribute:?}");
        }
    }
    let copy = t.p.copy(session, private, &[]).unwrap();
    for kind in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        assert_eq!(t.p.get_bool(session, copy, kind), Ok(true), "{kind:#x}");
    }
    assert_eq!(t.p.get_ulong(session, copy, CKA_KEY_GEN_MECHANISM), Ok(CKM_EC_KEY_PAIR_GEN));
    let (_, open) = pair_with(&t, session, &[flag(CKA_SENSITIVE, false)]).unwrap();
    t.p.set(session, open, &[flag(CKA_SENSITIVE, true)]).unwrap();
    assert_eq!(t.p.get_bool(session, open, CKA_ALWAYS_SENSITIVE), Ok(false), "it was not always");
}

#[test]
fn c103_a_unique_id_is_every_objects_own_and_never_given() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let id = |object| t.p.get(session, object, CKA_UNIQUE_ID).unwrap();
    let object = t.p.create(session, &data(b"x", false, false)).unwrap();
    let mut ids: Vec<_> = [public, private, object]
        .into_iter()
        .flat_map(|object| {
            let own = id(object);
            t.p.set(session, object, &[bytes(CKA_LABEL, b"renamed")]).unwrap();
            assert_eq!(id(object), own, "stable");
            for given in [&own[..], b"", b"other"] {
                let given = [bytes(CKA_UNIQUE_ID, given)];
                let told = Err(CKR_ATTRIBUTE_READ_ONLY);
                assert_eq!(t.p.set(session, object, &given).map(|()| 0), told);
                assert_eq!(t.p.copy(session, object, &given), told);
            }
            [own, id(t.p.copy(session, object, &[]).unwrap())]
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn c104_every_entry_gets_its_own_answer_whatever_ails_the_others() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", false);
    let mut room = [[0xA5u8; 8]; 6];
    let [value, unknown, label, id, class, date] = &mut room;
    let mut entries = [
        entry(CKA_VALUE, value),
        entry(0x8765_4321, unknown),
        entry(CKA_LABEL, &mut label[..3]),
        entry(CKA_ID, id),
        length_of(CKA_EC_POINT),
        entry(CKA_CLASS, class),
        length_of(CKA_VALUE),
        length_of(CKA_MODULUS),
        entry(CKA_START_DATE, date),
        entry(CKA_ID, &mut []),
    ];
    entries[9].pValue = ptr::null_mut();
    assert_eq!(ask(&t.p, session, private, &mut entries), CKR_ATTRIBUTE_SENSITIVE);
    let lens = entries.map(|entry| entry.ulValueLen);
    assert_eq!(lens, [NONE, NONE, NONE, 1, 67, 8, NONE, NONE, 0, 1]);
    let untouched = [0xA5; 8];
    assert_eq!([room[0], room[1], room[2], room[5]], [untouched; 4]);
    assert_eq!(room[3], *b"1\xA5\xA5\xA5\xA5\xA5\xA5\xA5");
    assert_eq!(room[4], CKO_PRIVATE_KEY.to_ne_bytes());
    let (mut small, mut same) = ([0u8; 1], [0u8; 1]);
    for (kinds, rv) in [
        ([CKA_LABEL, 0x8765_4321, CKA_ID], CKR_ATTRIBUTE_TYPE_INVALID),
        ([CKA_LABEL, CKA_VALUE, CKA_ID], CKR_ATTRIBUTE_SENSITIVE),
        ([0x8765_4321, CKA_VALUE, CKA_ID], CKR_ATTRIBUTE_SENSITIVE),
        ([CKA_LABEL, CKA_LABEL, CKA_ID], CKR_BUFFER_TOO_SMALL),
    ] {
        let [first, second, third] = kinds;
        let mut two = [entry(first, &mut small), length_of(second), entry(third, &mut same)];
        assert_eq!(ask(&t.p, session, private, &mut two), rv, "{kinds:x?}");
        assert_eq!((two[0].ulValueLen, two[2].ulValueLen, same), (NONE, 1, *b"1"));
    }
    // The same attribute more than once is answered as often.
    let (mut one, mut two) = ([0u8; 4], [0u8; 4]);
    let mut twice = [entry(CKA_LABEL, &mut one), entry(CKA_LABEL, &mut two)];
    assert_eq!(ask(&t.p, session, private, &mut twice), CKR_OK);
    assert_eq!((&one, &two), (b"pair", b"pair"));
}

#[test]
fn c105_an_empty_value_is_given_taken_and_found() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", false);
    let mut somewhere = 0u8;
    for at in [ptr::null_mut(), ptr::from_mut(&mut somewhere).cast()] {
        t.p.set(session, private, &[bytes(CKA_ID, b"1"), bytes(CKA_LABEL, b"pair")]).unwrap();
        let empty = |type_| CK_ATTRIBUTE { type_, pValue: at, ulValueLen: 0 };
        let mut changes = [empty(CKA_ID), empty(CKA_LABEL), empty(CKA_START_DATE)];
        let set = t.p.list.C_SetAttributeValue.unwrap();
        assert_eq!(unsafe { set(session, private, changes.as_mut_ptr(), 3) }, CKR_OK);
        assert_eq!(ask(&t.p, session, private, &mut changes), CKR_OK);
        assert_eq!(changes.map(|entry| entry.ulValueLen), [0; 3]);
        assert_eq!(t.p.get(session, private, CKA_ID).unwrap(), b"");
        let found = t.p.find(session, &[bytes(CKA_ID, b""), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
        assert_eq!(found, [private]);
        assert_eq!(t.p.find(session, &[bytes(CKA_MODULUS, b"")]), [], "it has none");
    }
}

#[test]
fn c107_a_key_does_what_its_allowed_mechanisms_name_and_nothing_else() {
    let t = Token::new();
    let session = t.user();
    let list = |mechanisms: &[CK_MECHANISM_TYPE]| {
        let words: Vec<_> = mechanisms.iter().flat_map(|ckm| ckm.to_ne_bytes()).collect();
        bytes(CKA_ALLOWED_MECHANISMS, &words)
    };
    let allowed = [CKM_SHA256_RSA_PKCS, CKM_RSA_PKCS_OAEP, CKM_SHA256_RSA_PKCS];
    let public = [
        ulong(CKA_MODULUS_BITS, 2048),
        flag(CKA_VERIFY, true),
        flag(CKA_ENCRYPT, true),
        list(&allowed),
    ];
    let private = [flag(CKA_SIGN, true), flag(CKA_DECRYPT, true), list(&allowed)];
    let (public, private) =
        t.p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
    assert_eq!(t.p.get(session, public, CKA_ALLOWED_MECHANISMS).unwrap(), list(&allowed).1);
    let oaep = || Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
    let copy = t.p.copy(session, private, &[flag(CKA_TOKEN, true)]).unwrap();
    for private in [private, copy] {
        let signature = t.p.sign(session, Mech::plain(CKM_SHA256_RSA_PKCS), private, b"x").unwrap();
        t.p.verify(session, Mech::plain(CKM_SHA256_RSA_PKCS), public, b"x", &signature).unwrap();
        let ciphertext = t.p.encrypt(session, oaep(), public, b"x").unwrap();
        assert_eq!(t.p.decrypt(session, oaep(), private, &ciphertext).unwrap(), b"x");
        for (op, key) in [(Op::Sign, private), (Op::Decrypt, private), (Op::Encrypt, public)] {
            let rv = t.p.init(op, session, Mech::plain(CKM_RSA_PKCS), key);
            assert_eq!(rv, Err(CKR_MECHANISM_INVALID), "{op:?}");
        }
        let rv = t.p.verify_init(session, &mut Mech::plain(CKM_SHA384_RSA_PKCS), public);
        assert_eq!(rv, Err(CKR_MECHANISM_INVALID));
        let more = [list(&[CKM_RSA_PKCS])];
        assert_eq!(t.p.set(session, private, &more), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(t.p.copy(session, private, &more), Err(CKR_ATTRIBUTE_READ_ONLY));
    }
    // An empty list names none; without a list every mechanism is allowed.
    let (_, key) = pair_with(&t, session, &[list(&[])]).unwrap();
    let refused = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]);
    assert_eq!(refused, Err(CKR_MECHANISM_INVALID));
    let (_, key) = pair_with(&t, session, &[]).unwrap();
    assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).is_ok());
}

#[test]
fn c108_a_public_key_info_of_another_key_is_refused_by_every_function() {
    let t = Token::new();
    let session = t.user();
    let pairs = [ec_pair(&t.p, session, b"1", true), rsa_pair(&t.p, session, b"2", true)];
    let info = |key| t.p.get(session, key, CKA_PUBLIC_KEY_INFO).unwrap();
    let infos = pairs.map(|(public, _)| info(public));
    for ((_, private), (own, other)) in
        pairs.iter().zip([(&infos[0], &infos[1]), (&infos[1], &infos[0])])
    {
        let other = [bytes(CKA_PUBLIC_KEY_INFO, other)];
        assert_eq!(t.p.set(session, *private, &other), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        assert_eq!(t.p.copy(session, *private, &other), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        for same in [&own[..], b""] {
            let same = [bytes(CKA_PUBLIC_KEY_INFO, same)];
            t.p.set(session, *private, &same).unwrap();
            let copy = t.p.copy(session, *private, &same).unwrap();
            assert_eq!((info(*private), info(copy)), (own.clone(), own.clone()));
        }
    }
    let given = [bytes(CKA_PUBLIC_KEY_INFO, &infos[0])];
    assert_eq!(pair_with(&t, session, &given), Err(CKR_ATTRIBUTE_VALUE_INVALID));
}

#[test]
fn c115_the_size_grows_with_what_an_object_holds() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    for object in [public, private] {
        let before = t.p.size(session, object).unwrap();
        t.p.set(session, object, &[bytes(CKA_LABEL, &[b'x'; 104])]).unwrap();
        assert_eq!(t.p.size(session, object), Ok(before + 100));
        let copy = t.p.copy(session, object, &[flag(CKA_TOKEN, false)]).unwrap();
        assert_eq!(t.p.size(session, copy), Ok(before + 100));
        t.p.destroy(session, copy).unwrap();
        assert_eq!(t.p.size(session, copy), Err(CKR_OBJECT_HANDLE_INVALID));
    }
    assert_eq!(t.p.size(session, 0), Err(CKR_OBJECT_HANDLE_INVALID));
}

#[test]
fn k_usages_are_those_that_a_template_names_and_a_key_can_serve() {
    let t = Token::new();
    let session = t.user();
    let usages = [CKA_SIGN, CKA_DECRYPT, CKA_DERIVE, CKA_UNWRAP, CKA_SIGN_RECOVER];
    let made = |generator, named: &[CK_ATTRIBUTE_TYPE]| {
        let public = match generator {
            CKM_EC_KEY_PAIR_GEN => bytes(CKA_EC_PARAMS, P256),
            _ => ulong(CKA_MODULUS_BITS, 2048),
        };
        let private: Vec<_> = named.iter().map(|kind| flag(*kind, true)).collect();
        t.p.generate_pair(session, generator, &[public], &private).map(|(_, key)| {
            let has = |kind: &CK_ATTRIBUTE_TYPE| t.p.get_bool(session, key, *kind) == Ok(true);
            usages.into_iter().filter(has).collect::<Vec<_>>()
        })
    };
    let (ec, rsa) = (CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN);
    assert_eq!(made(ec, &[]), Ok(vec![CKA_SIGN, CKA_DERIVE]));
    assert_eq!(made(ec, &[CKA_SIGN]), Ok(vec![CKA_SIGN]), "no disk key");
    assert_eq!(made(ec, &[CKA_DERIVE]), Ok(vec![CKA_DERIVE]));
    assert_eq!(made(ec, &usages), Ok(vec![CKA_SIGN, CKA_DERIVE]));
    assert_eq!(made(ec, &[CKA_DECRYPT]), Err(CKR_TEMPLATE_INCONSISTENT));
    assert_eq!(made(rsa, &[]), Ok(vec![CKA_SIGN, CKA_DECRYPT]));
    assert_eq!(made(rsa, &[CKA_SIGN]), Ok(vec![CKA_SIGN]));
    let all = vec![CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER];
    assert_eq!(made(rsa, &usages), Ok(all));
}

#[test]
fn k_private_keys_answer_what_their_public_keys_are() {
    let t = Token::new();
    let session = t.user();
    let (rsa, ec) = (rsa_pair(&t.p, session, b"1", true), ec_pair(&t.p, session, b"2", true));
    for ((public, private), kinds) in [
        (rsa, &[CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO][..]),
        (ec, &[CKA_EC_PARAMS, CKA_EC_POINT, CKA_PUBLIC_KEY_INFO]),
    ] {
        for kind in kinds {
            let value = t.p.get(session, private, *kind).unwrap();
            assert_eq!(t.p.get(session, public, *kind).unwrap(), value);
            let mut found = t.p.find(session, &[bytes(*kind, &value)]);
            found.sort_unstable();
            assert!(found.contains(&public) && found.contains(&private), "{kind:#x}");
        }
    }
}

#[test]
fn c104_k_unknown_attributes_of_other_vendors_leave_the_known_ones_filled() {
    let t = Token::new();
    let session = t.user();
    let (public, _) = ec_pair(&t.p, session, b"id", true);
    // What NSS and others ask for beside what they know an object has.
    let mut entries = [
        length_of(CKA_VENDOR_DEFINED | 0x4E53_4350),
        length_of(CKA_ID),
        length_of(0xD5A0_DB00),
        length_of(CKA_LABEL),
        length_of(CKA_WRAP_TEMPLATE),
        length_of(CKA_VALUE),
        length_of(CK_ULONG::MAX),
    ];
    assert_eq!(ask(&t.p, session, public, &mut entries), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_eq!(entries.map(|entry| entry.ulValueLen), [NONE, 2, NONE, 4, NONE, NONE, NONE]);
}
