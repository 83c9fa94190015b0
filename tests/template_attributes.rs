//! Templates inside keys: conformance statement 106.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const ENTRY: usize = size_of::<CK_ATTRIBUTE>();

/// A template attribute: an array of pointers into `inner`, which has to outlive it.
fn nested(kind: CK_ATTRIBUTE_TYPE, inner: &[Attr]) -> Attr {
    let array = inner.iter().flat_map(|Attr(kind, value)| {
        let words = [*kind, value.as_ptr() as CK_ULONG, value.len() as CK_ULONG];
        words.map(CK_ULONG::to_ne_bytes).concat()
    });
    Attr(kind, array.collect())
}

fn entry(type_: CK_ATTRIBUTE_TYPE, value: &mut [u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_, pValue: value.as_mut_ptr().cast(), ulValueLen: value.len() as CK_ULONG }
}

fn array(type_: CK_ATTRIBUTE_TYPE, entries: &mut [CK_ATTRIBUTE]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_,
        pValue: entries.as_mut_ptr().cast(),
        ulValueLen: size_of_val(entries) as CK_ULONG,
    }
}

const UNKNOWN: CK_ATTRIBUTE =
    CK_ATTRIBUTE { type_: CK_UNAVAILABLE_INFORMATION, pValue: ptr::null_mut(), ulValueLen: 0 };

impl Keys {
    fn ask(&self, entries: &mut [CK_ATTRIBUTE]) -> CK_RV {
        let call = self.t.p.list.C_GetAttributeValue.unwrap();
        let count = entries.len() as CK_ULONG;
        unsafe { call(self.session, self.private, entries.as_mut_ptr(), count) }
    }

    /// Reads a template of plain values as an application that knows nothing of it has to.
    fn read(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Rv<Vec<Attr>> {
        let call = self.t.p.list.C_GetAttributeValue.unwrap();
        let ask = |top: &mut CK_ATTRIBUTE| match unsafe { call(self.session, object, top, 1) } {
            CKR_OK => Ok(()),
            rv => Err(rv),
        };
        let mut top = CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 };
        ask(&mut top)?;
        let mut entries = vec![UNKNOWN; top.ulValueLen as usize / ENTRY];
        top = array(kind, &mut entries);
        ask(&mut top)?;
        let mut values: Vec<Vec<u8>> =
            entries.iter().map(|entry| vec![0; entry.ulValueLen as usize]).collect();
        for (entry, value) in entries.iter_mut().zip(&mut values) {
            entry.pValue = value.as_mut_ptr().cast();
        }
        ask(&mut top)?;
        assert_eq!(top.ulValueLen as usize, entries.len() * ENTRY);
        Ok(entries.iter().zip(values).map(|(entry, value)| Attr(entry.type_, value)).collect())
    }
}

fn plain(template: Vec<Attr>) -> Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)> {
    template.into_iter().map(|Attr(kind, value)| (kind, value)).collect()
}

/// A pair whose halves have templates.
struct Keys {
    t: Token,
    session: CK_SESSION_HANDLE,
    public: CK_OBJECT_HANDLE,
    private: CK_OBJECT_HANDLE,
}

fn unwrap_template() -> Vec<Attr> {
    vec![
        bytes(CKA_LABEL, b"unwrapped"),
        flag(CKA_SENSITIVE, true),
        flag(CKA_EXTRACTABLE, false),
        bytes(CKA_START_DATE, b"20260131"),
        bytes(CKA_ID, b""),
        bytes(CKA_ALLOWED_MECHANISMS, &CKM_AES_GCM.to_ne_bytes()),
    ]
}

fn wrap_template() -> Vec<Attr> {
    vec![ulong(CKA_KEY_TYPE, CKK_AES)]
}

fn generate(t: &Token, session: CK_SESSION_HANDLE, token: bool) -> Rv<(CK_ULONG, CK_ULONG)> {
    let (wrap, unwrap) = (wrap_template(), unwrap_template());
    let public =
        [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_TOKEN, token), nested(CKA_WRAP_TEMPLATE, &wrap)];
    let private = [
        flag(CKA_TOKEN, token),
        nested(CKA_UNWRAP_TEMPLATE, &unwrap),
        nested(CKA_DERIVE_TEMPLATE, &[]),
    ];
    t.p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private)
}

fn keys(token: bool) -> Keys {
    let t = Token::new();
    let session = t.user();
    let (public, private) = generate(&t, session, token).unwrap();
    Keys { t, session, public, private }
}

#[test]
fn c106_templates_are_deep_copies_and_read_back_in_stages() {
    for token in [false, true] {
        let k = keys(token);
        let mut expected = plain(unwrap_template());
        expected.sort();
        assert_eq!(k.read(k.private, CKA_UNWRAP_TEMPLATE).map(plain), Ok(expected));
        assert_eq!(k.read(k.private, CKA_DERIVE_TEMPLATE).map(plain), Ok(vec![]));
        assert_eq!(k.read(k.public, CKA_WRAP_TEMPLATE).map(plain), Ok(plain(wrap_template())));
        for (object, kind) in [
            (k.private, CKA_WRAP_TEMPLATE),
            (k.public, CKA_UNWRAP_TEMPLATE),
            (k.public, CKA_DERIVE_TEMPLATE),
            (k.private, CKA_DECAPSULATE_TEMPLATE),
        ] {
            let rv = k.read(object, kind).map(plain);
            assert_eq!(rv, Err(CKR_ATTRIBUTE_TYPE_INVALID), "{kind:#x}");
        }
        k.t.p.finalize().unwrap();
    }
}

#[test]
fn c106_c117_templates_survive_a_restart_and_a_copy() {
    let k = keys(true);
    let before = k.read(k.private, CKA_UNWRAP_TEMPLATE).map(plain);
    let copy = k.t.p.copy(k.session, k.private, &[flag(CKA_TOKEN, false)]).unwrap();
    assert_eq!(k.read(copy, CKA_UNWRAP_TEMPLATE).map(plain), before);
    k.t.p.finalize().unwrap();
    k.t.p.initialize().unwrap();
    let session = k.t.user();
    let private = k.t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    let k = Keys { session, private, ..k };
    assert_eq!(k.read(private, CKA_UNWRAP_TEMPLATE).map(plain), before);
}

#[test]
fn c106_templates_are_found_by_what_is_in_them() {
    let k = keys(true);
    let find = |kind, inner: &[Attr]| k.t.p.find(k.session, &[nested(kind, inner)]);
    let mut template = unwrap_template();
    assert_eq!(find(CKA_UNWRAP_TEMPLATE, &template), [k.private]);
    template.reverse();
    assert_eq!(find(CKA_UNWRAP_TEMPLATE, &template), [k.private], "in any order");
    template.pop();
    assert_eq!(find(CKA_UNWRAP_TEMPLATE, &template), []);
    assert_eq!(find(CKA_DERIVE_TEMPLATE, &[]), [k.private]);
    assert_eq!(find(CKA_WRAP_TEMPLATE, &wrap_template()), [k.public]);
    assert_eq!(find(CKA_WRAP_TEMPLATE, &[ulong(CKA_KEY_TYPE, CKK_DES)]), []);
    assert_eq!(find(CKA_WRAP_TEMPLATE, &[bytes(0x8765_4321, b"?")]), []);
    assert_eq!(find(CKA_ENCAPSULATE_TEMPLATE, &[]), []);
    let odd = k.t.p.find_init(k.session, &[bytes(CKA_WRAP_TEMPLATE, &[0; ENTRY - 1])]);
    assert_eq!(odd, Err(CKR_ATTRIBUTE_VALUE_INVALID));
    let mut own = vec![UNKNOWN];
    own[0] = array(CKA_WRAP_TEMPLATE, &mut own.clone());
    let at = own.as_mut_ptr();
    unsafe { (*at).pValue = at.cast() };
    let init = k.t.p.list.C_FindObjectsInit.unwrap();
    assert_eq!(unsafe { init(k.session, at, 1) }, CKR_ATTRIBUTE_VALUE_INVALID);
}

#[test]
fn c106_templates_are_said_when_a_key_is_made_and_never_changed() {
    let k = keys(false);
    let (same, other) = (unwrap_template(), vec![flag(CKA_SENSITIVE, false)]);
    for inner in [&same, &other] {
        let rv = k.t.p.set(k.session, k.private, &[nested(CKA_UNWRAP_TEMPLATE, inner)]);
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY));
    }
    let copy = |inner| k.t.p.copy(k.session, k.private, &[nested(CKA_UNWRAP_TEMPLATE, inner)]);
    assert!(copy(&same).is_ok());
    assert_eq!(copy(&other), Err(CKR_ATTRIBUTE_READ_ONLY));
    let rv = k.t.p.set(k.session, k.public, &[nested(CKA_UNWRAP_TEMPLATE, &same)]);
    assert_eq!(rv, Err(CKR_TEMPLATE_INCONSISTENT), "no attribute of public keys");

    // A public key that is created has one as well.
    let get = |kind| k.t.p.get(k.session, k.public, kind).unwrap();
    let inner = wrap_template();
    let template = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_RSA),
        bytes(CKA_MODULUS, &get(CKA_MODULUS)),
        bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
        nested(CKA_WRAP_TEMPLATE, &inner),
    ];
    let made = k.t.p.create(k.session, &template).unwrap();
    assert_eq!(k.read(made, CKA_WRAP_TEMPLATE).map(plain), Ok(plain(inner)));
    let inner = wrap_template();
    let of_data = [data(b"x", false, false), vec![nested(CKA_WRAP_TEMPLATE, &inner)]].concat();
    assert_eq!(k.t.p.create(k.session, &of_data), Err(CKR_TEMPLATE_INCONSISTENT));
}

#[test]
fn c106_a_template_inside_is_checked_as_any_other() {
    let t = Token::new();
    let session = t.user();
    let make = |inner: Attr| {
        let public = [bytes(CKA_EC_PARAMS, P256), flag(CKA_TOKEN, true)];
        let private = [flag(CKA_TOKEN, true), inner];
        t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).map(|_| ())
    };
    let conflict = [flag(CKA_SENSITIVE, true), flag(CKA_SENSITIVE, false)];
    for (inner, rv) in [
        (vec![bytes(0x8765_4321, b"?")], CKR_ATTRIBUTE_TYPE_INVALID),
        (vec![bytes(CKA_SENSITIVE, &[2])], CKR_ATTRIBUTE_VALUE_INVALID),
        (vec![bytes(CKA_END_DATE, b"20261301")], CKR_ATTRIBUTE_VALUE_INVALID),
        (conflict.to_vec(), CKR_TEMPLATE_INCONSISTENT),
    ] {
        assert_eq!(make(nested(CKA_UNWRAP_TEMPLATE, &inner)), Err(rv), "{inner:?}");
        let middle = [nested(CKA_DERIVE_TEMPLATE, &inner)];
        assert_eq!(make(nested(CKA_UNWRAP_TEMPLATE, &middle)), Err(rv), "{inner:?}");
    }
    // NULL with a length, inside; and arrays that are none.
    let null = [CKA_LABEL, 0, 4].map(CK_ULONG::to_ne_bytes).concat();
    for array in [&null[..], &null[..ENTRY - 1], &[0; ENTRY + 1], &[1]] {
        let rv = make(bytes(CKA_UNWRAP_TEMPLATE, array));
        assert_eq!(rv, Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }
    let mut levels = vec![nested(CKA_UNWRAP_TEMPLATE, &[])];
    for _ in 0..4 {
        let inner = levels.last().unwrap();
        levels.push(nested(CKA_UNWRAP_TEMPLATE, std::slice::from_ref(inner)));
    }
    assert_eq!(make(levels[4].clone()), Err(CKR_TEMPLATE_INCONSISTENT), "too deep");
    assert!(t.p.find(session, &[]).is_empty(), "nothing half made");
    assert_eq!(make(levels[3].clone()), Ok(()));
    assert_eq!(t.p.find(session, &[levels[3].clone()]).len(), 1);
    assert_eq!(t.p.find(session, &[levels[2].clone()]).len(), 0);
}

#[test]
fn c106_an_array_that_does_not_fit_the_template_is_inconsistent() {
    let k = keys(false);
    let mut label = [0u8; 9];
    for mut entries in [
        vec![UNKNOWN; 5],
        vec![UNKNOWN; 7],
        vec![CK_ATTRIBUTE { type_: CKA_LABEL, ..UNKNOWN }; 6],
        vec![CK_ATTRIBUTE { type_: CKA_LABEL, ..UNKNOWN }; 1],
        [vec![UNKNOWN; 5], vec![CK_ATTRIBUTE { type_: CKA_LABEL, ..UNKNOWN }]].concat(),
    ] {
        let before: Vec<_> = entries.iter().map(|e| (e.type_, e.ulValueLen)).collect();
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries), entry(CKA_PRIME_1, &mut label)];
        assert_eq!(k.ask(&mut top), CKR_TEMPLATE_INCONSISTENT);
        assert_eq!(top.map(|e| e.ulValueLen), [CK_UNAVAILABLE_INFORMATION; 2]);
        let after: Vec<_> = entries.iter().map(|e| (e.type_, e.ulValueLen)).collect();
        assert_eq!(after, before, "untouched");
    }
    let mut entries = vec![UNKNOWN; 6];
    for (len, rv) in [
        (0, CKR_BUFFER_TOO_SMALL),
        (ENTRY * 6 - 1, CKR_TEMPLATE_INCONSISTENT),
        (usize::MAX, CKR_TEMPLATE_INCONSISTENT),
    ] {
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries)];
        top[0].ulValueLen = len as CK_ULONG;
        assert_eq!(k.ask(&mut top), rv, "{len}");
        assert_eq!(top[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    }
}

#[test]
fn c106_an_array_of_zeros_reads_a_template_as_before_3_2() {
    let k = keys(false);
    let zeros = CK_ATTRIBUTE { type_: 0, ..UNKNOWN };
    for room in [6, 8] {
        let mut entries = vec![zeros; room];
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries)];
        assert_eq!(k.ask(&mut top), CKR_OK);
        assert_eq!(top[0].ulValueLen as usize, 6 * ENTRY);
        let mut unknown = vec![UNKNOWN; 6];
        let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut unknown)];
        assert_eq!(k.ask(&mut top), CKR_OK);
        let said = |entries: &[CK_ATTRIBUTE]| -> Vec<_> {
            entries.iter().map(|e| (e.type_, e.ulValueLen)).collect()
        };
        assert_eq!(said(&entries[..6]), said(&unknown));
        assert_eq!(said(&entries[6..]), vec![(0, 0); room - 6]);
    }
}

#[test]
fn c106_short_buffers_inside_are_told_one_by_one() {
    let k = keys(false);
    let (mut label, mut date, mut flags) = ([7u8; 8], [7u8; 8], [[7u8; 1]; 2]);
    let (mut id, mut mechanisms, mut modulus) = ([7u8; 0], [7u8; 8], [7u8; 256]);
    let [sensitive, extractable] = &mut flags;
    let mut entries = [
        entry(CKA_START_DATE, &mut date),
        entry(CKA_LABEL, &mut label),
        entry(CKA_SENSITIVE, sensitive),
        entry(CKA_EXTRACTABLE, extractable),
        entry(CKA_ID, &mut id),
        entry(CKA_ALLOWED_MECHANISMS, &mut mechanisms),
    ];
    let mut top = [array(CKA_UNWRAP_TEMPLATE, &mut entries), entry(CKA_MODULUS, &mut modulus)];
    assert_eq!(k.ask(&mut top), CKR_BUFFER_TOO_SMALL);
    let lens = entries.map(|entry| entry.ulValueLen);
    assert_eq!(lens, [8, CK_UNAVAILABLE_INFORMATION, 1, 1, 0, 8]);
    assert_eq!((&date, label, flags), (b"20260131", [7; 8], [[1], [0]]));
    assert_eq!(mechanisms, CKM_AES_GCM.to_ne_bytes());
    assert_eq!(top[0].ulValueLen as usize, ENTRY * 6);
    assert_eq!(top[1].ulValueLen, 256, "what can be answered is");
    assert!(modulus != [7; 256]);
}
