//! What a call may answer, by the specification: the model judges an answer, then learns from it.
//! Here the verdict, and the calls about sessions and logins.

use cryptoki_sys::*;

use super::state::{Model, Session, Slot};
use super::step::{Answer, Given, Step};

/// Why an answer is wrong.
pub type Verdict<T = ()> = Result<T, String>;

/// What a call may answer.
#[derive(Debug, Default)]
pub struct Rules {
    /// Each is reason enough to refuse; with one of these the call must fail.
    must: Vec<CK_RV>,
    /// The specification leaves these open.
    may: Vec<CK_RV>,
}

impl Rules {
    pub fn new() -> Self {
        Self::default()
    }

    /// If `condition`, the call fails, with this reason or another that holds.
    pub fn must(&mut self, condition: bool, rv: CK_RV) -> &mut Self {
        if condition {
            self.must.push(rv);
        }
        self
    }

    /// If `condition`, the call may fail with this.
    pub fn may(&mut self, condition: bool, rv: CK_RV) -> &mut Self {
        if condition {
            self.may.push(rv);
        }
        self
    }

    /// Whether there is a reason to refuse.
    pub fn refuses(&self) -> bool {
        !self.must.is_empty()
    }

    /// Whether the call was a success, if it may have answered this.
    pub fn judge(&self, rv: CK_RV) -> Verdict<bool> {
        let allowed = match rv {
            CKR_OK => self.must.is_empty(),
            _ => self.must.contains(&rv) || self.may.contains(&rv),
        };
        if allowed {
            return Ok(rv == CKR_OK);
        }
        let mut expected: Vec<String> = Vec::new();
        if self.must.is_empty() {
            expected.push("CKR_OK".into());
        }
        expected.extend(self.must.iter().chain(&self.may).map(|rv| format!("0x{rv:x}")));
        Err(format!("answered 0x{rv:x}, expected {}", expected.join(" or ")))
    }
}

/// Fails unless `condition`.
pub fn check(condition: bool, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(what()) }
}

impl Model {
    /// Whether the step may be answered so; if it may, the model knows afterwards what it means.
    pub fn judge(&mut self, step: &Step, answer: &Answer) -> Verdict {
        if !self.initialized && !matches!(step, Step::Initialize) {
            let mut rules = Rules::new();
            return rules.must(true, CKR_CRYPTOKI_NOT_INITIALIZED).judge(answer.rv).map(|_| ());
        }
        if let Some(session) = step.session()
            && !self.sessions.contains_key(&session)
        {
            return Rules::new()
                .must(true, CKR_SESSION_HANDLE_INVALID)
                .judge(answer.rv)
                .map(|_| ());
        }
        match step {
            Step::Initialize => {
                let already = self.initialized;
                let rv = answer.rv;
                if Rules::new().must(already, CKR_CRYPTOKI_ALREADY_INITIALIZED).judge(rv)? {
                    self.initialize();
                }
                Ok(())
            }
            Step::Finalize => {
                if Rules::new().judge(answer.rv)? {
                    self.finalize();
                }
                Ok(())
            }
            Step::Open { slot, flags } => self.open(*slot, *flags, answer),
            Step::Close { session } => {
                if Rules::new().judge(answer.rv)? {
                    self.close(*session);
                }
                Ok(())
            }
            Step::CloseAll { slot } => {
                let unknown = !self.slots.contains_key(slot);
                if Rules::new().must(unknown, CKR_SLOT_ID_INVALID).judge(answer.rv)? {
                    self.close_all(*slot);
                }
                Ok(())
            }
            Step::SessionInfo { session } => self.session_info(*session, answer),
            Step::TokenInfo { slot } => self.token_info(*slot, answer),
            Step::InitToken { slot, pin, label } => self.init_token(*slot, pin, label, answer),
            Step::Login { session, user, pin } => self.log_in(*session, *user, pin, answer),
            Step::Logout { session } => {
                let slot = self.sessions[session].slot;
                let nobody = self.login(slot).is_none();
                if Rules::new().must(nobody, CKR_USER_NOT_LOGGED_IN).judge(answer.rv)? {
                    self.logout(slot);
                }
                Ok(())
            }
            Step::InitPin { session, pin } => self.init_pin(*session, pin, answer),
            Step::SetPin { session, old, new } => self.set_pin(*session, old, new, answer),
            Step::Random { len, .. } => {
                if Rules::new().judge(answer.rv)? {
                    let same =
                        matches!(&answer.given, Given::Output { bytes, .. } if bytes.len() == *len);
                    check(same, || format!("{len} random bytes asked: {:?}", answer.given))?;
                }
                Ok(())
            }
            _ if step.is_about_objects() => self.judge_objects(step, answer),
            _ => self.judge_operations(step, answer),
        }
    }

    /// The slot of an open session.
    pub(super) fn slot_of(&self, session: CK_SESSION_HANDLE) -> CK_SLOT_ID {
        self.sessions[&session].slot
    }

    pub(super) fn token(&mut self, slot: CK_SLOT_ID) -> &mut Slot {
        self.slots.get_mut(&slot).expect("a session is on one of the tokens")
    }

    fn open(&mut self, slot: CK_SLOT_ID, flags: CK_FLAGS, answer: &Answer) -> Verdict {
        let rw = flags & CKF_RW_SESSION != 0;
        let so_in = self.login(slot) == Some(CKU_SO);
        let opened = Rules::new()
            .must(!self.slots.contains_key(&slot), CKR_SLOT_ID_INVALID)
            .must(flags & CKF_SERIAL_SESSION == 0, CKR_SESSION_PARALLEL_NOT_SUPPORTED)
            .must(flags & !(CKF_SERIAL_SESSION | CKF_RW_SESSION) != 0, CKR_ARGUMENTS_BAD)
            .must(so_in && !rw, CKR_SESSION_READ_WRITE_SO_EXISTS)
            .judge(answer.rv)?;
        if !opened {
            return Ok(());
        }
        let Given::Session(handle) = answer.given else { return Err("no session handle".into()) };
        check(handle != 0, || "the session handle is 0".into())?;
        let used = self.sessions.contains_key(&handle) || self.closed.contains(&handle);
        check(!used, || format!("the session handle {handle} comes again"))?;
        let session =
            Session { slot, rw, operations: Default::default(), search: None, process: None };
        self.sessions.insert(handle, session);
        Ok(())
    }

    fn session_info(&self, handle: CK_SESSION_HANDLE, answer: &Answer) -> Verdict {
        Rules::new().judge(answer.rv)?;
        let session = &self.sessions[&handle];
        let rw = if session.rw { CKF_RW_SESSION } else { 0 };
        let expected = Given::SessionInfo {
            slot: session.slot,
            state: session.state(self.login(session.slot)),
            flags: CKF_SERIAL_SESSION | rw,
        };
        check(answer.given == expected, || format!("{:?}, expected {expected:?}", answer.given))
    }

    fn log_in(
        &mut self,
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        pin: &[u8],
        answer: &Answer,
    ) -> Verdict {
        if user == CKU_CONTEXT_SPECIFIC {
            return self.prove(session, pin, answer);
        }
        let slot = self.slot_of(session);
        let login = self.login(slot);
        let ro_open = {
            let (all, rw) = self.session_counts(slot);
            all != rw
        };
        let token = self.token(slot);
        let mut rules = Rules::new();
        match user {
            CKU_USER | CKU_SO => {
                let right = match user {
                    CKU_SO => Some(&token.so_pin),
                    _ => token.user_pin.as_ref(),
                };
                let another = login.is_some_and(|in_now| in_now != user);
                rules
                    .must(login == Some(user), CKR_USER_ALREADY_LOGGED_IN)
                    .must(another, CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
                    .must(user == CKU_SO && ro_open, CKR_SESSION_READ_ONLY_EXISTS);
                // A PIN is tried, and counted, only where the login could be.
                let could = !rules.refuses();
                rules
                    .must(could && right.is_none(), CKR_USER_PIN_NOT_INITIALIZED)
                    .must(could && right.is_some_and(|right| pin != right), CKR_PIN_INCORRECT);
            }
            _ => _ = rules.must(true, CKR_USER_TYPE_INVALID),
        }
        if rules.judge(answer.rv)? {
            token.login = Some(user);
            self.unsettle(slot);
        }
        Ok(())
    }

    /// A login for the one operation of the session whose key asks for it. A wrong PIN changes
    /// nothing, or takes back what the right one allowed.
    fn prove(&mut self, session: CK_SESSION_HANDLE, pin: &[u8], answer: &Answer) -> Verdict {
        let right = self.slots[&self.slot_of(session)].user_pin.clone();
        let here = self.here(session);
        let operations = here.operations.values_mut();
        let operations = operations.map(|it| (&mut it.consent, &mut it.maybe, it.orphan));
        let process = here.process.iter_mut();
        let process = process.map(|it| (&mut it.consent, &mut it.maybe, it.orphan));
        let asking = operations.chain(process).find(|(consent, ..)| consent.asks);
        let mut rules = Rules::new();
        rules.must(asking.is_none(), CKR_OPERATION_NOT_INITIALIZED);
        let Some((consent, maybe, orphan)) = asking else {
            return rules.judge(answer.rv).map(|_| ());
        };
        rules
            .may(*maybe || orphan, CKR_OPERATION_NOT_INITIALIZED)
            .must(right.is_none_or(|right| right != pin), CKR_PIN_INCORRECT);
        if rules.judge(answer.rv)? {
            (consent.approved, consent.doubted, *maybe) = (true, false, false);
        } else if answer.rv == CKR_PIN_INCORRECT {
            consent.doubted = consent.approved;
        }
        Ok(())
    }
}

impl Step {
    /// The session it is made in.
    pub fn session(&self) -> Option<CK_SESSION_HANDLE> {
        match self {
            Self::Initialize
            | Self::Finalize
            | Self::Open { .. }
            | Self::CloseAll { .. }
            | Self::TokenInfo { .. }
            | Self::InitToken { .. } => None,
            Self::Close { session }
            | Self::SessionInfo { session }
            | Self::Login { session, .. }
            | Self::Logout { session }
            | Self::InitPin { session, .. }
            | Self::SetPin { session, .. }
            | Self::Create { session, .. }
            | Self::Copy { session, .. }
            | Self::Destroy { session, .. }
            | Self::Get { session, .. }
            | Self::Set { session, .. }
            | Self::FindInit { session, .. }
            | Self::Find { session, .. }
            | Self::FindFinal { session }
            | Self::Begin { session, .. }
            | Self::BeginNull { session, .. }
            | Self::OneShot { session, .. }
            | Self::Update { session, .. }
            | Self::Dual { session, .. }
            | Self::Final { session, .. }
            | Self::Verify { session, .. }
            | Self::VerifyFinal { session, .. }
            | Self::Message { session, .. }
            | Self::Signed { session, .. }
            | Self::BeginKnown { session, .. }
            | Self::VerifyKnown { session, .. }
            | Self::Key { session, .. }
            | Self::GetState { session, .. }
            | Self::SetState { session, .. }
            | Self::Cancel { session, .. }
            | Self::Random { session, .. }
            | Self::GeneratePair { session, .. } => Some(*session),
        }
    }

    fn is_about_objects(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::Copy { .. }
                | Self::Destroy { .. }
                | Self::Get { .. }
                | Self::Set { .. }
                | Self::GeneratePair { .. }
        )
    }
}
