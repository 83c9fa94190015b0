//! What was begun by `C_Message…Init`: messages that are worked on one by one with one key.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict};
use super::mechanism::Mechanism;
use super::messages::Head;
use super::state::{Consent, Model, Operation};
use super::step::{Answer, Kind};

#[derive(Clone, Debug)]
pub struct Process {
    /// What is done with each message.
    pub kind: Kind,
    pub mechanism: Mechanism,
    /// The number of its key's object.
    pub key: usize,
    pub message: Message,
    pub consent: Consent,
    /// As of an operation.
    pub maybe: bool,
    pub orphan: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    None,
    /// The length of a whole one was asked for, or it did not fit.
    Asked,
    Parts(Parts),
    /// The specification does not say whether one is left.
    Unsure,
}

/// A message in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Of one that is encrypted or decrypted.
    pub head: Head,
    pub data: Vec<u8>,
    pub given: usize,
    /// The last part's length was asked for: whether another one may come before it is open.
    pub last_asked: bool,
}

impl Process {
    pub fn new(kind: Kind, mechanism: Mechanism, key: usize, consent: Consent) -> Self {
        let (message, maybe, orphan) = (Message::None, false, false);
        Self { kind, mechanism, key, message, consent, maybe, orphan }
    }

    pub fn encrypts(&self) -> bool {
        self.kind == Kind::Encrypt
    }

    pub fn flag(&self) -> CK_FLAGS {
        match self.kind {
            Kind::Encrypt => CKF_MESSAGE_ENCRYPT,
            Kind::Decrypt => CKF_MESSAGE_DECRYPT,
            Kind::Sign => CKF_MESSAGE_SIGN,
            Kind::Verify => CKF_MESSAGE_VERIFY,
            Kind::Digest | Kind::VerifyKnown => unreachable!("not done with messages"),
        }
    }

    /// The operation that each message is.
    pub(super) fn operation(&self) -> Operation {
        Operation::new(self.mechanism, Some(self.key), self.consent)
    }

    /// What holds for every call that goes on with it; `null` for an …Init without mechanism.
    pub(super) fn doubts(&self, null: bool) -> Rules {
        let mut rules = Rules::new();
        rules
            .may(self.maybe && null, CKR_ARGUMENTS_BAD)
            .may(self.maybe || self.orphan, CKR_OPERATION_NOT_INITIALIZED)
            .may(self.orphan, CKR_KEY_HANDLE_INVALID)
            .may(self.orphan, CKR_OBJECT_HANDLE_INVALID);
        rules
    }

    /// Its end, by …Final or an …Init without mechanism; whether it goes on nevertheless: amid a
    /// message it may refuse to end.
    pub(super) fn ended(&self, null: bool, mut rules: Rules, answer: &Answer) -> Verdict<bool> {
        rules.may(self.message != Message::None && !null, CKR_OPERATION_ACTIVE).judge(answer.rv)?;
        Ok(answer.rv == CKR_OPERATION_ACTIVE)
    }
}

impl Model {
    /// Takes the process of `kind` out of its session. Without one, and only then, the answer is
    /// that there is none: for an …Init without mechanism (`null`), that it has no meaning.
    pub(super) fn take_process(
        &mut self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        null: bool,
        answer: &Answer,
    ) -> Verdict<Option<Process>> {
        let process = self.here(session).process.take_if(|process| process.kind == kind);
        if process.is_none() {
            let none = if null { CKR_ARGUMENTS_BAD } else { CKR_OPERATION_NOT_INITIALIZED };
            Rules::new().must(true, none).judge(answer.rv)?;
        }
        Ok(process)
    }

    /// It goes on.
    pub(super) fn put_back_process(
        &mut self,
        session: CK_SESSION_HANDLE,
        mut process: Process,
        answer: &Answer,
    ) {
        // What went well shows that it is there.
        process.maybe &= answer.rv != CKR_OK;
        self.here(session).process = Some(process);
    }
}

/// Whether the process goes on after this answer.
pub fn not_over(rv: CK_RV) -> bool {
    !matches!(
        rv,
        CKR_OPERATION_NOT_INITIALIZED | CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID
    )
}
