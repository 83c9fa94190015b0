//! Login and PINs of the token behind this session.

use std::sync::Arc;

use cryptoki_sys::{
    CK_USER_TYPE, CKR_FUNCTION_FAILED, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_SESSION_READ_ONLY,
    CKR_SESSION_READ_ONLY_EXISTS, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_NOT_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED, CKR_USER_TYPE_INVALID,
    CKU_CONTEXT_SPECIFIC, CKU_SO, CKU_USER,
};

use crate::error::{Error, Result};
use crate::session::Call;
use crate::session::object::not_initialized;
use crate::session::table::Table;
use crate::store::TokenRow;
use crate::token::login::{prove_officer, prove_user};
use crate::token::secrets::Role;
use crate::token::{Login, OfficerLogin, init};

impl Call<'_> {
    /// Proves `pin` to the TPM and lets the user or the security officer in, for all sessions of
    /// the application on this slot. PKCS#11 v3.1, C_Login.
    ///
    /// Errors: `CKR_PIN_INCORRECT`, `CKR_PIN_LOCKED`, `CKR_USER_ALREADY_LOGGED_IN`,
    /// `CKR_USER_ANOTHER_ALREADY_LOGGED_IN`, `CKR_USER_PIN_NOT_INITIALIZED`,
    /// `CKR_USER_TYPE_INVALID`, `CKR_SESSION_READ_ONLY_EXISTS`; `CKR_OPERATION_NOT_INITIALIZED` for a
    /// context-specific login that nothing waits for.
    pub fn login(&mut self, user_type: CK_USER_TYPE, pin: &[u8]) -> Result<()> {
        self.login_user(user_type, pin, &[])
    }

    /// Logs in with a user name. PKCS#11 v3.1, C_LoginUser.
    ///
    /// Tokens here have one user and one security officer, who have no names: an empty one is
    /// `C_Login`. Another is the wrong one, `CKR_PIN_INCORRECT` without a try being spent, where
    /// `C_Login` would have tried the PIN; whatever keeps that from it comes first.
    ///
    /// Errors: as [`login`](Self::login).
    pub fn login_user(&mut self, user_type: CK_USER_TYPE, pin: &[u8], name: &[u8]) -> Result<()> {
        let role = match user_type {
            CKU_USER => Role::User,
            CKU_SO => Role::SecurityOfficer,
            CKU_CONTEXT_SPECIFIC => return self.context_login(pin, name),
            _ => return Err(Error::new(CKR_USER_TYPE_INVALID, "no such user type")),
        };
        // Whoever was in to a token that is gone is out by now, and in nobody's way.
        self.login_now();
        self.may_log_in(&self.provider.table.lock(), role)?;
        let hierarchy = self.cell.hierarchy;
        let row = self.provider.token_row(hierarchy)?.ok_or_else(not_initialized)?;
        check_name(name)?;
        let (who, public_secret) = {
            let mut turn = self.provider.engine.turn()?;
            match role {
                Role::User => {
                    let (user, secret) = prove_user(&mut turn, hierarchy, &row, pin)?;
                    (Login::User(Arc::new(user)), secret)
                }
                Role::SecurityOfficer => {
                    let (officer, secret) = prove_officer(&mut turn, hierarchy, &row, pin)?;
                    (Login::SecurityOfficer(Arc::new(officer)), secret)
                }
            }
        };
        self.provider.attach_with(hierarchy, row, public_secret)?;
        // Meanwhile another thread may have logged somebody in, or closed this session.
        let mut table = self.provider.table.lock();
        self.may_log_in(&table, role)?;
        table.get(self.cell.handle)?;
        table.log_in(hierarchy, who);
        Ok(())
    }

    /// PKCS#11 v3.1, C_Logout: private objects and what was begun with them are gone.
    ///
    /// Errors: `CKR_USER_NOT_LOGGED_IN`.
    pub fn logout(&mut self) -> Result<()> {
        if !self.provider.log_out(self.cell.hierarchy) {
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, "nobody is logged in"));
        }
        Ok(())
    }

    /// Sets the user's PIN by the security officer's authority. PKCS#11 v3.1, C_InitPIN.
    ///
    /// Private keys stay usable. Errors: `CKR_USER_NOT_LOGGED_IN` outside the R/W SO state,
    /// `CKR_PIN_LEN_RANGE`, `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn init_pin(&mut self, pin: &[u8]) -> Result<()> {
        let Login::SecurityOfficer(officer) = self.login.who.clone() else {
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, "C_InitPIN is the security officer's"));
        };
        init::check_new_pin(pin)?;
        let hierarchy = self.cell.hierarchy;
        self.provider.check_writable()?;
        let token = self.initialized_token()?;
        if officer.token != token.row.id {
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, "the token was initialised anew"));
        }
        let user = {
            let mut turn = self.provider.engine.turn()?;
            init::set_user_pin(&mut turn, &token, &officer, pin).map_err(of_the_officer)?
        };
        let changed = TokenRow { user: Some(user), ..token.row.clone() };
        self.provider.update_token(hierarchy, &token, changed)
    }

    /// Changes the PIN of whoever this session's state says. PKCS#11 v3.1, C_SetPIN.
    ///
    /// Errors: `CKR_SESSION_READ_ONLY`, `CKR_PIN_INCORRECT`, `CKR_PIN_LOCKED`,
    /// `CKR_PIN_LEN_RANGE`, `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn set_pin(&mut self, old: &[u8], new: &[u8]) -> Result<()> {
        if !self.cell.read_write {
            return Err(Error::new(CKR_SESSION_READ_ONLY, "a PIN changes in a R/W session only"));
        }
        init::check_new_pin(new)?;
        let hierarchy = self.cell.hierarchy;
        self.provider.check_writable()?;
        let token = self.initialized_token()?;
        let role = match self.login.who.officer(token.row.id) {
            Some(_) => Role::SecurityOfficer,
            None => Role::User,
        };
        let (blob, auth) = {
            let mut turn = self.provider.engine.turn()?;
            init::change_pin(&mut turn, &token, role, old, new).map_err(of_no_pin)?
        };
        let mut changed = token.row.clone();
        match role {
            Role::User => changed.user = Some(blob),
            Role::SecurityOfficer => changed.so = blob,
        }
        self.provider.update_token(hierarchy, &token, changed)?;
        if role == Role::SecurityOfficer {
            let officer = OfficerLogin { token: token.row.id, auth };
            self.provider.table.lock().renew_officer(hierarchy, officer);
        }
        Ok(())
    }

    fn may_log_in(&self, table: &Table, role: Role) -> Result<()> {
        let hierarchy = self.cell.hierarchy;
        table.get(self.cell.handle)?;
        match (&table.login(hierarchy).who, role) {
            (Login::Public, _) => {}
            (Login::User(_), Role::User) | (Login::SecurityOfficer(_), Role::SecurityOfficer) => {
                return Err(Error::new(CKR_USER_ALREADY_LOGGED_IN, "already logged in"));
            }
            _ => {
                return Err(Error::new(
                    CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
                    "the other role is logged in",
                ));
            }
        }
        if role == Role::SecurityOfficer && table.on(hierarchy).any(|cell| !cell.read_write) {
            return Err(Error::new(CKR_SESSION_READ_ONLY_EXISTS, "a read-only session is open"));
        }
        Ok(())
    }
}

/// Errors: `CKR_PIN_INCORRECT` for the name of a user.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    if name.is_empty() {
        return Ok(());
    }
    Err(Error::new(CKR_PIN_INCORRECT, "this token's users have no names"))
}

/// C_InitPIN has no value for a PIN that is locked or wrong: its caller gave none but the new one.
/// What the TPM said is in CK_SESSION_INFO.
fn of_the_officer(error: Error) -> Error {
    error.retold(&[CKR_PIN_LOCKED, CKR_PIN_INCORRECT], CKR_FUNCTION_FAILED)
}

/// C_SetPIN has no value for a PIN that was never set: no old PIN is the right one.
fn of_no_pin(error: Error) -> Error {
    error.retold(&[CKR_USER_PIN_NOT_INITIALIZED], CKR_PIN_INCORRECT)
}
