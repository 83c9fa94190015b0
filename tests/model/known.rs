//! The model's rules about verifications whose signature is known when they begin.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict};
use super::mechanism::Mechanism;
use super::operations::Outcome;
use super::state::{Model, Operation, Phase};
use super::step::{Answer, Kind};

impl Model {
    pub(super) fn begin_known(
        &mut self,
        session: CK_SESSION_HANDLE,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        signature: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, Some(Kind::VerifyKnown), &mut rules);
        let key = self.object(self.slot_of(session), key);
        self.beginning_rules(Kind::Verify, mechanism, key, &mut rules);
        let mut operation = Operation::new(mechanism, key, self.consent(None));
        if !rules.refuses() {
            // Its length may be looked at now, or at the end.
            let outcome = self.outcome(&operation, Kind::Verify, &[0; 32]);
            let fits = matches!(outcome, Outcome::Length(len) if len == signature.len());
            rules.may(!fits, CKR_SIGNATURE_LEN_RANGE);
        }
        if rules.judge(answer.rv)? {
            self.began(session, Some(Kind::VerifyKnown));
            operation.signature = signature.to_vec();
            self.here(session).operations.insert(Kind::VerifyKnown, operation);
        }
        Ok(())
    }

    /// The end: over `data` in one part, or over what the updates have brought.
    pub(super) fn verified_known(
        &mut self,
        session: CK_SESSION_HANDLE,
        data: Option<&[u8]>,
        answer: &Answer,
    ) -> Verdict {
        let operation = self.here(session).operations.remove(&Kind::VerifyKnown);
        let mut rules = Rules::new();
        let Some(operation) = operation else {
            return rules.must(true, CKR_OPERATION_NOT_INITIALIZED).judge(answer.rv).map(|_| ());
        };
        operation.doubts(&mut rules);
        // C_VerifySignature has no word of its own for an operation of several parts.
        let amid = data.is_some() && operation.phase == Phase::Updated;
        rules
            .must(amid, CKR_OPERATION_NOT_INITIALIZED)
            .must(amid, CKR_OPERATION_ACTIVE)
            .must(data.is_none() && !operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED);
        if !rules.refuses() {
            let data = data.unwrap_or(&operation.data);
            self.signature_rules(&operation, data, &operation.signature, &mut rules);
        }
        rules.judge(answer.rv).map(|_| ())
    }
}
