//! From a call of the alphabet to the steps that it means in the state that the model knows.

use cryptoki_sys::*;

use super::call::{
    Call, DataPick, KeyPick, KindPick, ObjectPick, PinPick, SLOTS, SessionPick, SignaturePick,
};
use super::state::{Model, Operation, Phase, Session};
use super::step::{Kind, Mechanism, Step, Wanted};
use crate::common::fixture::P256;
use crate::common::p11::{Attr, bytes, flag};

/// Handles that were never given: no module counts so far.
const NEVER: CK_ULONG = 0x7fff_0000_0000_0001;

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
        if let Call::OneShot(SessionPick::Busy(which), ..)
        | Call::Update(SessionPick::Busy(which), ..)
        | Call::Final(SessionPick::Busy(which), ..) = call
            && self.sessions.values().all(|session| session.operations.is_empty())
        {
            let (kind, ckm) = BEGINNINGS[usize::from(*which) % BEGINNINGS.len()];
            let mechanism = Mechanism { ckm, parameter: false };
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
                if let Some((ckm, key)) = used {
                    let mechanism = Mechanism { ckm, parameter: false };
                    return vec![Step::Begin { session, kind: *kind, mechanism, key }];
                }
                let key = match key {
                    KeyPick::Fit(which) => {
                        match self.pick_key(session, *kind, mechanism.ckm, *which) {
                            Some(key) => key,
                            // It has to be found first.
                            None => return search(session, Vec::new()),
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
                if kind == Kind::Verify {
                    let (data, signature) = self.pick_signature(session, data, *signature);
                    Step::Verify { session, data, signature }
                } else {
                    Step::OneShot { session, kind, data, room: *room }
                }
            }
            Call::Update(session, kind, data) => {
                let session = s(session);
                let kind = self.pick_kind(session, *kind);
                Step::Update { session, kind, data: self.pick_data(session, kind, *data) }
            }
            Call::Final(session, kind, room, signature) => {
                let session = s(session);
                let kind = self.pick_kind(session, *kind);
                if kind == Kind::Verify {
                    let data = self.operation(session, kind).map(|it| it.data.clone());
                    let data = data.unwrap_or_default();
                    let (_, signature) = self.pick_signature(session, data, *signature);
                    Step::VerifyFinal { session, signature }
                } else {
                    Step::Final { session, kind, room: *room }
                }
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

    fn pick_session(&self, pick: SessionPick) -> CK_SESSION_HANDLE {
        let open = self.sessions.keys().copied();
        let of = |is: &dyn Fn(&Session) -> bool| -> Vec<CK_SESSION_HANDLE> {
            let fits = self.sessions.iter().filter(|(_, session)| is(session));
            fits.map(|(handle, _)| *handle).collect()
        };
        let busy = |session: &Session| !session.operations.is_empty();
        let searching = |session: &Session| session.search.is_some();
        let idle = |session: &Session| !busy(session) && !searching(session);
        let closed =
            self.closed.iter().copied().filter(|handle| !self.sessions.contains_key(handle));
        match pick {
            SessionPick::Open(which) => choose(open.collect(), which),
            SessionPick::Busy(which) => choose(of(&busy), which).or(choose(open.collect(), which)),
            SessionPick::Searching(which) => {
                choose(of(&searching), which).or(choose(open.collect(), which))
            }
            SessionPick::Idle(which) => choose(of(&idle), which).or(choose(open.collect(), which)),
            SessionPick::Closed(which) => choose(closed.collect(), which),
            SessionPick::Never => None,
        }
        .unwrap_or(if matches!(pick, SessionPick::Never) { 0 } else { NEVER })
    }

    fn pick_object(&self, session: CK_SESSION_HANDLE, pick: ObjectPick) -> CK_OBJECT_HANDLE {
        let slot = self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot);
        let of = |here: bool| -> Vec<CK_OBJECT_HANDLE> {
            let in_slot = |number: usize| (self.objects[number].slot == slot) == here;
            let handles = self.handles.iter().filter(|(_, number)| in_slot(**number));
            handles.map(|(handle, _)| *handle).collect()
        };
        match pick {
            ObjectPick::Known(which) => choose(of(true), which),
            ObjectPick::OtherSlot(which) => choose(of(false), which),
            ObjectPick::Stale(which) => choose(self.stale.clone(), which),
            ObjectPick::Never => return 0,
        }
        .unwrap_or(NEVER)
    }

    fn pick_key(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        ckm: CK_MECHANISM_TYPE,
        which: u8,
    ) -> Option<CK_OBJECT_HANDLE> {
        if kind == Kind::Digest {
            return Some(0);
        }
        let slot = self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot);
        let rsa = matches!(ckm, CKM_RSA_PKCS | CKM_SHA256_RSA_PKCS);
        let key_type = if rsa { CKK_RSA } else { CKK_EC };
        let fits = self.handles.iter().filter(|(_, number)| {
            let object = &self.objects[**number];
            object.slot == slot
                && object.class() == kind.key().0
                && object.ulong(CKA_KEY_TYPE) == Some(key_type)
        });
        choose(fits.map(|(handle, _)| *handle).collect(), which)
    }

    /// For what undoes or verifies: the other key of one that has made something, and how.
    fn pick_used_key(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        which: u8,
    ) -> Option<(CK_MECHANISM_TYPE, CK_OBJECT_HANDLE)> {
        let slot = self.sessions.get(&session)?.slot;
        if !matches!(kind, Kind::Verify | Kind::Decrypt) || which.is_multiple_of(8) {
            return None;
        }
        let made = self.products.iter().filter(|it| it.signature == (kind == Kind::Verify));
        let used = made.flat_map(|made| {
            let keys = self.handles.iter().filter(|(_, number)| {
                let object = &self.objects[**number];
                let pair = object.pair == Some(made.pair);
                pair && object.slot == slot && object.class() == kind.key().0
            });
            keys.map(|(handle, _)| (made.ckm, *handle))
        });
        choose(used.collect(), which)
    }

    /// The slot of a session, and one for those that are not open.
    fn slot_or_first(&self, session: CK_SESSION_HANDLE) -> CK_SLOT_ID {
        self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot)
    }

    fn pick_pin(&self, slot: CK_SLOT_ID, user: CK_USER_TYPE, pick: PinPick) -> Vec<u8> {
        let token = self.slots.get(&slot).unwrap_or(&self.slots[&SLOTS[0]]);
        match pick {
            PinPick::Right if user == CKU_SO => token.so_pin.clone(),
            PinPick::Right => token.user_pin.clone().unwrap_or(b"none is set".into()),
            PinPick::Wrong => b"certainly not it".to_vec(),
            PinPick::Short => b"123".to_vec(),
            PinPick::New(which) => [&b"new pin "[..], &[b'0' + which]].concat(),
        }
    }

    fn operation(&self, session: CK_SESSION_HANDLE, kind: Kind) -> Option<&Operation> {
        self.sessions.get(&session)?.operations.get(&kind)
    }

    fn pick_kind(&self, session: CK_SESSION_HANDLE, pick: KindPick) -> Kind {
        match pick {
            KindPick::This(kind) => kind,
            KindPick::Active(which) => {
                let active = self.sessions.get(&session).map(|session| &session.operations);
                let active = active.map(|active| active.keys().copied().collect());
                choose(active.unwrap_or_default(), which)
                    .unwrap_or(Kind::ALL[usize::from(which) % Kind::ALL.len()])
            }
        }
    }

    /// Suitable data for an operation: it is the same again where its length was asked for.
    fn pick_data(&self, session: CK_SESSION_HANDLE, kind: Kind, pick: DataPick) -> Vec<u8> {
        let which = match pick {
            DataPick::Bytes(len) => return vec![0x2a; len],
            DataPick::Suitable(which) => which,
        };
        let Some(operation) = self.operation(session, kind) else { return vec![which; 8] };
        if operation.phase == Phase::OneShotAsked {
            return operation.data.clone();
        }
        if kind == Kind::Decrypt {
            let pair = operation.key.and_then(|key| self.objects[key].pair);
            let ours = self.products.iter().filter(|it| !it.signature && Some(it.pair) == pair);
            let bytes = choose(ours.map(|it| it.bytes.clone()).collect(), which);
            return bytes.unwrap_or(vec![0; 256]);
        }
        if kind == Kind::Verify {
            let pair = operation.key.and_then(|key| self.objects[key].pair);
            let ours = self
                .products
                .iter()
                .filter(|it| it.signature && Some(it.pair) == pair && it.ckm == operation.ckm);
            // What was signed, and then nothing more of it.
            if let Some(signed) = choose(ours.map(|it| it.data.clone()).collect(), which) {
                return if operation.phase == Phase::Updated { Vec::new() } else { signed };
            }
        }
        // Few different ones, so that there are signatures of the same.
        vec![which % 3; 32]
    }

    /// A signature for the verification that is active; a genuine one brings its data along.
    fn pick_signature(
        &self,
        session: CK_SESSION_HANDLE,
        data: Vec<u8>,
        pick: SignaturePick,
    ) -> (Vec<u8>, Vec<u8>) {
        let operation = self.operation(session, Kind::Verify);
        let rsa = operation
            .is_some_and(|operation| matches!(operation.ckm, CKM_RSA_PKCS | CKM_SHA256_RSA_PKCS));
        let len = if rsa { 256 } else { 64 };
        match pick {
            SignaturePick::Genuine(which) => {
                let pair = operation.and_then(|it| self.objects[it.key?].pair);
                let fits = self.products.iter().filter(|it| {
                    let same = operation.is_some_and(|operation| operation.ckm == it.ckm);
                    it.signature && Some(it.pair) == pair && same
                });
                // Of the data that was brought, if there is one.
                let (of_data, all): (Vec<_>, Vec<_>) = fits.partition(|it| it.data == data);
                let fits = if of_data.is_empty() { all } else { of_data };
                match choose(fits, which) {
                    Some(it) => (it.data.clone(), it.bytes.clone()),
                    None => (data, vec![1; len]),
                }
            }
            SignaturePick::Wrong => (data, vec![1; len]),
            SignaturePick::Short => (data, vec![1; len - 1]),
        }
    }
}

/// What follows nothing begins one of these.
const BEGINNINGS: [(Kind, CK_MECHANISM_TYPE); 8] = [
    (Kind::Digest, CKM_SHA256),
    (Kind::Sign, CKM_ECDSA),
    (Kind::Sign, CKM_ECDSA_SHA256),
    (Kind::Sign, CKM_SHA256_RSA_PKCS),
    (Kind::Encrypt, CKM_RSA_PKCS),
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

fn choose<T>(mut from: Vec<T>, which: u8) -> Option<T> {
    let len = from.len();
    (len > 0).then(|| from.swap_remove(usize::from(which) % len))
}
