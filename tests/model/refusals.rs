//! The model itself: that it refuses wrong answers. Each test tells it of a few calls that went
//! well, then gives it right and wrong answers to the next.

use aes::cipher::{BlockEncrypt, KeyInit};
use cryptoki_sys::*;
use sha2::{Digest, Sha256};

use super::call::SLOTS;
use super::dual::Dual;
use super::mechanism::{Mechanism, Parameter};
use super::state::Model;
use super::step::{Answer, Born, Given, Kind, Room, Step, Wanted};
use crate::common::p11::{Attr, bytes, flag, ulong};

const RW: CK_FLAGS = CKF_SERIAL_SESSION | CKF_RW_SESSION;
const SHA256: Mechanism = Mechanism { ckm: CKM_SHA256, parameter: Parameter::None };
const ECDSA: Mechanism = Mechanism { ckm: CKM_ECDSA, parameter: Parameter::None };

/// The model, with sessions 1 (R/W) and 2 (R/O) open on the first slot.
fn model() -> Model {
    let mut model = Model::new(&SLOTS, b"officer", b"user", "label");
    tell(&mut model, &open(RW), Given::Session(1));
    tell(&mut model, &open(CKF_SERIAL_SESSION), Given::Session(2));
    model
}

/// The same with the user in.
fn with_user() -> Model {
    let mut model = model();
    tell(&mut model, &login(CKU_USER, b"user"), Given::Nothing);
    model
}

/// With the user in, and a private session object whose handle is 7.
fn with_object() -> Model {
    let mut model = with_user();
    tell(&mut model, &create(), Given::Born(vec![born(7, b"id")]));
    model
}

/// With a P-256 pair on the token: handles 11 and 12.
pub fn with_pair() -> Model {
    let mut model = with_user();
    let key = |class: CK_OBJECT_CLASS, handle, id: &[u8], usage| Born {
        handle,
        attributes: vec![
            (CKA_CLASS, class.to_ne_bytes().to_vec()),
            (CKA_KEY_TYPE, CKK_EC.to_ne_bytes().to_vec()),
            (CKA_UNIQUE_ID, id.to_vec()),
            (CKA_LOCAL, vec![1]),
            (CKA_TOKEN, vec![1]),
            (CKA_DESTROYABLE, vec![1]),
            (CKA_PRIVATE, vec![u8::from(class == CKO_PRIVATE_KEY)]),
            (usage, vec![1]),
        ],
    };
    let pair = vec![
        key(CKO_PUBLIC_KEY, 11, b"public", CKA_VERIFY),
        key(CKO_PRIVATE_KEY, 12, b"private", CKA_SIGN),
    ];
    let generate = Step::GeneratePair {
        session: 1,
        public: vec![flag(CKA_TOKEN, true)],
        private: vec![flag(CKA_TOKEN, true), flag(CKA_PRIVATE, true)],
    };
    tell(&mut model, &generate, Given::Born(pair));
    model
}

fn open(flags: CK_FLAGS) -> Step {
    Step::Open { slot: SLOTS[0], flags }
}

fn login(user: CK_USER_TYPE, pin: &[u8]) -> Step {
    Step::Login { session: 1, user, pin: pin.to_vec() }
}

fn template() -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_DATA),
        flag(CKA_TOKEN, false),
        flag(CKA_PRIVATE, true),
        bytes(CKA_LABEL, b"label"),
        flag(CKA_COPYABLE, false),
        flag(CKA_MODIFIABLE, true),
        flag(CKA_DESTROYABLE, true),
    ]
}

fn create() -> Step {
    Step::Create { session: 1, template: template() }
}

fn born(handle: CK_OBJECT_HANDLE, id: &[u8]) -> Born {
    let mut attributes: Vec<_> =
        template().into_iter().map(|Attr(kind, value)| (kind, value)).collect();
    attributes.push((CKA_UNIQUE_ID, id.to_vec()));
    Born { handle, attributes }
}

pub fn begin(kind: Kind, mechanism: Mechanism, key: CK_OBJECT_HANDLE) -> Step {
    Step::Begin { session: 1, kind, mechanism, key }
}

pub fn one_shot(kind: Kind, data: &[u8], room: Room) -> Step {
    Step::OneShot { session: 1, kind, data: data.to_vec(), room }
}

pub fn output(bytes: &[u8]) -> Given {
    Given::Output { len: bytes.len(), bytes: bytes.to_vec() }
}

/// A call goes well.
pub fn tell(model: &mut Model, step: &Step, given: Given) {
    model.judge(step, &Answer { rv: CKR_OK, given }).unwrap();
}

/// Whether the model would believe an answer.
pub fn believes(model: &Model, step: &Step, rv: CK_RV, given: Given) -> bool {
    model.clone().judge(step, &Answer { rv, given }).is_ok()
}

/// Of all return values the model believes just this one.
pub fn only(model: &Model, step: &Step, right: CK_RV) {
    let all = (0..=0x300).chain([CKR_VENDOR_DEFINED]);
    let believed: Vec<CK_RV> =
        all.filter(|rv| believes(model, step, *rv, Given::Nothing)).collect();
    assert_eq!(believed, [right], "{step:?}");
}

#[test]
fn the_model_allows_one_answer_to_what_the_state_forbids() {
    let model = model();
    only(&model, &Step::Initialize, CKR_CRYPTOKI_ALREADY_INITIALIZED);
    only(&model, &Step::Logout { session: 1 }, CKR_USER_NOT_LOGGED_IN);
    only(&model, &Step::SessionInfo { session: 3 }, CKR_SESSION_HANDLE_INVALID);
    only(&model, &open(0), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    only(&model, &login(CKU_SO, b"officer"), CKR_SESSION_READ_ONLY_EXISTS);
    only(&model, &login(CKU_USER, b"wrong"), CKR_PIN_INCORRECT);
    only(&model, &login(17, b"user"), CKR_USER_TYPE_INVALID);
    only(&model, &login(CKU_CONTEXT_SPECIFIC, b"user"), CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &create(), CKR_USER_NOT_LOGGED_IN);
    only(&model, &Step::Find { session: 1, max: 1 }, CKR_OPERATION_NOT_INITIALIZED);
    only(&model, &one_shot(Kind::Sign, b"", Room::Enough), CKR_OPERATION_NOT_INITIALIZED);

    let model = with_user();
    only(&model, &login(CKU_USER, b"user"), CKR_USER_ALREADY_LOGGED_IN);
    let token = Step::Create {
        session: 2,
        template: vec![ulong(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, true), flag(CKA_PRIVATE, false)],
    };
    only(&model, &token, CKR_SESSION_READ_ONLY);
    let mut model = model;
    tell(&mut model, &Step::Close { session: 2 }, Given::Nothing);
    only(&model, &login(CKU_SO, b"user"), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

#[test]
fn the_model_knows_each_session_state() {
    let mut model = model();
    let believed = |model: &Model, session: CK_SESSION_HANDLE| -> Vec<CK_STATE> {
        let flags = if session == 1 { RW } else { CKF_SERIAL_SESSION };
        let info = |state| Given::SessionInfo { slot: SLOTS[0], state, flags };
        let step = Step::SessionInfo { session };
        (0..9).filter(|state| believes(model, &step, CKR_OK, info(*state))).collect()
    };
    assert_eq!(believed(&model, 1), [CKS_RW_PUBLIC_SESSION]);
    assert_eq!(believed(&model, 2), [CKS_RO_PUBLIC_SESSION]);
    tell(&mut model, &login(CKU_USER, b"user"), Given::Nothing);
    assert_eq!(believed(&model, 1), [CKS_RW_USER_FUNCTIONS]);
    assert_eq!(believed(&model, 2), [CKS_RO_USER_FUNCTIONS]);
    tell(&mut model, &Step::Logout { session: 2 }, Given::Nothing);
    tell(&mut model, &Step::Close { session: 2 }, Given::Nothing);
    tell(&mut model, &login(CKU_SO, b"officer"), Given::Nothing);
    assert_eq!(believed(&model, 1), [CKS_RW_SO_FUNCTIONS]);
}

#[test]
fn the_model_knows_what_making_a_token_anew_takes_and_destroys() {
    let mut model = with_object();
    let init = |pin: &[u8]| Step::InitToken { slot: SLOTS[0], pin: pin.to_vec(), label: "anew" };
    only(&model, &init(b"officer"), CKR_SESSION_EXISTS);
    tell(&mut model, &Step::CloseAll { slot: SLOTS[0] }, Given::Nothing);
    only(&model, &init(b"user"), CKR_PIN_INCORRECT);
    tell(&mut model, &init(b"officer"), Given::Nothing);

    let info = |label: &str, flags| Given::TokenInfo {
        flags: CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_RNG | flags,
        sessions: 0,
        rw_sessions: 0,
        label: format!("{label:32}").into_bytes(),
    };
    let ask = Step::TokenInfo { slot: SLOTS[0] };
    assert!(believes(&model, &ask, CKR_OK, info("anew", 0)));
    assert!(!believes(&model, &ask, CKR_OK, info("label", 0)));
    assert!(!believes(&model, &ask, CKR_OK, info("anew", CKF_USER_PIN_INITIALIZED)));

    tell(&mut model, &open(RW), Given::Session(3));
    let login = |user, pin: &[u8]| Step::Login { session: 3, user, pin: pin.to_vec() };
    only(&model, &login(CKU_USER, b"user"), CKR_USER_PIN_NOT_INITIALIZED);
    tell(&mut model, &login(CKU_SO, b"officer"), Given::Nothing);
    let set = Step::InitPin { session: 3, pin: b"user".to_vec() };
    tell(&mut model, &set, Given::Nothing);
    tell(&mut model, &Step::Logout { session: 3 }, Given::Nothing);
    tell(&mut model, &login(CKU_USER, b"user"), Given::Nothing);
    let search = Step::FindInit { session: 3, template: vec![] };
    tell(&mut model, &search, Given::Nothing);
    let find = Step::Find { session: 3, max: 5 };
    assert!(!believes(&model, &find, CKR_OK, Given::Found(vec![(9, None)])), "nothing is left");
    assert!(believes(&model, &find, CKR_OK, Given::Found(vec![])));
}

#[test]
fn the_model_does_not_believe_in_a_handle_that_comes_again() {
    let mut model = with_object();
    assert!(!believes(&model, &open(RW), CKR_OK, Given::Session(2)));
    assert!(!believes(&model, &open(RW), CKR_OK, Given::Session(0)));
    tell(&mut model, &Step::Close { session: 2 }, Given::Nothing);
    assert!(!believes(&model, &open(RW), CKR_OK, Given::Session(2)));
    assert!(believes(&model, &open(RW), CKR_OK, Given::Session(3)));

    assert!(!believes(&model, &create(), CKR_OK, Given::Born(vec![born(7, b"other")])));
    assert!(!believes(&model, &create(), CKR_OK, Given::Born(vec![born(8, b"id")])), "its ID");
    let mut changed = born(8, b"other");
    changed.attributes[3].1 = b"another label".to_vec();
    assert!(!believes(&model, &create(), CKR_OK, Given::Born(vec![changed])));
    assert!(believes(&model, &create(), CKR_OK, Given::Born(vec![born(8, b"other")])));
}

#[test]
fn the_model_expects_exactly_the_objects_that_match() {
    let mut model = with_object();
    let search = Step::FindInit { session: 2, template: vec![bytes(CKA_LABEL, b"label")] };
    tell(&mut model, &search, Given::Nothing);
    only(&model, &search, CKR_OPERATION_ACTIVE);
    let find = Step::Find { session: 2, max: 5 };
    let found = |handles: &[CK_OBJECT_HANDLE]| {
        Given::Found(handles.iter().map(|handle| (*handle, None)).collect())
    };
    assert!(!believes(&model, &find, CKR_OK, found(&[])));
    assert!(!believes(&model, &find, CKR_OK, found(&[7, 7])));
    assert!(!believes(&model, &find, CKR_OK, found(&[8])));
    tell(&mut model, &find, found(&[7]));
    assert!(!believes(&model, &find, CKR_OK, found(&[7])));
    assert!(believes(&model, &find, CKR_OK, found(&[])));
}

#[test]
fn the_model_expects_private_objects_to_be_gone_at_logout() {
    let mut model = with_object();
    tell(&mut model, &Step::Logout { session: 2 }, Given::Nothing);
    let get = Step::Get {
        session: 1,
        object: 7,
        wanted: vec![Wanted { kind: CKA_LABEL, room: Room::Enough }],
    };
    only(&model, &get, CKR_OBJECT_HANDLE_INVALID);
    tell(&mut model, &login(CKU_USER, b"user"), Given::Nothing);
    only(&model, &get, CKR_OBJECT_HANDLE_INVALID);
}

#[test]
fn the_model_checks_attribute_values_and_one_way_changes() {
    let mut model = with_object();
    let get =
        |room| Step::Get { session: 2, object: 7, wanted: vec![Wanted { kind: CKA_LABEL, room }] };
    let value = |len, bytes: &[u8]| Given::Values(vec![(len, bytes.to_vec())]);
    assert!(believes(&model, &get(Room::Enough), CKR_OK, value(5, b"label")));
    assert!(!believes(&model, &get(Room::Enough), CKR_OK, value(5, b"lapel")));
    assert!(believes(&model, &get(Room::Query), CKR_OK, value(5, b"")));
    assert!(!believes(&model, &get(Room::Query), CKR_OK, value(6, b"")));
    let small = value(CK_UNAVAILABLE_INFORMATION, b"");
    assert!(believes(&model, &get(Room::Small), CKR_BUFFER_TOO_SMALL, small));
    assert!(!believes(&model, &get(Room::Small), CKR_BUFFER_TOO_SMALL, value(5, b"")));

    let set = |change: Attr| Step::Set { session: 1, object: 7, template: vec![change] };
    only(&model, &set(flag(CKA_COPYABLE, true)), CKR_ATTRIBUTE_READ_ONLY);
    only(&model, &set(ulong(CKA_CLASS, CKO_DATA)), CKR_ATTRIBUTE_READ_ONLY);
    only(&model, &set(flag(CKA_SIGN, true)), CKR_TEMPLATE_INCONSISTENT);
    let copy = Step::Copy { session: 1, object: 7, template: vec![] };
    only(&model, &copy, CKR_ACTION_PROHIBITED);
    tell(&mut model, &set(bytes(CKA_LABEL, b"lapel")), Given::Nothing);
    assert!(believes(&model, &get(Room::Enough), CKR_OK, value(5, b"lapel")));
}

#[test]
fn the_model_knows_what_ends_an_operation() {
    let mut model = model();
    let digest = |room| one_shot(Kind::Digest, b"abc", room);
    tell(&mut model, &begin(Kind::Digest, SHA256, 0), Given::Nothing);
    only(&model, &begin(Kind::Digest, SHA256, 0), CKR_OPERATION_ACTIVE);
    only(&model, &Step::FindInit { session: 1, template: vec![] }, CKR_OPERATION_ACTIVE);
    // SHA-256 of "abc" begins so; a length that is said must be the right one.
    assert!(!believes(&model, &digest(Room::Enough), CKR_OK, output(&[0; 32])));
    assert!(!believes(&model, &digest(Room::Enough), CKR_OK, output(&[0; 31])));
    assert!(!believes(&model, &digest(Room::Small), CKR_OK, output(&[0])));
    let asked = |len| Given::Output { len, bytes: Vec::new() };
    assert!(!believes(&model, &digest(Room::Query), CKR_OK, asked(31)));
    tell(&mut model, &digest(Room::Query), asked(32));
    let last = Step::Final { session: 1, kind: Kind::Digest, room: Room::Enough };
    only(&model, &last, CKR_OPERATION_ACTIVE);
    model.judge(&last, &Answer { rv: CKR_OPERATION_ACTIVE, given: Given::Nothing }).unwrap();
    only(&model, &last, CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn the_model_knows_which_signatures_are_genuine() {
    let mut model = with_pair();
    only(&model, &begin(Kind::Sign, ECDSA, 11), CKR_KEY_FUNCTION_NOT_PERMITTED);
    only(&model, &begin(Kind::Sign, ECDSA, 13), CKR_KEY_HANDLE_INVALID);
    only(&model, &begin(Kind::Sign, SHA256, 12), CKR_MECHANISM_INVALID);
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    let sign = one_shot(Kind::Sign, &[1; 32], Room::Enough);
    assert!(!believes(&model, &sign, CKR_OK, output(&[5; 63])));
    tell(&mut model, &sign, output(&[5; 64]));

    tell(&mut model, &begin(Kind::Verify, ECDSA, 11), Given::Nothing);
    let verify = |data: &[u8], signature: &[u8]| Step::Verify {
        session: 1,
        data: data.to_vec(),
        signature: signature.to_vec(),
    };
    only(&model, &verify(&[1; 32], &[5; 64]), CKR_OK);
    only(&model, &verify(&[2; 32], &[5; 64]), CKR_SIGNATURE_INVALID);
    only(&model, &verify(&[1; 32], &[6; 64]), CKR_SIGNATURE_INVALID);
    only(&model, &verify(&[1; 32], &[5; 63]), CKR_SIGNATURE_LEN_RANGE);
}

#[test]
fn the_model_ends_what_a_private_key_was_begun_with_at_logout() {
    let mut model = with_pair();
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    tell(&mut model, &Step::Logout { session: 1 }, Given::Nothing);
    only(&model, &one_shot(Kind::Sign, &[1; 32], Room::Enough), CKR_OPERATION_NOT_INITIALIZED);

    // A destroyed key: both are right, and only those.
    let mut model = with_pair();
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    tell(&mut model, &Step::Destroy { session: 1, object: 12 }, Given::Nothing);
    let sign = one_shot(Kind::Sign, &[1; 32], Room::Enough);
    assert!(believes(&model, &sign, CKR_OK, output(&[5; 64])));
    assert!(believes(&model, &sign, CKR_KEY_HANDLE_INVALID, Given::Nothing));
    assert!(!believes(&model, &sign, CKR_OPERATION_NOT_INITIALIZED, Given::Nothing));
    only(&model, &begin(Kind::Verify, ECDSA, 11), CKR_OPERATION_ACTIVE);
}

pub const AES_KEY: &[u8; 16] = b"sixteen secrets!";

/// With a public AES key, whose handle is 4.
pub fn with_aes() -> Model {
    let mut model = model();
    let object = Born {
        handle: 0,
        attributes: vec![
            (CKA_CLASS, CKO_SECRET_KEY.to_ne_bytes().to_vec()),
            (CKA_KEY_TYPE, CKK_AES.to_ne_bytes().to_vec()),
            (CKA_UNIQUE_ID, b"aes".to_vec()),
            (CKA_ENCRYPT, vec![1]),
            (CKA_DECRYPT, vec![1]),
        ],
    };
    model.add_key(SLOTS[0], &[object], Some(AES_KEY));
    tell(&mut model, &Step::FindInit { session: 1, template: vec![] }, Given::Nothing);
    let found = Given::Found(vec![(4, Some(b"aes".to_vec()))]);
    tell(&mut model, &Step::Find { session: 1, max: 2 }, found);
    tell(&mut model, &Step::FindFinal { session: 1 }, Given::Nothing);
    model
}

/// What AES makes of a block by itself.
fn block(data: &[u8; 16]) -> Vec<u8> {
    let mut block = (*data).into();
    aes::Aes128::new(AES_KEY.into()).encrypt_block(&mut block);
    block.to_vec()
}

#[test]
fn the_model_computes_what_aes_makes() {
    let mut model = with_aes();
    let bare = Mechanism { ckm: CKM_AES_CBC, parameter: Parameter::None };
    only(&model, &begin(Kind::Encrypt, bare, 4), CKR_MECHANISM_PARAM_INVALID);

    // CBC's first block is the cipher of the data and the vector.
    tell(&mut model, &begin(Kind::Encrypt, Mechanism::suitable(CKM_AES_CBC), 4), Given::Nothing);
    let part = |len: usize, room| Step::Update {
        session: 1,
        kind: Kind::Encrypt,
        data: vec![0; len],
        room,
    };
    assert!(believes(&model, &part(15, Room::Enough), CKR_OK, output(&[])));
    assert!(!believes(&model, &part(15, Room::Enough), CKR_OK, output(&[0])));
    let asked = |len| Given::Output { len, bytes: Vec::new() };
    assert!(believes(&model, &part(16, Room::Small), CKR_BUFFER_TOO_SMALL, asked(16)));
    assert!(!believes(&model, &part(16, Room::Small), CKR_BUFFER_TOO_SMALL, asked(15)));
    assert!(!believes(&model, &part(16, Room::Small), CKR_OK, output(&[0])));
    assert!(!believes(&model, &part(16, Room::Enough), CKR_OK, output(&[])), "it can be computed");
    assert!(!believes(&model, &part(16, Room::Enough), CKR_OK, output(&block(&[0; 16]))));
    tell(&mut model, &part(16, Room::Enough), output(&block(&[1; 16])));
    let last = Step::Final { session: 1, kind: Kind::Encrypt, room: Room::Enough };
    assert!(believes(&model, &last, CKR_OK, output(&[])));
    assert!(!believes(&model, &last, CKR_DATA_LEN_RANGE, output(&[])));
    tell(&mut model, &part(3, Room::Enough), output(&[]));
    only(&model, &last, CKR_DATA_LEN_RANGE);
}

#[test]
fn the_model_passes_on_what_a_call_for_two_operations_gives() {
    let mut model = with_aes();
    let ecb = Mechanism::suitable(CKM_AES_ECB);
    let dual = |dual, data: &[u8], room| Step::Dual { session: 1, dual, data: data.to_vec(), room };
    let both = dual(Dual::DecryptDigest, &block(&[5; 16]), Room::Enough);
    only(&model, &both, CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &begin(Kind::Decrypt, ecb, 4), Given::Nothing);
    only(&model, &both, CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &begin(Kind::Digest, SHA256, 0), Given::Nothing);
    assert!(!believes(&model, &both, CKR_OK, output(&block(&[5; 16]))));

    // What was asked is not digested, what was given is.
    let asked = Given::Output { len: 16, bytes: Vec::new() };
    let ask = dual(Dual::DecryptDigest, &block(&[6; 16]), Room::Query);
    tell(&mut model, &ask, asked);
    tell(&mut model, &both, output(&[5; 16]));
    let last = Step::Final { session: 1, kind: Kind::Digest, room: Room::Enough };
    let digest = |data: &[u8]| output(&Sha256::digest(data));
    assert!(!believes(&model, &last, CKR_OK, digest(&block(&[5; 16]))));
    assert!(!believes(&model, &last, CKR_OK, digest(&[[6; 16], [5; 16]].concat())));
    tell(&mut model, &last, digest(&[5; 16]));
}

#[test]
fn the_model_knows_which_keys_ask_for_the_pin_and_for_how_long_it_holds() {
    let mut model = with_pair();
    let asking = model.object(SLOTS[0], 12).unwrap();
    let prove =
        |pin: &[u8]| Step::Login { session: 1, user: CKU_CONTEXT_SPECIFIC, pin: pin.to_vec() };
    let sign = one_shot(Kind::Sign, &[1; 32], Room::Enough);
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    only(&model, &prove(b"user"), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &sign, output(&[5; 64]));

    model.objects[asking].attributes.insert(CKA_ALWAYS_AUTHENTICATE, vec![1]);
    only(&model, &prove(b"user"), CKR_OPERATION_NOT_INITIALIZED);
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    only(&model, &prove(b"wrong"), CKR_PIN_INCORRECT);
    only(&model, &sign, CKR_USER_NOT_LOGGED_IN);
    assert!(!believes(&model, &sign, CKR_OK, output(&[5; 64])));
    tell(&mut model, &prove(b"user"), Given::Nothing);
    let asked = Given::Output { len: 64, bytes: Vec::new() };
    tell(&mut model, &one_shot(Kind::Sign, &[1; 32], Room::Query), asked);
    tell(&mut model, &sign, output(&[5; 64]));
    tell(&mut model, &begin(Kind::Sign, ECDSA, 12), Given::Nothing);
    only(&model, &sign, CKR_USER_NOT_LOGGED_IN);
}
