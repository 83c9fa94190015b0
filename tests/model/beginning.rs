//! The model's rules about the beginning of operations: which stand together, which keys they take.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict};
use super::mechanism::{Mechanism, Parameter};
use super::state::{Consent, Model, Operation};
use super::step::{Answer, Kind};

/// The pairs of operations that one session can have.
const PAIRS: [(Kind, Kind); 4] = [
    (Kind::Digest, Kind::Encrypt),
    (Kind::Decrypt, Kind::Digest),
    (Kind::Sign, Kind::Encrypt),
    (Kind::Decrypt, Kind::Verify),
];

impl Model {
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
        if let Some(process) = &here.process {
            rules.must(!process.maybe, CKR_OPERATION_ACTIVE).may(true, CKR_OPERATION_ACTIVE);
        }
        if let Some(search) = &here.search {
            rules.must(!search.maybe, CKR_OPERATION_ACTIVE).may(true, CKR_OPERATION_ACTIVE);
        }
    }

    /// One of this kind began: what could not stand beside it was over.
    pub(super) fn began(&mut self, session: CK_SESSION_HANDLE, kind: Option<Kind>) {
        let here = self.here(session);
        (here.search, here.process) = (None, None);
        here.operations.retain(|other, _| {
            kind.is_some_and(|kind| {
                PAIRS.contains(&(kind, *other)) || PAIRS.contains(&(*other, kind))
            })
        });
    }

    pub(super) fn begin(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, Some(kind), &mut rules);
        let key = self.object(self.slot_of(session), key).filter(|_| kind != Kind::Digest);
        self.beginning_rules(kind, mechanism, key, &mut rules);
        if rules.judge(answer.rv)? {
            self.began(session, Some(kind));
            let operation = Operation::new(mechanism, key, self.consent(key));
            self.here(session).operations.insert(kind, operation);
        }
        Ok(())
    }

    /// What holds for a mechanism and its key, an object's number.
    pub(super) fn beginning_rules(
        &self,
        kind: Kind,
        mechanism: Mechanism,
        key: Option<usize>,
        rules: &mut Rules,
    ) {
        let service = mechanism.service().filter(|service| service.kinds.contains(&kind));
        rules
            .must(service.is_none(), CKR_MECHANISM_INVALID)
            .must(!mechanism.well_formed(), CKR_MECHANISM_PARAM_INVALID)
            // Not every token makes salts of every length; what verifies takes any.
            .may(
                kind == Kind::Sign && matches!(mechanism.parameter, Parameter::Pss(20)),
                CKR_MECHANISM_PARAM_INVALID,
            );
        if kind == Kind::Digest {
            return;
        }
        let object = key.map(|number| &self.objects[number]).filter(|key| key.is_key());
        rules.must(object.is_none(), CKR_KEY_HANDLE_INVALID);
        if let Some(object) = object {
            let (class, usage) = kind.key(service.as_ref().map_or(CKK_EC, |it| it.key_type));
            let key_type = object.ulong(CKA_KEY_TYPE);
            let fits = service.as_ref().is_none_or(|service| key_type == Some(service.key_type));
            rules
                .must(!fits, CKR_KEY_TYPE_INCONSISTENT)
                .must(object.class() != class, CKR_KEY_FUNCTION_NOT_PERMITTED)
                .must(!object.flag(usage), CKR_KEY_FUNCTION_NOT_PERMITTED);
        }
    }

    /// As something that uses this key begins.
    pub(super) fn consent(&self, key: Option<usize>) -> Consent {
        let asks = key.is_some_and(|key| {
            let key = &self.objects[key];
            key.class() == CKO_PRIVATE_KEY && key.flag(CKA_ALWAYS_AUTHENTICATE)
        });
        Consent { asks, ..Consent::default() }
    }
}
