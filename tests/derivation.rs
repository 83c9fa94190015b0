//! Keys cut, joined and encrypted from others: conformance statements 109 and 121.

mod common;

use common::derive::*;
use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const BASE: [u8; 16] = [0x32, 0x9f, 0x84, 0xa9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn base(p: &P11, session: CK_SESSION_HANDLE, key_type: CK_KEY_TYPE, more: &[Attr]) -> CK_ULONG {
    base_key(p, session, key_type, &BASE, more)
}

/// CK_KEY_DERIVATION_STRING_DATA and its like: the data's address goes behind `before`.
fn with_data(ckm: CK_MECHANISM_TYPE, before: &[u8], data: &[u8]) -> Mech {
    let address = data.as_ptr() as usize;
    let len = data.len() as CK_ULONG;
    Mech::bytes(ckm, &[before, &address.to_ne_bytes(), &len.to_ne_bytes()].concat())
}

#[test]
fn c121_values_are_joined_mixed_and_cut() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let key = base(p, session, CKK_GENERIC_SECRET, &open());
    let data = [0xf0; 8];
    let value = |mech: Mech, len: Option<CK_ULONG>| {
        let mut template = open();
        template.extend(len.map(|len| ulong(CKA_VALUE_LEN, len)));
        p.derive_key(session, mech, key, &template)
            .map(|key| p.get(session, key, CKA_VALUE).unwrap())
    };
    let with = |ckm| with_data(ckm, &[], &data);
    let joined = [&BASE[..], &data].concat();
    assert_eq!(value(with(CKM_CONCATENATE_BASE_AND_DATA), None).unwrap(), joined);
    assert_eq!(value(with(CKM_CONCATENATE_BASE_AND_DATA), Some(20)).unwrap(), joined[..20]);
    let joined = [&data[..], &BASE].concat();
    assert_eq!(value(with(CKM_CONCATENATE_DATA_AND_BASE), None).unwrap(), joined);
    let mixed: Vec<u8> = BASE[..8].iter().map(|byte| byte ^ 0xf0).collect();
    assert_eq!(value(with(CKM_XOR_BASE_AND_DATA), None).unwrap(), mixed);
    assert_eq!(value(with(CKM_XOR_BASE_AND_DATA), Some(9)), Err(CKR_KEY_SIZE_RANGE));
    let bits = |at: CK_ULONG| Mech::bytes(CKM_EXTRACT_KEY_FROM_KEY, &at.to_ne_bytes());
    // 329f84a9 from its bit 21 on, as the standard has it, but for what follows.
    let number = u128::from_be_bytes(BASE);
    for at in [0, 1, 21, 120, 127] {
        let turned = number.rotate_left(at).to_be_bytes();
        assert_eq!(value(bits(at.into()), Some(3)).unwrap(), turned[..3], "{at}");
        assert_eq!(value(bits(at.into()), Some(16)).unwrap(), turned);
    }
    assert_eq!(value(bits(128), Some(1)), Err(CKR_MECHANISM_PARAM_INVALID));
    assert_eq!(value(bits(0), Some(17)), Err(CKR_KEY_SIZE_RANGE));
    assert_eq!(value(bits(0), None), Err(CKR_TEMPLATE_INCOMPLETE));
}

#[test]
fn c109_a_derived_key_with_the_check_value_of_another_is_refused_as_such() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let key = base(p, session, CKK_GENERIC_SECRET, &open());
    let derive = |check: &[u8]| {
        let template = [open(), vec![bytes(CKA_CHECK_VALUE, check)]].concat();
        let mech = with_data(CKM_CONCATENATE_BASE_AND_DATA, &[], b"data");
        p.derive_key(session, mech, key, &template)
    };
    let plain = derive(b"").unwrap();
    assert_eq!(p.get(session, plain, CKA_CHECK_VALUE), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    let joined = [&BASE[..], b"data"].concat();
    let own = p.digest(session, CKM_SHA_1, &joined).unwrap()[..3].to_vec();
    assert_eq!(derive(b"bad"), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    let checked = derive(&own).unwrap();
    assert_eq!(p.get(session, checked, CKA_CHECK_VALUE), Ok(own));
}

#[test]
fn c121_data_is_encrypted_into_a_key_and_the_base_stays_where_it_is() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let key = base(p, session, CKK_AES, &[flag(CKA_ENCRYPT, true)]);
    let data: Vec<u8> = (0..32).collect();
    let iv = [9; 16];
    for (mech, cipher) in [
        (with_data(CKM_AES_ECB_ENCRYPT_DATA, &[], &data), Mech::plain(CKM_AES_ECB)),
        (with_data(CKM_AES_CBC_ENCRYPT_DATA, &iv, &data), Mech::bytes(CKM_AES_CBC, &iv)),
    ] {
        let made = p.derive_key(session, mech, key, &open()).unwrap();
        let expected = p.encrypt(session, cipher, key, &data).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), expected);
    }
    let mech = with_data(CKM_AES_ECB_ENCRYPT_DATA, &[], &data[..16]);
    let template = [open(), vec![ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 32)]].concat();
    let short = p.derive_key(session, mech, key, &template);
    assert_eq!(short, Err(CKR_MECHANISM_PARAM_INVALID));
    for len in [0, 15, 17] {
        let mech = with_data(CKM_AES_ECB_ENCRYPT_DATA, &[], &data[..len]);
        let refused = p.derive_key(session, mech, key, &open());
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID), "{len}");
    }
}

#[test]
fn c121_what_is_made_of_a_value_asks_whether_the_value_may_leave() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let data = [1; 4];
    let mech = || with_data(CKM_XOR_BASE_AND_DATA, &[], &data);
    let fixed = base(p, session, CKK_GENERIC_SECRET, &[]);
    let refused = p.derive_key(session, mech(), fixed, &[]);
    assert_eq!(refused, Err(CKR_KEY_TYPE_INCONSISTENT));
    let sensitive = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, true)];
    let sensitive = base(p, session, CKK_GENERIC_SECRET, &sensitive);
    let opened = p.derive_key(session, mech(), sensitive, &open());
    assert_eq!(opened, Err(CKR_TEMPLATE_INCONSISTENT));
    let made = p.derive_key(session, mech(), sensitive, &[flag(CKA_EXTRACTABLE, true)]).unwrap();
    assert!(p.get_bool(session, made, CKA_SENSITIVE).unwrap());
    // One that was made so that it might leave does not any more.
    let closed = base(p, session, CKK_GENERIC_SECRET, &open());
    p.set(session, closed, &[flag(CKA_EXTRACTABLE, false)]).unwrap();
    let refused = p.derive_key(session, mech(), closed, &[]);
    assert_eq!(refused, Err(CKR_KEY_TYPE_INCONSISTENT));
    let secret = p.generic_key(session, &BASE);
    let mac = p.sign(session, Mech::plain(CKM_SHA256_HMAC), secret, b"data").unwrap();
    assert_eq!(
        p.sign(session, Mech::plain(CKM_SHA256_HMAC), fixed, b"data").err(),
        Some(CKR_KEY_FUNCTION_NOT_PERMITTED)
    );
    assert_eq!(mac.len(), 32);
}

fn value_key(p: &P11, session: CK_SESSION_HANDLE, value: &[u8], more: &[Attr]) -> CK_OBJECT_HANDLE {
    let own = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        bytes(CKA_VALUE, value),
        flag(CKA_DERIVE, true),
    ];
    p.create(session, &[&own[..], more].concat()).unwrap()
}

#[test]
fn c121_two_keys_are_joined_and_guarded_as_the_better_guarded_one() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let long: Vec<u8> = (0..300).map(|at| at as u8).collect();
    let (first, second) =
        (value_key(p, session, b"first", &open()), value_key(p, session, &long, &open()));
    let mech =
        |other: CK_OBJECT_HANDLE| Mech::bytes(CKM_CONCATENATE_BASE_AND_KEY, &other.to_ne_bytes());
    for (base, other, joined) in [
        (first, second, [&b"first"[..], &long].concat()),
        (second, first, [&long[..], b"first"].concat()),
        (first, first, b"firstfirst".to_vec()),
    ] {
        let made = p.derive_key(session, mech(other), base, &open()).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), joined);
        let template = [open(), vec![ulong(CKA_VALUE_LEN, 7)]].concat();
        let made = p.derive_key(session, mech(other), base, &template).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), joined[..7]);
    }
    let longer = [open(), vec![ulong(CKA_VALUE_LEN, 11)]].concat();
    assert_eq!(p.derive_key(session, mech(first), first, &longer), Err(CKR_KEY_SIZE_RANGE));
    let sensitive = value_key(p, session, b"s", &[flag(CKA_EXTRACTABLE, true)]);
    for (base, other) in [(first, sensitive), (sensitive, first)] {
        let refused = p.derive_key(session, mech(other), base, &open());
        assert_eq!(refused, Err(CKR_TEMPLATE_INCONSISTENT));
        let made = p.derive_key(session, mech(other), base, &[]).unwrap();
        assert!(p.get_bool(session, made, CKA_SENSITIVE).unwrap());
        assert!(!p.get_bool(session, made, CKA_ALWAYS_SENSITIVE).unwrap());
        assert!(!p.get_bool(session, made, CKA_NEVER_EXTRACTABLE).unwrap());
    }
    let generated = |more: &[Attr]| {
        let own = [ulong(CKA_VALUE_LEN, 16), flag(CKA_DERIVE, true), flag(CKA_EXTRACTABLE, true)];
        let template = [&own[..], more].concat();
        p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap()
    };
    let (always, never) = (generated(&[]), generated(&[flag(CKA_SENSITIVE, false)]));
    for (other, inherited) in [(always, true), (never, false), (first, false)] {
        let made = p.derive_key(session, mech(other), always, &[]).unwrap();
        assert_eq!(p.get_bool(session, made, CKA_ALWAYS_SENSITIVE), Ok(inherited));
    }
    let fixed = value_key(p, session, b"fixed", &[]);
    let signer = value_key(p, session, b"signer", &open());
    p.set(session, signer, &[flag(CKA_DERIVE, false)]).unwrap();
    for (base, other, rv) in [
        (fixed, first, CKR_KEY_TYPE_INCONSISTENT),
        (first, fixed, CKR_KEY_TYPE_INCONSISTENT),
        (first, signer, CKR_KEY_TYPE_INCONSISTENT),
        (first, 0, CKR_KEY_HANDLE_INVALID),
        (0, first, CKR_KEY_HANDLE_INVALID),
    ] {
        assert_eq!(p.derive_key(session, mech(other), base, &[]), Err(rv));
    }
    for parameter in [&[][..], &[1], &[0; 9]] {
        let mech = Mech::bytes(CKM_CONCATENATE_BASE_AND_KEY, parameter);
        let refused = p.derive_key(session, mech, first, &open());
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID));
    }
}

#[test]
fn c121_a_key_is_the_digest_of_a_value_that_may_leave() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let value = b"the value of the base key";
    let base = value_key(p, session, value, &[flag(CKA_EXTRACTABLE, true)]);
    let fixed = value_key(p, session, value, &[]);
    for (ckm, hash, len) in [
        (CKM_SHA1_KEY_DERIVATION, CKM_SHA_1, 20),
        (CKM_SHA224_KEY_DERIVATION, CKM_SHA224, 28),
        (CKM_SHA256_KEY_DERIVATION, CKM_SHA256, 32),
        (CKM_SHA384_KEY_DERIVATION, CKM_SHA384, 48),
        (CKM_SHA512_KEY_DERIVATION, CKM_SHA512, 64),
        (CKM_SHA512_224_KEY_DERIVATION, CKM_SHA512_224, 28),
        (CKM_SHA512_256_KEY_DERIVATION, CKM_SHA512_256, 32),
        (CKM_SHA3_224_KEY_DERIVATION, CKM_SHA3_224, 28),
        (CKM_SHA3_256_KEY_DERIVATION, CKM_SHA3_256, 32),
        (CKM_SHA3_384_KEY_DERIVATION, CKM_SHA3_384, 48),
        (CKM_SHA3_512_KEY_DERIVATION, CKM_SHA3_512, 64),
    ] {
        let digest = p.digest(session, hash, value).unwrap();
        let derive =
            |base, template: &[Attr]| p.derive_key(session, Mech::plain(ckm), base, template);
        let sized = |len| [open(), vec![ulong(CKA_VALUE_LEN, len)]].concat();
        let made = derive(base, &open()).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), digest);
        assert_eq!(p.get_ulong(session, made, CKA_VALUE_LEN), Ok(len));
        let made = derive(base, &sized(10)).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), digest[..10]);
        assert_eq!(derive(base, &sized(len + 1)), Err(CKR_KEY_SIZE_RANGE));
        let aes = [open(), vec![ulong(CKA_KEY_TYPE, CKK_AES)]].concat();
        assert_eq!(derive(base, &aes), Err(CKR_TEMPLATE_INCOMPLETE));
        let aes = [aes, vec![ulong(CKA_VALUE_LEN, 16)]].concat();
        let made = derive(base, &aes).unwrap();
        assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), digest[..16]);
        assert_eq!(derive(fixed, &open()), Err(CKR_KEY_TYPE_INCONSISTENT));
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        assert_eq!(flags, CKF_DERIVE, "a value that has left is hashed outside");
        let bytes = Mech::bytes(ckm, b"parameter");
        let refused = p.derive_key(session, bytes, base, &open());
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID));
    }
}
