//! The model's rules about operations: which stand together, what they give and what
//! ends them.

use cryptoki_sys::*;
use sha2::{Digest, Sha256};

use super::judge::{Rules, Verdict, check};
use super::mechanism::*;
use super::state::{Model, Operation, Phase, Product, Session};
use super::step::{Answer, Given, Kind, Room, Step};

/// What an operation on some data comes to.
pub enum Outcome {
    /// So many bytes.
    Length(usize),
    /// One of these.
    Refused(Vec<CK_RV>),
    /// Bad padding: it is refused, or answered with something that looks like a plaintext.
    Garbage,
}

impl Operation {
    pub(super) fn multi_part(&self) -> bool {
        self.mechanism.service().is_some_and(|service| service.multi_part)
    }

    /// What its parts have brought.
    fn taken(&self) -> &[u8] {
        if self.phase == Phase::OneShotAsked { &[] } else { &self.data }
    }

    /// A part was taken.
    pub(super) fn take_in(&mut self, data: &[u8], given: usize) {
        self.data = [self.taken(), data].concat();
        self.given += given;
        self.phase = Phase::Updated;
        self.part_asked = false;
    }

    /// The length of a part's output was told, and the part not taken.
    pub(super) fn ask_part(&mut self) {
        self.data = self.taken().to_vec();
        let after = matches!(self.phase, Phase::Updated | Phase::FinalAsked { after: true });
        self.phase = if after { Phase::Updated } else { Phase::Begun };
        self.part_asked = !after;
    }

    /// What holds for a part.
    pub(super) fn part_rules(&self, rules: &mut Rules) {
        let asked = matches!(self.phase, Phase::OneShotAsked | Phase::FinalAsked { .. });
        rules
            .must(!self.multi_part(), CKR_FUNCTION_NOT_SUPPORTED)
            .may(asked || self.refused, CKR_OPERATION_ACTIVE);
        self.doubts(rules);
    }

    /// What holds for every call that goes on with it.
    pub(super) fn doubts(&self, rules: &mut Rules) {
        rules
            .may(self.maybe, CKR_OPERATION_NOT_INITIALIZED)
            .may(self.orphan, CKR_KEY_HANDLE_INVALID)
            .may(self.orphan, CKR_OBJECT_HANDLE_INVALID)
            .may(self.consent.is_missing() || self.consent.doubted, CKR_USER_NOT_LOGGED_IN);
    }
}

impl Model {
    pub(super) fn judge_operations(&mut self, step: &Step, answer: &Answer) -> Verdict {
        match step {
            Step::FindInit { session, template } => self.find_init(*session, template, answer),
            Step::Find { session, max } => self.find(*session, *max, answer),
            Step::FindFinal { session } => {
                let search = self.here(*session).search.take();
                let mut rules = Rules::new();
                rules.must(search.is_none(), CKR_OPERATION_NOT_INITIALIZED);
                rules.may(search.is_some_and(|s| s.maybe), CKR_OPERATION_NOT_INITIALIZED);
                rules.judge(answer.rv).map(|_| ())
            }
            Step::Begin { session, kind, mechanism, key } => {
                self.begin(*session, *kind, *mechanism, *key, answer)
            }
            Step::BeginNull { session, kind, .. } => self.end(*session, *kind, answer),
            Step::OneShot { session, kind, data, room } => {
                self.one_shot(*session, *kind, data, *room, answer)
            }
            Step::Update { session, kind, data, room } => {
                self.update(*session, *kind, data, *room, answer)
            }
            Step::Dual { session, dual, data, room } => {
                self.dual(*session, *dual, data, *room, answer)
            }
            Step::Message { session, encrypts, call } => {
                self.judge_message(*session, *encrypts, call, answer)
            }
            Step::BeginKnown { session, mechanism, key, signature } => {
                self.begin_known(*session, *mechanism, *key, signature, answer)
            }
            Step::VerifyKnown { session, data } => {
                self.verified_known(*session, data.as_deref(), answer)
            }
            Step::Key { session, call } => self.judge_key(*session, call, answer),
            Step::GetState { session, room } => self.save_state(*session, *room, answer),
            Step::SetState { session, bytes, key } => {
                self.restore_state(*session, bytes, *key, answer)
            }
            Step::Signed { session, kind, call } => {
                self.judge_signed(*session, *kind, call, answer)
            }
            Step::Final { session, kind, room } => self.finish(*session, *kind, *room, answer),
            Step::Verify { session, data, signature } => {
                let Some(operation) = self.take(*session, Kind::Verify, answer)? else {
                    return Ok(());
                };
                self.verified(&operation, Some(data), signature, answer)
            }
            Step::VerifyFinal { session, signature } => {
                let Some(operation) = self.take(*session, Kind::Verify, answer)? else {
                    return Ok(());
                };
                self.verified(&operation, None, signature, answer)
            }
            Step::Cancel { session, flags } => {
                Rules::new().judge(answer.rv)?;
                let here = self.here(*session);
                here.operations.retain(|kind, _| flags & kind.flag() == 0);
                here.process.take_if(|process| flags & process.flag() != 0);
                here.search.take_if(|_| flags & CKF_FIND_OBJECTS != 0);
                Ok(())
            }
            _ => unreachable!("not about operations: {step:?}"),
        }
    }

    pub(super) fn here(&mut self, session: CK_SESSION_HANDLE) -> &mut Session {
        self.sessions.get_mut(&session).expect("the session was looked at")
    }

    /// Takes the operation out of its session; whoever finds that it goes on puts it back. Without
    /// one, and only then, the answer is that there is none.
    fn take(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        answer: &Answer,
    ) -> Verdict<Option<Operation>> {
        let operation = self.here(session).operations.remove(&kind);
        if operation.is_none() {
            Rules::new().must(true, CKR_OPERATION_NOT_INITIALIZED).judge(answer.rv)?;
        }
        Ok(operation)
    }

    pub(super) fn put_back(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        mut operation: Operation,
    ) {
        operation.maybe = false;
        self.here(session).operations.insert(kind, operation);
    }

    /// An …Init without mechanism ends the operation of its kind. Whether it ends the other way to
    /// verify too, which has the same flag, is open.
    fn end(&mut self, session: CK_SESSION_HANDLE, kind: Kind, answer: &Answer) -> Verdict {
        let active = &mut self.here(session).operations;
        let own = active.remove(&kind);
        let alike = active.keys().copied().find(|other| other.flag() == kind.flag());
        let mut rules = Rules::new();
        rules
            .must(own.is_none() && alike.is_none(), CKR_ARGUMENTS_BAD)
            .may(alike.is_some() || own.is_some_and(|it| it.maybe), CKR_ARGUMENTS_BAD);
        if let (true, Some(alike)) = (rules.judge(answer.rv)?, alike) {
            self.here(session).operations.remove(&alike);
        }
        Ok(())
    }

    fn one_shot(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        data: &[u8],
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let Some(mut operation) = self.take(session, kind, answer)? else { return Ok(()) };
        let mut rules = Rules::new();
        operation.doubts(&mut rules);
        match operation.phase {
            Phase::Updated | Phase::FinalAsked { after: true } => {
                rules.must(true, CKR_OPERATION_ACTIVE);
            }
            Phase::FinalAsked { after: false } => _ = rules.may(true, CKR_OPERATION_ACTIVE),
            Phase::Begun | Phase::OneShotAsked => {}
        }
        rules.may(operation.part_asked, CKR_OPERATION_ACTIVE);
        let outcome = self.outcome(&operation, kind, data);
        expect(&outcome, room, &mut rules);
        // Its length can be told without the key.
        rules.must(operation.consent.is_missing() && room != Room::Query, CKR_USER_NOT_LOGGED_IN);
        rules.may(operation.mechanism.no_digest(data), CKR_DATA_LEN_RANGE);
        let ok = rules.judge(answer.rv)?;
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            enough_said(&operation, &outcome, kind, data, answer)?;
            operation.phase = Phase::OneShotAsked;
            operation.data = data.to_vec();
            operation.part_asked = false;
            self.put_back(session, kind, operation);
        } else if ok {
            self.made(&operation, &outcome, kind, data, answer)?;
        }
        Ok(())
    }

    fn update(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        data: &[u8],
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let Some(mut operation) = self.take(session, kind, answer)? else { return Ok(()) };
        let mut rules = Rules::new();
        operation.part_rules(&mut rules);
        let part = self.part(&operation, kind, data).unwrap_or_default();
        let small = room == Room::Small && part.len() > 1 && !rules.refuses();
        let ok = rules.must(small, CKR_BUFFER_TOO_SMALL).judge(answer.rv)?;
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            part_said(&part, data, answer)?;
            operation.ask_part();
            self.put_back(session, kind, operation);
        } else if ok {
            let given = match &answer.given {
                Given::Output { bytes, .. } => &bytes[..],
                _ => &[],
            };
            check(given == part, || format!("the part is {given:?}, expected {part:?}"))?;
            operation.take_in(data, part.len());
            self.put_back(session, kind, operation);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let Some(mut operation) = self.take(session, kind, answer)? else { return Ok(()) };
        let mut rules = Rules::new();
        operation.doubts(&mut rules);
        rules
            .must(operation.phase == Phase::OneShotAsked, CKR_OPERATION_ACTIVE)
            .may(operation.part_asked, CKR_OPERATION_ACTIVE)
            .must(!operation.multi_part() && room != Room::Query, CKR_FUNCTION_NOT_SUPPORTED)
            // Without parts there is nothing to be final about; how long it were may be said.
            .may(!operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED)
            .may(!operation.multi_part() && room == Room::Small, CKR_BUFFER_TOO_SMALL);
        let data = operation.data.clone();
        let outcome = self.outcome(&operation, kind, &data);
        if operation.multi_part() {
            expect(&outcome, room, &mut rules);
        }
        rules.must(operation.consent.is_missing() && room != Room::Query, CKR_USER_NOT_LOGGED_IN);
        let ok = rules.judge(answer.rv)?;
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            // A mechanism without parts has nothing for a final call to give.
            if operation.multi_part() {
                enough_said(&operation, &outcome, kind, &data, answer)?;
            }
            let after =
                matches!(operation.phase, Phase::Updated | Phase::FinalAsked { after: true });
            operation.phase = Phase::FinalAsked { after };
            operation.part_asked = false;
            self.put_back(session, kind, operation);
        } else if ok {
            self.made(&operation, &outcome, kind, &data, answer)?;
        }
        Ok(())
    }

    /// AES with the operation's key, where it is that.
    pub(super) fn aes(&self, operation: &Operation, kind: Kind) -> Option<Aes<'_>> {
        let (mechanism, encrypts) = (operation.mechanism, kind == Kind::Encrypt);
        let key = self.secrets.get(&self.pair_of(operation)?)?;
        let ciphers = matches!(kind, Kind::Encrypt | Kind::Decrypt) && mechanism.is_of(CKK_AES);
        ciphers.then_some(Aes { key, mechanism, encrypts })
    }

    /// The output of one part more, where parts have output.
    pub(super) fn part(&self, operation: &Operation, kind: Kind, data: &[u8]) -> Option<Vec<u8>> {
        let all = [operation.taken(), data].concat();
        let mut begun = self.aes(operation, kind)?.begun(&all);
        Some(begun.split_off(operation.given))
    }

    /// What the operation on all of `data` gives that it has not given yet.
    pub(super) fn outcome(&self, operation: &Operation, kind: Kind, data: &[u8]) -> Outcome {
        if let Some(aes) = self.aes(operation, kind) {
            return match aes.whole(data) {
                // After parts a one-shot call is refused, whatever its data.
                Ok(whole) => Outcome::Length(whole.len().saturating_sub(operation.given)),
                Err(rvs) => Outcome::Refused(rvs),
            };
        }
        if let Some(mac) = self.mac(operation, data) {
            return Outcome::Length(mac.len());
        }
        let ckm = operation.mechanism.ckm;
        let longest = match ckm {
            CKM_RSA_PKCS => RSA_LEN - RSA_PKCS_OVERHEAD,
            CKM_RSA_PKCS_OAEP => RSA_LEN - OAEP_OVERHEAD,
            CKM_RSA_PKCS_PSS => SHA256_LEN,
            _ => usize::MAX,
        };
        let unfit = ckm == CKM_RSA_PKCS_PSS && data.len() != SHA256_LEN;
        match kind {
            Kind::Digest => Outcome::Length(SHA256_LEN),
            Kind::Decrypt => match self.plaintext(operation, data) {
                Some(made) => Outcome::Length(made.data.len()),
                None if data.len() != RSA_LEN => {
                    Outcome::Refused(vec![CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID])
                }
                None if ckm == CKM_RSA_PKCS => Outcome::Garbage,
                None => Outcome::Refused(vec![CKR_ENCRYPTED_DATA_INVALID]),
            },
            _ if data.len() > longest || unfit => Outcome::Refused(vec![CKR_DATA_LEN_RANGE]),
            _ if operation.mechanism.is_of(CKK_EC) => Outcome::Length(EC_SIGNATURE_LEN),
            _ => Outcome::Length(RSA_LEN),
        }
    }

    pub(super) fn pair_of(&self, operation: &Operation) -> Option<usize> {
        operation.key.and_then(|key| self.objects[key].pair)
    }

    fn plaintext(&self, operation: &Operation, ciphertext: &[u8]) -> Option<&Product> {
        let pair = self.pair_of(operation);
        self.products.iter().find(|made| {
            let same = Some(made.pair) == pair && made.mechanism == operation.mechanism;
            !made.signature && same && made.bytes == ciphertext
        })
    }

    /// Checks a result, and keeps it for the operation that undoes or verifies it.
    pub(super) fn made(
        &mut self,
        operation: &Operation,
        outcome: &Outcome,
        kind: Kind,
        data: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let Given::Output { bytes, .. } = &answer.given else { return Err("no output".into()) };
        let Outcome::Length(needed) = outcome else {
            let most = RSA_LEN - RSA_PKCS_OVERHEAD;
            return check(bytes.len() <= most, || format!("{} bytes decrypted", bytes.len()));
        };
        check(bytes.len() == *needed, || format!("{} bytes made, not {needed}", bytes.len()))?;
        let aes = self.aes(operation, kind).and_then(|aes| aes.whole(data).ok());
        let right = match kind {
            _ if aes.is_some() => aes.is_some_and(|whole| whole[operation.given..] == *bytes),
            Kind::Digest => Sha256::digest(data).as_slice() == bytes,
            Kind::Sign => self.mac(operation, data).is_none_or(|mac| mac == *bytes),
            Kind::Decrypt => {
                self.plaintext(operation, data).is_some_and(|made| &made.data == bytes)
            }
            _ => true,
        };
        check(right, || format!("the output is wrong: {bytes:?}"))?;
        if let (Kind::Sign | Kind::Encrypt, Some(pair)) = (kind, self.pair_of(operation)) {
            let (data, bytes) = (data.to_vec(), bytes.clone());
            let (mechanism, signature) = (operation.mechanism, kind == Kind::Sign);
            self.products.push(Product { pair, mechanism, data, bytes, signature });
        }
        Ok(())
    }
}

/// What an outcome means for a call that gives it into this much room.
pub(super) fn expect(outcome: &Outcome, room: Room, rules: &mut Rules) {
    let active = !rules.refuses();
    let small = room == Room::Small;
    match outcome {
        Outcome::Length(len) => {
            rules.must(active && small && *len > 1, CKR_BUFFER_TOO_SMALL);
        }
        Outcome::Refused(rvs) => {
            for rv in rvs {
                // The data need not be looked at before its result can be given.
                rules.must(active && room != Room::Query, *rv).may(true, *rv);
            }
            rules.may(small, CKR_BUFFER_TOO_SMALL);
        }
        Outcome::Garbage => {
            rules
                .may(true, CKR_ENCRYPTED_DATA_INVALID)
                .may(true, CKR_ENCRYPTED_DATA_LEN_RANGE)
                .may(small, CKR_BUFFER_TOO_SMALL);
        }
    }
}

/// The length that a query, or a buffer too small, was answered with. It may be an upper bound, of
/// at most one block; that of a plaintext is not known before.
pub(super) fn enough_said(
    operation: &Operation,
    outcome: &Outcome,
    kind: Kind,
    data: &[u8],
    answer: &Answer,
) -> Verdict {
    let (needed, most) = match outcome {
        Outcome::Length(len) if kind == Kind::Decrypt => (*len, data.len().max(*len)),
        Outcome::Length(len) if kind == Kind::Encrypt && operation.mechanism.is_of(CKK_AES) => {
            (*len, *len + 16)
        }
        Outcome::Length(len) => (*len, *len),
        _ => (0, data.len() + RSA_LEN),
    };
    let Given::Output { len, .. } = answer.given else { return Err("no length".into()) };
    check((needed..=most).contains(&len), || format!("{len} bytes said, {needed} needed"))
}

/// The same of a part, `part`, made of `data`; where it waits for its tag the bound is all of `data`.
pub(super) fn part_said(part: &[u8], data: &[u8], answer: &Answer) -> Verdict {
    let Given::Output { len, .. } = answer.given else { return Err("no length".into()) };
    let bounds = part.len()..=data.len().max(part.len() + 16);
    check(bounds.contains(&len), || format!("{len} bytes said of a part, {bounds:?} needed"))
}
