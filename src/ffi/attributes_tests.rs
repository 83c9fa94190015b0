//! What callers may rely on for their templates.

use std::ffi::c_void;

use cryptoki_sys::{CKA_ALLOWED_MECHANISMS, CKA_CLASS, CKA_ID, CKA_LABEL, CKA_VALUE};

use super::*;

fn entry(kind: CK_ATTRIBUTE_TYPE, value: *mut c_void, len: CK_ULONG) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value, ulValueLen: len }
}

fn read(entries: &mut [CK_ATTRIBUTE]) -> Result<Vec<RawAttribute>> {
    // SAFETY: entries of the test's own, whose values it owns or which are refused unread.
    unsafe { Template::new(entries.as_mut_ptr(), entries.len() as CK_ULONG) }.read()
}

fn ask(entries: &mut [CK_ATTRIBUTE], answers: &[AttributeAnswer]) -> u64 {
    // SAFETY: as above, and writable.
    let template = unsafe { Template::new(entries.as_mut_ptr(), entries.len() as CK_ULONG) };
    let questions = template.questions().expect("a readable template");
    let kinds: Vec<_> = entries.iter().map(|entry| entry.type_).collect();
    assert_eq!(questions.kinds(), kinds);
    questions.answer(answers).map_or_else(|error| error.ck_rv(), |()| cryptoki_sys::CKR_OK)
}

fn value(bytes: &[u8]) -> AttributeAnswer {
    AttributeAnswer::Value(bytes.to_vec())
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
    let expected = expected.map(|(kind, value)| RawAttribute { kind, value: value.to_vec() });
    assert_eq!(copy, expected);
}

#[test]
fn an_empty_template_needs_no_array() {
    // SAFETY: NULL with no entries.
    let template = unsafe { Template::new(ptr::null_mut(), 0) };
    assert_eq!(template.read().expect("empty"), []);
    template.questions().expect("empty").answer(&[]).expect("nothing to answer");
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

#[test]
fn pointers_of_a_nested_template_do_not_get_in() {
    let mut inner = [entry(CKA_ID, ptr::null_mut(), 0)];
    let len = size_of_val(&inner) as CK_ULONG;
    for kind in [
        CKA_WRAP_TEMPLATE,
        CKA_UNWRAP_TEMPLATE,
        CKA_DERIVE_TEMPLATE,
        CKA_ENCAPSULATE_TEMPLATE,
        CKA_DECAPSULATE_TEMPLATE,
    ] {
        let told = read(&mut [entry(kind, inner.as_mut_ptr().cast(), len)]);
        assert_eq!(told.expect_err("refused").ck_rv(), CKR_ATTRIBUTE_TYPE_INVALID, "{kind:#x}");
    }
    let mut mechanisms = [0x1041 as CK_ULONG];
    let flat = read(&mut [entry(CKA_ALLOWED_MECHANISMS, mechanisms.as_mut_ptr().cast(), 8)]);
    assert_eq!(flat.expect("numbers, not pointers").len(), 1);
}

#[test]
fn a_misaligned_template_is_read_and_answered() {
    let mut buffer = [0xA5u8; 6];
    let one = entry(CKA_ID, buffer.as_mut_ptr().cast(), 6);
    let mut memory = [0xA5u8; size_of::<CK_ATTRIBUTE>() + 2];
    // SAFETY: room for one entry at byte 1, which is written before it is read.
    let template = unsafe {
        let place = memory.as_mut_ptr().add(1).cast::<CK_ATTRIBUTE>();
        place.write_unaligned(one);
        Template::new(place, 1)
    };
    assert_eq!(template.read().expect("readable")[0].value, [0xA5; 6]);
    template.questions().expect("readable").answer(&[value(b"id")]).expect("answered");
    assert_eq!(&buffer, b"id\xA5\xA5\xA5\xA5");
    // SAFETY: the entry written above.
    let told = unsafe { memory.as_ptr().add(1).cast::<CK_ATTRIBUTE>().read_unaligned() };
    assert_eq!((told.type_, told.pValue, told.ulValueLen), (CKA_ID, one.pValue, 2));
    assert_eq!((memory[0], memory[memory.len() - 1]), (0xA5, 0xA5));
}

#[test]
fn null_asks_for_the_length() {
    let mut entries = [
        entry(CKA_ID, ptr::null_mut(), 77),
        entry(CKA_LABEL, ptr::null_mut(), CK_UNAVAILABLE_INFORMATION),
    ];
    assert_eq!(ask(&mut entries, &[value(b"four"), value(b"")]), cryptoki_sys::CKR_OK);
    assert_eq!([entries[0].ulValueLen, entries[1].ulValueLen], [4, 0]);
}

#[test]
fn every_entry_is_answered_whatever_the_others_got() {
    let mut room = [[0xA5u8; 4]; 5];
    let mut at = |index: usize| room[index].as_mut_ptr().cast::<c_void>();
    let mut entries = [
        entry(CKA_VALUE, at(0), 4),
        entry(0x7777, at(1), 4),
        entry(CKA_LABEL, at(2), 3),
        entry(CKA_ID, at(3), 4),
        entry(CKA_CLASS, at(4), 2),
    ];
    let answers = [
        AttributeAnswer::Sensitive,
        AttributeAnswer::Invalid,
        value(b"long"),
        value(b"four"),
        value(b"2b"),
    ];
    assert_eq!(ask(&mut entries, &answers), CKR_ATTRIBUTE_SENSITIVE);
    let none = CK_UNAVAILABLE_INFORMATION;
    assert_eq!(entries.map(|entry| entry.ulValueLen), [none, none, none, 4, 2]);
    assert_eq!(room, [[0xA5; 4], [0xA5; 4], [0xA5; 4], *b"four", *b"2b\xA5\xA5"]);
}

#[test]
fn of_several_refusals_the_most_telling_is_told() {
    let mut room = [0u8; 1];
    let mut told = |answers: [AttributeAnswer; 2]| {
        let mut entries = [CKA_ID, CKA_LABEL].map(|kind| entry(kind, room.as_mut_ptr().cast(), 1));
        ask(&mut entries, &answers)
    };
    use AttributeAnswer::{Invalid, Sensitive};
    assert_eq!(told([value(b"long"), Invalid]), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_eq!(told([Invalid, Sensitive]), CKR_ATTRIBUTE_SENSITIVE);
    assert_eq!(told([value(b"long"), value(b"")]), CKR_BUFFER_TOO_SMALL);
}

#[test]
fn a_room_that_no_memory_has_is_too_small_for_anything() {
    let mut byte = 0u8;
    let mut entries = [entry(CKA_ID, (&raw mut byte).cast(), CK_ULONG::MAX)];
    assert_eq!(ask(&mut entries, &[value(b"1")]), CKR_BUFFER_TOO_SMALL);
    assert_eq!((byte, entries[0].ulValueLen), (0, CK_UNAVAILABLE_INFORMATION));
}

#[test]
fn a_missing_answer_is_our_fault() {
    let mut entries = [entry(CKA_ID, ptr::null_mut(), 0)];
    assert_eq!(ask(&mut entries, &[]), cryptoki_sys::CKR_GENERAL_ERROR);
}
