//! The model itself: that it refuses wrong keys.

use cryptoki_sys::*;

use super::derivation::{Derivation, Hkdf, peer};
use super::keys::{KeyCall, wrap};
use super::refusals::{AES_KEY, believes, only, output, tell, with_aes, with_pair};
use super::state::Model;
use super::step::{Born, Given, Room, Step};
use crate::common::p11::{Attr, flag, ulong};

const VALUE: &[u8] = b"value of 20 bytes...";

fn step(call: KeyCall) -> Step {
    Step::Key { session: 1, call }
}

fn template(open: bool) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        flag(CKA_PRIVATE, false),
        flag(CKA_SENSITIVE, !open),
        flag(CKA_EXTRACTABLE, open),
        flag(CKA_DERIVE, true),
        ulong(CKA_VALUE_LEN, VALUE.len() as CK_ULONG),
    ]
}

/// A new key, as the module should describe it.
fn key(handle: CK_OBJECT_HANDLE, open: bool, local: bool, value: &[u8]) -> Given {
    let asked = template(open).into_iter().map(|Attr(kind, value)| (kind, value));
    let mut attributes: Vec<_> = asked.filter(|(kind, _)| *kind != CKA_VALUE_LEN).collect();
    attributes.extend([
        (CKA_LOCAL, vec![local.into()]),
        (CKA_ALWAYS_SENSITIVE, vec![0]),
        (CKA_NEVER_EXTRACTABLE, vec![0]),
        (CKA_UNIQUE_ID, handle.to_ne_bytes().to_vec()),
    ]);
    attributes.extend(open.then(|| (CKA_VALUE, value.to_vec())));
    Given::Born(vec![Born { handle, attributes }])
}

/// With an AES key that wraps and unwraps, whose handle is 4.
fn with_kek() -> Model {
    let mut model = with_aes();
    let key = model.handles[&4];
    for usage in [CKA_WRAP, CKA_UNWRAP] {
        model.objects[key].attributes.insert(usage, vec![1]);
    }
    model
}

fn unwrap(wrapped: &[u8], template: Vec<Attr>) -> Step {
    let (ckm, wrapped) = (CKM_AES_KEY_WRAP_KWP, wrapped.to_vec());
    step(KeyCall::Unwrap { ckm, with: 4, wrapped, template })
}

fn wrap_it(key: CK_OBJECT_HANDLE, room: Room) -> Step {
    step(KeyCall::Wrap { ckm: CKM_AES_KEY_WRAP_KWP, with: 4, key, room })
}

/// With the key of [`VALUE`] unwrapped, and its handle 9.
fn with_unwrapped(open: bool) -> Model {
    let mut model = with_kek();
    let wrapped = wrap(CKM_AES_KEY_WRAP_KWP, AES_KEY, VALUE);
    tell(&mut model, &unwrap(&wrapped, template(open)), key(9, open, false, VALUE));
    model
}

#[test]
fn the_model_knows_the_key_that_comes_out_of_an_unwrapping() {
    let model = with_kek();
    let wrapped = wrap(CKM_AES_KEY_WRAP_KWP, AES_KEY, VALUE);
    let right = unwrap(&wrapped, template(true));
    assert!(believes(&model, &right, CKR_OK, key(9, true, false, VALUE)));
    assert!(!believes(&model, &right, CKR_OK, key(9, true, false, &VALUE[1..])));
    assert!(!believes(&model, &right, CKR_OK, key(9, true, true, VALUE)), "it was not made here");
    assert!(!believes(&model, &right, CKR_OK, key(9, false, false, VALUE)), "it is open");
    let mut damaged = wrapped.clone();
    damaged[5] ^= 1;
    let damaged = unwrap(&damaged, template(true));
    assert!(!believes(&model, &damaged, CKR_OK, key(9, true, false, VALUE)));
    assert!(believes(&model, &damaged, CKR_WRAPPED_KEY_INVALID, Given::Nothing));
    let mut short = template(true);
    short[6] = ulong(CKA_VALUE_LEN, 19);
    only(&model, &unwrap(&wrapped, short), CKR_WRAPPED_KEY_LEN_RANGE);
    let mut aes = template(true);
    aes.pop();
    aes[1] = ulong(CKA_KEY_TYPE, CKK_AES);
    only(&model, &unwrap(&wrapped, aes), CKR_WRAPPED_KEY_LEN_RANGE);
    let mut private = template(true);
    private[2] = flag(CKA_PRIVATE, true);
    only(&model, &unwrap(&wrapped, private), CKR_USER_NOT_LOGGED_IN);
    let mut token = template(true);
    token.push(flag(CKA_TOKEN, true));
    let token = Step::Key {
        session: 2,
        call: KeyCall::Unwrap { ckm: CKM_AES_KEY_WRAP_KWP, with: 4, wrapped, template: token },
    };
    only(&model, &token, CKR_SESSION_READ_ONLY);
}

#[test]
fn the_model_knows_what_a_key_is_wrapped_as() {
    let model = with_unwrapped(true);
    let wrapped = wrap(CKM_AES_KEY_WRAP_KWP, AES_KEY, VALUE);
    assert!(believes(&model, &wrap_it(9, Room::Enough), CKR_OK, output(&wrapped)));
    assert!(!believes(&model, &wrap_it(9, Room::Enough), CKR_OK, output(&wrapped[1..])));
    assert!(!believes(&model, &wrap_it(9, Room::Small), CKR_OK, output(&[0])));
    let asked = |len| Given::Output { len, bytes: Vec::new() };
    assert!(!believes(&model, &wrap_it(9, Room::Query), CKR_OK, asked(31)));
    only(&model, &wrap_it(4, Room::Enough), CKR_KEY_UNEXTRACTABLE);
    only(&model, &wrap_it(77, Room::Enough), CKR_KEY_HANDLE_INVALID);
    let with =
        |with| step(KeyCall::Wrap { ckm: CKM_AES_KEY_WRAP, with, key: 9, room: Room::Enough });
    only(&model, &with(77), CKR_WRAPPING_KEY_HANDLE_INVALID);
    only(&model, &with(9), CKR_WRAPPING_KEY_TYPE_INCONSISTENT);
    let padded = wrap(CKM_AES_KEY_WRAP, AES_KEY, b"value of 20 bytes...\0\0\0\0");
    assert!(believes(&model, &with(4), CKR_OK, output(&padded)));
    assert!(!believes(&model, &with(4), CKR_OK, output(&wrapped)));
    only(&with_unwrapped(false), &wrap_it(9, Room::Enough), CKR_KEY_UNEXTRACTABLE);
}

#[test]
fn the_model_derives_the_keys_of_the_standard() {
    // RFC 5869's first case begins so.
    let salt: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let info: &[u8] = &[0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
    let made = Hkdf { salt, info }.value(&[11; 22], 42);
    assert_eq!(made[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
    assert_eq!(made[34..], [0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65]);
}

#[test]
fn the_model_knows_the_key_that_is_derived_and_what_it_is_derived_from() {
    let hkdf = Hkdf { salt: b"salt", info: b"info" };
    let by = Derivation::Hkdf(hkdf);
    let derive = |base, template| step(KeyCall::Derive { base, by, template });
    let model = with_unwrapped(true);
    let value = hkdf.value(VALUE, VALUE.len());
    let right = derive(9, template(true));
    assert!(believes(&model, &right, CKR_OK, key(10, true, false, &value)));
    assert!(!believes(&model, &right, CKR_OK, key(10, true, false, VALUE)));
    assert!(!believes(&model, &right, CKR_OK, key(10, true, true, &value)));
    only(&model, &derive(77, template(true)), CKR_KEY_HANDLE_INVALID);
    only(&model, &derive(4, template(true)), CKR_KEY_TYPE_INCONSISTENT);
    let mut endless = template(true);
    endless.pop();
    only(&model, &derive(9, endless), CKR_TEMPLATE_INCOMPLETE);
}

#[test]
fn the_model_expects_a_new_key_to_be_new() {
    let model = with_unwrapped(true);
    let generate = |ckm| step(KeyCall::Generate { ckm, template: template(true) });
    let right = generate(CKM_GENERIC_SECRET_KEY_GEN);
    assert!(believes(&model, &right, CKR_OK, key(10, true, true, b"another key of 20 b.")));
    assert!(!believes(&model, &right, CKR_OK, key(10, true, true, b"another key of 21 by.")));
    assert!(!believes(&model, &right, CKR_OK, key(10, true, true, VALUE)), "it is the other one");
    assert!(!believes(&model, &right, CKR_OK, key(10, true, false, b"another key of 20 b.")));
    let wrong = generate(CKM_AES_KEY_GEN);
    assert!(!believes(&model, &wrong, CKR_OK, key(10, true, true, b"another key of 20 b.")));
    assert!(believes(&model, &wrong, CKR_TEMPLATE_INCONSISTENT, Given::Nothing));
}

#[test]
fn the_model_knows_what_two_parties_agree_on() {
    let mut model = with_pair();
    let private = model.handles[&12];
    model.objects[private].attributes.insert(CKA_DERIVE, vec![1]);
    // The other party is the same as the peer: what they share is its own point times its key.
    model.points.insert(model.pairs, peer());
    let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    let shared =
        p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), secret.public_key().as_affine());
    let shared = shared.raw_secret_bytes();
    let derive = |base| {
        let (by, template) = (Derivation::Ecdh, template(true));
        step(KeyCall::Derive { base, by, template })
    };
    assert!(believes(&model, &derive(12), CKR_OK, key(13, true, false, &shared[12..])));
    assert!(!believes(&model, &derive(12), CKR_OK, key(13, true, false, &shared[..20])));
    only(&model, &derive(11), CKR_KEY_TYPE_INCONSISTENT);
}
