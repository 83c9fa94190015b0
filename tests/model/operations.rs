//! The model's rules about operations: which stand together, what they give and what
//! ends them.

use cryptoki_sys::*;
use sha2::{Digest, Sha256};

use super::judge::{Rules, Verdict, check};
use super::state::{Model, Operation, Phase, Product, Session};
use super::step::{Answer, Given, Kind, Mechanism, Room, Step};

/// The pairs of operations that one session can have.
const PAIRS: [(Kind, Kind); 4] = [
    (Kind::Digest, Kind::Encrypt),
    (Kind::Decrypt, Kind::Digest),
    (Kind::Sign, Kind::Encrypt),
    (Kind::Decrypt, Kind::Verify),
];

/// Lengths of the pool's and all new keys: RSA-2048 and P-256.
const RSA_LEN: usize = 256;
const EC_SIGNATURE_LEN: usize = 64;
const SHA256_LEN: usize = 32;
/// The padding of PKCS #1 v1.5 takes this much.
const RSA_PKCS_OVERHEAD: usize = 11;

/// What a mechanism of the model's is for.
struct Service {
    kinds: &'static [Kind],
    key_type: CK_KEY_TYPE,
    multi_part: bool,
}

fn service(ckm: CK_MECHANISM_TYPE) -> Option<Service> {
    const SIGNING: &[Kind] = &[Kind::Sign, Kind::Verify];
    const ALL_OF_RSA: &[Kind] = &[Kind::Sign, Kind::Verify, Kind::Encrypt, Kind::Decrypt];
    let (kinds, key_type, multi_part) = match ckm {
        CKM_SHA256 => (&[Kind::Digest][..], CKK_VENDOR_DEFINED, true),
        CKM_ECDSA => (SIGNING, CKK_EC, false),
        CKM_ECDSA_SHA256 => (SIGNING, CKK_EC, true),
        CKM_RSA_PKCS => (ALL_OF_RSA, CKK_RSA, false),
        CKM_SHA256_RSA_PKCS => (SIGNING, CKK_RSA, true),
        _ => return None,
    };
    Some(Service { kinds, key_type, multi_part })
}

impl Kind {
    /// The class and the usage attribute that it asks of its key.
    pub fn key(self) -> (CK_OBJECT_CLASS, CK_ATTRIBUTE_TYPE) {
        match self {
            Self::Encrypt => (CKO_PUBLIC_KEY, CKA_ENCRYPT),
            Self::Decrypt => (CKO_PRIVATE_KEY, CKA_DECRYPT),
            Self::Sign => (CKO_PRIVATE_KEY, CKA_SIGN),
            Self::Verify => (CKO_PUBLIC_KEY, CKA_VERIFY),
            Self::Digest => (CK_UNAVAILABLE_INFORMATION, CK_UNAVAILABLE_INFORMATION),
        }
    }
}

/// What of the data is signed: CKM_ECDSA takes the leftmost bits, as many as the curve has.
fn digest_of(ckm: CK_MECHANISM_TYPE, data: &[u8]) -> &[u8] {
    if ckm == CKM_ECDSA { data.get(..SHA256_LEN).unwrap_or(data) } else { data }
}

impl Operation {
    fn multi_part(&self) -> bool {
        service(self.ckm).is_some_and(|service| service.multi_part)
    }

    /// What holds for every call that goes on with it.
    fn doubts(&self, rules: &mut Rules) {
        rules
            .may(self.maybe, CKR_OPERATION_NOT_INITIALIZED)
            .may(self.orphan, CKR_KEY_HANDLE_INVALID)
            .may(self.orphan, CKR_OBJECT_HANDLE_INVALID);
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
            Step::BeginNull { session, kind, .. } => {
                let active = self.here(*session).operations.remove(kind);
                let mut rules = Rules::new();
                rules.must(active.is_none(), CKR_ARGUMENTS_BAD);
                rules.may(active.is_some_and(|operation| operation.maybe), CKR_ARGUMENTS_BAD);
                rules.judge(answer.rv).map(|_| ())
            }
            Step::OneShot { session, kind, data, room } => {
                self.one_shot(*session, *kind, data, *room, answer)
            }
            Step::Update { session, kind, data } => self.update(*session, *kind, data, answer),
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

    fn put_back(&mut self, session: CK_SESSION_HANDLE, kind: Kind, mut operation: Operation) {
        operation.maybe = false;
        self.here(session).operations.insert(kind, operation);
    }

    /// What an …Init says about the operations that are there. `kind` is None for a search.
    pub(super) fn exclusivity(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Option<Kind>,
        rules: &mut Rules,
    ) {
        let here = self.here(session);
        let beside = |other: Kind| {
            kind.is_some_and(|kind| {
                PAIRS.contains(&(kind, other)) || PAIRS.contains(&(other, kind))
            })
        };
        // Two that stand together leave no room for a third.
        let sure = here.operations.values().filter(|operation| !operation.maybe).count();
        for (other, operation) in &here.operations {
            let certain_others = sure - usize::from(!operation.maybe);
            let blocks = !beside(*other) || certain_others > 0;
            let could = !beside(*other) || here.operations.len() > 1;
            rules.must(blocks && !operation.maybe, CKR_OPERATION_ACTIVE);
            rules.may(could, CKR_OPERATION_ACTIVE);
        }
        if let Some(search) = &here.search {
            rules.must(!search.maybe, CKR_OPERATION_ACTIVE).may(true, CKR_OPERATION_ACTIVE);
        }
    }

    /// One of this kind began: what could not stand beside it was over.
    pub(super) fn began(&mut self, session: CK_SESSION_HANDLE, kind: Option<Kind>) {
        let here = self.here(session);
        here.search = None;
        here.operations.retain(|other, _| {
            kind.is_some_and(|kind| {
                PAIRS.contains(&(kind, *other)) || PAIRS.contains(&(*other, kind))
            })
        });
    }

    fn begin(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, Some(kind), &mut rules);
        let service = service(mechanism.ckm).filter(|service| service.kinds.contains(&kind));
        rules
            .must(service.is_none(), CKR_MECHANISM_INVALID)
            .must(mechanism.parameter, CKR_MECHANISM_PARAM_INVALID);
        let key = (kind != Kind::Digest).then(|| self.object(self.slot_of(session), key));
        if let Some(number) = key {
            let object = number.map(|number| &self.objects[number]).filter(|key| key.is_key());
            rules.must(object.is_none(), CKR_KEY_HANDLE_INVALID);
            if let Some(object) = object {
                let (class, usage) = kind.key();
                let key_type = object.ulong(CKA_KEY_TYPE);
                let fits = service.is_none_or(|service| key_type == Some(service.key_type));
                rules
                    .must(!fits, CKR_KEY_TYPE_INCONSISTENT)
                    .must(object.class() != class, CKR_KEY_FUNCTION_NOT_PERMITTED)
                    .must(!object.flag(usage), CKR_KEY_FUNCTION_NOT_PERMITTED);
            }
        }
        if rules.judge(answer.rv)? {
            self.began(session, Some(kind));
            let operation = Operation {
                ckm: mechanism.ckm,
                key: key.flatten(),
                phase: Phase::Begun,
                data: Vec::new(),
                maybe: false,
                orphan: false,
            };
            self.here(session).operations.insert(kind, operation);
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
        let begun = !rules.refuses();
        for rv in self.bad_data(&operation, kind, data) {
            // The data need not be looked at before its result can be given.
            if room == Room::Query {
                rules.may(true, rv);
            } else {
                rules.must(begun, rv);
            }
        }
        // Bad padding is either refused or answered with something that looks like a plaintext.
        let garbage = kind == Kind::Decrypt && self.plaintext(&operation, data).is_none();
        // What then looks like a plaintext may be that short.
        let fits = !garbage && self.length(&operation, kind, data) <= 1;
        let small = room == Room::Small && begun;
        rules
            .must(small && !garbage && !fits, CKR_BUFFER_TOO_SMALL)
            .may(small && garbage, CKR_BUFFER_TOO_SMALL);
        rules.may(garbage, CKR_ENCRYPTED_DATA_INVALID);
        rules.may(garbage, CKR_ENCRYPTED_DATA_LEN_RANGE);
        // No digest that CKM_ECDSA is for has this length; it truncates, or refuses.
        let odd = data.is_empty() || data.len() > 64;
        rules.may(operation.ckm == CKM_ECDSA && odd, CKR_DATA_LEN_RANGE);
        let ok = rules.judge(answer.rv)?;
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            self.enough_said(&operation, kind, data, answer)?;
            operation.phase = Phase::OneShotAsked;
            operation.data = data.to_vec();
            self.put_back(session, kind, operation);
        } else if ok {
            self.made(&operation, kind, data, answer)?;
        }
        Ok(())
    }

    fn update(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        data: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let Some(mut operation) = self.take(session, kind, answer)? else { return Ok(()) };
        let mut rules = Rules::new();
        operation.doubts(&mut rules);
        let asked = matches!(operation.phase, Phase::OneShotAsked | Phase::FinalAsked { .. });
        rules
            .must(!operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED)
            .may(asked, CKR_OPERATION_ACTIVE);
        if rules.judge(answer.rv)? {
            if operation.phase == Phase::OneShotAsked {
                operation.data.clear();
            }
            operation.data.extend_from_slice(data);
            operation.phase = Phase::Updated;
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
            .must(!operation.multi_part() && room != Room::Query, CKR_FUNCTION_NOT_SUPPORTED)
            // Without parts there is nothing to be final about; how long it were may be said.
            .may(!operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED)
            .may(!operation.multi_part() && room == Room::Small, CKR_BUFFER_TOO_SMALL);
        rules.must(room == Room::Small && !rules.refuses(), CKR_BUFFER_TOO_SMALL);
        let ok = rules.judge(answer.rv)?;
        let data = operation.data.clone();
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            // A mechanism without parts has nothing for a final call to give.
            if operation.multi_part() {
                self.enough_said(&operation, kind, &data, answer)?;
            }
            let after =
                matches!(operation.phase, Phase::Updated | Phase::FinalAsked { after: true });
            operation.phase = Phase::FinalAsked { after };
            self.put_back(session, kind, operation);
        } else if ok {
            self.made(&operation, kind, &data, answer)?;
        }
        Ok(())
    }

    /// Why data cannot be worked on.
    fn bad_data(&self, operation: &Operation, kind: Kind, data: &[u8]) -> Vec<CK_RV> {
        match (kind, operation.ckm) {
            (Kind::Decrypt, _) if data.len() != RSA_LEN => {
                vec![CKR_ENCRYPTED_DATA_LEN_RANGE]
            }
            (Kind::Sign | Kind::Encrypt | Kind::Verify, CKM_RSA_PKCS)
                if data.len() > RSA_LEN - RSA_PKCS_OVERHEAD =>
            {
                vec![CKR_DATA_LEN_RANGE]
            }
            _ => Vec::new(),
        }
    }

    fn pair_of(&self, operation: &Operation) -> Option<usize> {
        operation.key.and_then(|key| self.objects[key].pair)
    }

    fn plaintext(&self, operation: &Operation, ciphertext: &[u8]) -> Option<&Product> {
        let pair = self.pair_of(operation);
        self.products
            .iter()
            .find(|made| !made.signature && Some(made.pair) == pair && made.bytes == ciphertext)
    }

    /// How long the result is.
    fn length(&self, operation: &Operation, kind: Kind, data: &[u8]) -> usize {
        match (kind, operation.ckm) {
            (Kind::Digest, _) => SHA256_LEN,
            (Kind::Decrypt, _) => self.plaintext(operation, data).map_or(0, |made| made.data.len()),
            (_, CKM_ECDSA | CKM_ECDSA_SHA256) => EC_SIGNATURE_LEN,
            _ => RSA_LEN,
        }
    }

    /// The length that a query, or a buffer too small, was answered with. It may be an upper
    /// bound, of at most one block.
    fn enough_said(
        &self,
        operation: &Operation,
        kind: Kind,
        data: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let needed = self.length(operation, kind, data);
        let most = if kind == Kind::Decrypt { RSA_LEN } else { needed };
        let Given::Output { len, .. } = answer.given else { return Err("no length".into()) };
        check((needed..=most).contains(&len), || format!("{len} bytes said, {needed} needed"))
    }

    /// Checks a result, and keeps it for the operation that undoes or verifies it.
    fn made(&mut self, operation: &Operation, kind: Kind, data: &[u8], answer: &Answer) -> Verdict {
        let Given::Output { bytes, .. } = &answer.given else { return Err("no output".into()) };
        if kind == Kind::Decrypt && self.plaintext(operation, data).is_none() {
            let most = RSA_LEN - RSA_PKCS_OVERHEAD;
            return check(bytes.len() <= most, || format!("{} bytes decrypted", bytes.len()));
        }
        let needed = self.length(operation, kind, data);
        check(bytes.len() == needed, || format!("{} bytes made, not {needed}", bytes.len()))?;
        let right = match kind {
            Kind::Digest => Sha256::digest(data).as_slice() == bytes,
            Kind::Decrypt => {
                self.plaintext(operation, data).is_some_and(|made| &made.data == bytes)
            }
            _ => true,
        };
        check(right, || format!("the output is wrong: {bytes:?}"))?;
        if let (Kind::Sign | Kind::Encrypt, Some(pair)) = (kind, self.pair_of(operation)) {
            let (data, bytes) = (data.to_vec(), bytes.clone());
            let signature = kind == Kind::Sign;
            self.products.push(Product { pair, ckm: operation.ckm, data, bytes, signature });
        }
        Ok(())
    }

    /// The end of a verification: of `data` in one part, or of what the updates have brought.
    fn verified(
        &self,
        operation: &Operation,
        data: Option<&[u8]>,
        signature: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        operation.doubts(&mut rules);
        let one_shot = data.is_some();
        rules
            .must(one_shot && operation.phase == Phase::Updated, CKR_OPERATION_ACTIVE)
            .must(!one_shot && !operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED);
        if !rules.refuses() {
            let data = data.unwrap_or(&operation.data);
            for rv in self.bad_data(operation, Kind::Verify, data) {
                rules.must(true, rv);
            }
            let pair = self.pair_of(operation);
            let genuine = self.products.iter().any(|made| {
                made.signature
                    && Some(made.pair) == pair
                    && made.ckm == operation.ckm
                    && digest_of(made.ckm, &made.data) == digest_of(made.ckm, data)
                    && made.bytes == signature
            });
            let len = self.length(operation, Kind::Verify, data);
            let odd = data.is_empty() || data.len() > 64;
            rules
                .may(operation.ckm == CKM_ECDSA && odd, CKR_DATA_LEN_RANGE)
                .must(signature.len() != len, CKR_SIGNATURE_LEN_RANGE)
                .must(!genuine && signature.len() == len, CKR_SIGNATURE_INVALID);
        }
        rules.judge(answer.rv).map(|_| ())
    }
}
