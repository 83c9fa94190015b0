//! The alphabet of the random sequences. A call names its session, objects and keys by choice, not
//! by handle, so that a sequence means something whatever was cut out of it.

use cryptoki_sys::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::objects::UNKNOWN;
use super::step::{Kind, Mechanism, Room};
use crate::common::p11::{Attr, bytes, flag, ulong};

/// A session: one of those that are open, or no good one.
#[derive(Clone, Copy, Debug)]
pub enum SessionPick {
    Open(u8),
    /// One with an operation.
    Busy(u8),
    /// One with a search.
    Searching(u8),
    /// One without.
    Idle(u8),
    Closed(u8),
    Never,
}

/// An object by its handle.
#[derive(Clone, Copy, Debug)]
pub enum ObjectPick {
    /// One of the session's slot that is known.
    Known(u8),
    OtherSlot(u8),
    Stale(u8),
    Never,
}

/// A key; the first one fits the mechanism.
#[derive(Clone, Copy, Debug)]
pub enum KeyPick {
    Fit(u8),
    Other(ObjectPick),
}

/// A PIN.
#[derive(Clone, Copy, Debug)]
pub enum PinPick {
    Right,
    Wrong,
    Short,
    New(u8),
}

/// Which operation to go on with: what is active, or this kind.
#[derive(Clone, Copy, Debug)]
pub enum KindPick {
    Active(u8),
    This(Kind),
}

#[derive(Clone, Copy, Debug)]
pub enum SignaturePick {
    /// One that should verify, if there is one.
    Genuine(u8),
    /// One of the right length.
    Wrong,
    Short,
}

#[derive(Clone, Debug)]
pub enum Call {
    /// C_Initialize where it was done.
    Initialize,
    /// C_Finalize, a call that comes too late, C_Initialize.
    Restart,
    Open {
        slot: CK_SLOT_ID,
        flags: CK_FLAGS,
    },
    Close(SessionPick),
    CloseAll(CK_SLOT_ID),
    SessionInfo(SessionPick),
    TokenInfo(CK_SLOT_ID),
    InitToken {
        slot: CK_SLOT_ID,
        pin: PinPick,
        label: &'static str,
        /// After closing the slot's sessions.
        alone: bool,
    },
    Login(SessionPick, CK_USER_TYPE, PinPick),
    Logout(SessionPick),
    InitPin(SessionPick, PinPick),
    SetPin(SessionPick, PinPick, PinPick),
    Create(SessionPick, Vec<Attr>),
    Copy(SessionPick, ObjectPick, Vec<Attr>),
    Destroy(SessionPick, ObjectPick),
    Get(SessionPick, ObjectPick, Vec<(CK_ATTRIBUTE_TYPE, Room)>),
    Set(SessionPick, ObjectPick, Vec<Attr>),
    /// A whole search.
    Search(SessionPick, Vec<Attr>),
    FindInit(SessionPick, Vec<Attr>),
    Find(SessionPick, usize),
    FindFinal(SessionPick),
    Begin(SessionPick, Kind, Mechanism, KeyPick),
    BeginNull(SessionPick, KindPick, ObjectPick),
    /// A one-shot call; of a verification with a signature.
    OneShot(SessionPick, KindPick, DataPick, Room, SignaturePick),
    Update(SessionPick, KindPick, DataPick),
    Final(SessionPick, KindPick, Room, SignaturePick),
    Cancel(SessionPick, CK_FLAGS),
    Random(SessionPick, usize),
    GeneratePair {
        session: SessionPick,
        token: bool,
        label: u8,
    },
}

/// Data to work on: what suits the operation, or so many bytes.
#[derive(Clone, Copy, Debug)]
pub enum DataPick {
    Suitable(u8),
    Bytes(usize),
}

/// The slots that have tokens here.
pub const SLOTS: [CK_SLOT_ID; 2] = [0, 1];
/// A self-signed certificate, and its subject.
const CERTIFICATE: &[u8] = include_bytes!("certificate.der");
const SUBJECT: &[u8] = b"\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05model";

const NO_SLOT: CK_SLOT_ID = 77;

/// What tokens are called that are made anew.
const LABELS: [&str; 2] = ["anew", "\u{e9}tiquette of thirty-two bytes.."];

/// A case: some calls that make the interesting states likely, then anything.
pub fn sequences(calls: usize) -> impl Strategy<Value = Vec<Call>> {
    (openings(), vec(call(), calls)).prop_map(|(mut first, mut rest)| {
        rest.truncate(rest.len().saturating_sub(first.len()));
        first.append(&mut rest);
        first
    })
}

fn openings() -> impl Strategy<Value = Vec<Call>> {
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
        6 => Just(found),
        4 => Just(two),
        1 => Just(officer),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    Union::new_weighted(vec![
        (16, sessions().boxed()),
        (8, logins().boxed()),
        (24, objects().boxed()),
        (12, searches().boxed()),
        (40, operations().boxed()),
    ])
}

fn sessions() -> impl Strategy<Value = Call> {
    use Call::*;
    let flags = prop_oneof![
        10 => Just(CKF_SERIAL_SESSION | CKF_RW_SESSION),
        6 => Just(CKF_SERIAL_SESSION),
        1 => Just(CKF_RW_SESSION),
        1 => Just(CKF_SERIAL_SESSION | 0x4000),
    ];
    prop_oneof![
        12 => (slot(), flags).prop_map(|(slot, flags)| Open { slot, flags }),
        9 => session().prop_map(Close),
        2 => slot().prop_map(CloseAll),
        14 => session().prop_map(SessionInfo),
        6 => slot().prop_map(TokenInfo),
        3 => (session(), 0usize..40).prop_map(|(session, len)| Random(session, len)),
        1 => Just(Initialize),
        1 => Just(Restart),
    ]
}

fn logins() -> impl Strategy<Value = Call> {
    use Call::*;
    let user = prop_oneof![
        12 => Just(CKU_USER),
        4 => Just(CKU_SO),
        1 => Just(CKU_CONTEXT_SPECIFIC),
        1 => Just(17),
    ];
    let mostly_right = prop_oneof![12 => Just(PinPick::Right), 1 => Just(PinPick::Wrong)];
    let new = prop_oneof![5 => (0u8..3).prop_map(PinPick::New), 1 => Just(PinPick::Short)];
    let init_token = (slot(), mostly_right.clone(), select(&LABELS[..]), any::<bool>())
        .prop_map(|(slot, pin, label, alone)| InitToken { slot, pin, label, alone });
    prop_oneof![
        1 => init_token,
        24 => (session(), user, mostly_right.clone())
            .prop_map(|(session, user, pin)| Login(session, user, pin)),
        6 => session().prop_map(Logout),
        2 => (session(), new.clone()).prop_map(|(session, pin)| InitPin(session, pin)),
        2 => (session(), mostly_right, new).prop_map(|(session, old, new)| SetPin(session, old, new)),
    ]
}

fn objects() -> impl Strategy<Value = Call> {
    use Call::*;
    let wanted = vec((attribute_type(), room()), 1..5);
    prop_oneof![
        14 => (session(), creation()).prop_map(|(session, template)| Create(session, template)),
        8 => (session(), object(), vec(copy_change(), 0..4))
            .prop_map(|(session, object, template)| Copy(session, object, template)),
        8 => (session(), object()).prop_map(|(session, object)| Destroy(session, object)),
        14 => (session(), object(), wanted)
            .prop_map(|(session, object, wanted)| Get(session, object, wanted)),
        12 => (session(), object(), vec(change(), 1..3))
            .prop_map(|(session, object, template)| Set(session, object, template)),
        2 => (session(), any::<bool>(), 0u8..3)
            .prop_map(|(session, token, label)| GeneratePair { session, token, label }),
    ]
}

fn searches() -> impl Strategy<Value = Call> {
    use Call::*;
    let max = select(vec![0usize, 1, 2, 3, 50]);
    prop_oneof![
        8 => (idle(), wanted_objects()).prop_map(|(session, template)| Search(session, template)),
        6 => (idle(), wanted_objects())
            .prop_map(|(session, template)| FindInit(session, template)),
        8 => (searching(), max).prop_map(|(session, max)| Find(session, max)),
        4 => searching().prop_map(FindFinal),
    ]
}

fn operations() -> impl Strategy<Value = Call> {
    use Call::*;
    let data = || {
        prop_oneof![
            9 => any::<u8>().prop_map(DataPick::Suitable),
            1 => select(vec![0usize, 2, 33, 245, 246, 256, 300]).prop_map(DataPick::Bytes),
        ]
    };
    let signature = || {
        prop_oneof![
            6 => any::<u8>().prop_map(SignaturePick::Genuine),
            1 => Just(SignaturePick::Wrong),
            1 => Just(SignaturePick::Short),
        ]
    };
    let flags = select(vec![
        0,
        CKF_SIGN,
        CKF_DIGEST,
        CKF_FIND_OBJECTS,
        CKF_ENCRYPT | CKF_DECRYPT,
        CKF_VERIFY,
        CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_FIND_OBJECTS,
    ]);
    prop_oneof![
        30 => (idle(), beginning(), key())
            .prop_map(|(session, (kind, mechanism), key)| Begin(session, kind, mechanism, key)),
        2 => (busy(), kind(), object())
            .prop_map(|(session, kind, key)| BeginNull(session, kind, key)),
        26 => (busy(), kind(), data(), room(), signature())
            .prop_map(|(s, kind, data, room, signature)| OneShot(s, kind, data, room, signature)),
        14 => (busy(), kind(), data()).prop_map(|(session, kind, data)| Update(session, kind, data)),
        10 => (busy(), kind(), room(), signature())
            .prop_map(|(session, kind, room, signature)| Final(session, kind, room, signature)),
        3 => (busy(), flags).prop_map(|(session, flags)| Cancel(session, flags)),
    ]
}

fn slot() -> impl Strategy<Value = CK_SLOT_ID> {
    prop_oneof![12 => Just(SLOTS[0]), 6 => Just(SLOTS[1]), 1 => Just(NO_SLOT)]
}

fn session() -> impl Strategy<Value = SessionPick> {
    prop_oneof![
        40 => (0u8..8).prop_map(SessionPick::Open),
        2 => any::<u8>().prop_map(SessionPick::Closed),
        1 => Just(SessionPick::Never),
    ]
}

/// For what goes on with an operation.
fn busy() -> impl Strategy<Value = SessionPick> {
    prop_oneof![8 => any::<u8>().prop_map(SessionPick::Busy), 1 => session()]
}

fn searching() -> impl Strategy<Value = SessionPick> {
    prop_oneof![8 => any::<u8>().prop_map(SessionPick::Searching), 1 => session()]
}

/// For what begins one.
fn idle() -> impl Strategy<Value = SessionPick> {
    prop_oneof![5 => any::<u8>().prop_map(SessionPick::Idle), 1 => session()]
}

fn object() -> impl Strategy<Value = ObjectPick> {
    prop_oneof![
        30 => any::<u8>().prop_map(ObjectPick::Known),
        2 => any::<u8>().prop_map(ObjectPick::OtherSlot),
        3 => any::<u8>().prop_map(ObjectPick::Stale),
        1 => Just(ObjectPick::Never),
    ]
}

fn key() -> impl Strategy<Value = KeyPick> {
    prop_oneof![
        12 => any::<u8>().prop_map(KeyPick::Fit),
        2 => object().prop_map(KeyPick::Other),
    ]
}

fn kind() -> impl Strategy<Value = KindPick> {
    prop_oneof![
        10 => any::<u8>().prop_map(KindPick::Active),
        1 => select(&Kind::ALL[..]).prop_map(KindPick::This),
    ]
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![7 => Just(Room::Enough), 2 => Just(Room::Query), 1 => Just(Room::Small)]
}

fn beginning() -> impl Strategy<Value = (Kind, Mechanism)> {
    use Kind::*;
    let suitable = select(vec![
        (Digest, CKM_SHA256),
        (Digest, CKM_SHA256),
        (Sign, CKM_ECDSA),
        (Sign, CKM_ECDSA_SHA256),
        (Sign, CKM_RSA_PKCS),
        (Sign, CKM_SHA256_RSA_PKCS),
        (Verify, CKM_ECDSA),
        (Verify, CKM_ECDSA_SHA256),
        (Verify, CKM_RSA_PKCS),
        (Verify, CKM_SHA256_RSA_PKCS),
        (Encrypt, CKM_RSA_PKCS),
        (Encrypt, CKM_RSA_PKCS),
        (Decrypt, CKM_RSA_PKCS),
        (Decrypt, CKM_RSA_PKCS),
    ]);
    let any_mechanism =
        select(vec![CKM_SHA256, CKM_ECDSA, CKM_RSA_PKCS, CKM_ECDSA_SHA256, CKM_VENDOR_DEFINED]);
    prop_oneof![
        20 => suitable.prop_map(|(kind, ckm)| (kind, Mechanism { ckm, parameter: false })),
        1 => (select(&Kind::ALL[..]), any_mechanism, any::<bool>())
            .prop_map(|(kind, ckm, parameter)| (kind, Mechanism { ckm, parameter })),
    ]
}

fn label() -> impl Strategy<Value = Attr> {
    select(vec![&b"pair"[..], b"one", b"another"]).prop_map(|value| bytes(CKA_LABEL, value))
}

fn storage_flag() -> impl Strategy<Value = Attr> {
    let kind = select(vec![CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE]);
    (kind, any::<bool>()).prop_map(|(kind, on)| flag(kind, on))
}

/// A whole template, with a fault now and then.
fn creation() -> impl Strategy<Value = Vec<Attr>> {
    let class = prop_oneof![
        12 => Just(vec![ulong(CKA_CLASS, CKO_DATA), bytes(CKA_APPLICATION, b"model")]),
        4 => Just(vec![
            ulong(CKA_CLASS, CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            bytes(CKA_SUBJECT, SUBJECT),
        ]),
        1 => Just(vec![bytes(CKA_APPLICATION, b"model")]),
    ];
    let place = (any::<bool>(), any::<bool>())
        .prop_map(|(token, private)| vec![flag(CKA_TOKEN, token), flag(CKA_PRIVATE, private)]);
    let others = vec(prop_oneof![10 => storage_flag(), 1 => fault(), 1 => label()], 0..3);
    (class, place, label(), 0u8..3, others).prop_map(|(class, place, label, value, others)| {
        let value = match class.len() {
            3 => CERTIFICATE,
            _ => [&b"0"[..], b"01", b""][usize::from(value)],
        };
        let value = bytes(CKA_VALUE, value);
        [class, place, vec![label, value], others].concat()
    })
}

fn fault() -> impl Strategy<Value = Attr> {
    select(vec![
        bytes(UNKNOWN, b"?"),
        bytes(CKA_TOKEN, b""),
        bytes(CKA_PRIVATE, &[1, 0]),
        bytes(CKA_UNIQUE_ID, b"mine"),
        flag(CKA_TRUSTED, true),
    ])
}

fn copy_change() -> impl Strategy<Value = Attr> {
    let refused = select(vec![
        ulong(CKA_CLASS, CKO_DATA),
        bytes(UNKNOWN, b"?"),
        bytes(CKA_MODIFIABLE, b""),
        bytes(CKA_UNIQUE_ID, b"mine"),
    ]);
    prop_oneof![8 => storage_flag(), 4 => label(), 1 => refused]
}

fn change() -> impl Strategy<Value = Attr> {
    let on_off = select(vec![
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_DESTROYABLE,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_WRAP_WITH_TRUSTED,
        CKA_SIGN,
        CKA_VERIFY,
        CKA_LOCAL,
    ]);
    let refused = select(vec![
        ulong(CKA_CLASS, CKO_DATA),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(UNKNOWN, b"?"),
        bytes(CKA_PRIVATE, b""),
        bytes(CKA_UNIQUE_ID, b"mine"),
        bytes(CKA_VALUE, b"changed"),
        bytes(CKA_ID, b"id"),
    ]);
    prop_oneof![
        8 => label(),
        2 => (on_off, any::<bool>()).prop_map(|(kind, on)| flag(kind, on)),
        1 => refused,
    ]
}

fn attribute_type() -> impl Strategy<Value = CK_ATTRIBUTE_TYPE> {
    let mut kinds = super::step::READ.to_vec();
    kinds.extend([CKA_PRIVATE_EXPONENT, UNKNOWN]);
    let every_object_has = select(super::step::READ[..8].to_vec());
    prop_oneof![6 => every_object_has, 1 => select(kinds)]
}

fn wanted_objects() -> impl Strategy<Value = Vec<Attr>> {
    let class = select(vec![CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY])
        .prop_map(|class| ulong(CKA_CLASS, class));
    let entry = prop_oneof![
        3 => label(),
        3 => class,
        3 => storage_flag(),
        1 => Just(bytes(UNKNOWN, b"?")),
        1 => Just(bytes(CKA_VALUE, b"01")),
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => vec(entry, 1..3)]
}
