//! What callers may rely on for their mechanisms.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::{CK_ULONG, CKG_MGF1_SHA256, CKM_SHA256, CKR_MECHANISM_PARAM_INVALID};

use super::*;
use crate::ffi::structure::MOST_BYTES;

const CKM: CK_MECHANISM_TYPE = 0x8000_1234;

fn choose(
    shape: Option<ParameterShape>,
    parameter: *const c_void,
    len: CK_ULONG,
) -> Result<Parameter> {
    let given =
        CK_MECHANISM { mechanism: CKM, pParameter: parameter.cast_mut(), ulParameterLen: len };
    let mut memory = [0u8; size_of::<CK_MECHANISM>() + 1];
    // SAFETY: room for a mechanism at byte 1; parameters are the test's own or refused unread.
    let mechanism = unsafe {
        let place = memory.as_mut_ptr().add(1).cast::<CK_MECHANISM>();
        place.write_unaligned(given);
        Mechanism::new(place)
    };
    let (ckm, bytes) = mechanism.raw().expect("not NULL");
    assert_eq!(ckm, CKM);
    match shape {
        Some(shape) => super::parameter(shape, bytes, aead::operation),
        None => Ok(mechanism.choice()?.expect("not NULL").parameter),
    }
}

fn refusal(shape: ParameterShape, parameter: *const c_void, len: CK_ULONG) -> u64 {
    choose(Some(shape), parameter, len).expect_err("to be refused").ck_rv()
}

fn bytes_of<T>(value: &T) -> (*const c_void, CK_ULONG) {
    (ptr::from_ref(value).cast(), size_of::<T>() as CK_ULONG)
}

#[test]
fn null_is_no_mechanism() {
    // SAFETY: NULL is not looked at.
    let mechanism = unsafe { Mechanism::new(ptr::null()) };
    assert!(mechanism.choice().expect("no mechanism").is_none());
    assert_eq!(mechanism.required().expect_err("NULL").ck_rv(), CKR_ARGUMENTS_BAD);
}

#[test]
fn the_parameter_of_an_unknown_mechanism_is_not_touched() {
    let nowhere = ptr::without_provenance(16);
    assert_eq!(choose(None, nowhere, 40).expect("by name only"), Parameter::None);
    assert_eq!(choose(None, ptr::null(), 40).expect("by name only"), Parameter::None);
}

#[test]
fn no_parameter_is_none_and_any_other_is_kept_as_bytes() {
    let none = Some(ParameterShape::None);
    assert_eq!(choose(none, ptr::null(), 0).expect("none"), Parameter::None);
    assert_eq!(choose(none, ptr::without_provenance(16), 0).expect("none"), Parameter::None);
    let (at, len) = bytes_of(b"abc");
    assert_eq!(choose(none, at, len).expect("bytes"), Parameter::Bytes(b"abc".to_vec()));
}

#[test]
fn null_with_a_length_and_a_wrong_length_are_invalid() {
    use ParameterShape::{None, Oaep, Pss};
    let room = [0u8; 64];
    let at = room.as_ptr().cast();
    for (shape, size) in [
        (None, 8),
        (Pss, size_of::<CK_RSA_PKCS_PSS_PARAMS>() as CK_ULONG),
        (Oaep, size_of::<CK_RSA_PKCS_OAEP_PARAMS>() as CK_ULONG),
    ] {
        assert_eq!(refusal(shape, ptr::null(), size), CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(refusal(shape, at, CK_ULONG::MAX), CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(refusal(shape, at, MOST_BYTES + 1), CKR_MECHANISM_PARAM_INVALID);
        if shape != None {
            assert_eq!(refusal(shape, ptr::null(), 0), CKR_MECHANISM_PARAM_INVALID);
            assert_eq!(refusal(shape, at, size - 1), CKR_MECHANISM_PARAM_INVALID);
            assert_eq!(refusal(shape, at, size + 1), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

#[test]
fn pss_parameters_are_copied_from_any_address() {
    let given = CK_RSA_PKCS_PSS_PARAMS { hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, sLen: 32 };
    let mut memory = [0u8; size_of::<CK_RSA_PKCS_PSS_PARAMS>() + 1];
    // SAFETY: room for the structure at byte 1.
    let at = unsafe {
        let at = memory.as_mut_ptr().add(1);
        at.cast::<CK_RSA_PKCS_PSS_PARAMS>().write_unaligned(given);
        at
    };
    let (_, len) = bytes_of(&given);
    assert_eq!(
        choose(Some(ParameterShape::Pss), at.cast(), len).expect("PSS"),
        Parameter::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, salt_len: 32 }
    );
}

fn oaep_with(source: CK_ULONG, data: *const u8, len: CK_ULONG) -> Result<Parameter> {
    let given = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA256,
        mgf: CKG_MGF1_SHA256,
        source,
        pSourceData: data.cast_mut().cast(),
        ulSourceDataLen: len,
    };
    let (at, len) = bytes_of(&given);
    choose(Some(ParameterShape::Oaep), at, len)
}

fn oaep_labelled(label: &[u8]) -> Parameter {
    Parameter::Oaep { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, label: label.to_vec() }
}

#[test]
fn oaep_parameters_are_copied_with_what_they_point_to() {
    let label = b"label";
    assert_eq!(
        oaep_with(CKZ_DATA_SPECIFIED, label.as_ptr(), 5).expect("OAEP"),
        oaep_labelled(b"label")
    );
    assert_eq!(oaep_with(CKZ_DATA_SPECIFIED, ptr::null(), 0).expect("OAEP"), oaep_labelled(b""));
}

#[test]
fn oaep_without_data_needs_no_source() {
    assert_eq!(oaep_with(0, ptr::null(), 0).expect("OAEP"), oaep_labelled(b""));
}

#[test]
fn oaep_data_that_cannot_be_or_of_another_source_is_invalid() {
    let label = b"label".as_ptr();
    for (source, data, len) in [
        (CKZ_DATA_SPECIFIED, ptr::null(), 1),
        (CKZ_DATA_SPECIFIED, label, CK_ULONG::MAX),
        (CKZ_DATA_SPECIFIED, label, MOST_BYTES + 1),
        (0, label, 5),
        (2, label, 5),
        (2, ptr::null(), 0),
    ] {
        let told = oaep_with(source, data, len).expect_err("refused").ck_rv();
        assert_eq!(told, CKR_MECHANISM_PARAM_INVALID, "source {source}, {len:#x} bytes");
    }
}
