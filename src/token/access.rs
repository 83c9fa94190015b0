//! From a slot to its token: which row, whether it is genuine, and how it changes.

use std::sync::Arc;

use cryptoki_sys::{
    CK_SLOT_ID, CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE, CKR_SESSION_EXISTS, CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_WRITE_PROTECTED,
};

use crate::error::{About, Error, Result};
use crate::os::secret::LockedSecret;
use crate::provider::{Provider, SlotState};
use crate::slot::{hierarchy_of, slot_number};
use crate::store::{Rows, TokenId, TokenRow};
use crate::token::attached::Attached;
use crate::token::login::prove_officer;
use crate::token::{init, secrets};
use crate::tpm::{Hierarchy, Status, Tpm};

impl Provider {
    /// The row of a slot's token as the store has it now. In the null slot a token of an earlier
    /// boot is none.
    pub(crate) fn token_row(&self, hierarchy: Hierarchy) -> Result<Option<TokenRow>> {
        let row = self.store.lock().token(slot_number(hierarchy))?;
        let Some(then) = row.as_ref().and_then(|row| row.reset_count) else { return Ok(row) };
        let now = self.engine.turn()?.clock()?.reset_count;
        Ok(row.filter(|_| then == now))
    }

    /// The slot's token, found genuine: read again when another process changed it. Who was logged in
    /// to another, which is gone, is logged out.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED`.
    pub(crate) fn token(&self, hierarchy: Hierarchy) -> Result<Option<Arc<Attached>>> {
        // Before the store is asked: a login made after it may be to a token that is newer still.
        let login = self.table.lock().token(hierarchy);
        let token = self.genuine_token(hierarchy)?;
        if let Some(id) = login
            && self.is_over(hierarchy, id, token.as_deref())?
        {
            log::warn!("the {} slot's token is another one: its login is over", hierarchy.name());
            self.log_out_of(hierarchy, id);
        }
        Ok(token)
    }

    /// Whether nobody can be logged in to the token `id` any more, where the slot has `now`.
    fn is_over(&self, hierarchy: Hierarchy, id: TokenId, now: Option<&Attached>) -> Result<bool> {
        match now {
            Some(now) => Ok(now.row.id != id),
            // A store that is away may come back with its token. What a reset ended does not.
            None if hierarchy == Hierarchy::Null => {
                Ok(self.store.lock().token_stamp(slot_number(hierarchy))?.is_some())
            }
            None => Ok(false),
        }
    }

    fn genuine_token(&self, hierarchy: Hierarchy) -> Result<Option<Arc<Attached>>> {
        let stamp = self.store.lock().token_stamp(slot_number(hierarchy))?;
        // A reset ends the null hierarchy's token without a trace in the store.
        if hierarchy == Hierarchy::Null && stamp.is_some() && self.token_row(hierarchy)?.is_none() {
            *self.slot(hierarchy).lock() = SlotState::Unknown;
            return Ok(None);
        }
        let mut state = self.slot(hierarchy).lock();
        let known = match (&*state, stamp) {
            (_, None) => {
                *state = SlotState::Unknown;
                return Ok(None);
            }
            (SlotState::Attached(token), Some((id, generation))) if token.row.id == id => {
                if token.row.generation == generation {
                    return Ok(Some(Arc::clone(token)));
                }
                Some(Arc::clone(&token.public_secret))
            }
            (SlotState::Unrecognized(other), Some((id, _))) if *other == id => {
                return self.unrecognized(hierarchy);
            }
            _ => None,
        };
        let Some(row) = self.token_row(hierarchy)? else { return Ok(None) };
        let id = row.id;
        let attached = match known {
            Some(secret) => Attached::with_secret(hierarchy, row, secret),
            None => {
                let mut turn = self.engine.turn()?;
                let once = Attached::by_public_object(&mut turn, hierarchy, row.clone());
                match once {
                    // What is remembered for good is not believed at one word: error answers are
                    // not authenticated.
                    Err(error) if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED => {
                        Attached::by_public_object(&mut turn, hierarchy, row)
                    }
                    other => other,
                }
            }
        };
        match attached {
            Ok(token) => {
                let token = Arc::new(token);
                *state = SlotState::Attached(Arc::clone(&token));
                Ok(Some(token))
            }
            Err(error) if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED => {
                log::error!(
                    "the {} slot's token is not recognized: another TPM made it, or this one was cleared since: {error}",
                    hierarchy.name()
                );
                *state = SlotState::Unrecognized(id);
                self.unrecognized(hierarchy)
            }
            Err(error) => Err(error),
        }
    }

    fn unrecognized(&self, hierarchy: Hierarchy) -> Result<Option<Arc<Attached>>> {
        if hierarchy == Hierarchy::Null {
            return Ok(None);
        }
        Err(not_recognized())
    }

    /// Looks again whether the slot's token is this TPM's, after the TPM refused something of it:
    /// it may have been cleared under a running process.
    pub(crate) fn recheck(&self, hierarchy: Hierarchy) {
        {
            let mut state = self.slot(hierarchy).lock();
            if matches!(*state, SlotState::Attached(_)) {
                *state = SlotState::Unknown;
            }
        }
        if let Err(error) = self.token(hierarchy) {
            log::debug!("the {} slot, looked at again: {error}", hierarchy.name());
        }
    }

    /// The slot's token that this process has found not to be this TPM's. Another may be there by now.
    pub(crate) fn unrecognized_token(&self, hierarchy: Hierarchy) -> Option<TokenId> {
        match *self.slot(hierarchy).lock() {
            SlotState::Unrecognized(id) => Some(id),
            SlotState::Unknown | SlotState::Attached(_) => None,
        }
    }

    /// Whether that one is still there.
    fn is_unrecognized(&self, hierarchy: Hierarchy) -> Result<bool> {
        let Some(found) = self.unrecognized_token(hierarchy) else { return Ok(false) };
        let stamp = self.store.lock().token_stamp(slot_number(hierarchy))?;
        Ok(stamp.is_some_and(|(id, _)| id == found))
    }

    /// The slot's token is genuine: a login has just opened it, and the public secret came along.
    pub(crate) fn attach_with(
        &self,
        hierarchy: Hierarchy,
        row: TokenRow,
        public_secret: LockedSecret,
    ) -> Result<()> {
        let token = Attached::with_secret(hierarchy, row, Arc::new(public_secret))?;
        *self.slot(hierarchy).lock() = SlotState::Attached(Arc::new(token));
        Ok(())
    }

    /// Stores `changed` in place of `token`'s row.
    ///
    /// Errors: `CKR_FUNCTION_FAILED` when another process changed it meanwhile,
    /// `CKR_TOKEN_WRITE_PROTECTED`.
    pub(crate) fn update_token(
        &self,
        hierarchy: Hierarchy,
        token: &Attached,
        changed: TokenRow,
    ) -> Result<()> {
        self.store.lock().update_token(token.row.generation, &changed, &token.public_rows)?;
        // The next call reads the row again and finds the secret still fits.
        self.token(hierarchy).map(|_| ())
    }

    /// PKCS#11 v3.1, C_InitToken.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_SESSION_EXISTS`, `CKR_PIN_INCORRECT` (also for a new PIN
    /// outside 4 to 255 bytes: the function has no other value for it), `CKR_PIN_LOCKED`,
    /// `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`, `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn init_token(&self, slot: CK_SLOT_ID, pin: &[u8], label: [u8; 32]) -> Result<()> {
        let hierarchy = hierarchy_of(slot)?;
        if self.session_counts(hierarchy).0 > 0 {
            return Err(Error::new(CKR_SESSION_EXISTS, "a session is open on this slot"));
        }
        let status = self.engine.turn()?.status()?;
        if !status.enabled(hierarchy) {
            return Err(Error::new(CKR_TOKEN_NOT_PRESENT, "the hierarchy is disabled"));
        }
        self.check_writable()?;
        let in_store = self.store.lock().token_stamp(slot_number(hierarchy))?.map(|(id, _)| id);
        let before = self.token_row(hierarchy)?;
        if let Some(row) = &before {
            // A wrong PIN of any length is a try; only a right one may be too short to set.
            let proved = prove_officer(&mut self.engine.turn()?, hierarchy, row, pin);
            proved.inspect_err(|error| {
                if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED {
                    self.recheck(hierarchy);
                }
            })?;
        }
        let (row, public_secret) = {
            let mut turn = self.engine.turn()?;
            init::make_token(&mut turn, hierarchy, pin, label)
                .map_err(|error| error.retold(&[CKR_PIN_LEN_RANGE], CKR_PIN_INCORRECT))?
        };
        let public_secret = LockedSecret::new(&public_secret[..]);
        let key = secrets::row_key(&public_secret, row.id, Rows::Public)?;
        self.store.lock().replace_token(in_store, &row, &key)?;
        *self.slot(hierarchy).lock() = SlotState::Unknown;
        self.handles.lock().drop_slot(slot);
        Ok(())
    }

    /// Refuses a change before the TPM is asked for what could not be stored.
    ///
    /// Errors: `CKR_TOKEN_WRITE_PROTECTED`.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.store.lock().writable()? {
            return Ok(());
        }
        let location = &self.config.store;
        let why = if location.read_only {
            "is read-only by configuration"
        } else {
            "cannot be written by this user"
        };
        let why = format!("the store {why}: {}", location.directory.display());
        Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, why))
    }

    /// Whether a session may be opened on the slot. The TPM must be there; it is asked nothing but
    /// whether a hierarchy that was disabled still is, and for a token in the null slot which boot
    /// this is.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`.
    pub(crate) fn check_present(&self, hierarchy: Hierarchy) -> Result<()> {
        let absent = |why| Error::new(CKR_TOKEN_NOT_PRESENT, why);
        if self.engine.turn().is_err() {
            return Err(absent("no TPM answers"));
        }
        let disabled = |status: Option<Status>| status.is_some_and(|s| !s.enabled(hierarchy));
        let last = *self.last_status.lock();
        if disabled(last) && disabled(self.status()) {
            return Err(absent("the hierarchy is disabled"));
        }
        let unrecognized = self.is_unrecognized(hierarchy)?;
        if hierarchy == Hierarchy::Owner {
            return if unrecognized { Err(not_recognized()) } else { Ok(()) };
        }
        let there = !unrecognized && self.token_row(hierarchy)?.is_some();
        if there || self.shows_blank(hierarchy) {
            return Ok(());
        }
        Err(absent("the slot's token is not initialised").concerning(About::NoTokenYet))
    }

    fn slot(&self, hierarchy: Hierarchy) -> &crate::os::lock::Lock<SlotState> {
        let [owner, endorsement, platform, null] = &self.slots;
        match hierarchy {
            Hierarchy::Owner => owner,
            Hierarchy::Endorsement => endorsement,
            Hierarchy::Platform => platform,
            Hierarchy::Null => null,
        }
    }
}

/// What a token that this TPM did not make is told as.
pub(crate) fn not_recognized() -> Error {
    let why = "another TPM made this token, or this one was cleared since";
    Error::new(CKR_TOKEN_NOT_RECOGNIZED, why).concerning(About::ForeignToken)
}
