//! What a slot and its token say of themselves.

use cryptoki_sys::{
    CK_EFFECTIVELY_INFINITE, CK_FLAGS, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO,
    CK_UNAVAILABLE_INFORMATION, CK_VERSION, CKF_DONT_BLOCK, CKF_DUAL_CRYPTO_OPERATIONS,
    CKF_HW_SLOT, CKF_LOGIN_REQUIRED, CKF_REMOVABLE_DEVICE, CKF_RESTORE_KEY_NOT_NEEDED, CKF_RNG,
    CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED, CKF_TOKEN_INITIALIZED,
    CKF_TOKEN_PRESENT, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_INITIALIZED,
    CKF_USER_PIN_LOCKED, CKF_WRITE_PROTECTED, CKR_FUNCTION_NOT_SUPPORTED, CKR_NO_EVENT,
    CKR_TOKEN_NOT_PRESENT,
};

use crate::error::{Error, Result};
use crate::provider::Provider;
use crate::slot::{hierarchy_of, slot_of};
use crate::store::TokenRow;
use crate::token::access::not_recognized;
use crate::token::secrets::{MAX_PIN_LEN, MIN_PIN_LEN};
use crate::tpm::{Hierarchy, Status, Tpm};

/// Who makes this module, in every structure that has a field for it.
pub const MANUFACTURER: &str = "Hierarkey";

/// What is in a slot at one moment.
enum Presence {
    /// No TPM, a disabled hierarchy, or a slot that shows nothing until it is initialised.
    Absent,
    /// A token that can be initialised.
    Blank,
    /// A token of the store.
    Token(Box<TokenRow>),
}

impl Provider {
    /// The slots: all four, or those with a token in them. PKCS#11 v3.1, C_GetSlotList.
    pub fn slot_list(&self, token_present: bool) -> Result<Vec<CK_SLOT_ID>> {
        if !token_present {
            return Ok(Hierarchy::ALL.map(slot_of).to_vec());
        }
        let Some(status) = self.status() else { return Ok(Vec::new()) };
        let full = |hierarchy: &Hierarchy| self.has_token(*hierarchy, status);
        Ok(Hierarchy::ALL.into_iter().filter(full).map(slot_of).collect())
    }

    /// PKCS#11 v3.1, C_GetSlotInfo.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`.
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Result<CK_SLOT_INFO> {
        let hierarchy = hierarchy_of(slot)?;
        let present = self.status().is_some_and(|status| self.has_token(hierarchy, status));
        let description = format!("TPM 2.0 {} hierarchy", hierarchy.name());
        let mut flags = CKF_HW_SLOT;
        if present {
            flags |= CKF_TOKEN_PRESENT;
        }
        // A slot that is not for removable tokens always has one in it. The owner hierarchy's has,
        // unless the TPM itself is gone; in the others tokens come and go.
        if hierarchy != Hierarchy::Owner {
            flags |= CKF_REMOVABLE_DEVICE;
        }
        Ok(CK_SLOT_INFO {
            slotDescription: blank_padded(&description),
            manufacturerID: blank_padded(MANUFACTURER),
            flags,
            hardwareVersion: CK_VERSION { major: 2, minor: 0 },
            firmwareVersion: CK_VERSION { major: 0, minor: 0 },
        })
    }

    /// PKCS#11 v3.1, C_GetTokenInfo. The flags about PINs are the TPM's own counter.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`.
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO> {
        let hierarchy = hierarchy_of(slot)?;
        let absent = || Error::new(CKR_TOKEN_NOT_PRESENT, "no token in this slot");
        let status = self.status().ok_or_else(absent)?;
        let row = match self.presence(hierarchy, status)? {
            Presence::Absent => return Err(absent()),
            Presence::Blank => None,
            Presence::Token(row) => Some(row),
        };
        // What can be saved of a session needs no key: digests only.
        let mut flags =
            CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED | CKF_DUAL_CRYPTO_OPERATIONS;
        if !self.store.lock().writable().unwrap_or(false) {
            flags |= CKF_WRITE_PROTECTED;
        }
        if let Some(row) = &row {
            flags |= CKF_TOKEN_INITIALIZED | pin_flags(status, row.user.is_some());
        }
        let (sessions, rw_sessions) = self.session_counts(hierarchy);
        let (label, serial) =
            row.as_ref().map_or(([b' '; 32], [b' '; 16]), |row| (row.label, row.serial));
        let row = row.as_deref();
        let text = |of: fn(&TokenRow) -> &str, otherwise| {
            row.map(of).filter(|text| !text.is_empty()).unwrap_or(otherwise)
        };
        Ok(CK_TOKEN_INFO {
            label,
            manufacturerID: blank_padded(text(|row| &row.manufacturer, MANUFACTURER)),
            model: blank_padded(text(|row| &row.model, "TPM 2.0")),
            serialNumber: serial,
            flags,
            ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
            ulSessionCount: sessions,
            ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
            ulRwSessionCount: rw_sessions,
            ulMaxPinLen: MAX_PIN_LEN as _,
            ulMinPinLen: MIN_PIN_LEN as _,
            ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
            hardwareVersion: CK_VERSION { major: 2, minor: 0 },
            firmwareVersion: firmware_version(row.map_or(0, |row| row.firmware)),
            utcTime: [b' '; 16],
        })
    }

    /// PKCS#11 v3.1, C_WaitForSlotEvent: slots here never change but by this application's own calls.
    ///
    /// Errors: `CKR_NO_EVENT` with CKF_DONT_BLOCK; otherwise `CKR_FUNCTION_NOT_SUPPORTED`, because a
    /// host that cancels a thread waiting in here would leave it undefined.
    pub fn wait_for_slot_event(&self, flags: CK_FLAGS) -> Result<CK_SLOT_ID> {
        if flags & CKF_DONT_BLOCK != 0 {
            return Err(Error::new(CKR_NO_EVENT, "slots have no events"));
        }
        Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "waiting for a slot is not offered"))
    }

    /// The TPM's state, or `None` where no TPM answers: the slots are then empty.
    pub(crate) fn status(&self) -> Option<Status> {
        let status = self.engine.turn().and_then(|mut turn| turn.status());
        let status = status.inspect_err(|error| log::warn!("no TPM: {error}")).ok();
        *self.last_status.lock() = status;
        status
    }

    /// Whether the slot shows a token, be it one that nothing can be done with.
    fn has_token(&self, hierarchy: Hierarchy, status: Status) -> bool {
        !matches!(self.presence(hierarchy, status), Ok(Presence::Absent))
    }

    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED`, of the owner's token: the other slots then show none.
    fn presence(&self, hierarchy: Hierarchy, status: Status) -> Result<Presence> {
        if !status.enabled(hierarchy) {
            return Ok(Presence::Absent);
        }
        let row = self.token_row(hierarchy).unwrap_or_else(|error| {
            // A store that cannot be read has no tokens; the log says why.
            log::warn!("the store cannot be read: {error}");
            None
        });
        match row {
            None if self.shows_blank(hierarchy) => Ok(Presence::Blank),
            None => Ok(Presence::Absent),
            Some(row) if self.unrecognized_token(hierarchy) == Some(row.id) => match hierarchy {
                Hierarchy::Owner => Err(not_recognized()),
                _ => Ok(Presence::Absent),
            },
            Some(row) => Ok(Presence::Token(Box::new(row))),
        }
    }

    /// Whether the slot shows a token before it is initialised: the owner's does, the others as
    /// they are configured.
    pub(crate) fn shows_blank(&self, hierarchy: Hierarchy) -> bool {
        let shown = &self.config.show_slots;
        match hierarchy {
            Hierarchy::Owner => true,
            Hierarchy::Endorsement => shown.endorsement,
            Hierarchy::Platform => shown.platform,
            Hierarchy::Null => shown.null,
        }
    }
}

/// All PINs of a TPM share its one dictionary-attack counter.
fn pin_flags(status: Status, user_pin: bool) -> CK_FLAGS {
    let (low, last, locked) = if status.locked_out() {
        (true, false, true)
    } else {
        let left = status.max_auth_fail.saturating_sub(status.lockout_counter);
        (status.lockout_counter > 0, left == 1, false)
    };
    let flag = |on: bool, flag| if on { flag } else { 0 };
    let officer = flag(low, CKF_SO_PIN_COUNT_LOW)
        | flag(last, CKF_SO_PIN_FINAL_TRY)
        | flag(locked, CKF_SO_PIN_LOCKED);
    let user = CKF_USER_PIN_INITIALIZED
        | flag(low, CKF_USER_PIN_COUNT_LOW)
        | flag(last, CKF_USER_PIN_FINAL_TRY)
        | flag(locked, CKF_USER_PIN_LOCKED);
    officer | flag(user_pin, user)
}

/// The two high numbers of TPM_PT_FIRMWARE_VERSION_1, as far as a byte holds them.
fn firmware_version(version: u64) -> CK_VERSION {
    let [_, major, _, minor, ..] = version.to_be_bytes();
    CK_VERSION { major, minor }
}

/// Text in a fixed field of PKCS#11: blank-padded, no NUL, cut at its length between characters.
pub fn blank_padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in field.iter_mut().zip(text.bytes().take(end)) {
        *to = if from == 0 { b' ' } else { from };
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_say_what_the_counter_says() {
        let status =
            |lockout_counter| Status { lockout_counter, max_auth_fail: 3, ..Status::default() };
        let user =
            |counter| pin_flags(status(counter), true) & !CKF_USER_PIN_INITIALIZED & 0x0f_0000;
        assert_eq!(user(0), 0);
        assert_eq!(user(1), CKF_USER_PIN_COUNT_LOW);
        assert_eq!(user(2), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
        assert_eq!(user(3), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED);
        assert_eq!(pin_flags(status(3), false) & CKF_USER_PIN_LOCKED, 0);
        assert_ne!(pin_flags(status(3), false) & CKF_SO_PIN_LOCKED, 0);
    }

    #[test]
    fn fields_are_padded_with_blanks_and_never_split_a_character() {
        assert_eq!(&blank_padded::<6>("ab"), b"ab    ");
        assert_eq!(&blank_padded::<3>("abcdef"), b"abc");
        assert_eq!(&blank_padded::<3>("aäö"), "aä".as_bytes());
        assert_eq!(&blank_padded::<4>("ääö"), "ää".as_bytes());
        assert_eq!(&blank_padded::<3>("a\0b"), b"a b");
    }
}
