//! What callers may rely on for their templates.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::{CKA_ALLOWED_MECHANISMS, CKA_ID, CKA_LABEL};

use super::*;

fn entry(kind: CK_ATTRIBUTE_TYPE, value: *mut c_void, len: CK_ULONG) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value, ulValueLen: len }
}

fn read(entries: &mut [CK_ATTRIBUTE]) -> Result<Vec<RawAttribute>> {
    // SAFETY: entries of the test's own, whose values it owns or which are refused unread.
    unsafe { Template::new(entries.as_mut_ptr(), entries.len() as CK_ULONG) }.read()
}

#[test]
fn a_template_is_copied_in_order() {
    let mut id = *b"\x01\x02";
    let mut entries = [
        entry(CKA_ID, id.as_mut_ptr().cast(), 2),
        entry(CKA_LABEL, ptr::null_mut(), 0),
        entry(CKA_ID, id.as_mut_ptr().cast(), 1),
    ];
    let copy = read(&mut entries).expect("a readable template");
    id = *b"xx";
    assert_eq!(&id, b"xx");
    let expected = [(CKA_ID, &b"\x01\x02"[..]), (CKA_LABEL, b""), (CKA_ID, b"\x01")];
    let expected = expected.map(|(kind, value)| RawAttribute::bytes(kind, value));
    assert_eq!(copy, expected);
}

#[test]
fn an_empty_template_needs_no_array() {
    // SAFETY: NULL with no entries.
    let template = unsafe { Template::new(ptr::null_mut(), 0) };
    assert_eq!(template.read().expect("empty"), []);
    assert!(template.questions().expect("empty").kinds().is_empty());
}

#[test]
fn null_or_a_number_that_cannot_be_are_bad_arguments() {
    let mut one = entry(CKA_ID, ptr::null_mut(), 0);
    for (entries, count) in
        [(ptr::null_mut(), 1), (&raw mut one, MOST_ENTRIES + 1), (&raw mut one, CK_ULONG::MAX)]
    {
        // SAFETY: these are refused unread.
        let template = unsafe { Template::new(entries, count) };
        assert_eq!(template.read().expect_err("refused").ck_rv(), CKR_ARGUMENTS_BAD);
        let questions = template.questions().map(|_| ());
        assert_eq!(questions.expect_err("refused").ck_rv(), CKR_ARGUMENTS_BAD);
    }
}

#[test]
fn a_value_that_is_null_with_a_length_or_endless_is_invalid() {
    let mut byte = 1u8;
    let byte = (&raw mut byte).cast::<c_void>();
    for (at, len) in [
        (ptr::null_mut(), 1),
        (ptr::null_mut(), CK_ULONG::MAX),
        (byte, CK_ULONG::MAX),
        (byte, CK_ULONG::MAX / 2),
        (byte, MOST_BYTES + 1),
    ] {
        let told = read(&mut [entry(CKA_ID, at, len)]).expect_err("refused").ck_rv();
        assert_eq!(told, CKR_ATTRIBUTE_VALUE_INVALID, "{len:#x}");
    }
}

const ARRAYS: [CK_ATTRIBUTE_TYPE; 5] = [
    CKA_WRAP_TEMPLATE,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_ENCAPSULATE_TEMPLATE,
    CKA_DECAPSULATE_TEMPLATE,
];

fn array(kind: CK_ATTRIBUTE_TYPE, entries: &mut [CK_ATTRIBUTE]) -> CK_ATTRIBUTE {
    entry(kind, entries.as_mut_ptr().cast(), size_of_val(entries) as CK_ULONG)
}

#[test]
fn c106_a_template_in_a_template_is_copied_and_its_pointers_do_not_get_in() {
    for kind in ARRAYS {
        let mut id = *b"\x01\x02";
        let mut inner =
            [entry(CKA_ID, id.as_mut_ptr().cast(), 2), entry(CKA_LABEL, ptr::null_mut(), 0)];
        let mut middle = [array(CKA_WRAP_TEMPLATE, &mut inner)];
        let copy = read(&mut [array(kind, &mut middle)]).expect("a readable template");
        id = *b"xx";
        inner[1].type_ = 77;
        middle[0].ulValueLen = 0;
        assert_eq!((&id, inner[1].type_, middle[0].ulValueLen), (b"xx", 77, 0));
        let inner = RawValue::Template(vec![
            RawAttribute::bytes(CKA_ID, *b"\x01\x02"),
            RawAttribute::bytes(CKA_LABEL, []),
        ]);
        let middle = RawAttribute { kind: CKA_WRAP_TEMPLATE, value: inner };
        assert_eq!(copy, [RawAttribute { kind, value: RawValue::Template(vec![middle]) }]);
    }
    let mut mechanisms = [0x1041 as CK_ULONG];
    let flat = read(&mut [entry(CKA_ALLOWED_MECHANISMS, mechanisms.as_mut_ptr().cast(), 8)]);
    let bytes = mechanisms[0].to_ne_bytes();
    let expected = RawAttribute::bytes(CKA_ALLOWED_MECHANISMS, bytes);
    assert_eq!(flat.expect("numbers, not pointers"), [expected]);
}

#[test]
fn c106_an_array_that_cannot_be_is_an_invalid_value() {
    const ONE: CK_ULONG = size_of::<CK_ATTRIBUTE>() as CK_ULONG;
    let mut inner = [entry(CKA_ID, ptr::null_mut(), 0)];
    let at = inner.as_mut_ptr().cast::<c_void>();
    for kind in ARRAYS {
        for (at, len) in [
            (ptr::null_mut(), ONE),
            (ptr::null_mut(), 1),
            (at, 1),
            (at, ONE - 1),
            (at, ONE + 1),
            (at, CK_ULONG::MAX),
            (at, CK_ULONG::MAX / 2),
            (at, ONE * (MOST_ENTRIES + 1)),
            (ptr::without_provenance_mut(usize::MAX - 30), ONE * 2),
        ] {
            let told = read(&mut [entry(kind, at, len)]).expect_err("refused").ck_rv();
            assert_eq!(told, CKR_ATTRIBUTE_VALUE_INVALID, "{kind:#x} {len:#x}");
        }
        for at in [ptr::null_mut(), at] {
            let empty = read(&mut [entry(kind, at, 0)]).expect("an empty template");
            assert_eq!(empty[0].value, RawValue::Template(vec![]));
        }
    }
    let mut bad = [entry(CKA_ID, ptr::null_mut(), 5)];
    let told = read(&mut [array(CKA_WRAP_TEMPLATE, &mut bad)]).expect_err("refused").ck_rv();
    assert_eq!(told, CKR_ATTRIBUTE_VALUE_INVALID, "a value inside");
}

#[test]
fn c106_templates_are_inside_one_another_only_so_deep() {
    let nested = |levels: usize| {
        let mut arrays: Vec<[CK_ATTRIBUTE; 1]> =
            vec![[entry(CKA_ID, ptr::null_mut(), 0)]; levels + 1];
        for level in 0..levels {
            let inner = array(CKA_UNWRAP_TEMPLATE, &mut arrays[level]);
            arrays[level + 1][0] = inner;
        }
        read(&mut arrays[levels]).map(|_| ()).map_err(|error| error.ck_rv())
    };
    assert_eq!(nested(MAX_DEPTH), Ok(()));
    assert_eq!(nested(MAX_DEPTH + 1), Err(CKR_TEMPLATE_INCONSISTENT));
}

#[test]
fn c106_an_array_that_has_itself_for_a_value_comes_to_an_end() {
    for entries in [1, 10, 1000] {
        let mut own = vec![entry(CKA_WRAP_TEMPLATE, ptr::null_mut(), 0); entries];
        let whole = array(CKA_WRAP_TEMPLATE, &mut own);
        own.fill(whole);
        assert_eq!(read(&mut own).expect_err("refused").ck_rv(), CKR_TEMPLATE_INCONSISTENT);
    }
    let mut many = vec![entry(CKA_ID, ptr::null_mut(), 0); MOST_ENTRIES as usize];
    assert!(read(&mut many).is_ok());
    let told = read(&mut [array(CKA_WRAP_TEMPLATE, &mut many)]).expect_err("refused").ck_rv();
    assert_eq!(told, CKR_TEMPLATE_INCONSISTENT, "one more than a template can have");
}
