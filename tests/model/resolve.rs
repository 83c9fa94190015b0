//! From a call of the alphabet to the steps that it means in the state that the model knows.

use cryptoki_sys::*;

use super::call::{AES, Call, KeyPick, MessagePick, PinPick, SLOTS, SessionPick};
use super::dual::Dual;
use super::mechanism::Mechanism;
use super::state::Model;
use super::step::{Kind, Room, Step, Wanted};
use crate::common::fixture::P256;
use crate::common::p11::{Attr, bytes, flag};

impl Model {
    pub fn resolve(&self, call: &Call) -> Vec<Step> {
        // Most of what needs a session or an operation makes one where there is none.
        if let Some(SessionPick::Open(_) | SessionPick::Busy(_) | SessionPick::Idle(_)) =
            call.session()
            && self.sessions.is_empty()
        {
            let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
            return vec![Step::Open { slot: SLOTS[0], flags }];
        }
        if let Call::Message { session: SessionPick::Messaging(which), kind, room, .. } = call
            && self.sessions.values().all(|session| session.process.is_none())
        {
            let (kind, pick) = (*kind, MessagePick::Init);
            let session = SessionPick::Idle(*which);
            return self.resolve(&Call::Message {
                session,
                kind,
                pick,
                which: *which,
                room: *room,
            });
        }
        if let Call::OneShot(SessionPick::Busy(which), ..)
        | Call::Prove(SessionPick::Busy(which), ..)
        | Call::Update(SessionPick::Busy(which), ..)
        | Call::Dual(SessionPick::Busy(which), ..)
        | Call::Final(SessionPick::Busy(which), ..) = call
            && self.sessions.values().all(|session| session.operations.is_empty())
        {
            let (kind, ckm) = BEGINNINGS[usize::from(*which) % BEGINNINGS.len()];
            let mechanism = Mechanism::suitable(ckm);
            let session = SessionPick::Idle(*which);
            return self.resolve(&Call::Begin(session, kind, mechanism, KeyPick::Fit(*which)));
        }
        let s = |pick: &SessionPick| self.pick_session(*pick);
        let step = match call {
            Call::Initialize => Step::Initialize,
            Call::Restart => {
                let late = Step::SessionInfo { session: s(&SessionPick::Open(0)) };
                return vec![Step::Finalize, late, Step::Initialize];
            }
            Call::Open { slot, flags } => Step::Open { slot: *slot, flags: *flags },
            Call::Close(session) => Step::Close { session: s(session) },
            Call::CloseAll(slot) => Step::CloseAll { slot: *slot },
            Call::SessionInfo(session) => Step::SessionInfo { session: s(session) },
            Call::TokenInfo(slot) => Step::TokenInfo { slot: *slot },
            Call::InitToken { slot, pin, label, alone } => {
                let pin = self.pick_pin(*slot, CKU_SO, *pin);
                let init = Step::InitToken { slot: *slot, pin, label };
                let close = alone.then_some(Step::CloseAll { slot: *slot });
                return close.into_iter().chain([init]).collect();
            }
            Call::Login(session, user, pin) => {
                let session = s(session);
                let pin = self.pick_pin(self.slot_or_first(session), *user, *pin);
                Step::Login { session, user: *user, pin }
            }
            Call::Logout(session) => Step::Logout { session: s(session) },
            Call::Prove(session, pin) => {
                let session = s(session);
                let pin = self.pick_pin(self.slot_or_first(session), CKU_USER, *pin);
                Step::Login { session, user: CKU_CONTEXT_SPECIFIC, pin }
            }
            Call::BeginAsking(session, which, pin) => {
                let session = s(session);
                let Some(key) = self.pick_asking(session, *which) else {
                    return self.look_for_keys(session);
                };
                let (kind, mechanism) = self.pick_asked(key, *which);
                let pin = self.pick_pin(self.slot_or_first(session), CKU_USER, *pin);
                return vec![
                    Step::Begin { session, kind, mechanism, key },
                    Step::Login { session, user: CKU_CONTEXT_SPECIFIC, pin },
                ];
            }
            Call::InitPin(session, pin) => {
                let session = s(session);
                let pin = self.pick_pin(self.slot_or_first(session), CKU_USER, *pin);
                Step::InitPin { session, pin }
            }
            Call::SetPin(session, old, new) => {
                let session = s(session);
                let slot = self.slot_or_first(session);
                let whose = self.login(slot).unwrap_or(CKU_USER);
                let old = self.pick_pin(slot, whose, *old);
                Step::SetPin { session, old, new: self.pick_pin(slot, whose, *new) }
            }
            Call::Create(session, template) => {
                Step::Create { session: s(session), template: template.clone() }
            }
            Call::Copy(session, object, template) => {
                let session = s(session);
                let object = self.pick_object(session, *object);
                Step::Copy { session, object, template: template.clone() }
            }
            Call::Destroy(session, object) => {
                let session = s(session);
                Step::Destroy { session, object: self.pick_object(session, *object) }
            }
            Call::Get(session, object, wanted) => {
                let session = s(session);
                let wanted = wanted.iter().map(|&(kind, room)| Wanted { kind, room }).collect();
                Step::Get { session, object: self.pick_object(session, *object), wanted }
            }
            Call::Set(session, object, template) => {
                let session = s(session);
                let object = self.pick_object(session, *object);
                Step::Set { session, object, template: template.clone() }
            }
            Call::Search(session, template) => {
                let session = s(session);
                return search(session, template.clone());
            }
            Call::FindInit(session, template) => {
                Step::FindInit { session: s(session), template: template.clone() }
            }
            Call::Find(session, max) => Step::Find { session: s(session), max: *max },
            Call::FindFinal(session) => Step::FindFinal { session: s(session) },
            Call::Begin(session, kind, mechanism, key) => {
                let session = s(session);
                let used = match key {
                    KeyPick::Fit(which) => self.pick_used_key(session, *kind, *which),
                    KeyPick::Other(_) => None,
                };
                if let Some((mechanism, key)) = used {
                    return vec![Step::Begin { session, kind: *kind, mechanism, key }];
                }
                let key = match key {
                    KeyPick::Fit(which) => {
                        match self.pick_key(session, *kind, mechanism.ckm, *which) {
                            Some(key) => key,
                            None => return self.look_for_keys(session),
                        }
                    }
                    KeyPick::Other(object) => self.pick_object(session, *object),
                };
                Step::Begin { session, kind: *kind, mechanism: *mechanism, key }
            }
            Call::BeginNull(session, kind, key) => {
                let session = s(session);
                let key = self.pick_object(session, *key);
                Step::BeginNull { session, kind: self.pick_kind(session, *kind), key }
            }
            Call::OneShot(session, kind, data, room, signature) => {
                let session = s(session);
                let kind = self.pick_kind(session, *kind);
                let data = self.pick_data(session, kind, *data);
                if kind == Kind::VerifyKnown {
                    Step::VerifyKnown { session, data: Some(data) }
                } else if kind == Kind::Verify {
                    let (data, signature) = self.pick_signature(session, data, *signature);
                    Step::Verify { session, data, signature }
                } else {
                    Step::OneShot { session, kind, data, room: *room }
                }
            }
            Call::Update(session, kind, data, room) => {
                let session = s(session);
                let kind = self.pick_kind(session, *kind);
                let data = self.pick_data(session, kind, *data);
                let output = matches!(kind, Kind::Encrypt | Kind::Decrypt);
                Step::Update {
                    session,
                    kind,
                    data,
                    room: if output { *room } else { Room::Enough },
                }
            }
            Call::BeginDual(session, dual, which) => {
                let session = s(session);
                let begin = |kind, ckms: &[CK_MECHANISM_TYPE]| {
                    let mechanism = Mechanism::suitable(ckms[usize::from(*which) % ckms.len()]);
                    let key = self.pick_key(session, kind, mechanism.ckm, *which)?;
                    Some(Step::Begin { session, kind, mechanism, key })
                };
                let (cipher, other) = dual.kinds();
                let other_ckm = match other {
                    Kind::Digest => CKM_SHA256,
                    _ => CKM_ECDSA_SHA256,
                };
                return match (begin(cipher, &AES), begin(other, &[other_ckm])) {
                    (Some(cipher), Some(other)) => {
                        let (dual, data, room) = (*dual, vec![*which; 32], Room::Enough);
                        vec![cipher, other, Step::Dual { session, dual, data, room }]
                    }
                    _ => self.look_for_keys(session),
                };
            }
            Call::Dual(session, dual, data, room) => {
                let session = s(session);
                let is_there = |dual: &Dual| {
                    let (cipher, other) = dual.kinds();
                    [cipher, other].iter().all(|kind| self.operation(session, *kind).is_some())
                };
                let dual = Dual::ALL.into_iter().find(is_there).unwrap_or(*dual);
                let data = self.pick_data(session, dual.kinds().0, *data);
                Step::Dual { session, dual, data, room: *room }
            }
            Call::Message { session, kind, pick, which, room } => {
                let session = s(session);
                return self.pick_message(session, *kind, *pick, *which, *room);
            }
            Call::Final(session, kind, room, signature) => {
                let session = s(session);
                let kind = self.pick_kind(session, *kind);
                if kind == Kind::VerifyKnown {
                    Step::VerifyKnown { session, data: None }
                } else if kind == Kind::Verify {
                    let data = self.operation(session, kind).map(|it| it.data.clone());
                    let data = data.unwrap_or_default();
                    let (_, signature) = self.pick_signature(session, data, *signature);
                    Step::VerifyFinal { session, signature }
                } else {
                    Step::Final { session, kind, room: *room }
                }
            }
            Call::BeginKnown(session, which) => {
                let session = s(session);
                let Some((mechanism, key, signature)) = self.pick_known(session, *which) else {
                    return self.look_for_keys(session);
                };
                Step::BeginKnown { session, mechanism, key, signature }
            }
            Call::Key(session, act, which, room) => {
                return self.pick_key_call(s(session), *act, *which, *room);
            }
            Call::GetState(session, room) => Step::GetState { session: s(session), room: *room },
            Call::SetState(session, which) => {
                let session = s(session);
                let (bytes, key) = self.pick_state(session, *which);
                Step::SetState { session, bytes, key }
            }
            Call::Cancel(session, flags) => Step::Cancel { session: s(session), flags: *flags },
            Call::Random(session, len) => Step::Random { session: s(session), len: *len },
            Call::GeneratePair { session, token, label } => {
                let session = s(session);
                let template = |private: bool, usage| -> Vec<Attr> {
                    let label = bytes(CKA_LABEL, &[b'k', *label]);
                    let place = [flag(CKA_TOKEN, *token), flag(CKA_PRIVATE, private)];
                    [&place[..], &[flag(usage, true), label]].concat()
                };
                let mut public = template(false, CKA_VERIFY);
                public.push(bytes(CKA_EC_PARAMS, P256));
                Step::GeneratePair { session, public, private: template(true, CKA_SIGN) }
            }
        };
        vec![step]
    }

    /// A key has to be found first, by the user mostly.
    pub(super) fn look_for_keys(&self, session: CK_SESSION_HANDLE) -> Vec<Step> {
        let slot = self.slot_or_first(session);
        let pin = self.pick_pin(slot, CKU_USER, PinPick::Right);
        let login = Step::Login { session, user: CKU_USER, pin };
        let login = self.login(slot).is_none().then_some(login);
        login.into_iter().chain(search(session, Vec::new())).collect()
    }
}

/// What follows nothing begins one of these.
const BEGINNINGS: [(Kind, CK_MECHANISM_TYPE); 13] = [
    (Kind::Digest, CKM_SHA256),
    (Kind::Sign, CKM_ECDSA),
    (Kind::Sign, CKM_ECDSA_SHA256),
    (Kind::Sign, CKM_SHA256_RSA_PKCS),
    (Kind::Sign, CKM_SHA256_HMAC),
    (Kind::Verify, CKM_AES_CMAC),
    (Kind::Encrypt, CKM_RSA_PKCS),
    (Kind::Encrypt, CKM_AES_CBC),
    (Kind::Encrypt, CKM_AES_GCM),
    (Kind::Decrypt, CKM_AES_CTR),
    (Kind::Decrypt, CKM_RSA_PKCS),
    (Kind::Verify, CKM_ECDSA),
    (Kind::Verify, CKM_ECDSA_SHA256),
];

impl Call {
    fn session(&self) -> Option<SessionPick> {
        match self {
            Self::Initialize
            | Self::Restart
            | Self::Open { .. }
            | Self::CloseAll(_)
            | Self::TokenInfo(_)
            | Self::InitToken { .. } => None,
            Self::Close(session)
            | Self::SessionInfo(session)
            | Self::Login(session, ..)
            | Self::Prove(session, ..)
            | Self::BeginAsking(session, ..)
            | Self::Logout(session)
            | Self::InitPin(session, ..)
            | Self::SetPin(session, ..)
            | Self::Create(session, ..)
            | Self::Copy(session, ..)
            | Self::Destroy(session, ..)
            | Self::Get(session, ..)
            | Self::Set(session, ..)
            | Self::Search(session, ..)
            | Self::FindInit(session, ..)
            | Self::Find(session, ..)
            | Self::FindFinal(session)
            | Self::Begin(session, ..)
            | Self::BeginNull(session, ..)
            | Self::OneShot(session, ..)
            | Self::Update(session, ..)
            | Self::BeginDual(session, ..)
            | Self::Dual(session, ..)
            | Self::BeginKnown(session, ..)
            | Self::Key(session, ..)
            | Self::GetState(session, ..)
            | Self::SetState(session, ..)
            | Self::Message { session, .. }
            | Self::Final(session, ..)
            | Self::Cancel(session, ..)
            | Self::Random(session, ..)
            | Self::GeneratePair { session, .. } => Some(*session),
        }
    }
}

/// A whole search, and one call more.
fn search(session: CK_SESSION_HANDLE, template: Vec<Attr>) -> Vec<Step> {
    vec![
        Step::FindInit { session, template },
        Step::Find { session, max: 100 },
        Step::Find { session, max: 1 },
        Step::FindFinal { session },
    ]
}
