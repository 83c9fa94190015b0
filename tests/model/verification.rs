//! The model's rules about the end of a verification.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict};
use super::mechanism::{RSA_LEN, SHA256_LEN};
use super::operations::Outcome;
use super::state::{Model, Operation, Phase, Product};
use super::step::{Answer, Kind};

/// What of the data is signed: CKM_ECDSA takes the leftmost bits, as many as the curve has.
fn digest_of(ckm: CK_MECHANISM_TYPE, data: &[u8]) -> &[u8] {
    if ckm == CKM_ECDSA { data.get(..SHA256_LEN).unwrap_or(data) } else { data }
}

impl Model {
    /// The end of a verification: of `data` in one part, or of what the updates have brought.
    pub(super) fn verified(
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
            .may(one_shot && operation.part_asked, CKR_OPERATION_ACTIVE)
            .must(!one_shot && !operation.multi_part(), CKR_FUNCTION_NOT_SUPPORTED);
        if !rules.refuses() {
            let data = data.unwrap_or(&operation.data);
            self.signature_rules(operation, data, signature, &mut rules);
        }
        rules.judge(answer.rv).map(|_| ())
    }

    /// What holds for a signature over all of `data`.
    pub(super) fn signature_rules(
        &self,
        operation: &Operation,
        data: &[u8],
        signature: &[u8],
        rules: &mut Rules,
    ) {
        let len = match self.outcome(operation, Kind::Verify, data) {
            Outcome::Length(len) => len,
            _ => {
                rules.must(true, CKR_DATA_LEN_RANGE);
                RSA_LEN
            }
        };
        let pair = self.pair_of(operation);
        let mac = self.mac(operation, data).map(|mac| mac == signature);
        let product = |made: &Product| {
            made.signature
                && Some(made.pair) == pair
                && made.mechanism == operation.mechanism
                && digest_of(made.mechanism.ckm, &made.data) == digest_of(made.mechanism.ckm, data)
                && made.bytes == signature
        };
        let genuine = mac.unwrap_or_else(|| self.products.iter().any(product));
        rules
            .may(operation.mechanism.no_digest(data), CKR_DATA_LEN_RANGE)
            .must(signature.len() != len, CKR_SIGNATURE_LEN_RANGE)
            .must(!genuine && signature.len() == len, CKR_SIGNATURE_INVALID);
    }
}
