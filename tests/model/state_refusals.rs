//! The model itself: that it refuses wrong answers about operations that are saved and restored.

use cryptoki_sys::*;
use sha2::{Digest, Sha256};

use super::mechanism::Mechanism;
use super::refusals::{begin, believes, one_shot, only, output, tell, with_pair};
use super::state::Model;
use super::step::{Given, Kind, Room, Step};

const SAVED: &[u8] = b"a state";

fn save(room: Room) -> Step {
    Step::GetState { session: 1, room }
}

fn restore(session: CK_SESSION_HANDLE, bytes: &[u8], key: CK_OBJECT_HANDLE) -> Step {
    Step::SetState { session, bytes: bytes.to_vec(), key }
}

fn part(data: &[u8]) -> Step {
    Step::Update { session: 1, kind: Kind::Digest, data: data.to_vec(), room: Room::Enough }
}

fn finish() -> Step {
    Step::Final { session: 1, kind: Kind::Digest, room: Room::Enough }
}

/// A digest of "ab" was saved; it went on.
fn with_saved() -> Model {
    let mut model = with_pair();
    only(&model, &save(Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &begin(Kind::Digest, Mechanism::suitable(CKM_SHA256), 0), Given::Nothing);
    tell(&mut model, &part(b"ab"), Given::Nothing);
    assert!(!believes(&model, &save(Room::Small), CKR_OK, output(&[1])));
    assert!(!believes(&model, &save(Room::Enough), CKR_STATE_UNSAVEABLE, Given::Nothing));
    tell(&mut model, &save(Room::Enough), output(SAVED));
    tell(&mut model, &part(b"other"), Given::Nothing);
    tell(&mut model, &finish(), output(&Sha256::digest(b"abother")));
    model
}

#[test]
fn the_model_goes_on_from_what_was_saved() {
    let mut model = with_saved();
    tell(&mut model, &Step::FindInit { session: 1, template: vec![] }, Given::Nothing);
    tell(&mut model, &restore(1, SAVED, 0), Given::Nothing);
    only(&model, &Step::Find { session: 1, max: 1 }, CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &one_shot(Kind::Digest, b"c", Room::Enough), CKR_OPERATION_ACTIVE);
    tell(&mut model, &part(b"c"), Given::Nothing);
    assert!(!believes(&model, &finish(), CKR_OK, output(&Sha256::digest(b"c"))));
    tell(&mut model, &finish(), output(&Sha256::digest(b"abc")));
}

#[test]
fn the_model_knows_where_a_state_belongs_and_what_has_none() {
    let mut model = with_saved();
    only(&model, &restore(1, b"another", 0), CKR_SAVED_STATE_INVALID);
    only(&model, &restore(2, SAVED, 0), CKR_SAVED_STATE_INVALID);
    only(&model, &restore(1, SAVED, 12), CKR_KEY_NOT_NEEDED);
    only(&model, &restore(1, SAVED, 0), CKR_OK);
    tell(&mut model, &begin(Kind::Sign, Mechanism::suitable(CKM_ECDSA), 12), Given::Nothing);
    only(&model, &save(Room::Enough), CKR_STATE_UNSAVEABLE);
    tell(&mut model, &Step::Logout { session: 1 }, Given::Nothing);
    only(&model, &restore(1, SAVED, 0), CKR_SAVED_STATE_INVALID);
}
