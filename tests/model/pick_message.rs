//! Which call about messages a choice means in the state that the model knows.

use cryptoki_sys::*;

use super::call::MessagePick;
use super::mechanism::{Mechanism, Parameter};
use super::messages::{Head, MessageCall, gcm};
use super::pick::choose;
use super::process::{Message, Parts};
use super::state::Model;
use super::step::{Kind, Room, Step};

const PLAINTEXTS: [&[u8]; 4] = [b"a message", &[7; 40], b"", b"m"];

impl Model {
    pub(super) fn pick_message(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        pick: MessagePick,
        which: u8,
        room: Room,
    ) -> Vec<Step> {
        let process = self.sessions.get(&session).and_then(|session| session.process.as_ref());
        let other = which % 16 == 15;
        let kind = process.filter(|_| !other).map_or(kind, |process| process.kind);
        if matches!(kind, Kind::Sign | Kind::Verify) {
            return self.pick_signed(session, kind, pick, which, room);
        }
        let encrypts = kind == Kind::Encrypt;
        let call = match pick {
            MessagePick::InitNull => MessageCall::InitNull,
            MessagePick::Final => MessageCall::Final,
            MessagePick::Init => {
                let ckm = if other { CKM_ECDSA } else { CKM_AES_GCM };
                let Some(key) = self.pick_key(session, kind, CKM_AES_GCM, which) else {
                    return self.look_for_keys(session);
                };
                let mechanism = Mechanism { ckm, parameter: Parameter::None };
                let (head, data) = self.pick_whole(session, encrypts, which);
                let first = match which % 2 {
                    0 => MessageCall::Whole { head, data, room },
                    _ => MessageCall::Begin(head),
                };
                let calls = [MessageCall::Init { mechanism, key }, first];
                return calls.map(|call| Step::Message { session, encrypts, call }).into();
            }
            MessagePick::Whole => {
                let (head, data) = self.pick_whole(session, encrypts, which);
                MessageCall::Whole { head, data, room }
            }
            MessagePick::Begin => MessageCall::Begin(self.pick_whole(session, encrypts, which).0),
            MessagePick::Next { last } => {
                let (head, data) = match process.map(|process| &process.message) {
                    Some(Message::Parts(parts)) => self.pick_rest(session, parts, which),
                    _ => self.pick_whole(session, encrypts, which),
                };
                MessageCall::Next { head, data, room, last }
            }
        };
        vec![Step::Message { session, encrypts, call }]
    }

    /// A message, to be encrypted or decrypted; one in eight is not genuine.
    fn pick_whole(&self, session: CK_SESSION_HANDLE, encrypts: bool, which: u8) -> (Head, Vec<u8>) {
        let plain = PLAINTEXTS[usize::from(which) % PLAINTEXTS.len()];
        let generate = encrypts && which.is_multiple_of(3);
        let mut head =
            Head { nonce: vec![which % 2; 12], generate, associated: b"with it", tag: vec![0; 16] };
        if encrypts {
            return (head, plain.to_vec());
        }
        let (data, tag) = gcm(self.any_secret(session), &head, true, plain);
        if which % 8 != 7 {
            head.tag = tag;
        }
        (head, data)
    }

    /// The next part of a message that is given in parts, with the tag that it is genuine with.
    fn pick_rest(&self, session: CK_SESSION_HANDLE, parts: &Parts, which: u8) -> (Head, Vec<u8>) {
        let mut head = parts.head.clone();
        let data = vec![which; usize::from(which % 40)];
        if which % 8 != 7 {
            let all = [&parts.data[..], &data].concat();
            let process = self.sessions[&session].process.as_ref();
            let key = process.and_then(|process| self.objects[process.key].pair);
            let key = key.and_then(|number| self.secrets.get(&number));
            let decrypts = process.is_some_and(|process| !process.encrypts());
            if let (Some(key), true) = (key, decrypts) {
                head.tag = gcm(key, &head, false, &all).1;
            }
        }
        (head, data)
    }

    /// The key of the session's process, if that encrypts or decrypts, or any.
    fn any_secret(&self, session: CK_SESSION_HANDLE) -> &[u8] {
        let process = self.sessions.get(&session).and_then(|session| session.process.as_ref());
        let process = process.filter(|it| matches!(it.kind, Kind::Encrypt | Kind::Decrypt));
        let number = process.and_then(|process| self.objects[process.key].pair);
        let secret = number.and_then(|number| self.secrets.get(&number));
        secret.or(choose(self.secrets.values().collect(), 0)).expect("there is one in the pool")
    }
}
