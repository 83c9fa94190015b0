//! Canonical forms, MACs, encryption and tags, over all inputs.

use proptest::collection::vec;
use proptest::prelude::*;

use super::seal::{Canonical, Sink};
use super::*;

/// Any sequence of fields.
#[derive(Clone, Debug, PartialEq)]
struct Fields(Vec<Option<Vec<u8>>>);

impl Canonical for Fields {
    fn write_to(&self, sink: &mut impl Sink) {
        self.0.iter().for_each(|field| sink.optional(field.as_deref()));
    }
}

/// Short fields of few different bytes, those of length prefixes among them, so that two forms
/// which could be alike are.
fn fields() -> impl Strategy<Value = Fields> {
    let byte = prop::sample::select(vec![0_u8, 1, 2, 8]);
    vec(prop::option::of(vec(byte, 0..12)), 0..4).prop_map(Fields)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Reads a canonical form back: what has an inverse is injective.
fn parse(mut form: &[u8]) -> Fields {
    let mut fields = Vec::new();
    while let Some((present, rest)) = form.split_first() {
        form = rest;
        fields.push((*present == 1).then(|| {
            let (len, rest) = form.split_first_chunk().unwrap();
            let (field, rest) = rest.split_at(u64::from_be_bytes(*len) as usize);
            form = rest;
            field.to_vec()
        }));
    }
    Fields(fields)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_two_values_have_one_canonical_form(fields in fields()) {
        prop_assert_eq!(parse(&fields.bytes()), fields);
    }

    #[test]
    fn a_mac_is_for_one_value_and_one_key(one in fields(), other in fields()) {
        let key = keys(TOKEN, true);
        let mac = key.public.mac(&one).unwrap();
        prop_assert!(key.public.verify(&one, &mac).is_ok());
        prop_assert_eq!(key.public.verify(&other, &mac).is_ok(), one == other);
        prop_assert!(key.public.verify(&one, &mac[..31]).is_err());
        prop_assert!(key.private.unwrap().verify(&one, &mac).is_err());
        prop_assert!(keys(TokenId([8; 16]), false).public.verify(&one, &mac).is_err());
    }

    #[test]
    fn encrypted_content_comes_back_only_unchanged_and_in_its_row(
        content in vec(any::<u8>(), 0..100),
        header in fields(),
        other in fields(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let key = keys(TOKEN, true).private.unwrap();
        let sealed = key.encrypt(&header, &content).unwrap();
        let opened = key.decrypt(&header, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), &content);
        prop_assert_eq!(key.decrypt(&other, &sealed).is_ok(), header == other);
        prop_assert!(key.decrypt(&header, &sealed[..cut.index(sealed.len())]).is_err());
        let mut changed = sealed.clone();
        changed[place.index(sealed.len())] ^= flip;
        prop_assert!(key.decrypt(&header, &changed).is_err());
        prop_assert!(key.encrypt(&header, &content).unwrap() != sealed, "one nonce twice");
    }

    #[test]
    fn tags_are_equal_for_equal_values_of_one_attribute_and_key(
        one in vec(any::<u8>(), 0..4),
        other in vec(any::<u8>(), 0..4),
    ) {
        let keys = keys(TOKEN, true);
        let tag = keys.public.lookup_tag("CKA_ID", &one).unwrap();
        prop_assert_eq!(tag == keys.public.lookup_tag("CKA_ID", &other).unwrap(), one == other);
        prop_assert!(tag != keys.public.lookup_tag("CKA_LABEL", &one).unwrap());
        prop_assert!(tag != keys.private.unwrap().lookup_tag("CKA_ID", &one).unwrap());
    }
}

#[test]
fn the_derived_keys_are_those_that_stored_rows_were_made_with() {
    // Computed by an independent HMAC-SHA256 from the description in `seal.rs`: a change here would
    // set every stored row aside.
    let key = keys(TOKEN, false).public;
    let mac = key.mac(&Fields(vec![Some(b"a row".to_vec()), None])).unwrap();
    let tag = key.lookup_tag("CKA_ID", b"value").unwrap();
    assert_eq!(
        hex::encode(mac),
        "f8ebb67f5e024cea5e8f3f3805d5dd4c668a4203d2a807112771f8873a5105ab"
    );
    assert_eq!(hex::encode(tag), "5c69264a579f434a45aa4f5fa4b65b3b");
}

#[test]
fn keys_print_nothing_secret() {
    let printed = format!("{:?}", keys(TOKEN, true));
    assert!(printed.contains(&hex::encode(TOKEN.0)) && !printed.contains("LockedSecret"));
}
