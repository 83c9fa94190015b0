//! The model's rules about tokens: what is said of them, making them anew, their PINs.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::state::{Model, Session};
use super::step::{Answer, Given};

impl Model {
    pub(super) fn token_info(&self, slot: CK_SLOT_ID, answer: &Answer) -> Verdict {
        let unknown = !self.slots.contains_key(&slot);
        if !Rules::new().must(unknown, CKR_SLOT_ID_INVALID).judge(answer.rv)? {
            return Ok(());
        }
        let Given::TokenInfo { flags, sessions, rw_sessions, label } = &answer.given else {
            return Err("no token information".into());
        };
        let token = &self.slots[&slot];
        let (user_pin, no_user_pin) = match token.user_pin {
            Some(_) => (CKF_USER_PIN_INITIALIZED, 0),
            None => (0, CKF_USER_PIN_INITIALIZED),
        };
        let set = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_RNG | user_pin;
        let clear = no_user_pin
            | CKF_WRITE_PROTECTED
            | CKF_PROTECTED_AUTHENTICATION_PATH
            | CKF_USER_PIN_LOCKED
            | CKF_SO_PIN_LOCKED;
        check(flags & (set | clear) == set, || format!("token flags 0x{flags:x}"))?;
        let padded =
            format!("{:1$}", token.label, 32 - token.label.len() + token.label.chars().count());
        check(*label == padded.as_bytes(), || format!("the label is {label:?}"))?;
        let (all, rw) = self.session_counts(slot);
        let right = |said: CK_ULONG, is: usize| {
            said == CK_UNAVAILABLE_INFORMATION || said == is as CK_ULONG
        };
        check(right(*sessions, all) && right(*rw_sessions, rw), || {
            format!("{sessions} sessions, {rw_sessions} of them R/W; it has {all} and {rw}")
        })
    }

    /// On a token that is made already: the SO's PIN has to be right, and all that was there goes.
    pub(super) fn init_token(
        &mut self,
        slot: CK_SLOT_ID,
        pin: &[u8],
        label: &'static str,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        rules
            .must(!self.slots.contains_key(&slot), CKR_SLOT_ID_INVALID)
            .must(self.session_counts(slot).0 > 0, CKR_SESSION_EXISTS);
        // A PIN is tried, and counted, only where the token could be made anew.
        let wrong = !rules.refuses() && self.token(slot).so_pin != pin;
        if rules.must(wrong, CKR_PIN_INCORRECT).judge(answer.rv)? {
            for number in 0..self.objects.len() {
                if self.objects[number].slot == slot {
                    self.destroy(number);
                }
            }
            self.outdate_states(slot);
            let token = self.token(slot);
            (token.user_pin, token.label) = (None, label);
        }
        Ok(())
    }

    pub(super) fn init_pin(
        &mut self,
        session: CK_SESSION_HANDLE,
        pin: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let slot = self.slot_of(session);
        let so_in = self.login(slot) == Some(CKU_SO);
        let changed = Rules::new()
            .must(!so_in, CKR_USER_NOT_LOGGED_IN)
            .must(!self.sessions[&session].rw, CKR_SESSION_READ_ONLY)
            .must(!good_new_pin(pin), CKR_PIN_LEN_RANGE)
            .judge(answer.rv)?;
        if changed {
            self.token(slot).user_pin = Some(pin.into());
        }
        Ok(())
    }

    pub(super) fn set_pin(
        &mut self,
        session: CK_SESSION_HANDLE,
        old: &[u8],
        new: &[u8],
        answer: &Answer,
    ) -> Verdict {
        let Session { slot, rw, .. } = self.sessions[&session];
        let so_in = self.login(slot) == Some(CKU_SO);
        let token = self.token(slot);
        let pin = if so_in { Some(&token.so_pin) } else { token.user_pin.as_ref() };
        // Where there is none, none is right.
        let wrong = pin.is_none_or(|pin| pin != old);
        let mut rules = Rules::new();
        rules.must(!rw, CKR_SESSION_READ_ONLY);
        if rw {
            rules.must(wrong, CKR_PIN_INCORRECT).must(!good_new_pin(new), CKR_PIN_LEN_RANGE);
        }
        if rules.judge(answer.rv)? {
            match so_in {
                true => token.so_pin = new.into(),
                false => token.user_pin = Some(new.into()),
            }
        }
        Ok(())
    }
}

fn good_new_pin(pin: &[u8]) -> bool {
    (4..=255).contains(&pin.len())
}
