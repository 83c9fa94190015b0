//! Attributes asked for in the C structures, and key pairs by their templates.

#![allow(clippy::undocumented_unsafe_blocks)] // Pointers to values that outlive the call.

use std::ptr;

use cryptoki_sys::*;

use super::fixture::*;
use super::p11::*;

pub const NONE: CK_ULONG = CK_UNAVAILABLE_INFORMATION;

pub fn entry(type_: CK_ATTRIBUTE_TYPE, value: &mut [u8]) -> CK_ATTRIBUTE {
    let (pointer, len) = (value.as_mut_ptr().cast(), value.len() as CK_ULONG);
    CK_ATTRIBUTE { type_, pValue: pointer, ulValueLen: len }
}

pub fn length_of(type_: CK_ATTRIBUTE_TYPE) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_, pValue: ptr::null_mut(), ulValueLen: 99 }
}

pub fn ask(
    p: &P11,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    entries: &mut [CK_ATTRIBUTE],
) -> CK_RV {
    let call = p.list.C_GetAttributeValue.unwrap();
    unsafe { call(session, object, entries.as_mut_ptr(), entries.len() as CK_ULONG) }
}

/// A template for another object that is the same public key.
pub fn public_template(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<Attr> {
    let given = [CKA_CLASS, CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_EC_POINT];
    given.iter().map(|kind| bytes(*kind, &p.get(session, key, *kind).unwrap())).collect()
}

/// A P-256 pair of the session, with `private` in its private template.
pub fn pair_with(
    t: &Token,
    session: CK_SESSION_HANDLE,
    private: &[Attr],
) -> Rv<(CK_ULONG, CK_ULONG)> {
    t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, P256)], private)
}

pub fn signs(t: &Token, session: CK_SESSION_HANDLE, public: CK_ULONG, private: CK_ULONG) {
    let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[7; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[7; 32], &signature).unwrap();
}
