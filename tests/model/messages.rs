//! The model's rules about messages that are encrypted and decrypted one by one: GCM with one key,
//! each message whole or in parts.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::mechanism::Mechanism;
use super::process::{Message, Parts, Process, not_over};
use super::state::{Consent, Model};
use super::step::{Answer, Given, Kind, Room};
use crate::common::aead::other_gcm;

const TAG: usize = 16;

/// A call about messages.
#[derive(Clone, Debug)]
pub enum MessageCall {
    Init {
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
    },
    /// With a NULL mechanism.
    InitNull,
    Whole {
        head: Head,
        data: Vec<u8>,
        room: Room,
    },
    Begin(Head),
    Next {
        head: Head,
        data: Vec<u8>,
        room: Room,
        last: bool,
    },
    Final,
}

/// What a message comes with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub nonce: Vec<u8>,
    /// The module makes the nonce.
    pub generate: bool,
    pub associated: &'static [u8],
    pub tag: Vec<u8>,
}

/// Ciphertext and tag of a plaintext, or plaintext and the tag that its ciphertext needs.
pub fn gcm(key: &[u8], head: &Head, encrypts: bool, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let forth = |plain: &[u8]| {
        let mut made = other_gcm(key, &head.nonce, head.associated, plain);
        let tag = made.split_off(made.len() - TAG);
        (made, tag)
    };
    if encrypts {
        return forth(data);
    }
    let (key_stream, _) = forth(&vec![0; data.len()]);
    let plain: Vec<u8> = data.iter().zip(key_stream).map(|(a, b)| a ^ b).collect();
    let (_, tag) = forth(&plain);
    (plain, tag)
}

impl Model {
    pub(super) fn judge_message(
        &mut self,
        session: CK_SESSION_HANDLE,
        encrypts: bool,
        call: &MessageCall,
        answer: &Answer,
    ) -> Verdict {
        if let MessageCall::Init { mechanism, key } = call {
            return self.begin_messages(session, encrypts, *mechanism, *key, answer);
        }
        let kind = if encrypts { Kind::Encrypt } else { Kind::Decrypt };
        let null = matches!(call, MessageCall::InitNull);
        let Some(mut process) = self.take_process(session, kind, null, answer)? else {
            return Ok(());
        };
        let mut rules = process.doubts(null);
        let goes_on = match call {
            MessageCall::InitNull | MessageCall::Final => process.ended(null, rules, answer)?,
            MessageCall::Whole { head, data, room } => {
                self.whole_message(&mut process, head, data, *room, rules, answer)?
            }
            MessageCall::Begin(head) => {
                rules
                    .must(matches!(process.message, Message::Parts(_)), CKR_OPERATION_ACTIVE)
                    .may(process.message != Message::None, CKR_OPERATION_ACTIVE);
                let ok = rules.judge(answer.rv)?;
                if ok {
                    let head = begun_head(head, answer)?;
                    let (data, given, last_asked) = (Vec::new(), 0, false);
                    process.message = Message::Parts(Parts { head, data, given, last_asked });
                }
                ok || answer.rv == CKR_OPERATION_ACTIVE
            }
            MessageCall::Next { head, data, room, last } => {
                self.next_part(&mut process, head, data, *room, *last, rules, answer)?
            }
            MessageCall::Init { .. } => unreachable!("it was looked at"),
        };
        // What was refused because there is no process, or no key, is over.
        if goes_on {
            self.put_back_process(session, process, answer);
        }
        Ok(())
    }

    fn begin_messages(
        &mut self,
        session: CK_SESSION_HANDLE,
        encrypts: bool,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, None, &mut rules);
        let number = self.object(self.slot_of(session), key);
        let object = number.map(|number| &self.objects[number]).filter(|key| key.is_key());
        let kind = if encrypts { Kind::Encrypt } else { Kind::Decrypt };
        rules
            .must(mechanism.ckm != CKM_AES_GCM, CKR_MECHANISM_INVALID)
            .must(object.is_none(), CKR_KEY_HANDLE_INVALID);
        if let Some(object) = object {
            let (class, usage) = kind.key(CKK_AES);
            rules
                .must(object.ulong(CKA_KEY_TYPE) != Some(CKK_AES), CKR_KEY_TYPE_INCONSISTENT)
                .must(object.class() != class, CKR_KEY_FUNCTION_NOT_PERMITTED)
                .must(!object.flag(usage), CKR_KEY_FUNCTION_NOT_PERMITTED);
        }
        if let (true, Some(key)) = (rules.judge(answer.rv)?, number) {
            self.began(session, None);
            let process = Process::new(kind, mechanism, key, Consent::default());
            self.here(session).process = Some(process);
        }
        Ok(())
    }

    fn whole_message(
        &self,
        process: &mut Process,
        head: &Head,
        data: &[u8],
        room: Room,
        mut rules: Rules,
        answer: &Answer,
    ) -> Verdict<bool> {
        let amid = matches!(process.message, Message::Parts(_));
        rules
            .must(amid, CKR_OPERATION_ACTIVE)
            .may(process.message == Message::Unsure, CKR_OPERATION_ACTIVE);
        let key = self.message_key(process);
        let small = room == Room::Small && data.len() > 1 && !amid;
        rules.must(small, CKR_BUFFER_TOO_SMALL);
        if !process.encrypts() && gcm(key, head, false, data).1 != head.tag {
            rules
                .must(room != Room::Query && !amid, CKR_AEAD_DECRYPT_FAILED)
                .may(true, CKR_AEAD_DECRYPT_FAILED);
            rules.may(room == Room::Small, CKR_BUFFER_TOO_SMALL);
        }
        let ok = rules.judge(answer.rv)?;
        process.message = match answer.rv {
            CKR_BUFFER_TOO_SMALL => Message::Asked,
            CKR_OK if room == Room::Query => Message::Asked,
            // Refused for its place, it may have ended what it was amid.
            CKR_OPERATION_ACTIVE => Message::Unsure,
            _ => Message::None,
        };
        let Given::Message { len, bytes, nonce, tag } = &answer.given else {
            return Err("no message".into());
        };
        if process.message == Message::Asked {
            let bounds = data.len()..=data.len() + TAG;
            check(bounds.contains(len), || format!("{len} bytes said of {}", data.len()))?;
        } else if ok {
            let used = used_head(head, nonce)?;
            let (expected, expected_tag) = gcm(key, &used, process.encrypts(), data);
            check(*bytes == expected && *tag == expected_tag, || {
                format!("{bytes:?} with {tag:?}, expected {expected:?} with {expected_tag:?}")
            })?;
        }
        Ok(not_over(answer.rv))
    }

    #[allow(clippy::too_many_arguments, reason = "the call has as many")]
    fn next_part(
        &self,
        process: &mut Process,
        head: &Head,
        data: &[u8],
        room: Room,
        last: bool,
        mut rules: Rules,
        answer: &Answer,
    ) -> Verdict<bool> {
        let message = std::mem::replace(&mut process.message, Message::None);
        let Message::Parts(mut parts) = message else {
            let unsure = message == Message::Unsure;
            rules
                .must(!unsure, CKR_OPERATION_NOT_INITIALIZED)
                .may(unsure, CKR_OPERATION_NOT_INITIALIZED)
                .may(message != Message::None, CKR_OPERATION_ACTIVE);
            if unsure {
                // The message that may be left: whatever comes of it, the model lost its thread.
                rules
                    .may(true, CKR_BUFFER_TOO_SMALL)
                    .may(!process.encrypts() && last, CKR_AEAD_DECRYPT_FAILED);
            }
            rules.judge(answer.rv)?;
            process.message = if message == Message::None { message } else { Message::Unsure };
            // That it is not initialized may be said of the message alone.
            return Ok(true);
        };
        let key = self.message_key(process);
        let all = [&parts.data[..], data].concat();
        let (whole, tag) = gcm(key, &parts.head, process.encrypts(), &all);
        let most = whole.len() - parts.given;
        // An encryption gives each part at once, a decryption need not before the tag is right.
        let least = if process.encrypts() || last { most } else { 0 };
        rules
            .must(room == Room::Small && least > 1, CKR_BUFFER_TOO_SMALL)
            .may(room == Room::Small && most > 1, CKR_BUFFER_TOO_SMALL)
            .may(parts.last_asked, CKR_OPERATION_ACTIVE);
        if !process.encrypts() && last && tag != head.tag {
            rules
                .must(room != Room::Query, CKR_AEAD_DECRYPT_FAILED)
                .may(true, CKR_AEAD_DECRYPT_FAILED)
                .may(room == Room::Small, CKR_BUFFER_TOO_SMALL);
        }
        let ok = rules.judge(answer.rv)?;
        let Given::Message { len, bytes, tag: said, .. } = &answer.given else {
            return Err("no part".into());
        };
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            let bounds = least..=most + TAG;
            check(bounds.contains(len), || format!("{len} bytes said, {bounds:?} needed"))?;
            parts.last_asked |= last;
            process.message = Message::Parts(parts);
        } else if ok {
            let right = whole[parts.given..].starts_with(bytes) && bytes.len() >= least;
            check(right, || format!("the part is {bytes:?}, expected of {whole:?}"))?;
            if last {
                check(!process.encrypts() || *said == tag, || format!("the tag is {said:?}"))?;
            } else {
                parts.given += bytes.len();
                (parts.data, parts.last_asked) = (all, false);
                process.message = Message::Parts(parts);
            }
        }
        Ok(not_over(answer.rv))
    }

    fn message_key(&self, process: &Process) -> &[u8] {
        let number = self.objects[process.key].pair.expect("a key of the pool or its copy");
        &self.secrets[&number]
    }
}

/// The head with the nonce that was used: the caller's own, unless it was to be made.
fn used_head(head: &Head, nonce: &[u8]) -> Verdict<Head> {
    let kept = head.generate || nonce == head.nonce;
    check(kept, || format!("the nonce is {nonce:?}, not {:?}", head.nonce))?;
    let made = !head.generate || nonce != head.nonce;
    check(made, || format!("no nonce was made: {nonce:?}"))?;
    Ok(Head { nonce: nonce.to_vec(), ..head.clone() })
}

fn begun_head(head: &Head, answer: &Answer) -> Verdict<Head> {
    let Given::Message { nonce, .. } = &answer.given else { return Err("no message".into()) };
    used_head(head, nonce)
}
