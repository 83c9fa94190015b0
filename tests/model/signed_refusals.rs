//! The model itself: that it refuses wrong answers to calls about messages that are signed.

use cryptoki_sys::*;

use super::mechanism::Mechanism;
use super::refusals::{believes, only, output, tell, with_pair};
use super::signed::{End, SignedCall};
use super::state::Model;
use super::step::{Given, Kind, Room, Step};

const SIGNATURE: [u8; 64] = [5; 64];

fn step(kind: Kind, call: SignedCall) -> Step {
    Step::Signed { session: 1, kind, call }
}

fn init(kind: Kind, ckm: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) -> Step {
    step(kind, SignedCall::Init { mechanism: Mechanism::suitable(ckm), key })
}

fn sign(data: &[u8], room: Room) -> Step {
    step(Kind::Sign, SignedCall::Whole { data: data.to_vec(), end: End::Made(room) })
}

fn next(kind: Kind, data: &[u8]) -> Step {
    step(kind, SignedCall::Next { data: data.to_vec() })
}

fn last(data: &[u8], room: Room) -> Step {
    step(Kind::Sign, SignedCall::Last { data: data.to_vec(), end: End::Made(room) })
}

fn verify(data: &[u8], signature: &[u8]) -> Step {
    let end = End::Given(signature.to_vec());
    step(Kind::Verify, SignedCall::Whole { data: data.to_vec(), end })
}

fn signing(ckm: CK_MECHANISM_TYPE) -> Model {
    let mut model = with_pair();
    tell(&mut model, &init(Kind::Sign, ckm, 12), Given::Nothing);
    model
}

#[test]
fn the_model_knows_what_a_process_that_signs_is_begun_with_and_that_it_is_alone() {
    let model = with_pair();
    only(&model, &init(Kind::Sign, CKM_ECDSA, 11), CKR_KEY_FUNCTION_NOT_PERMITTED);
    only(&model, &init(Kind::Sign, CKM_ECDSA, 13), CKR_KEY_HANDLE_INVALID);
    only(&model, &init(Kind::Sign, CKM_RSA_PKCS, 12), CKR_KEY_TYPE_INCONSISTENT);
    only(&model, &init(Kind::Sign, CKM_AES_GCM, 12), CKR_MECHANISM_INVALID);
    only(&model, &sign(b"", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &step(Kind::Sign, SignedCall::InitNull), CKR_ARGUMENTS_BAD);

    let mut model = signing(CKM_ECDSA_SHA256);
    only(&model, &init(Kind::Sign, CKM_ECDSA, 12), CKR_OPERATION_ACTIVE);
    only(&model, &init(Kind::Verify, CKM_ECDSA, 11), CKR_OPERATION_ACTIVE);
    only(&model, &Step::FindInit { session: 1, template: vec![] }, CKR_OPERATION_ACTIVE);
    only(&model, &verify(b"", &SIGNATURE), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &step(Kind::Verify, SignedCall::Final), CKR_OPERATION_NOT_INITIALIZED);
    let mut cancelled = model.clone();
    let cancel = |flags| Step::Cancel { session: 1, flags };
    tell(&mut cancelled, &cancel(CKF_SIGN | CKF_MESSAGE_VERIFY), Given::Nothing);
    tell(&mut cancelled, &sign(b"", Room::Enough), output(&SIGNATURE));
    tell(&mut cancelled, &cancel(CKF_MESSAGE_SIGN), Given::Nothing);
    only(&cancelled, &sign(b"", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &step(Kind::Sign, SignedCall::Final), Given::Nothing);
    only(&model, &step(Kind::Sign, SignedCall::Final), CKR_OPERATION_NOT_INITIALIZED);

    let mut model = signing(CKM_ECDSA_SHA256);
    tell(&mut model, &Step::Logout { session: 2 }, Given::Nothing);
    only(&model, &sign(b"", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn the_model_knows_the_places_of_the_parts_that_are_signed() {
    let mut model = signing(CKM_ECDSA);
    only(&model, &step(Kind::Sign, SignedCall::Begin), CKR_FUNCTION_NOT_SUPPORTED);
    tell(&mut model, &sign(&[1; 32], Room::Enough), output(&SIGNATURE));

    let mut model = signing(CKM_ECDSA_SHA256);
    only(&model, &next(Kind::Sign, b"part"), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &last(b"part", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &step(Kind::Sign, SignedCall::Begin), Given::Nothing);
    only(&model, &step(Kind::Sign, SignedCall::Begin), CKR_OPERATION_ACTIVE);
    assert!(!believes(&model, &sign(b"", Room::Enough), CKR_OK, output(&SIGNATURE)), "amid");
    tell(&mut model, &next(Kind::Sign, b"pa"), Given::Nothing);
    let asked = |len| Given::Output { len, bytes: Vec::new() };
    assert!(!believes(&model, &last(b"rt", Room::Query), CKR_OK, asked(63)));
    assert!(!believes(&model, &last(b"rt", Room::Small), CKR_OK, output(&[5])));
    tell(&mut model, &last(b"rt", Room::Query), asked(64));
    assert!(!believes(&model, &last(b"rt", Room::Enough), CKR_OK, output(&[5; 63])));
    tell(&mut model, &last(b"rt", Room::Enough), output(&SIGNATURE));
    only(&model, &last(b"rt", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &step(Kind::Sign, SignedCall::Final), Given::Nothing);

    // What the parts make is what was signed.
    tell(&mut model, &init(Kind::Verify, CKM_ECDSA_SHA256, 11), Given::Nothing);
    only(&model, &verify(b"part", &SIGNATURE), CKR_OK);
    only(&model, &verify(b"port", &SIGNATURE), CKR_SIGNATURE_INVALID);
    only(&model, &verify(b"part", &[6; 64]), CKR_SIGNATURE_INVALID);
    only(&model, &verify(b"part", &[5; 63]), CKR_SIGNATURE_LEN_RANGE);
    tell(&mut model, &step(Kind::Verify, SignedCall::Begin), Given::Nothing);
    tell(&mut model, &next(Kind::Verify, b"pa"), Given::Nothing);
    let last = |data: &[u8]| {
        let end = End::Given(SIGNATURE.to_vec());
        step(Kind::Verify, SignedCall::Last { data: data.to_vec(), end })
    };
    only(&model, &last(b"part"), CKR_SIGNATURE_INVALID);
    only(&model, &last(b"rt"), CKR_OK);
    tell(&mut model, &last(b"rt"), Given::Nothing);
    only(&model, &last(b"rt"), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &verify(b"part", &SIGNATURE), Given::Nothing);
}

#[test]
fn the_model_expects_the_pin_for_each_message_that_a_key_asks_it_for() {
    let mut model = with_pair();
    let asking = model.object(super::call::SLOTS[0], 12).unwrap();
    model.objects[asking].attributes.insert(CKA_ALWAYS_AUTHENTICATE, vec![1]);
    let prove =
        |pin: &[u8]| Step::Login { session: 1, user: CKU_CONTEXT_SPECIFIC, pin: pin.to_vec() };
    let sign = sign(b"data", Room::Enough);
    tell(&mut model, &init(Kind::Sign, CKM_ECDSA_SHA256, 12), Given::Nothing);
    only(&model, &sign, CKR_USER_NOT_LOGGED_IN);
    only(&model, &prove(b"wrong"), CKR_PIN_INCORRECT);
    tell(&mut model, &prove(b"user"), Given::Nothing);
    tell(&mut model, &sign, output(&SIGNATURE));
    only(&model, &sign, CKR_USER_NOT_LOGGED_IN);
    assert!(!believes(&model, &sign, CKR_OK, output(&SIGNATURE)));
}
