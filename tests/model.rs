//! Random sequences of calls, over several sessions and two tokens, beside a model of what the
//! specification says: each answer must be one that the model allows.
//!
//! The model was written from the specification, not from the module. A sequence that they differ
//! about is shrunk and printed with its answers; the seed printed with it brings it again:
//! `HIERARKEY_MODEL_SEED=… cargo nextest run --test model`. HIERARKEY_MODEL_CASES and
//! HIERARKEY_MODEL_CALLS say how many sequences each test tries and how long they are;
//! HIERARKEY_TEST_SIZE=full tries ten times as many.

#[path = "model/beginning.rs"]
mod beginning;
#[path = "model/call.rs"]
mod call;
mod common;
#[path = "model/derivation.rs"]
mod derivation;
#[path = "model/drive.rs"]
mod drive;
#[path = "model/drive_keys.rs"]
mod drive_keys;
#[path = "model/drive_signed.rs"]
mod drive_signed;
#[path = "model/dual.rs"]
mod dual;
#[path = "model/judge.rs"]
mod judge;
#[path = "model/key_refusals.rs"]
mod key_refusals;
#[path = "model/keys.rs"]
mod keys;
#[path = "model/known.rs"]
mod known;
#[path = "model/known_refusals.rs"]
mod known_refusals;
#[path = "model/mac.rs"]
mod mac;
#[path = "model/mac_refusals.rs"]
mod mac_refusals;
#[path = "model/mechanism.rs"]
mod mechanism;
#[path = "model/message_refusals.rs"]
mod message_refusals;
#[path = "model/messages.rs"]
mod messages;
#[path = "model/objects.rs"]
mod objects;
#[path = "model/openings.rs"]
mod openings;
#[path = "model/operations.rs"]
mod operations;
#[path = "model/pick.rs"]
mod pick;
#[path = "model/pick_keys.rs"]
mod pick_keys;
#[path = "model/pick_message.rs"]
mod pick_message;
#[path = "model/pick_signed.rs"]
mod pick_signed;
#[path = "model/process.rs"]
mod process;
#[path = "model/refusals.rs"]
mod refusals;
#[path = "model/regressions.rs"]
mod regressions;
#[path = "model/resolve.rs"]
mod resolve;
#[path = "model/run.rs"]
mod run;
#[path = "model/searches.rs"]
mod searches;
#[path = "model/signed.rs"]
mod signed;
#[path = "model/signed_refusals.rs"]
mod signed_refusals;
#[path = "model/state.rs"]
mod state;
#[path = "model/state_refusals.rs"]
mod state_refusals;
#[path = "model/states.rs"]
mod states;
#[path = "model/step.rs"]
mod step;
#[path = "model/templates.rs"]
mod templates;
#[path = "model/tokens.rs"]
mod tokens;
#[path = "model/verification.rs"]
mod verification;

/// The sequences are shared out, so that the tests run side by side.
macro_rules! shares {
    ($($name:ident: $share:literal;)*) => {$(
        #[test]
        fn $name() {
            run::random_sequences($share);
        }
    )*};
}

shares! {
    random_sequences_answer_as_the_model_says_first_share: 0;
    random_sequences_answer_as_the_model_says_second_share: 1;
    random_sequences_answer_as_the_model_says_third_share: 2;
    random_sequences_answer_as_the_model_says_fourth_share: 3;
}
