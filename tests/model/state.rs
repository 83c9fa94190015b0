//! What an application may know of the module: who is in, which sessions are open, what they are
//! at, which objects there are and by which handles.

use std::collections::BTreeMap;

use cryptoki_sys::*;

use super::mechanism::Mechanism;
use super::process::Process;
use super::states::Saved;
use super::step::{Born, Kind};

/// The whole of it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub initialized: bool,
    pub slots: BTreeMap<CK_SLOT_ID, Slot>,
    pub sessions: BTreeMap<CK_SESSION_HANDLE, Session>,
    /// Handles of sessions that were open since C_Initialize.
    pub closed: Vec<CK_SESSION_HANDLE>,
    pub objects: Vec<Object>,
    /// Good handles, each with the number of its object.
    pub handles: BTreeMap<CK_OBJECT_HANDLE, usize>,
    /// Handles that were good since C_Initialize.
    pub stale: Vec<CK_OBJECT_HANDLE>,
    /// How many keys and key pairs have been made.
    pub pairs: usize,
    /// The values of secret keys, by the number that stands for both keys of a pair elsewhere.
    pub secrets: BTreeMap<usize, Vec<u8>>,
    /// The public points of EC pairs that others are derived from.
    pub points: BTreeMap<usize, Vec<u8>>,
    /// What keys have made.
    pub products: Vec<Product>,
    /// What `C_GetOperationState` gave.
    pub saved: Vec<Saved>,
}

/// A token.
#[derive(Clone, Debug)]
pub struct Slot {
    pub login: Option<CK_USER_TYPE>,
    /// None from `C_InitToken` to `C_InitPIN`.
    pub user_pin: Option<Vec<u8>>,
    pub so_pin: Vec<u8>,
    pub label: &'static str,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub slot: CK_SLOT_ID,
    pub rw: bool,
    pub operations: BTreeMap<Kind, Operation>,
    pub search: Option<Search>,
    pub process: Option<Process>,
}

/// An active operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub mechanism: Mechanism,
    /// The number of its key's object.
    pub key: Option<usize>,
    pub phase: Phase,
    /// What the updates have brought, or what a one-shot length query was about.
    pub data: Vec<u8>,
    /// That of [`Kind::VerifyKnown`].
    pub signature: Vec<u8>,
    /// How much output the updates have given.
    pub given: usize,
    /// The length of a part's output was asked for, before any part was taken.
    pub part_asked: bool,
    /// A call for it and another was refused: a length that was asked for before may still wait.
    pub refused: bool,
    pub consent: Consent,
    /// It may be over: a login or logout came between, after which either is allowed.
    pub maybe: bool,
    /// Its key was destroyed: it goes on with it, or says that the key is gone.
    pub orphan: bool,
}

/// Whether a key that asks for the PIN at each use was told it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// The key asks.
    pub asks: bool,
    /// It was told the PIN.
    pub approved: bool,
    /// A wrong one came after it, which may take back what it allowed.
    pub doubted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Begun,
    /// A one-shot call was asked for its length or had too little room.
    OneShotAsked,
    Updated,
    /// The same of the final call, `after` updates or without any.
    FinalAsked {
        after: bool,
    },
}

/// An active search: a snapshot.
#[derive(Clone, Debug)]
pub struct Search {
    /// Numbers of the objects that it has not given yet.
    pub left: Vec<usize>,
    /// The private ones of those, once nobody was in: it may give them or not.
    pub lost: Vec<usize>,
    pub maybe: bool,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub slot: CK_SLOT_ID,
    /// The session that made it, of a session object.
    pub session: Option<CK_SESSION_HANDLE>,
    pub alive: bool,
    pub attributes: BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>>,
    /// Both keys of a pair, or a secret key, and their copies have its number.
    pub pair: Option<usize>,
}

/// A signature or a ciphertext.
#[derive(Clone, Debug)]
pub struct Product {
    pub pair: usize,
    pub mechanism: Mechanism,
    pub data: Vec<u8>,
    pub bytes: Vec<u8>,
    pub signature: bool,
}

impl Consent {
    /// Whether the key has to be told the PIN before it is used.
    pub fn is_missing(self) -> bool {
        self.asks && !self.approved
    }
}

impl Operation {
    /// As it has just begun.
    pub fn new(mechanism: Mechanism, key: Option<usize>, consent: Consent) -> Self {
        Self {
            mechanism,
            key,
            phase: Phase::Begun,
            data: Vec::new(),
            signature: Vec::new(),
            given: 0,
            part_asked: false,
            refused: false,
            consent,
            maybe: false,
            orphan: false,
        }
    }
}

impl Object {
    pub fn flag(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.attributes.get(&kind).is_some_and(|value| value == &[1])
    }

    pub fn ulong(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<CK_ULONG> {
        let value = self.attributes.get(&kind)?;
        value.as_slice().try_into().ok().map(CK_ULONG::from_ne_bytes)
    }

    pub fn class(&self) -> CK_OBJECT_CLASS {
        self.ulong(CKA_CLASS).unwrap_or(CK_UNAVAILABLE_INFORMATION)
    }

    pub fn is_key(&self) -> bool {
        matches!(self.class(), CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY)
    }

    /// Whether it is a key that has something to hide.
    pub fn is_secret(&self) -> bool {
        matches!(self.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY)
    }
}

impl Session {
    /// CKS_ of it.
    pub fn state(&self, login: Option<CK_USER_TYPE>) -> CK_STATE {
        match (login, self.rw) {
            (None, false) => CKS_RO_PUBLIC_SESSION,
            (None, true) => CKS_RW_PUBLIC_SESSION,
            (Some(CKU_SO), _) => CKS_RW_SO_FUNCTIONS,
            (Some(_), false) => CKS_RO_USER_FUNCTIONS,
            (Some(_), true) => CKS_RW_USER_FUNCTIONS,
        }
    }
}

impl Model {
    /// An initialised library with tokens whose PINs are known, and nothing on them.
    pub fn new(slots: &[CK_SLOT_ID], so_pin: &[u8], user_pin: &[u8], label: &'static str) -> Self {
        let token =
            || Slot { login: None, user_pin: Some(user_pin.into()), so_pin: so_pin.into(), label };
        Self {
            initialized: true,
            slots: slots.iter().map(|slot| (*slot, token())).collect(),
            ..Self::default()
        }
    }

    /// Puts a key pair, or a secret key of this value, that was there before on a token.
    pub fn add_key(&mut self, slot: CK_SLOT_ID, pair: &[Born], value: Option<&[u8]>) {
        self.pairs += 1;
        self.secrets.extend(value.map(|value| (self.pairs, value.to_vec())));
        for key in pair {
            let attributes = key.attributes.iter().cloned().collect();
            let pair = Some(self.pairs);
            self.objects.push(Object { slot, session: None, alive: true, attributes, pair });
        }
    }

    pub fn user_in(&self, slot: CK_SLOT_ID) -> bool {
        self.login(slot) == Some(CKU_USER)
    }

    pub fn login(&self, slot: CK_SLOT_ID) -> Option<CK_USER_TYPE> {
        self.slots.get(&slot).and_then(|slot| slot.login)
    }

    /// The object that a handle means in a session of `slot`.
    pub fn object(&self, slot: CK_SLOT_ID, handle: CK_OBJECT_HANDLE) -> Option<usize> {
        let number = *self.handles.get(&handle)?;
        (self.objects[number].slot == slot).then_some(number)
    }

    /// The objects that can be seen in `slot`.
    pub fn visible(&self, slot: CK_SLOT_ID) -> impl Iterator<Item = usize> {
        let user_in = self.user_in(slot);
        self.objects.iter().enumerate().filter_map(move |(number, object)| {
            let seen = object.slot == slot && (user_in || !object.flag(CKA_PRIVATE));
            (object.alive && seen).then_some(number)
        })
    }

    /// How many sessions `slot` has, and how many of them are read/write.
    pub fn session_counts(&self, slot: CK_SLOT_ID) -> (usize, usize) {
        let of_slot = || self.sessions.values().filter(|session| session.slot == slot);
        (of_slot().count(), of_slot().filter(|session| session.rw).count())
    }

    /// A session is gone, and what belongs to it.
    pub fn close(&mut self, session: CK_SESSION_HANDLE) {
        let Some(gone) = self.sessions.remove(&session) else { return };
        self.closed.push(session);
        for number in 0..self.objects.len() {
            if self.objects[number].session == Some(session) {
                self.destroy(number);
            }
        }
        if self.session_counts(gone.slot).0 == 0 && self.login(gone.slot).is_some() {
            self.logout(gone.slot);
        }
    }

    pub fn close_all(&mut self, slot: CK_SLOT_ID) {
        let of_slot = self.sessions.iter().filter(|(_, session)| session.slot == slot);
        for session in of_slot.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            self.close(session);
        }
    }

    /// An object is gone; operations with it go on or find it missing.
    pub fn destroy(&mut self, number: usize) {
        self.objects[number].alive = false;
        self.forget_handles(|of| of == number);
        for operation in self.sessions.values_mut().flat_map(|s| s.operations.values_mut()) {
            operation.orphan |= operation.key == Some(number);
        }
        for process in self.sessions.values_mut().filter_map(|s| s.process.as_mut()) {
            process.orphan |= process.key == number;
        }
    }

    /// Nobody is in any more: private handles die, private session objects are destroyed, nothing
    /// that was begun with a private key can be finished, nor with a secret one that is private.
    pub fn logout(&mut self, slot: CK_SLOT_ID) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.login = None;
        }
        let private: Vec<usize> = (0..self.objects.len())
            .filter(|number| {
                let object = &self.objects[*number];
                object.alive && object.slot == slot && object.flag(CKA_PRIVATE)
            })
            .collect();
        self.forget_handles(|of| private.contains(&of));
        let objects = &self.objects;
        let hides = |key: usize| {
            let key: &Object = &objects[key];
            key.class() == CKO_PRIVATE_KEY || key.is_secret() && key.flag(CKA_PRIVATE)
        };
        for session in self.sessions.values_mut().filter(|session| session.slot == slot) {
            session.operations.retain(|_, operation| !operation.key.is_some_and(hides));
            for operation in session.operations.values_mut() {
                operation.orphan |= operation.key.is_some_and(|key| private.contains(&key));
            }
            session.process.take_if(|process| hides(process.key));
            if let Some(process) = &mut session.process {
                process.orphan |= private.contains(&process.key);
            }
            if let Some(search) = &mut session.search {
                search.lost.extend(search.left.extract_if(.., |it| private.contains(it)));
            }
        }
        for number in private {
            if self.objects[number].session.is_some() {
                self.destroy(number);
            }
        }
        self.unsettle(slot);
    }

    /// After a login or logout operations may or may not be active.
    pub fn unsettle(&mut self, slot: CK_SLOT_ID) {
        self.outdate_states(slot);
        for session in self.sessions.values_mut().filter(|session| session.slot == slot) {
            session.operations.values_mut().for_each(|operation| operation.maybe = true);
            session.process.iter_mut().for_each(|process| process.maybe = true);
            session.search.iter_mut().for_each(|search| search.maybe = true);
        }
    }

    pub fn finalize(&mut self) {
        for slot in self.slots.keys().copied().collect::<Vec<_>>() {
            self.close_all(slot);
        }
        self.saved.iter_mut().for_each(|saved| saved.late = true);
        self.forget_handles(|_| true);
        self.initialized = false;
    }

    /// What was known of the library's last life; handles may come again.
    pub fn initialize(&mut self) {
        self.initialized = true;
        self.closed.clear();
        self.stale.clear();
    }

    fn forget_handles(&mut self, of: impl Fn(usize) -> bool) {
        let stale = &mut self.stale;
        self.handles.retain(|handle, number| {
            let dead = of(*number);
            if dead {
                stale.push(*handle);
            }
            !dead
        });
    }
}
