//! The templates of the random sequences: whole ones with a fault now and then.

use cryptoki_sys::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::objects::UNKNOWN;
use crate::common::p11::{Attr, bytes, flag, ulong};

/// A self-signed certificate, and its subject.
const CERTIFICATE: &[u8] = include_bytes!("certificate.der");
const SUBJECT: &[u8] = b"\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05model";

fn label() -> impl Strategy<Value = Attr> {
    select(vec![&b"pair"[..], b"one", b"another"]).prop_map(|value| bytes(CKA_LABEL, value))
}

fn storage_flag() -> impl Strategy<Value = Attr> {
    let kind = select(vec![CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE]);
    (kind, any::<bool>()).prop_map(|(kind, on)| flag(kind, on))
}

/// A whole template, with a fault now and then.
pub fn creation() -> impl Strategy<Value = Vec<Attr>> {
    let class = prop_oneof![
        12 => Just(vec![ulong(CKA_CLASS, CKO_DATA), bytes(CKA_APPLICATION, b"model")]),
        4 => Just(vec![
            ulong(CKA_CLASS, CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            bytes(CKA_SUBJECT, SUBJECT),
        ]),
        1 => Just(vec![bytes(CKA_APPLICATION, b"model")]),
    ];
    let place = (any::<bool>(), any::<bool>())
        .prop_map(|(token, private)| vec![flag(CKA_TOKEN, token), flag(CKA_PRIVATE, private)]);
    let others = vec(prop_oneof![10 => storage_flag(), 1 => fault(), 1 => label()], 0..3);
    (class, place, label(), 0u8..3, others).prop_map(|(class, place, label, value, others)| {
        let value = match class.len() {
            3 => CERTIFICATE,
            _ => [&b"0"[..], b"01", b""][usize::from(value)],
        };
        let value = bytes(CKA_VALUE, value);
        [class, place, vec![label, value], others].concat()
    })
}

fn fault() -> impl Strategy<Value = Attr> {
    select(vec![
        bytes(UNKNOWN, b"?"),
        bytes(CKA_TOKEN, b""),
        bytes(CKA_PRIVATE, &[1, 0]),
        bytes(CKA_UNIQUE_ID, b"mine"),
        flag(CKA_TRUSTED, true),
    ])
}

pub fn copy_change() -> impl Strategy<Value = Attr> {
    let refused = select(vec![
        ulong(CKA_CLASS, CKO_DATA),
        bytes(UNKNOWN, b"?"),
        bytes(CKA_MODIFIABLE, b""),
        bytes(CKA_UNIQUE_ID, b"mine"),
    ]);
    prop_oneof![8 => storage_flag(), 4 => label(), 1 => refused]
}

pub fn change() -> impl Strategy<Value = Attr> {
    let on_off = select(vec![
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_DESTROYABLE,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_WRAP_WITH_TRUSTED,
        CKA_SIGN,
        CKA_VERIFY,
        CKA_LOCAL,
    ]);
    let refused = select(vec![
        ulong(CKA_CLASS, CKO_DATA),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(UNKNOWN, b"?"),
        bytes(CKA_PRIVATE, b""),
        bytes(CKA_UNIQUE_ID, b"mine"),
        bytes(CKA_VALUE, b"changed"),
        bytes(CKA_ID, b"id"),
    ]);
    prop_oneof![
        8 => label(),
        2 => (on_off, any::<bool>()).prop_map(|(kind, on)| flag(kind, on)),
        1 => refused,
    ]
}

pub fn attribute_type() -> impl Strategy<Value = CK_ATTRIBUTE_TYPE> {
    let mut kinds = super::step::READ.to_vec();
    kinds.extend([CKA_PRIVATE_EXPONENT, UNKNOWN]);
    let every_object_has = select(super::step::READ[..8].to_vec());
    prop_oneof![6 => every_object_has, 1 => select(kinds)]
}

pub fn wanted_objects() -> impl Strategy<Value = Vec<Attr>> {
    let class =
        select(vec![CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY])
            .prop_map(|class| ulong(CKA_CLASS, class));
    let entry = prop_oneof![
        3 => label(),
        3 => class,
        3 => storage_flag(),
        1 => Just(bytes(UNKNOWN, b"?")),
        1 => Just(bytes(CKA_VALUE, b"01")),
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => vec(entry, 1..3)]
}
