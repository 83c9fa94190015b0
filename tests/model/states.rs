//! The model's rules about operations that are saved and restored: digests are, nothing with a key is.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::state::{Model, Operation};
use super::step::{Answer, Given, Kind, Room};

/// What was saved.
#[derive(Clone, Debug)]
pub struct Saved {
    pub bytes: Vec<u8>,
    pub slot: CK_SLOT_ID,
    /// CKS_ of the session that it comes from.
    pub state: CK_STATE,
    pub operation: Operation,
    /// A login or more came between, across which nothing need be carried.
    pub late: bool,
}

impl Model {
    pub(super) fn save_state(
        &mut self,
        session: CK_SESSION_HANDLE,
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let here = &self.sessions[&session];
        let (slot, state) = (here.slot, here.state(self.login(here.slot)));
        let digest = here.operations.get(&Kind::Digest);
        let keyed = || here.operations.iter().filter(|(kind, _)| **kind != Kind::Digest);
        let sure = keyed().any(|(_, operation)| !operation.maybe);
        let certain = here.operations.values().any(|operation| !operation.maybe);
        let mut rules = Rules::new();
        rules
            .must(sure || digest.is_none() && keyed().count() > 0, CKR_STATE_UNSAVEABLE)
            .may(keyed().count() > 0, CKR_STATE_UNSAVEABLE)
            .must(here.operations.is_empty(), CKR_OPERATION_NOT_INITIALIZED)
            .may(!certain, CKR_OPERATION_NOT_INITIALIZED);
        let small = room == Room::Small && !rules.refuses();
        let ok = rules.must(small, CKR_BUFFER_TOO_SMALL).judge(answer.rv)?;
        if !ok && answer.rv != CKR_BUFFER_TOO_SMALL {
            return Ok(());
        }
        let Given::Output { len, bytes } = &answer.given else { return Err("no state".into()) };
        check(*len > 0, || "a state of no bytes".into())?;
        if ok && room == Room::Enough {
            let mut operation = digest.expect("there was something to save").clone();
            // Not that a length was asked for.
            operation.ask_part();
            operation.maybe = false;
            self.saved.push(Saved { bytes: bytes.clone(), slot, state, operation, late: false });
        }
        Ok(())
    }

    pub(super) fn restore_state(
        &mut self,
        session: CK_SESSION_HANDLE,
        bytes: &[u8],
        key: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let here = &self.sessions[&session];
        let state = here.state(self.login(here.slot));
        let saved = self.saved.iter().find(|saved| saved.bytes == bytes);
        let fits = saved.filter(|saved| saved.slot == here.slot && saved.state == state);
        let late = saved.is_some_and(|saved| saved.late);
        let mut rules = Rules::new();
        rules
            .must(fits.is_none(), CKR_SAVED_STATE_INVALID)
            .may(late, CKR_SAVED_STATE_INVALID)
            .must(fits.is_some() && key != 0, CKR_KEY_NOT_NEEDED)
            .may(key != 0, CKR_KEY_NOT_NEEDED);
        let operation = fits.map(|saved| saved.operation.clone());
        if let (true, Some(operation)) = (rules.judge(answer.rv)?, operation) {
            let here = self.here(session);
            (here.search, here.process) = (None, None);
            here.operations.clear();
            here.operations.insert(Kind::Digest, operation);
        }
        Ok(())
    }

    /// What was saved on a slot need not be good any more.
    pub(super) fn outdate_states(&mut self, slot: CK_SLOT_ID) {
        self.saved.iter_mut().filter(|saved| saved.slot == slot).for_each(|it| it.late = true);
    }
}
