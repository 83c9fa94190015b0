//! The alphabet of the random sequences. A call names its session, objects and keys by choice, not
//! by handle, so that a sequence means something whatever was cut out of it.

use cryptoki_sys::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::dual::Dual;
use super::mac::MACS;
use super::mechanism::{Mechanism, Parameter};
use super::openings::openings;
use super::pick_keys::KeyAct;
use super::step::{Kind, Room};
use super::templates::*;
use crate::common::p11::Attr;

/// A session: one of those that are open, or no good one.
#[derive(Clone, Copy, Debug)]
pub enum SessionPick {
    Open(u8),
    /// One with an operation.
    Busy(u8),
    /// One that works on messages one by one.
    Messaging(u8),
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

/// A call about messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePick {
    Init,
    InitNull,
    Whole,
    Begin,
    Next { last: bool },
    Final,
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
    /// A login for the operation that is active.
    Prove(SessionPick, PinPick),
    /// Begins a signature or decryption with a key that asks for the PIN, then tells it.
    BeginAsking(SessionPick, u8, PinPick),
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
    Update(SessionPick, KindPick, DataPick, Room),
    /// Begins both operations of a pair.
    BeginDual(SessionPick, Dual, u8),
    /// Goes on with a pair that is there, or with this one.
    Dual(SessionPick, Dual, DataPick, Room),
    /// About messages of this kind, or of that which is active.
    Message {
        session: SessionPick,
        kind: Kind,
        pick: MessagePick,
        which: u8,
        room: Room,
    },
    Final(SessionPick, KindPick, Room, SignaturePick),
    /// Begins to verify a signature that is known first.
    BeginKnown(SessionPick, u8),
    /// A secret key is generated, wrapped, unwrapped or derived.
    Key(SessionPick, KeyAct, u8, Room),
    /// Saves the operation that is there.
    GetState(SessionPick, Room),
    /// Restores one that was saved, or what is none.
    SetState(SessionPick, u8),
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

/// What AES does here.
pub const AES: [CK_MECHANISM_TYPE; 5] =
    [CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_CTR, CKM_AES_GCM];

/// The slots that have tokens here.
pub const SLOTS: [CK_SLOT_ID; 2] = [0, 1];

pub const NO_SLOT: CK_SLOT_ID = 77;

/// What tokens are called that are made anew.
pub const LABELS: [&str; 2] = ["anew", "\u{e9}tiquette of thirty-two bytes.."];

/// A case: some calls that make the interesting states likely, then anything.
pub fn sequences(calls: usize) -> impl Strategy<Value = Vec<Call>> {
    (openings(), vec(call(), calls)).prop_map(|(mut first, mut rest)| {
        rest.truncate(rest.len().saturating_sub(first.len()));
        first.append(&mut rest);
        first
    })
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
    let new = prop_oneof![5 => (0u8..3).prop_map(PinPick::New), 1 => Just(PinPick::Short)];
    let init_token = (slot(), mostly_right(), select(&LABELS[..]), any::<bool>())
        .prop_map(|(slot, pin, label, alone)| InitToken { slot, pin, label, alone });
    prop_oneof![
        1 => init_token,
        24 => (session(), user, mostly_right())
            .prop_map(|(session, user, pin)| Login(session, user, pin)),
        6 => session().prop_map(Logout),
        2 => (session(), new.clone()).prop_map(|(session, pin)| InitPin(session, pin)),
        2 => (session(), mostly_right(), new).prop_map(|(session, old, new)| SetPin(session, old, new)),
    ]
}

fn mostly_right() -> impl Strategy<Value = PinPick> {
    prop_oneof![12 => Just(PinPick::Right), 1 => Just(PinPick::Wrong)]
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
        4 => (session(), KeyAct::any(), any::<u8>(), room())
            .prop_map(|(session, act, which, room)| Key(session, act, which, room)),
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
        CKF_MESSAGE_ENCRYPT,
        CKF_MESSAGE_DECRYPT | CKF_DECRYPT,
        CKF_MESSAGE_SIGN,
        CKF_MESSAGE_VERIFY | CKF_VERIFY,
        CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_FIND_OBJECTS,
    ]);
    prop_oneof![
        30 => (idle(), beginning(), key())
            .prop_map(|(session, (kind, mechanism), key)| Begin(session, kind, mechanism, key)),
        2 => (busy(), kind(), object())
            .prop_map(|(session, kind, key)| BeginNull(session, kind, key)),
        26 => (busy(), kind(), data(), room(), signature())
            .prop_map(|(s, kind, data, room, signature)| OneShot(s, kind, data, room, signature)),
        14 => (busy(), kind(), data(), room())
            .prop_map(|(session, kind, data, room)| Update(session, kind, data, room)),
        3 => (busy(), mostly_right()).prop_map(|(session, pin)| Prove(session, pin)),
        6 => (idle(), any::<u8>(), mostly_right())
            .prop_map(|(session, which, pin)| BeginAsking(session, which, pin)),
        4 => (idle(), dual(), any::<u8>())
            .prop_map(|(session, dual, which)| BeginDual(session, dual, which)),
        8 => (busy(), dual(), data(), room())
            .prop_map(|(session, dual, data, room)| Dual(session, dual, data, room)),
        4 => message(idle(), Just(MessagePick::Init)),
        16 => message(messaging(), message_pick()),
        10 => (busy(), kind(), room(), signature())
            .prop_map(|(session, kind, room, signature)| Final(session, kind, room, signature)),
        3 => (busy(), flags).prop_map(|(session, flags)| Cancel(session, flags)),
        3 => (idle(), any::<u8>()).prop_map(|(session, which)| BeginKnown(session, which)),
        2 => (busy(), room()).prop_map(|(session, room)| GetState(session, room)),
        2 => (session(), any::<u8>()).prop_map(|(session, which)| SetState(session, which)),
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

fn message(
    session: impl Strategy<Value = SessionPick>,
    pick: impl Strategy<Value = MessagePick>,
) -> impl Strategy<Value = Call> {
    let kind = select(vec![Kind::Encrypt, Kind::Decrypt, Kind::Sign, Kind::Verify]);
    (session, kind, pick, any::<u8>(), room()).prop_map(|(session, kind, pick, which, room)| {
        Call::Message { session, kind, pick, which, room }
    })
}

fn message_pick() -> impl Strategy<Value = MessagePick> {
    use MessagePick::*;
    prop_oneof![
        1 => Just(Init),
        1 => Just(InitNull),
        5 => Just(Whole),
        4 => Just(Begin),
        5 => Just(Next { last: false }),
        3 => Just(Next { last: true }),
        1 => Just(Final),
    ]
}

fn messaging() -> impl Strategy<Value = SessionPick> {
    prop_oneof![12 => any::<u8>().prop_map(SessionPick::Messaging), 1 => session()]
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

fn dual() -> impl Strategy<Value = Dual> {
    select(&Dual::ALL[..])
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![7 => Just(Room::Enough), 2 => Just(Room::Query), 1 => Just(Room::Small)]
}

fn beginning() -> impl Strategy<Value = (Kind, Mechanism)> {
    use Kind::*;
    let suitable = select(vec![
        (Digest, vec![CKM_SHA256]),
        (Sign, vec![CKM_ECDSA, CKM_ECDSA_SHA256]),
        (Sign, vec![CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS]),
        (Sign, vec![CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS]),
        (Verify, vec![CKM_ECDSA, CKM_ECDSA_SHA256]),
        (Verify, vec![CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS]),
        (Verify, vec![CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS]),
        (Encrypt, vec![CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP]),
        (Decrypt, vec![CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP]),
        (Sign, MACS.to_vec()),
        (Verify, MACS.to_vec()),
        (Encrypt, AES.to_vec()),
        (Decrypt, AES.to_vec()),
    ]);
    let suitable = suitable.prop_flat_map(|(kind, ckms)| (Just(kind), select(ckms)));
    let other = select(vec![
        Parameter::None,
        Parameter::Junk,
        Parameter::Oaep(b"label"),
        Parameter::Pss(20),
        Parameter::Iv(9),
        Parameter::Counter(9),
        Parameter::Gcm(9, b""),
        Parameter::MacLen(5),
        Parameter::MacLen(33),
    ]);
    let any_mechanism = select(vec![
        CKM_SHA256,
        CKM_ECDSA,
        CKM_RSA_PKCS,
        CKM_RSA_PKCS_OAEP,
        CKM_RSA_PKCS_PSS,
        CKM_AES_CBC,
        CKM_AES_GCM,
        CKM_AES_CMAC_GENERAL,
        CKM_VENDOR_DEFINED,
    ]);
    prop_oneof![
        30 => suitable.clone().prop_map(|(kind, ckm)| (kind, Mechanism::suitable(ckm))),
        // Where it is of the right kind, with another parameter than the rest has.
        5 => (suitable, other.clone()).prop_map(|((kind, ckm), other)| {
            let suitable = Mechanism::suitable(ckm);
            let with_other = Mechanism { ckm, parameter: other };
            (kind, if with_other.well_formed() { with_other } else { suitable })
        }),
        2 => (select(&Kind::ALL[..]), any_mechanism, other)
            .prop_map(|(kind, ckm, parameter)| (kind, Mechanism { ckm, parameter })),
    ]
}
