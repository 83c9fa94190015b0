//! What callers may rely on for the answers they get.

use std::ffi::c_void;

use cryptoki_sys::{
    CKA_CLASS, CKA_ID, CKA_LABEL, CKA_SIGN, CKA_UNWRAP_TEMPLATE, CKA_VALUE, CKA_WRAP_TEMPLATE,
    CKR_OK,
};

use super::super::attributes::Template;
use super::*;

const NONE: CK_ULONG = CK_UNAVAILABLE_INFORMATION;

fn entry(kind: CK_ATTRIBUTE_TYPE, value: *mut c_void, len: CK_ULONG) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value, ulValueLen: len }
}

fn ask(entries: &mut [CK_ATTRIBUTE], answers: &[AttributeAnswer]) -> CK_RV {
    // SAFETY: entries of the test's own, whose values are too, or are refused unwritten.
    let template = unsafe { Template::new(entries.as_mut_ptr(), entries.len() as CK_ULONG) };
    let questions = template.questions().expect("a readable template");
    let kinds: Vec<_> = entries.iter().map(|entry| entry.type_).collect();
    assert_eq!(questions.kinds(), kinds);
    questions.answer(answers).map_or_else(|error| error.ck_rv(), |()| CKR_OK)
}

fn value(bytes: &[u8]) -> AttributeAnswer {
    AttributeAnswer::Value(bytes.to_vec())
}

#[test]
fn a_misaligned_template_is_answered() {
    let mut buffer = [0xA5u8; 6];
    let one = entry(CKA_ID, buffer.as_mut_ptr().cast(), 6);
    let mut memory = [0xA5u8; size_of::<CK_ATTRIBUTE>() + 2];
    // SAFETY: room for one entry at byte 1, which is written before it is read.
    let template = unsafe {
        let place = memory.as_mut_ptr().add(1).cast::<CK_ATTRIBUTE>();
        place.write_unaligned(one);
        Template::new(place, 1)
    };
    let read = template.read().expect("readable");
    assert_eq!(read, [crate::object::template::RawAttribute::bytes(CKA_ID, [0xA5; 6])]);
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
    assert_eq!(ask(&mut entries, &[value(b"four"), value(b"")]), CKR_OK);
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
    assert_eq!(entries.map(|entry| entry.ulValueLen), [NONE, NONE, NONE, 4, 2]);
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

fn array(kind: CK_ATTRIBUTE_TYPE, entries: &mut [CK_ATTRIBUTE]) -> CK_ATTRIBUTE {
    entry(kind, entries.as_mut_ptr().cast(), size_of_val(entries) as CK_ULONG)
}

fn len(entries: usize) -> CK_ULONG {
    (entries * size_of::<CK_ATTRIBUTE>()) as CK_ULONG
}

/// A template of a CKA_LABEL of 5 bytes, a CKA_SIGN of 1 and a template of a CKA_ID.
fn template() -> AttributeAnswer {
    let inner = vec![(CKA_ID, value(b"id"))];
    AttributeAnswer::Template(vec![
        (CKA_LABEL, value(b"label")),
        (CKA_SIGN, value(b"\x01")),
        (CKA_WRAP_TEMPLATE, AttributeAnswer::Template(inner)),
    ])
}

fn unknown() -> CK_ATTRIBUTE {
    entry(NONE, ptr::null_mut(), 0)
}

fn told(entries: &[CK_ATTRIBUTE]) -> Vec<(CK_ATTRIBUTE_TYPE, CK_ULONG)> {
    entries.iter().map(|entry| (entry.type_, entry.ulValueLen)).collect()
}

#[test]
fn c106_a_template_is_read_stage_by_stage() {
    let mut top = [entry(CKA_UNWRAP_TEMPLATE, ptr::null_mut(), 77)];
    assert_eq!(ask(&mut top, &[template()]), CKR_OK);
    assert_eq!(top[0].ulValueLen, len(3));
    let mut entries = [unknown(); 3];
    top[0] = array(CKA_UNWRAP_TEMPLATE, &mut entries);
    assert_eq!(ask(&mut top, &[template()]), CKR_OK);
    let lens = [(CKA_LABEL, 5), (CKA_SIGN, 1), (CKA_WRAP_TEMPLATE, len(1))];
    assert_eq!(told(&entries), lens);
    assert!(entries.iter().all(|entry| entry.pValue.is_null()));
    assert_eq!(top[0].ulValueLen, len(3));

    let (mut label, mut sign, mut inner) = ([0u8; 5], [0u8; 1], [unknown()]);
    entries[0].pValue = label.as_mut_ptr().cast();
    entries[1].pValue = sign.as_mut_ptr().cast();
    entries[2] = array(CKA_WRAP_TEMPLATE, &mut inner);
    assert_eq!(ask(&mut top, &[template()]), CKR_OK);
    assert_eq!((&label, sign, told(&entries)), (b"label", [1], lens.to_vec()));
    assert_eq!(told(&inner), [(CKA_ID, 2)]);
    let mut id = [0u8; 2];
    inner[0].pValue = id.as_mut_ptr().cast();
    entries[2] = array(CKA_WRAP_TEMPLATE, &mut inner);
    top[0] = array(CKA_UNWRAP_TEMPLATE, &mut entries);
    assert_eq!(ask(&mut top, &[template()]), CKR_OK);
    assert_eq!(&id, b"id");
}

#[test]
fn c106_types_that_are_known_are_answered_in_the_callers_order() {
    let (mut label, mut sign) = ([0u8; 9], [9u8; 1]);
    let mut entries = [
        entry(CKA_WRAP_TEMPLATE, ptr::null_mut(), 0),
        entry(CKA_SIGN, sign.as_mut_ptr().cast(), 1),
        entry(CKA_LABEL, label.as_mut_ptr().cast(), 9),
    ];
    let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries)];
    assert_eq!(ask(&mut top, &[template()]), CKR_OK);
    assert_eq!(told(&entries), [(CKA_WRAP_TEMPLATE, len(1)), (CKA_SIGN, 1), (CKA_LABEL, 5)]);
    assert_eq!((&label, sign), (b"label\0\0\0\0", [1]));
}

#[test]
fn c106_a_template_inside_may_be_left_out_and_nothing_else() {
    let question = |kinds: &[CK_ATTRIBUTE_TYPE]| {
        let mut entries: Vec<_> =
            kinds.iter().map(|kind| entry(*kind, ptr::null_mut(), 5)).collect();
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries)];
        let rv = ask(&mut top, &[template()]);
        (rv, top[0].ulValueLen, told(&entries))
    };
    let (rv, whole, entries) = question(&[CKA_SIGN, CKA_LABEL]);
    assert_eq!((rv, whole, entries), (CKR_OK, len(2), vec![(CKA_SIGN, 1), (CKA_LABEL, 5)]));
    let (sign, label, inside) = (CKA_SIGN, CKA_LABEL, CKA_WRAP_TEMPLATE);
    for kinds in [
        &[sign, inside][..],
        &[sign],
        &[inside],
        &[sign, sign, label],
        &[sign, sign],
        &[sign, label, CKA_ID],
        &[sign, label, inside, CKA_ID],
        &[sign, label, NONE],
        &[NONE, NONE, label],
        &[NONE],
        &[NONE, NONE],
        &[NONE, NONE, NONE, NONE],
        &[0, 0],
        &[0, 0, sign],
    ] {
        let untouched = kinds.iter().map(|kind| (*kind, 5)).collect();
        assert_eq!(question(kinds), (CKR_TEMPLATE_INCONSISTENT, NONE, untouched), "{kinds:x?}");
    }
}

#[test]
fn c106_types_that_are_left_zero_are_all_told_as_before_3_2() {
    for room in [3, 5] {
        let mut label = [0u8; 5];
        let mut entries = vec![entry(0, ptr::null_mut(), 0); room];
        entries[0] = entry(0, label.as_mut_ptr().cast(), 5);
        entries[1] = entry(0, label.as_mut_ptr().cast(), 0);
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries)];
        assert_eq!(ask(&mut top, &[template()]), CKR_BUFFER_TOO_SMALL);
        assert_eq!((&label, top[0].ulValueLen), (b"label", len(3)));
        let mut lens = vec![(CKA_LABEL, 5), (CKA_SIGN, NONE), (CKA_WRAP_TEMPLATE, len(1))];
        lens.resize(room, (0, 0));
        assert_eq!(told(&entries), lens);
    }
}

#[test]
fn c106_an_array_of_a_wrong_size_is_inconsistent_and_untouched() {
    let mut entries = [unknown(); 3];
    let at = entries.as_mut_ptr().cast::<c_void>();
    for wrong in [1, len(3) - 1, len(3) + 1, CK_ULONG::MAX, CK_ULONG::MAX / 2, len(4097)] {
        let mut top = [entry(CKA_UNWRAP_TEMPLATE, at, wrong)];
        assert_eq!(ask(&mut top, &[template()]), CKR_TEMPLATE_INCONSISTENT, "{wrong:#x}");
        assert_eq!(top[0].ulValueLen, NONE);
    }
    let mut top = [entry(CKA_UNWRAP_TEMPLATE, at, 0)];
    assert_eq!(ask(&mut top, &[template()]), CKR_BUFFER_TOO_SMALL);
    assert_eq!(top[0].ulValueLen, NONE);
    assert_eq!(told(&entries), [(NONE, 0); 3]);
    let mut top = [entry(CKA_UNWRAP_TEMPLATE, at, 0)];
    assert_eq!(ask(&mut top, &[AttributeAnswer::Template(vec![])]), CKR_OK);
    assert_eq!(top[0].ulValueLen, 0);
}

#[test]
fn c106_a_short_buffer_inside_is_too_small_and_the_others_are_filled() {
    let (mut label, mut sign) = ([7u8; 4], [7u8; 1]);
    let mut entries = [
        entry(CKA_LABEL, label.as_mut_ptr().cast(), 4),
        entry(CKA_SIGN, sign.as_mut_ptr().cast(), 1),
        entry(CKA_WRAP_TEMPLATE, ptr::null_mut(), 0),
    ];
    let mut id = [7u8; 2];
    let mut top =
        [array(CKA_UNWRAP_TEMPLATE, &mut entries), entry(CKA_ID, id.as_mut_ptr().cast(), 2)];
    assert_eq!(ask(&mut top, &[template(), value(b"ID")]), CKR_BUFFER_TOO_SMALL);
    assert_eq!(told(&entries), [(CKA_LABEL, NONE), (CKA_SIGN, 1), (CKA_WRAP_TEMPLATE, len(1))]);
    assert_eq!((label, sign, &id), ([7; 4], [1], b"ID"));
    assert_eq!(top[0].ulValueLen, len(3));
}

#[test]
fn c104_c106_of_several_refusals_an_inconsistent_array_is_told_and_all_entries_are_answered() {
    let mut id = [0u8; 2];
    let mut wrong = [unknown()];
    let mut top = [
        entry(CKA_VALUE, ptr::null_mut(), 0),
        array(CKA_UNWRAP_TEMPLATE, &mut wrong),
        entry(CKA_ID, id.as_mut_ptr().cast(), 2),
    ];
    let answers = [AttributeAnswer::Sensitive, template(), value(b"id")];
    assert_eq!(ask(&mut top, &answers), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!((top.map(|entry| entry.ulValueLen), &id), ([NONE, NONE, 2], b"id"));
}
