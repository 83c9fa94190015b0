//! The rules of new objects, one by one.

use super::super::template::AttributeAnswer;
use super::super::testing::*;
use super::super::{copy, reading, set};
use super::*;
use crate::tpm::{Curve, PublicKey};
use cryptoki_sys::*;
use proptest::prelude::*;

fn refused<T: std::fmt::Debug>(result: Result<T>) -> CK_RV {
    result.unwrap_err().ck_rv()
}

fn ec() -> PublicKey {
    ec_key(Curve::P256, P256_INFO)
}

const GENERATE_PRIVATE: Path =
    Path::Generate { mechanism: CKM_EC_KEY_PAIR_GEN, class: CKO_PRIVATE_KEY, key_type: CKK_EC };
const GENERATE_AES: Path =
    Path::Generate { mechanism: CKM_AES_KEY_GEN, class: CKO_SECRET_KEY, key_type: CKK_AES };

#[test]
fn an_object_has_the_defaults_of_the_standard() {
    let object = create(&data(), PUBLIC).unwrap();
    let expected = data()
        .with(CKA_TOKEN, FALSE)
        .with(CKA_PRIVATE, FALSE)
        .with(CKA_MODIFIABLE, TRUE)
        .with(CKA_COPYABLE, TRUE)
        .with(CKA_DESTROYABLE, TRUE)
        .with(CKA_LABEL, Value::bytes([]))
        .with(CKA_APPLICATION, Value::bytes([]))
        .with(CKA_OBJECT_ID, Value::bytes([]))
        .with(CKA_VALUE, Value::bytes([]));
    assert_eq!(object, expected);
}

#[test]
fn c092_what_must_be_given_and_is_not_makes_a_template_incomplete() {
    for (template, needed) in [
        (data(), vec![CKA_CLASS]),
        (certificate(), vec![CKA_CLASS, CKA_CERTIFICATE_TYPE, CKA_VALUE]),
        (public(&ec()), vec![CKA_CLASS, CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_EC_POINT]),
        (public(&rsa_key()), vec![CKA_CLASS, CKA_KEY_TYPE, CKA_MODULUS, CKA_PUBLIC_EXPONENT]),
    ] {
        assert!(create(&template, USER).is_ok());
        for cka in needed {
            let mut without = template.clone();
            without.remove(cka);
            assert_eq!(create(&without, USER), Err(CKR_TEMPLATE_INCOMPLETE), "0x{cka:x}");
        }
    }
}

#[test]
fn c092_an_attribute_of_other_objects_is_inconsistent() {
    for (template, cka, value) in [
        (data(), CKA_SIGN, TRUE),
        (certificate(), CKA_MODULUS, Value::bytes([1])),
        (public(&ec()), CKA_MODULUS, Value::bytes([1])),
        (public(&ec()), CKA_SENSITIVE, TRUE),
    ] {
        assert_eq!(create(&template.with(cka, value), USER), Err(CKR_TEMPLATE_INCONSISTENT));
    }
}

#[test]
fn c096_what_is_the_tokens_to_set_is_read_only_on_every_path() {
    for cka in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        let template = AttributeSet::new().with(cka, TRUE);
        for path in [GENERATE_PRIVATE, GENERATE_AES] {
            assert_eq!(refused(new_object(path, &template, USER)), CKR_ATTRIBUTE_READ_ONLY);
        }
    }
    let origin = AttributeSet::new().with(CKA_KEY_GEN_MECHANISM, Value::Ulong(1));
    assert_eq!(refused(new_object(GENERATE_PRIVATE, &origin, USER)), CKR_ATTRIBUTE_READ_ONLY);
    for (cka, value) in [
        (CKA_LOCAL, FALSE),
        (CKA_KEY_GEN_MECHANISM, Value::Ulong(u64::MAX)),
        (CKA_MODULUS_BITS, Value::Ulong(1024)),
    ] {
        let template = public(&rsa_key()).with(cka, value);
        assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
    }
    // The values of a key that is made are not given.
    for cka in [CKA_EC_PARAMS, CKA_EC_POINT, CKA_VALUE] {
        let template = AttributeSet::new().with(cka, Value::bytes([1]));
        assert_eq!(refused(new_object(GENERATE_PRIVATE, &template, USER)), CKR_ATTRIBUTE_READ_ONLY);
    }
}

#[test]
fn c103_a_unique_id_in_a_template_is_read_only() {
    for template in [data(), certificate(), public(&ec())] {
        let template = template.with(CKA_UNIQUE_ID, Value::bytes(*b"1"));
        assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_READ_ONLY));
    }
    let template = AttributeSet::new().with(CKA_UNIQUE_ID, Value::bytes(*b"1"));
    for path in [GENERATE_PRIVATE, GENERATE_AES] {
        assert_eq!(refused(new_object(path, &template, USER)), CKR_ATTRIBUTE_READ_ONLY);
    }
}

#[test]
fn c096_a_created_key_is_not_local() {
    let object = create(&public(&rsa_key()), USER).unwrap();
    assert_eq!(object.bool(CKA_LOCAL), Some(false));
    assert_eq!(object.ulong(CKA_KEY_GEN_MECHANISM), Some(u64::MAX));
    assert!(!object.has(CKA_ALWAYS_SENSITIVE));
}

#[test]
fn c096_unwrapped_and_derived_keys_know_where_they_come_from() {
    let template = AttributeSet::new()
        .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
        .with(CKA_KEY_TYPE, ulong(CKK_AES));
    let history = |object: &AttributeSet| {
        [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE].map(|cka| object.is_true(cka))
    };
    let unwrapped = new_object(Path::Unwrap, &template, USER).unwrap();
    assert_eq!(history(&unwrapped), [false, false, false]);
    let mut untyped = template.clone();
    untyped.remove(CKA_KEY_TYPE);
    assert_eq!(refused(new_object(Path::Unwrap, &untyped, USER)), CKR_TEMPLATE_INCOMPLETE);
    // 121: by AND with the base key's.
    for (always_sensitive, never_extractable) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let path = Path::Derive { always_sensitive, never_extractable };
        let guarded = new_object(path, &template, USER).unwrap();
        assert_eq!(history(&guarded), [false, always_sensitive, never_extractable]);
        let open = template.clone().with(CKA_SENSITIVE, FALSE).with(CKA_EXTRACTABLE, TRUE);
        let open = new_object(path, &open, USER).unwrap();
        assert_eq!(history(&open), [false, false, false]);
    }
}

#[test]
fn k_what_systemd_derives_in_a_read_only_session_is_a_generic_secret() {
    let template = AttributeSet::new()
        .with(CKA_TOKEN, FALSE)
        .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
        .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET))
        .with(CKA_SENSITIVE, FALSE)
        .with(CKA_EXTRACTABLE, TRUE);
    let path = Path::Derive { always_sensitive: true, never_extractable: true };
    let object = new_object(path, &template, READER).unwrap();
    assert_eq!(object.bool(CKA_SENSITIVE), Some(false));
    assert!(new_object(path, &AttributeSet::new(), READER).is_ok());
}

#[test]
fn c098_only_the_officer_makes_something_trusted() {
    let trusted = certificate().with(CKA_TRUSTED, TRUE);
    assert_eq!(create(&trusted, USER), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(create(&trusted, PUBLIC), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert!(create(&trusted, OFFICER).unwrap().is_true(CKA_TRUSTED));
    assert!(create(&certificate().with(CKA_TRUSTED, FALSE), USER).is_ok());
}

#[test]
fn c090_private_objects_are_the_users() {
    let private = data().with(CKA_PRIVATE, TRUE);
    assert!(create(&private, USER).is_ok());
    assert_eq!(create(&private, PUBLIC), Err(CKR_USER_NOT_LOGGED_IN));
    assert!(create(&data(), PUBLIC).is_ok());
    // A private key is private unless its template says otherwise.
    let private = new_object(GENERATE_PRIVATE, &AttributeSet::new(), PUBLIC);
    assert_eq!(refused(private), CKR_USER_NOT_LOGGED_IN);
    let open = AttributeSet::new().with(CKA_PRIVATE, FALSE);
    assert!(new_object(GENERATE_PRIVATE, &open, PUBLIC).is_ok());
}

#[test]
fn c060_the_officer_creates_no_private_object() {
    let private = data().with(CKA_PRIVATE, TRUE);
    assert_eq!(create(&private, OFFICER), Err(CKR_USER_NOT_LOGGED_IN));
}

#[test]
fn c089_a_read_only_session_creates_session_objects_only() {
    assert!(create(&data(), READER).is_ok());
    assert_eq!(create(&data().with(CKA_TOKEN, TRUE), READER), Err(CKR_SESSION_READ_ONLY));
    assert!(create(&data().with(CKA_TOKEN, TRUE), USER).is_ok());
}

#[test]
fn c065_a_key_that_asks_each_time_is_private_and_used_in_operations_only() {
    let asks = AttributeSet::new().with(CKA_ALWAYS_AUTHENTICATE, TRUE);
    let made = new_object(GENERATE_PRIVATE, &asks, USER).unwrap();
    assert!(made.is_true(CKA_SIGN) && !made.is_true(CKA_DERIVE), "the preset has room for it");
    for (cka, value) in [(CKA_PRIVATE, FALSE), (CKA_DERIVE, TRUE)] {
        let result = new_object(GENERATE_PRIVATE, &asks.clone().with(cka, value), USER);
        assert_eq!(refused(result), CKR_TEMPLATE_INCONSISTENT, "0x{cka:x}");
    }
    let other = AttributeSet::new().with(CKA_ALWAYS_AUTHENTICATE, FALSE);
    assert!(new_object(GENERATE_PRIVATE, &other, USER).unwrap().is_true(CKA_DERIVE));
}

#[test]
fn c119_generated_keys_are_sensitive_and_stay_in_the_tpm() {
    for path in [GENERATE_PRIVATE, GENERATE_AES] {
        let sized = if path == GENERATE_AES {
            AttributeSet::new().with(CKA_VALUE_LEN, Value::Ulong(32))
        } else {
            AttributeSet::new()
        };
        let object = new_object(path, &sized, USER).unwrap();
        for cka in [CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL] {
            assert!(object.is_true(cka), "0x{cka:x}");
        }
        assert_eq!(object.bool(CKA_EXTRACTABLE), Some(false));
        let open = new_object(path, &sized.clone().with(CKA_SENSITIVE, FALSE), USER).unwrap();
        assert!(!open.is_true(CKA_ALWAYS_SENSITIVE));
        let movable = new_object(path, &sized.with(CKA_EXTRACTABLE, TRUE), USER).unwrap();
        assert!(!movable.is_true(CKA_NEVER_EXTRACTABLE));
    }
}

#[test]
fn c118_a_class_or_key_type_other_than_the_mechanisms_is_inconsistent() {
    for (cka, wrong, right) in
        [(CKA_CLASS, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY), (CKA_KEY_TYPE, CKK_RSA, CKK_EC)]
    {
        let with = |value| AttributeSet::new().with(cka, ulong(value));
        let result = new_object(GENERATE_PRIVATE, &with(wrong), USER);
        assert_eq!(refused(result), CKR_TEMPLATE_INCONSISTENT);
        assert!(new_object(GENERATE_PRIVATE, &with(right), USER).is_ok());
    }
}

#[test]
fn classes_and_types_that_are_not_offered_are_invalid_values() {
    const CKO_NSS_TRUST: CK_ULONG = 0xCE53_4353;
    for class in [CKO_NSS_TRUST, CKO_PROFILE, CKO_HW_FEATURE, CKO_DOMAIN_PARAMETERS] {
        let template = AttributeSet::new().with(CKA_CLASS, ulong(class));
        assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_VALUE_INVALID), "0x{class:x}");
    }
    for (template, cka, value) in [
        (public(&ec()), CKA_KEY_TYPE, CKK_DSA),
        (certificate(), CKA_CERTIFICATE_TYPE, CKC_WTLS),
        (certificate(), CKA_CERTIFICATE_CATEGORY, 4),
        (certificate(), CKA_JAVA_MIDP_SECURITY_DOMAIN, 4),
    ] {
        let template = template.with(cka, ulong(value));
        assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_VALUE_INVALID), "0x{cka:x}");
    }
}

#[test]
fn a_private_key_is_created_from_all_of_its_values() {
    let template = AttributeSet::new()
        .with(CKA_CLASS, ulong(CKO_PRIVATE_KEY))
        .with(CKA_KEY_TYPE, ulong(CKK_EC))
        .with(CKA_VALUE, Value::bytes([7; 32]));
    assert_eq!(create(&template, USER), Err(CKR_TEMPLATE_INCOMPLETE));
    let params = public::ec_params(Curve::P256).unwrap();
    assert!(create(&template.with(CKA_EC_PARAMS, Value::bytes(params)), USER).is_ok());
}

#[test]
fn c108_a_created_public_key_says_what_it_is() {
    let object = create(&public(&ec()), USER).unwrap();
    assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), P256_INFO);
    let object = create(&public(&rsa_key()), USER).unwrap();
    assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), RSA_INFO);
    assert_eq!(object.ulong(CKA_MODULUS_BITS), Some(1024));
    let with = |info| public(&ec()).with(CKA_PUBLIC_KEY_INFO, Value::bytes(bytes(info)));
    assert!(create(&with(P256_INFO), USER).is_ok());
    assert!(create(&with(""), USER).unwrap().filled(CKA_PUBLIC_KEY_INFO).is_some());
    assert_eq!(create(&with(P384_INFO), USER), Err(CKR_ATTRIBUTE_VALUE_INVALID));
}

#[test]
fn c088_a_created_ec_key_reads_as_oid_and_octet_string_however_it_was_given() {
    let PublicKey::Ec { x, y, .. } = ec() else { unreachable!() };
    let named = [&[0x13, 9], &b"secp256r1"[..]].concat();
    let template = public(&ec())
        .with(CKA_EC_PARAMS, Value::bytes(named))
        .with(CKA_EC_POINT, Value::bytes([&[4], &x[..], &y[..]].concat()));
    assert_eq!(create(&template, USER), create(&public(&ec()), USER));
}

#[test]
fn a_created_rsa_key_keeps_its_numbers_as_they_were_given() {
    let PublicKey::Rsa { modulus, .. } = rsa_key() else { unreachable!() };
    let padded = [&[0], &modulus[..]].concat();
    let template = public(&rsa_key()).with(CKA_MODULUS, Value::bytes(padded.clone()));
    let object = create(&template, USER).unwrap();
    assert_eq!(object.bytes(CKA_MODULUS), Some(&padded[..]));
    assert_eq!(object.ulong(CKA_MODULUS_BITS), Some(1024));
    assert_eq!(public::public_key(&object).unwrap(), rsa_key());
}

/// Up to `most` attributes of such objects, with values of their data types.
fn some_of(holder: Holders, most: usize) -> impl Strategy<Value = AttributeSet> {
    let rows: Vec<_> = attribute::of(holder).collect();
    let entry = prop::sample::select(rows).prop_flat_map(|row| {
        let number = prop_oneof![0_u64..12, any::<u64>()];
        let value = match row.kind {
            attribute::Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            attribute::Kind::Ulong => number.prop_map(Value::Ulong).boxed(),
            attribute::Kind::Date => Just(Value::Date(Some(*b"20260131"))).boxed(),
            attribute::Kind::Mechanisms => {
                prop::collection::vec(number, 0..3).prop_map(Value::Mechanisms).boxed()
            }
            _ => prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::bytes).boxed(),
        };
        (Just(row.cka), value)
    });
    prop::collection::vec(entry, 0..=most).prop_map(|entries| entries.into_iter().collect())
}

/// A way to make an object, the kind of object, and what its template has to hold at least.
fn any_path() -> impl Strategy<Value = (Path, Holders, AttributeSet)> {
    let secret = AttributeSet::new()
        .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
        .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET));
    let sized = AttributeSet::new().with(CKA_VALUE_LEN, Value::Ulong(32));
    let derive = Path::Derive { always_sensitive: true, never_extractable: true };
    prop::sample::select(vec![
        (Path::Create, Holders::DATA, data()),
        (Path::Create, Holders::CERTIFICATE, certificate()),
        (Path::Create, Holders::PUBLIC_RSA, public(&rsa_key())),
        (Path::Create, Holders::PUBLIC_EC, public(&ec())),
        (GENERATE_PRIVATE, Holders::PRIVATE_EC, AttributeSet::new()),
        (GENERATE_AES, Holders::SECRET_AES, sized),
        (Path::Unwrap, Holders::SECRET_GENERIC, secret),
        (derive, Holders::SECRET_GENERIC, AttributeSet::new()),
    ])
}

fn any_case() -> impl Strategy<Value = (Path, Holders, AttributeSet, AttributeSet)> {
    any_path().prop_flat_map(|(path, holder, needed)| {
        let template = some_of(holder, 3).prop_map(move |some| {
            let all = some.iter().chain(needed.iter());
            all.map(|(cka, value)| (cka, value.clone())).collect()
        });
        (Just(path), Just(holder), template, some_of(holder, 2))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_created_is_whole_and_no_change_opens_it(
        (path, holder, template, changes) in any_case(),
    ) {
        let Ok(object) = new_object(path, &template, USER) else { return Ok(()) };
        prop_assert_eq!(Holders::of(&object), Some(holder));
        for row in attribute::of(holder).filter(|row| row.preset != attribute::Preset::Nothing) {
            prop_assert!(object.has(row.cka), "{}", row.name);
            prop_assert_ne!(reading::answer(&object, row.cka), AttributeAnswer::Invalid);
        }
        for (cka, _) in object.iter() {
            prop_assert!(attribute::find(cka, holder).is_some(), "0x{:x}", cka);
        }
        prop_assert_eq!(&AttributeSet::from_bytes(&object.to_bytes()).unwrap(), &object);
        for changed in [set(&object, &changes, USER), copy(&object, &changes, USER)] {
            let Ok(changed) = changed else { continue };
            for cka in [CKA_SENSITIVE, CKA_WRAP_WITH_TRUSTED] {
                prop_assert!(!object.is_true(cka) || changed.is_true(cka), "0x{:x}", cka);
            }
            for cka in [CKA_EXTRACTABLE, CKA_COPYABLE, CKA_TRUSTED] {
                prop_assert!(object.is_true(cka) || !changed.is_true(cka), "0x{:x}", cka);
            }
            for cka in [CKA_CLASS, CKA_KEY_TYPE, CKA_LOCAL, CKA_VALUE, CKA_PUBLIC_KEY_INFO] {
                prop_assert_eq!(object.get(cka), changed.get(cka), "0x{:x}", cka);
            }
        }
    }
}
