//! Fed: bytes to everything that reads DER, points and encoded attributes below the C ABI, without
//! a TPM: certificates, curves, points, PrivateKeyInfo, new objects of each kind, stored attributes.
//!
//! Must hold: no panic, no error that calls itself a bug; what is read back is what was written.

#![no_main]

use std::sync::LazyLock;

use hierarkey::cryptoki::*;
use hierarkey::error::Result;
use hierarkey::object::private_key::take_private_key;
use hierarkey::object::private_key_info::{private_key_info, read_private_key_info};
use hierarkey::object::template::RawAttribute;
use hierarkey::object::value::Value;
use hierarkey::object::{
    Actor, AttributeSet, Path, Role, Search, answer, certificate, new_object, public, size,
    template as read_template,
};
use hierarkey::tpm::Curve;
use hierarkey_fuzz::bytes::Bytes;
use hierarkey_fuzz::template::{self, Entry};
use libfuzzer_sys::fuzz_target;

static OBJECTS: LazyLock<Vec<Vec<Entry>>> = LazyLock::new(template::objects);

const USER: Actor = Actor { role: Role::User, read_write: true, mixes_wrapping: false };

/// The value, where no error says that this library is wrong.
fn sound<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.ck_rv(), CKR_GENERAL_ERROR, "{error}");
            None
        }
    }
}

fn raw(entries: &[Entry]) -> Vec<RawAttribute> {
    entries
        .iter()
        .filter_map(|entry| match &entry.value {
            template::Value::Bytes(bytes) => Some(RawAttribute::bytes(entry.kind, bytes.clone())),
            _ => None,
        })
        .collect()
}

/// An object made of a template, and all that is then done with it.
fn make(entries: &[Entry]) {
    let raw = raw(entries);
    let Some(set) = sound(read_template(&raw)) else { return };
    let Some(mut object) = sound(new_object(Path::Create, &set, USER)) else { return };
    Search::new(raw).matches(&object);
    if object.class() == Some(CKO_PUBLIC_KEY) {
        sound(public::public_key(&object));
    }
    if object.class() == Some(CKO_PRIVATE_KEY) {
        sound(take_private_key(&mut object));
    }
    let kept = AttributeSet::from_bytes(&object.to_bytes()).expect("what was written");
    assert!(kept == object, "written and read back");
    for (cka, _) in object.iter() {
        answer(&object, cka);
    }
    size(&object);
}

fn unwrap(key_type: CK_KEY_TYPE, bytes: &[u8]) {
    let mut object = AttributeSet::new()
        .with(CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))
        .with(CKA_KEY_TYPE, Value::Ulong(key_type));
    if sound(read_private_key_info(&mut object, bytes)).is_none() {
        return;
    }
    let secret = match key_type {
        CKK_RSA => object.bytes(CKA_PRIME_1).unwrap_or_default().to_vec(),
        _ => object.bytes(CKA_VALUE).unwrap_or_default().to_vec(),
    };
    if sound(take_private_key(&mut object)).is_some() {
        let written = sound(private_key_info(&object, &secret)).expect("a key that was read");
        sound(read_private_key_info(&mut object, &written)).expect("what was written");
    }
}

fuzz_target!(|input: &[u8]| {
    let mut b = Bytes::new(input);
    match b.u8() % 8 {
        0 => drop(sound(certificate::implied(b.rest()))),
        1 => drop(sound(public::curve(b.rest()))),
        2 => {
            let curve = b.one_of(&[Curve::P224, Curve::P256, Curve::P384, Curve::P521]);
            if let Some((x, y)) = sound(public::point(curve, b.rest())) {
                let written = public::ec_point(&x, &y).expect("a point that was read");
                assert_eq!(public::point(curve, &written).ok(), Some((x, y)));
            }
        }
        3 => unwrap(CKK_EC, b.rest()),
        4 => unwrap(CKK_RSA, b.rest()),
        5 => {
            // What is not well-formed was written by nobody, which is an error of its own name.
            if let Ok(set) = AttributeSet::from_bytes(b.rest()) {
                let again = AttributeSet::from_bytes(&set.to_bytes()).expect("what was written");
                assert!(set == again, "written and read back");
                assert_eq!(set.to_bytes().len(), set.encoded_len());
            }
        }
        6 => {
            // One attribute of a good object replaced by the input.
            let mut entries = OBJECTS[b.below(OBJECTS.len())].clone();
            let at = b.below(entries.len());
            entries[at].value = template::Value::Bytes(b.rest().to_vec());
            make(&entries);
        }
        _ => make(&template::any(&mut b, &[])),
    }
});
