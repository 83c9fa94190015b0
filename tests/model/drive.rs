//! Makes a step's call through the module's C ABI.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::ptr;

use cryptoki_sys::*;

use super::drive_keys::key;
use super::drive_signed::signed;
use super::messages::{Head, MessageCall};
use super::state::Model;
use super::step::{Answer, Born, Given, Kind, READ, Room, Step, Wanted};
use crate::common::message_encryption as messages;
use crate::common::p11::{Op, P11, Rv, into_room};
use crate::common::secret::Part;

/// What is given where there is [`Room::Enough`].
const ENOUGH: usize = 1024;

/// Makes the call. `model` only says which handles need no identification.
pub fn perform(p: &P11, model: &Model, step: &Step) -> Answer {
    let nothing = |result: Rv<()>| answer(result.map(|()| Given::Nothing));
    match step {
        Step::Initialize => nothing(p.initialize()),
        Step::Finalize => nothing(p.finalize()),
        Step::Open { slot, flags } => answer(p.open(*slot, *flags).map(Given::Session)),
        Step::Close { session } => nothing(p.close(*session)),
        Step::CloseAll { slot } => nothing(p.close_all(*slot)),
        Step::SessionInfo { session } => answer(p.session_info(*session).map(|info| {
            Given::SessionInfo { slot: info.slotID, state: info.state, flags: info.flags }
        })),
        Step::TokenInfo { slot } => answer(p.token_info(*slot).map(|info| Given::TokenInfo {
            flags: info.flags,
            sessions: info.ulSessionCount,
            rw_sessions: info.ulRwSessionCount,
            label: info.label.into(),
        })),
        Step::InitToken { slot, pin, label } => nothing(p.init_token(*slot, pin, label)),
        Step::Login { session, user, pin } => nothing(p.login(*session, *user, pin)),
        Step::Logout { session } => nothing(p.logout(*session)),
        Step::InitPin { session, pin } => nothing(p.init_pin(*session, pin)),
        Step::SetPin { session, old, new } => nothing(p.set_pin(*session, old, new)),
        Step::Create { session, template } => born(p, *session, one(p.create(*session, template))),
        Step::Copy { session, object, template } => {
            born(p, *session, one(p.copy(*session, *object, template)))
        }
        Step::Destroy { session, object } => nothing(p.destroy(*session, *object)),
        Step::Get { session, object, wanted } => {
            let (rv, values) = values(p, *session, *object, wanted);
            Answer { rv, given: Given::Values(values) }
        }
        Step::Set { session, object, template } => nothing(p.set(*session, *object, template)),
        Step::FindInit { session, template } => nothing(p.find_init(*session, template)),
        Step::Find { session, max } => answer(p.find_some(*session, *max).map(|handles| {
            let found = handles.into_iter().map(|handle| {
                let known = model.handles.contains_key(&handle);
                (handle, if known { None } else { p.get(*session, handle, CKA_UNIQUE_ID).ok() })
            });
            Given::Found(found.collect())
        })),
        Step::FindFinal { session } => nothing(p.find_final(*session)),
        Step::Begin { session, kind, mechanism, key } => {
            raw_answer(begin(p, *session, *kind, &mut mechanism.mech().raw(), *key))
        }
        Step::BeginNull { session, kind, key } => {
            raw_answer(begin(p, *session, *kind, ptr::null_mut(), *key))
        }
        Step::OneShot { session, kind, data, room } => {
            output(*room, |out| p.one_shot_raw(kind.op(), *session, data, out))
        }
        Step::Update { session, kind, data, room } => match kind {
            Kind::Encrypt => output(*room, |out| p.part_raw(Part::Encrypt, *session, data, out)),
            Kind::Decrypt => output(*room, |out| p.part_raw(Part::Decrypt, *session, data, out)),
            _ => raw_answer(update(p, *session, *kind, data)),
        },
        Step::Dual { session, dual, data, room } => {
            output(*room, |out| p.part_raw(dual.part(), *session, data, out))
        }
        Step::Key { session, call } => key(p, *session, call),
        Step::GetState { session, room } => output(*room, |out| {
            let get = p.list.C_GetOperationState.unwrap();
            into_room(out, |buffer, len| unsafe { get(*session, buffer, len) })
        }),
        Step::SetState { session, bytes, key } => raw_answer(unsafe {
            let (state, len) = (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG);
            p.list.C_SetOperationState.unwrap()(*session, state, len, *key, *key)
        }),
        Step::Signed { session, kind, call } => signed(p, *session, *kind, call),
        Step::Message { session, encrypts, call } => message(p, *session, *encrypts, call),
        Step::Final { session, kind, room } => {
            output(*room, |out| p.final_raw(kind.op(), *session, out))
        }
        Step::Verify { session, data, signature } => raw_answer(unsafe {
            p.list.C_Verify.unwrap()(
                *session,
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                signature.as_ptr().cast_mut(),
                signature.len() as CK_ULONG,
            )
        }),
        Step::VerifyFinal { session, signature } => raw_answer(unsafe {
            p.list.C_VerifyFinal.unwrap()(
                *session,
                signature.as_ptr().cast_mut(),
                signature.len() as CK_ULONG,
            )
        }),
        Step::BeginKnown { session, mechanism, key, signature } => {
            let mut mechanism = mechanism.mech();
            raw_answer(begin_known(p, *session, &mut mechanism.raw(), *key, signature))
        }
        Step::VerifyKnown { session, data: Some(data) } => raw_answer(unsafe {
            let (data, len) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
            p.list.C_VerifySignature.unwrap()(*session, data, len)
        }),
        Step::VerifyKnown { session, data: None } => {
            raw_answer(unsafe { p.list.C_VerifySignatureFinal.unwrap()(*session) })
        }
        Step::Cancel { session, flags } => {
            raw_answer(unsafe { p.list.C_SessionCancel.unwrap()(*session, *flags) })
        }
        Step::Random { session, len } => {
            answer(p.random(*session, *len).map(|bytes| Given::Output { len: bytes.len(), bytes }))
        }
        Step::GeneratePair { session, public, private } => born(
            p,
            *session,
            p.generate_pair(*session, CKM_EC_KEY_PAIR_GEN, public, private)
                .map(|(public, private)| vec![public, private]),
        ),
    }
}

/// What the model must know of an object that it did not see being made.
pub fn read(p: &P11, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Born {
    let query = |room| READ.map(|kind| Wanted { kind, room });
    let (_, read) = values(p, session, handle, &query(Room::Enough));
    let attributes = READ.into_iter().zip(read);
    let there = attributes.filter(|(_, (len, _))| *len != CK_UNAVAILABLE_INFORMATION);
    Born { handle, attributes: there.map(|(kind, (_, value))| (kind, value)).collect() }
}

fn answer(result: Rv<Given>) -> Answer {
    match result {
        Ok(given) => Answer { rv: CKR_OK, given },
        Err(rv) => raw_answer(rv),
    }
}

pub fn raw_answer(rv: CK_RV) -> Answer {
    Answer { rv, given: Given::Nothing }
}

pub fn one(result: Rv<CK_OBJECT_HANDLE>) -> Rv<Vec<CK_OBJECT_HANDLE>> {
    result.map(|handle| vec![handle])
}

pub fn born(p: &P11, session: CK_SESSION_HANDLE, result: Rv<Vec<CK_OBJECT_HANDLE>>) -> Answer {
    answer(result.map(|handles| {
        Given::Born(handles.into_iter().map(|handle| read(p, session, handle)).collect())
    }))
}

fn message(p: &P11, session: CK_SESSION_HANDLE, encrypts: bool, call: &MessageCall) -> Answer {
    let messages = messages::Messages { p, session };
    let given = |head: &Head| {
        let generator = if head.generate { CKG_GENERATE } else { CKG_NO_GENERATE };
        let (nonce, tag) = (head.nonce.clone(), head.tag.clone());
        messages::Given { nonce, tag, generator, ..messages::Given::gcm(16) }
    };
    let made = |answer: Answer, after: messages::Given| match answer.given {
        Given::Output { len, bytes } => {
            let (nonce, tag) = (after.nonce, after.tag);
            Answer { given: Given::Message { len, bytes, nonce, tag }, ..answer }
        }
        _ => answer,
    };
    let nothing = |result: Rv<()>| answer(result.map(|()| Given::Nothing));
    match call {
        MessageCall::Init { mechanism, key } => {
            nothing(messages.init_raw(encrypts, &mut mechanism.mech().raw(), *key))
        }
        MessageCall::InitNull => nothing(messages.init_raw(encrypts, ptr::null_mut(), 0)),
        MessageCall::Final => nothing(messages.finish(encrypts)),
        MessageCall::Begin(head) => {
            let mut given = given(head);
            let rv = messages.begin(encrypts, &mut given, head.associated).err();
            made(
                Answer {
                    rv: rv.unwrap_or(CKR_OK),
                    given: Given::Output { len: 0, bytes: Vec::new() },
                },
                given,
            )
        }
        MessageCall::Whole { head, data, room } => {
            let mut given = given(head);
            let mut raw = given.raw();
            let answer = output(*room, |out| {
                messages.whole_raw(encrypts, &mut raw, head.associated, data, out)
            });
            made(answer, given)
        }
        MessageCall::Next { head, data, room, last } => {
            let mut given = given(head);
            let flags = if *last { CKF_END_OF_MESSAGE } else { 0 };
            let answer =
                output(*room, |out| messages.next_raw(encrypts, &mut given, data, out, flags));
            made(answer, given)
        }
    }
}

pub fn output(room: Room, call: impl FnOnce(Option<&mut [u8]>) -> (CK_RV, usize)) -> Answer {
    let mut buffer = vec![
        0;
        match room {
            Room::Query => 0,
            Room::Small => 1,
            Room::Enough => ENOUGH,
        }
    ];
    let (rv, len) = call((room != Room::Query).then_some(&mut buffer));
    buffer.truncate(if rv == CKR_OK { len } else { 0 });
    Answer { rv, given: Given::Output { len, bytes: buffer } }
}

fn values(
    p: &P11,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    wanted: &[Wanted],
) -> (CK_RV, Vec<(CK_ULONG, Vec<u8>)>) {
    let mut buffers = vec![vec![0u8; ENOUGH]; wanted.len()];
    let mut entries: Vec<CK_ATTRIBUTE> = wanted
        .iter()
        .zip(&mut buffers)
        .map(|(Wanted { kind, room }, buffer)| CK_ATTRIBUTE {
            type_: *kind,
            pValue: match room {
                Room::Query => ptr::null_mut(),
                _ => buffer.as_mut_ptr().cast(),
            },
            ulValueLen: match room {
                Room::Query => 0,
                Room::Small => 1,
                Room::Enough => ENOUGH as CK_ULONG,
            },
        })
        .collect();
    let rv = unsafe {
        p.list.C_GetAttributeValue.unwrap()(
            session,
            object,
            entries.as_mut_ptr(),
            entries.len() as CK_ULONG,
        )
    };
    let given = entries.iter().zip(buffers).map(|(entry, mut buffer)| {
        let unwritten = entry.pValue.is_null() || entry.ulValueLen == CK_UNAVAILABLE_INFORMATION;
        buffer.truncate(if unwritten { 0 } else { entry.ulValueLen as usize });
        (entry.ulValueLen, buffer)
    });
    (rv, given.collect())
}

fn begin(
    p: &P11,
    session: CK_SESSION_HANDLE,
    kind: Kind,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let list = p.list;
    unsafe {
        match kind {
            Kind::Encrypt => list.C_EncryptInit.unwrap()(session, mechanism, key),
            Kind::Decrypt => list.C_DecryptInit.unwrap()(session, mechanism, key),
            Kind::Digest => list.C_DigestInit.unwrap()(session, mechanism),
            Kind::Sign => list.C_SignInit.unwrap()(session, mechanism, key),
            Kind::Verify => list.C_VerifyInit.unwrap()(session, mechanism, key),
            Kind::VerifyKnown => begin_known(p, session, mechanism, key, &[]),
        }
    }
}

fn begin_known(
    p: &P11,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signature: &[u8],
) -> CK_RV {
    let init = p.list.C_VerifySignatureInit.unwrap();
    let (signature, len) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    unsafe { init(session, mechanism, key, signature, len) }
}

fn update(p: &P11, session: CK_SESSION_HANDLE, kind: Kind, data: &[u8]) -> CK_RV {
    let list = p.list;
    let (part, len) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    unsafe {
        match kind {
            Kind::Digest => list.C_DigestUpdate.unwrap()(session, part, len),
            Kind::Sign => list.C_SignUpdate.unwrap()(session, part, len),
            Kind::Verify => list.C_VerifyUpdate.unwrap()(session, part, len),
            Kind::VerifyKnown => list.C_VerifySignatureUpdate.unwrap()(session, part, len),
            Kind::Encrypt | Kind::Decrypt => panic!("an update with output"),
        }
    }
}

impl Kind {
    fn op(self) -> Op {
        match self {
            Self::Encrypt => Op::Encrypt,
            Self::Decrypt => Op::Decrypt,
            Self::Digest => Op::Digest,
            Self::Sign => Op::Sign,
            Self::Verify | Self::VerifyKnown => panic!("verification has no output"),
        }
    }
}
