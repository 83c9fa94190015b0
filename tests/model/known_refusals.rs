//! The model itself: that it refuses wrong verdicts about signatures that are known first.

use cryptoki_sys::*;

use super::mechanism::Mechanism;
use super::refusals::{begin, believes, one_shot, only, output, tell, with_pair};
use super::state::Model;
use super::step::{Given, Kind, Room, Step};

const SIGNATURE: [u8; 64] = [5; 64];

fn known(ckm: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE, signature: &[u8]) -> Step {
    let mechanism = Mechanism::suitable(ckm);
    Step::BeginKnown { session: 1, mechanism, key, signature: signature.to_vec() }
}

fn end(data: Option<&[u8]>) -> Step {
    Step::VerifyKnown { session: 1, data: data.map(<[u8]>::to_vec) }
}

fn part(data: &[u8]) -> Step {
    Step::Update { session: 1, kind: Kind::VerifyKnown, data: data.into(), room: Room::Enough }
}

/// With a signature of "data" by a key whose public half has the handle 11.
fn with_signature() -> Model {
    let mut model = with_pair();
    let mechanism = Mechanism::suitable(CKM_ECDSA_SHA256);
    tell(&mut model, &begin(Kind::Sign, mechanism, 12), Given::Nothing);
    tell(&mut model, &one_shot(Kind::Sign, b"data", Room::Enough), output(&SIGNATURE));
    model
}

#[test]
fn the_model_knows_which_signatures_that_came_first_are_genuine() {
    let mut model = with_signature();
    only(&model, &end(Some(b"data")), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &known(CKM_ECDSA, 12, &SIGNATURE), CKR_KEY_FUNCTION_NOT_PERMITTED);
    only(&model, &known(CKM_RSA_PKCS, 11, &SIGNATURE), CKR_KEY_TYPE_INCONSISTENT);
    tell(&mut model, &known(CKM_ECDSA_SHA256, 11, &SIGNATURE), Given::Nothing);
    only(&model, &known(CKM_ECDSA_SHA256, 11, &SIGNATURE), CKR_OPERATION_ACTIVE);
    only(&model, &begin(Kind::Digest, Mechanism::suitable(CKM_SHA256), 0), CKR_OPERATION_ACTIVE);
    only(&model, &Step::GetState { session: 1, room: Room::Enough }, CKR_STATE_UNSAVEABLE);
    let other = Step::Verify { session: 1, data: b"data".into(), signature: SIGNATURE.into() };
    only(&model, &other, CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &end(Some(b"data")), CKR_OK);
    only(&model, &end(Some(b"date")), CKR_SIGNATURE_INVALID);
    only(&model, &end(None), CKR_SIGNATURE_INVALID);
    tell(&mut model, &part(b"da"), Given::Nothing);
    only(&model, &end(None), CKR_SIGNATURE_INVALID);
    tell(&mut model, &part(b"ta"), Given::Nothing);
    only(&model, &end(None), CKR_OK);
    tell(&mut model, &end(None), Given::Nothing);
    only(&model, &end(None), CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn the_model_knows_what_a_verification_with_a_known_signature_takes() {
    let mut model = with_signature();
    tell(&mut model, &known(CKM_ECDSA_SHA256, 11, &[6; 64]), Given::Nothing);
    only(&model, &end(Some(b"data")), CKR_SIGNATURE_INVALID);
    let cancel = Step::Cancel { session: 1, flags: CKF_VERIFY };
    tell(&mut model, &cancel, Given::Nothing);
    only(&model, &end(Some(b"data")), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &known(CKM_ECDSA, 11, &SIGNATURE), Given::Nothing);
    only(&model, &part(b"da"), CKR_FUNCTION_NOT_SUPPORTED);
    only(&model, &end(None), CKR_FUNCTION_NOT_SUPPORTED);
}

#[test]
fn the_model_leaves_open_whether_one_way_to_verify_ends_the_other() {
    let mut model = with_signature();
    let null = |kind| Step::BeginNull { session: 1, kind, key: 11 };
    tell(&mut model, &known(CKM_ECDSA_SHA256, 11, &SIGNATURE), Given::Nothing);
    assert!(believes(&model, &null(Kind::Verify), CKR_ARGUMENTS_BAD, Given::Nothing));
    assert!(!believes(&model, &null(Kind::Verify), CKR_OPERATION_ACTIVE, Given::Nothing));
    only(&model, &null(Kind::Sign), CKR_ARGUMENTS_BAD);
    only(&model, &null(Kind::VerifyKnown), CKR_OK);
    tell(&mut model, &null(Kind::Verify), Given::Nothing);
    only(&model, &end(Some(b"data")), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &null(Kind::Verify), CKR_ARGUMENTS_BAD);
}
