//! The model itself: that it refuses wrong answers to calls about messages.

use cryptoki_sys::*;

use super::call::MessagePick;
use super::mechanism::{Mechanism, Parameter};
use super::messages::{Head, MessageCall, gcm};
use super::process::Process;
use super::refusals::{AES_KEY, believes, only, tell, with_aes};
use super::state::Consent;
use super::step::{Given, Kind, Room, Step};

const DATA: &[u8] = b"a message of two blocks or so";

fn step(encrypts: bool, call: MessageCall) -> Step {
    Step::Message { session: 1, encrypts, call }
}

fn head(tag: &[u8]) -> Head {
    Head { nonce: vec![5; 12], generate: false, associated: b"with it", tag: tag.to_vec() }
}

fn init(encrypts: bool) -> Step {
    let mechanism = Mechanism { ckm: CKM_AES_GCM, parameter: Parameter::None };
    step(encrypts, MessageCall::Init { mechanism, key: 4 })
}

fn whole(encrypts: bool, head: Head, data: &[u8], room: Room) -> Step {
    step(encrypts, MessageCall::Whole { head, data: data.to_vec(), room })
}

fn next(encrypts: bool, head: Head, data: &[u8], last: bool) -> Step {
    let (data, room) = (data.to_vec(), Room::Enough);
    step(encrypts, MessageCall::Next { head, data, room, last })
}

fn message(bytes: &[u8], tag: &[u8]) -> Given {
    Given::Message { len: bytes.len(), bytes: bytes.to_vec(), nonce: vec![5; 12], tag: tag.into() }
}

#[test]
fn the_model_computes_messages_and_their_tags() {
    let mut model = with_aes();
    let (secret, tag) = gcm(AES_KEY, &head(&[]), true, DATA);
    let encrypt = whole(true, head(&[0; 16]), DATA, Room::Enough);
    only(&model, &encrypt, CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &init(true), Given::Nothing);
    only(&model, &init(true), CKR_OPERATION_ACTIVE);
    only(&model, &Step::FindInit { session: 1, template: vec![] }, CKR_OPERATION_ACTIVE);
    only(&model, &whole(false, head(&tag), &secret, Room::Enough), CKR_OPERATION_NOT_INITIALIZED);
    assert!(!believes(&model, &encrypt, CKR_OK, message(&secret, &[0; 16])));
    assert!(!believes(&model, &encrypt, CKR_OK, message(DATA, &tag)));
    tell(&mut model, &encrypt, message(&secret, &tag));
    tell(&mut model, &encrypt, message(&secret, &tag));
    tell(&mut model, &step(true, MessageCall::Final), Given::Nothing);
    only(&model, &step(true, MessageCall::Final), CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn the_model_knows_the_places_of_a_messages_parts() {
    let mut model = with_aes();
    let (secret, tag) = gcm(AES_KEY, &head(&[]), true, DATA);
    tell(&mut model, &init(true), Given::Nothing);
    let begin = step(true, MessageCall::Begin(head(&[0; 16])));
    let part = next(true, head(&[0; 16]), &DATA[..5], false);
    assert!(!believes(&model, &part, CKR_OK, message(&secret[..5], &[0; 16])), "not begun");
    tell(&mut model, &begin, message(b"", &[0; 16]));
    assert!(!believes(&model, &begin, CKR_OK, message(b"", &[0; 16])), "begun already");
    let amid = whole(true, head(&[0; 16]), DATA, Room::Enough);
    assert!(!believes(&model, &amid, CKR_OK, message(&secret, &tag)));
    assert!(!believes(&model, &part, CKR_OK, message(b"", &[0; 16])), "it can be computed");
    tell(&mut model, &part, message(&secret[..5], &[0; 16]));
    let last = next(true, head(&[0; 16]), &DATA[5..], true);
    assert!(!believes(&model, &last, CKR_OK, message(&secret[5..], &[0; 16])));
    tell(&mut model, &last, message(&secret[5..], &tag));
    assert!(!believes(&model, &last, CKR_OK, message(&secret[5..], &tag)), "the message is over");
    tell(&mut model, &begin, message(b"", &[0; 16]));
}

#[test]
fn the_model_refuses_a_message_whose_tag_is_wrong() {
    let mut model = with_aes();
    let (secret, tag) = gcm(AES_KEY, &head(&[]), true, DATA);
    tell(&mut model, &init(false), Given::Nothing);
    let wrong = whole(false, head(&[9; 16]), &secret, Room::Enough);
    assert!(!believes(&model, &wrong, CKR_OK, message(DATA, &[9; 16])));
    assert!(!believes(&model, &wrong, CKR_ENCRYPTED_DATA_INVALID, message(b"", &[9; 16])));
    assert!(believes(&model, &wrong, CKR_AEAD_DECRYPT_FAILED, message(b"", &[9; 16])));
    let right = whole(false, head(&tag), &secret, Room::Enough);
    assert!(!believes(&model, &right, CKR_AEAD_DECRYPT_FAILED, message(b"", &tag)));
    tell(&mut model, &right, message(DATA, &tag));
}

#[test]
fn the_model_finds_a_message_to_decrypt_amid_a_process_whose_key_is_no_ciphers() {
    let mut model = with_aes();
    let number = model.handles[&4];
    let pair = model.objects[number].pair.unwrap();
    model.secrets.insert(pair + 1, b"what MACs are made with".to_vec());
    let mut mac_key = model.objects[number].clone();
    mac_key.pair = Some(pair + 1);
    model.objects.push(mac_key);
    let hmac = Mechanism::suitable(CKM_SHA256_HMAC);
    let process = Process::new(Kind::Sign, hmac, model.objects.len() - 1, Consent::default());
    model.here(1).process = Some(process);
    for pick in [MessagePick::Whole, MessagePick::Begin, MessagePick::Next { last: true }] {
        // Of sixteen choices the last is another kind of process than the session's.
        let steps = model.pick_message(1, Kind::Decrypt, pick, 15, Room::Enough);
        assert!(matches!(steps[..], [Step::Message { encrypts: false, .. }]), "{steps:?}");
    }
}
