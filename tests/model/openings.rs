//! What sequences begin with: calls that make the interesting states likely, and those that hardly
//! go well, or hardly fail, by chance.

use cryptoki_sys::*;
use proptest::prelude::*;

use super::call::*;
use super::dual::Dual;
use super::mac::MACS;
use super::mechanism::Mechanism;
use super::pick_keys::KeyAct;
use super::step::{Kind, Room};

const FIRST: SessionPick = SessionPick::Open(0);
const ACTIVE: KindPick = KindPick::Active(0);
const EVERY_OPERATION: CK_FLAGS = CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY;

pub fn openings() -> impl Strategy<Value = Vec<Call>> {
    let rw = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    let open = |slot, flags| Call::Open { slot, flags };
    let first = SessionPick::Open(0);
    let user = vec![open(0, rw), Call::Login(first, CKU_USER, PinPick::Right)];
    let mut found = user.clone();
    found.push(Call::Search(first, Vec::new()));
    let mut two = found.clone();
    two.push(open(1, rw));
    two.push(open(0, CKF_SERIAL_SESSION));
    let officer = vec![open(1, rw), Call::Login(first, CKU_SO, PinPick::Right)];
    let mut new_pin = officer.clone();
    new_pin.push(Call::InitPin(first, PinPick::New(0)));
    let mut anew =
        vec![Call::InitToken { slot: 1, pin: PinPick::Right, label: LABELS[0], alone: false }];
    anew.extend(officer.clone());
    anew.push(Call::InitPin(first, PinPick::New(1)));
    anew.push(Call::Logout(first));
    anew.push(Call::Login(first, CKU_USER, PinPick::Right));
    prop_oneof![
        1 => Just(Vec::new()),
        1 => Just(vec![open(0, rw)]),
        1 => Just(new_pin),
        1 => Just(anew),
        2 => Just(user),
        4 => Just(found.clone()),
        3 => Just(two),
        1 => Just(officer),
        1 => Just(refused_for_their_place()),
        1 => Just([found.clone(), signed()].concat()),
        1 => Just([found.clone(), in_parts()].concat()),
        1 => Just([found.clone(), messages(Kind::Encrypt)].concat()),
        1 => Just([found.clone(), messages(Kind::Decrypt)].concat()),
        1 => Just([found.clone(), signed_messages()].concat()),
        1 => Just([found.clone(), macs()].concat()),
        1 => Just([found.clone(), asked()].concat()),
        1 => Just([found.clone(), keys()].concat()),
        1 => Just([found, known()].concat()),
        1 => Just(saved()),
    ]
}

/// Calls whose slot or session there is not.
fn refused_for_their_place() -> Vec<Call> {
    let never = SessionPick::Never;
    vec![
        Call::CloseAll(NO_SLOT),
        Call::TokenInfo(NO_SLOT),
        Call::Random(never, 1),
        Call::Cancel(never, 0),
        Call::Close(never),
        Call::Logout(never),
        Call::InitPin(never, PinPick::New(0)),
        Call::SetPin(never, PinPick::Right, PinPick::New(0)),
    ]
}

/// Signatures that are verified, whole and in parts.
fn signed() -> Vec<Call> {
    let begin =
        |kind| Call::Begin(FIRST, kind, Mechanism::suitable(CKM_ECDSA_SHA256), KeyPick::Fit(1));
    let genuine = SignaturePick::Genuine(0);
    let data = DataPick::Suitable(1);
    let parts = [
        Call::Update(FIRST, ACTIVE, data, Room::Enough),
        Call::Final(FIRST, ACTIVE, Room::Enough, genuine),
    ];
    let whole = Call::OneShot(FIRST, ACTIVE, data, Room::Enough, genuine);
    let mut calls = Vec::new();
    for kind in [Kind::Sign, Kind::Verify] {
        calls.push(begin(kind));
        calls.extend(parts.clone());
        calls.extend([begin(kind), whole.clone()]);
    }
    calls
}

/// Encryption and decryption in parts, alone and with another operation.
fn in_parts() -> Vec<Call> {
    let mut calls = Vec::new();
    for kind in [Kind::Encrypt, Kind::Decrypt] {
        let mechanism = Mechanism::suitable(CKM_AES_CTR);
        calls.extend([
            Call::Begin(FIRST, kind, mechanism, KeyPick::Fit(1)),
            Call::Update(FIRST, ACTIVE, DataPick::Suitable(5), Room::Enough),
            Call::Final(FIRST, ACTIVE, Room::Enough, SignaturePick::Wrong),
        ]);
    }
    for dual in Dual::ALL {
        calls.extend([Call::BeginDual(FIRST, dual, 1), Call::Cancel(FIRST, EVERY_OPERATION)]);
    }
    calls
}

/// A message in parts and one that is whole, and what ends their processes, twice each.
fn messages(kind: Kind) -> Vec<Call> {
    let call = |pick, which| message(kind, pick, which);
    vec![
        call(MessagePick::Init, 1),
        call(MessagePick::Next { last: false }, 1),
        call(MessagePick::Next { last: true }, 1),
        call(MessagePick::Next { last: true }, 1),
        call(MessagePick::InitNull, 1),
        call(MessagePick::InitNull, 1),
        call(MessagePick::Init, 0),
        call(MessagePick::Final, 1),
        call(MessagePick::Final, 1),
    ]
}

fn message(kind: Kind, pick: MessagePick, which: u8) -> Call {
    Call::Message { session: FIRST, kind, pick, which, room: Room::Enough }
}

/// Messages that are signed, then verified, in parts and whole, each call in its place and out of it.
fn signed_messages() -> Vec<Call> {
    use MessagePick::*;
    let (next, last) = (Next { last: false }, Next { last: true });
    let picks = [
        // An Init comes with a Begin.
        Init, Init, next, last, next, last, Whole, Begin, Whole, Final, Final, InitNull, Init,
        InitNull,
    ];
    let of = |kind| picks.map(|pick| message(kind, pick, 1));
    [of(Kind::Sign), of(Kind::Verify)].concat()
}

/// MACs made and verified, whole and in parts; some are wrong.
fn macs() -> Vec<Call> {
    let data = DataPick::Suitable(1);
    let mut calls = Vec::new();
    for ckm in MACS {
        let begin = |kind| Call::Begin(FIRST, kind, Mechanism::suitable(ckm), KeyPick::Fit(1));
        let whole = |pick| Call::OneShot(FIRST, ACTIVE, data, Room::Enough, pick);
        let (genuine, wrong) = (SignaturePick::Genuine(0), SignaturePick::Wrong);
        calls.extend([begin(Kind::Sign), whole(genuine), begin(Kind::Verify), whole(genuine)]);
        calls.extend([begin(Kind::Verify), whole(wrong), begin(Kind::Verify)]);
        calls.push(Call::Update(FIRST, ACTIVE, data, Room::Enough));
        calls.push(Call::Final(FIRST, ACTIVE, Room::Enough, genuine));
    }
    calls
}

/// RSA keys that ask for the PIN, for each of what they do, with it and without; and an EC key that
/// signs messages.
fn asked() -> Vec<Call> {
    let whole =
        || Call::OneShot(FIRST, ACTIVE, DataPick::Suitable(1), Room::Enough, SignaturePick::Wrong);
    let mut calls = Vec::new();
    for ckm in [CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS] {
        // The second pair is the one that asks.
        let begin = Call::Begin(FIRST, Kind::Encrypt, Mechanism::suitable(ckm), KeyPick::Fit(1));
        calls.extend([begin, whole()]);
    }
    for which in [1, 3, 5, 7] {
        calls.extend([Call::BeginAsking(FIRST, which, PinPick::Right), whole()]);
    }
    calls.extend([Call::BeginAsking(FIRST, 3, PinPick::Wrong), whole()]);
    // Of messages each one asks.
    let signs = |pick, which| message(Kind::Sign, pick, which);
    let prove = || Call::Prove(FIRST, PinPick::Right);
    calls.extend([signs(MessagePick::Init, 8), prove()]);
    calls.extend([signs(MessagePick::Whole, 1), signs(MessagePick::Whole, 1), prove()]);
    calls.extend([MessagePick::Begin, MessagePick::Next { last: true }].map(|it| signs(it, 1)));
    calls.push(signs(MessagePick::Final, 1));
    calls
}

/// A digest that is saved and restored, and what refuses either.
fn saved() -> Vec<Call> {
    let digest = Call::Begin(FIRST, Kind::Digest, Mechanism::suitable(CKM_SHA256), KeyPick::Fit(1));
    let part = || Call::Update(FIRST, ACTIVE, DataPick::Suitable(5), Room::Enough);
    let save = |room| Call::GetState(FIRST, room);
    let restore = |which| Call::SetState(FIRST, which);
    let last = || Call::Final(FIRST, ACTIVE, Room::Enough, SignaturePick::Wrong);
    let rw = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    vec![
        Call::Open { slot: 0, flags: rw },
        save(Room::Enough),
        restore(0),
        digest,
        part(),
        save(Room::Query),
        save(Room::Small),
        save(Room::Enough),
        part(),
        restore(0),
        part(),
        last(),
        restore(6),
        restore(7),
        restore(0),
        last(),
        Call::Final(FIRST, KindPick::This(Kind::Digest), Room::Enough, SignaturePick::Wrong),
        Call::Update(FIRST, KindPick::This(Kind::Digest), DataPick::Suitable(5), Room::Enough),
    ]
}

/// Keys generated, wrapped, unwrapped and derived; of each kind twice, then with a fault.
fn keys() -> Vec<Call> {
    let acts = KeyAct::ALL.into_iter();
    let each = acts.flat_map(|act| [1, 2, 14].map(|which| (act, which)));
    each.map(|(act, which)| Call::Key(FIRST, act, which, Room::Enough)).collect()
}

/// Signatures that are known before their data, verified whole and in parts, genuine and not.
fn known() -> Vec<Call> {
    let begin = |which| Call::BeginKnown(FIRST, which);
    let data = DataPick::Suitable(1);
    let whole = || Call::OneShot(FIRST, ACTIVE, data, Room::Enough, SignaturePick::Wrong);
    let of_none = Call::OneShot(
        FIRST,
        KindPick::This(Kind::VerifyKnown),
        data,
        Room::Enough,
        SignaturePick::Wrong,
    );
    let part = || Call::Update(FIRST, ACTIVE, data, Room::Enough);
    let late = Call::Update(FIRST, KindPick::This(Kind::VerifyKnown), data, Room::Enough);
    let last = || Call::Final(FIRST, ACTIVE, Room::Enough, SignaturePick::Wrong);
    vec![
        begin(1),
        begin(1),
        Call::GetState(FIRST, Room::Enough),
        whole(),
        of_none,
        late,
        begin(1),
        part(),
        last(),
        begin(14),
        part(),
        last(),
    ]
}
