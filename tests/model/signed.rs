//! The model's rules about messages that are signed and verified one by one, each whole or in parts.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict};
use super::mechanism::Mechanism;
use super::operations::{enough_said, expect};
use super::process::{Message, Parts, Process, not_over};
use super::state::Model;
use super::step::{Answer, Kind, Room};

/// A call about messages that are signed or verified.
#[derive(Clone, Debug)]
pub enum SignedCall {
    Init {
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
    },
    /// With a NULL mechanism.
    InitNull,
    Whole {
        data: Vec<u8>,
        end: End,
    },
    Begin,
    /// A part that others follow.
    Next {
        data: Vec<u8>,
    },
    Last {
        data: Vec<u8>,
        end: End,
    },
    Final,
}

/// What a message ends with.
#[derive(Clone, Debug)]
pub enum End {
    /// Its signature is made.
    Made(Room),
    /// This is said to be its signature.
    Given(Vec<u8>),
}

impl Model {
    pub(super) fn judge_signed(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        call: &SignedCall,
        answer: &Answer,
    ) -> Verdict {
        if let SignedCall::Init { mechanism, key } = call {
            return self.begin_signed(session, kind, *mechanism, *key, answer);
        }
        let null = matches!(call, SignedCall::InitNull);
        let Some(mut process) = self.take_process(session, kind, null, answer)? else {
            return Ok(());
        };
        let rules = process.doubts(null);
        let goes_on = match call {
            SignedCall::InitNull | SignedCall::Final => process.ended(null, rules, answer)?,
            SignedCall::Begin => begin_message(&mut process, rules, answer)?,
            SignedCall::Whole { data, end } => {
                self.whole_signed(&mut process, data, end, rules, answer)?
            }
            SignedCall::Next { data } => {
                self.next_signed(&mut process, data, None, rules, answer)?
            }
            SignedCall::Last { data, end } => {
                self.next_signed(&mut process, data, Some(end), rules, answer)?
            }
            SignedCall::Init { .. } => unreachable!("it was looked at"),
        };
        if goes_on {
            self.put_back_process(session, process, answer);
        }
        Ok(())
    }

    fn begin_signed(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, None, &mut rules);
        let key = self.object(self.slot_of(session), key);
        self.beginning_rules(kind, mechanism, key, &mut rules);
        if let (true, Some(key)) = (rules.judge(answer.rv)?, key) {
            self.began(session, None);
            let process = Process::new(kind, mechanism, key, self.consent(Some(key)));
            self.here(session).process = Some(process);
        }
        Ok(())
    }

    fn whole_signed(
        &mut self,
        process: &mut Process,
        data: &[u8],
        end: &End,
        mut rules: Rules,
        answer: &Answer,
    ) -> Verdict<bool> {
        rules
            .must(matches!(process.message, Message::Parts(_)), CKR_OPERATION_ACTIVE)
            .may(process.message == Message::Unsure, CKR_OPERATION_ACTIVE);
        let comes_back = self.end_message(process, data, end, rules, answer)?;
        process.message = match answer.rv {
            _ if comes_back => Message::Asked,
            // Refused for its place, it may have ended what it was amid.
            CKR_OPERATION_ACTIVE => Message::Unsure,
            _ => Message::None,
        };
        Ok(not_over(answer.rv))
    }

    /// A part; the last one comes with an end.
    fn next_signed(
        &mut self,
        process: &mut Process,
        data: &[u8],
        end: Option<&End>,
        mut rules: Rules,
        answer: &Answer,
    ) -> Verdict<bool> {
        let message = std::mem::replace(&mut process.message, Message::None);
        let Message::Parts(mut parts) = message else {
            process.message = if message == Message::None { message } else { Message::Unsure };
            out_of_place(process, end.is_some(), rules, answer)?;
            // That it is not initialized may be said of the message alone.
            return Ok(true);
        };
        rules.may(parts.last_asked, CKR_OPERATION_ACTIVE);
        let all = [&parts.data[..], data].concat();
        let Some(end) = end else {
            if rules.judge(answer.rv)? {
                (parts.data, parts.last_asked) = (all, false);
                process.message = Message::Parts(parts);
            } else if answer.rv == CKR_OPERATION_ACTIVE {
                process.message = Message::Unsure;
            }
            return Ok(not_over(answer.rv));
        };
        if self.end_message(process, &all, end, rules, answer)? {
            parts.last_asked = true;
            process.message = Message::Parts(parts);
        } else if answer.rv == CKR_OPERATION_ACTIVE {
            process.message = Message::Unsure;
        }
        Ok(not_over(answer.rv))
    }

    /// The signature over all of a message is made, or verified; whether the caller comes back for
    /// it.
    fn end_message(
        &mut self,
        process: &mut Process,
        data: &[u8],
        end: &End,
        mut rules: Rules,
        answer: &Answer,
    ) -> Verdict<bool> {
        let operation = process.operation();
        operation.doubts(&mut rules);
        let room = match end {
            End::Made(room) => *room,
            End::Given(signature) => {
                if !rules.refuses() {
                    self.signature_rules(&operation, data, signature, &mut rules);
                }
                return rules.judge(answer.rv).map(|_| false);
            }
        };
        let outcome = self.outcome(&operation, Kind::Sign, data);
        expect(&outcome, room, &mut rules);
        rules
            .must(process.consent.is_missing() && room != Room::Query, CKR_USER_NOT_LOGGED_IN)
            .may(process.mechanism.no_digest(data), CKR_DATA_LEN_RANGE);
        let ok = rules.judge(answer.rv)?;
        let comes_back = answer.rv == CKR_BUFFER_TOO_SMALL || ok && room == Room::Query;
        if comes_back {
            enough_said(&operation, &outcome, Kind::Sign, data, answer)?;
        } else if ok {
            self.made(&operation, &outcome, Kind::Sign, data, answer)?;
            // The PIN was told for one use.
            (process.consent.approved, process.consent.doubted) = (false, false);
        } else {
            process.consent.doubted |= process.consent.approved;
        }
        Ok(comes_back)
    }
}

fn begin_message(process: &mut Process, mut rules: Rules, answer: &Answer) -> Verdict<bool> {
    let parts = process.mechanism.service().is_some_and(|service| service.multi_part);
    rules
        .must(!parts, CKR_FUNCTION_NOT_SUPPORTED)
        .must(matches!(process.message, Message::Parts(_)), CKR_OPERATION_ACTIVE)
        .may(process.message != Message::None, CKR_OPERATION_ACTIVE);
    if rules.judge(answer.rv)? {
        process.message = Message::Parts(Parts::default());
    }
    Ok(not_over(answer.rv))
}

/// A part where there is no message that has parts, or perhaps none: whatever comes of that, the
/// model has lost its thread.
fn out_of_place(process: &mut Process, last: bool, mut rules: Rules, answer: &Answer) -> Verdict {
    match process.message {
        Message::None => _ = rules.must(true, CKR_OPERATION_NOT_INITIALIZED),
        _ => {
            rules
                .may(true, CKR_OPERATION_NOT_INITIALIZED)
                .may(true, CKR_OPERATION_ACTIVE)
                .may(true, CKR_USER_NOT_LOGGED_IN);
            let end = [CKR_BUFFER_TOO_SMALL, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE];
            for rv in end {
                rules.may(last, rv);
            }
        }
    }
    process.consent.doubted |= process.consent.approved;
    rules.judge(answer.rv).map(|_| ())
}
