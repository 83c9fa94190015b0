//! Keys whose policy asks for somebody else's authorization at each use: PolicySecret(approver) +
//! PolicyAuthValue (`policy.rs`), with userWithAuth clear.
//!
//! The policy is run for one command and ends with it: key, approver and policy session are gone from
//! the TPM when the turn ends.

use std::sync::Arc;

use cryptoki_sys::CKR_USER_NOT_LOGGED_IN;

use crate::error::{Error, Result};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Use};
use crate::tpm::public::needs_approval;
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::Writer;
use crate::tpm::{Approver, Key, SecretBytes};

impl Turn<'_> {
    /// Uses keys whose policy asks for it with the authorization of `approver`, until the turn ends.
    pub fn approve(&mut self, approver: Arc<Approver>) {
        self.approver = Some(approver);
    }

    /// Sends one command with a key whose policy asks for approval.
    ///
    /// The approver's authorization, which may be a PIN's, is proved in an auth session salted to the
    /// parent, after the TPM has loaded everything and so has shown that it is the right one. The
    /// policy session needs no salt: the key's authValue of 32 random bytes makes it as strong.
    pub(super) fn with_approved_key(
        &mut self,
        key: &Key<'_>,
        code: u32,
        secret: u8,
        parameters: &Writer,
    ) -> Attempt<SecretBytes> {
        let approver = self.approver.clone().ok_or_else(unapproved)?;
        let parent = self.parent(key.parent)?;
        let kept = self.session(Some((&parent, key.parent)))?;
        let (object, mut policy) = self.in_session(kept, false, |turn, session, _| {
            let object = turn.load_temporary(&parent, key.blob, session)?;
            let authority = turn.load_temporary(&parent, &approver.blob, session)?;
            let policy = turn.policy_session()?;
            turn.policy_secret(&authority, &approver.auth, &policy, session)?;
            turn.flush_temporary(authority.number);
            Ok((object, policy))
        })?;
        self.policy_auth_value(&mut policy)?;
        let handle = policy.handle;
        let command = Command::new(code)?.handle(object.clone()).parameters(parameters.clone());
        let used = Use { session: &mut policy, auth: key.auth.bytes(), attributes: secret };
        let response = self.send(command, Authorization::Sessions(vec![used]))?;
        // It ended with the command that it authorized.
        self.state.loaded.drop_temporary(handle);
        self.flush_temporary(object.number);
        Ok(response.parameters)
    }
}

/// Whether the use of `key` may be tried again after the TPM may have seen it.
pub(super) fn repeat(key: &Key<'_>) -> Result<Repeat> {
    Ok(if needs_approval(&key.blob.public)? { Repeat::Never } else { Repeat::Safe })
}

fn unapproved() -> Failure {
    Failure::Refused(Error::new(
        CKR_USER_NOT_LOGGED_IN,
        "the key's policy asks for an authorization at each use",
    ))
}
