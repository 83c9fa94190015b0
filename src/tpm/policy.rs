//! Policies: what an object's authPolicy is made of, and how it is fulfilled.
//! TPM 2.0 Part 1, "Enhanced Authorization (EA)".
//!
//! Each policy stands here twice. A template holds its digest, computed here; a policy session comes
//! to the same digest by the commands that it is made of.
//!
//! | policy | of | lets whoever fulfils it |
//! |---|---|---|
//! | PolicySecret(approver) + PolicyAuthValue | a key that asks for the PIN each time | use the key |
//! | PolicySecret(officer) + PolicyCommandCode(TPM2_ObjectChangeAuth) | the user's sealed object | give it another PIN |
//! | PolicyAuthValue + PolicyCommandCode(TPM2_Duplicate) | a key that may leave | take it out |

use sha2::{Digest, Sha256};
use tss_esapi::constants::tss as tpm2;

use crate::error::Result;
use crate::tpm::Auth;
use crate::tpm::auth_session::{AuthSession, CONTINUE};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Handle, Use};
use crate::tpm::public::object_name;
use crate::tpm::wire::Writer;

/// Bytes of a policy's digest.
const DIGEST: usize = 32;

/// The authPolicy of a key that asks for the authorization of `approver`, a TPM2B_PUBLIC, at each use,
/// and for its own authValue: PolicySecret(approver) + PolicyAuthValue. It names the approver by its
/// Name, which no change of authValue alters.
///
/// Errors: `CKR_DEVICE_ERROR` when it is no public area.
pub fn approval_policy(approver: &[u8]) -> Result<[u8; DIGEST]> {
    Ok(auth_value(secret(&object_name(approver)?)))
}

/// The authPolicy of an object whose authValue `officer`, a TPM2B_PUBLIC, may change:
/// PolicySecret(officer) + PolicyCommandCode(TPM2_ObjectChangeAuth).
///
/// Errors: as [`approval_policy`].
pub(super) fn officer_policy(officer: &[u8]) -> Result<[u8; DIGEST]> {
    Ok(command_code(secret(&object_name(officer)?), tpm2::TPM2_CC_ObjectChangeAuth))
}

/// The authPolicy of a key that may leave: PolicyAuthValue + PolicyCommandCode(TPM2_Duplicate).
pub(super) fn duplication_policy() -> [u8; DIGEST] {
    command_code(auth_value([0; DIGEST]), tpm2::TPM2_CC_Duplicate)
}

/// PolicySecret(authority), the first of a policy. TPM 2.0 Part 3, TPM2_PolicySecret.
fn secret(authority: &[u8]) -> [u8; DIGEST] {
    // policyRef is empty, and is hashed all the same.
    Sha256::digest(extended([0; DIGEST], tpm2::TPM2_CC_PolicySecret, authority)).into()
}

/// `before` + PolicyAuthValue. TPM 2.0 Part 3, TPM2_PolicyAuthValue.
fn auth_value(before: [u8; DIGEST]) -> [u8; DIGEST] {
    extended(before, tpm2::TPM2_CC_PolicyAuthValue, &[])
}

/// `before` + PolicyCommandCode(code). TPM 2.0 Part 3, TPM2_PolicyCommandCode.
fn command_code(before: [u8; DIGEST], code: u32) -> [u8; DIGEST] {
    extended(before, tpm2::TPM2_CC_PolicyCommandCode, &code.to_be_bytes())
}

fn extended(before: [u8; DIGEST], command: u32, argument: &[u8]) -> [u8; DIGEST] {
    Sha256::new()
        .chain_update(before)
        .chain_update(command.to_be_bytes())
        .chain_update(argument)
        .finalize()
        .into()
}

impl Turn<'_> {
    /// A policy session, which ends with the turn at the latest.
    pub(super) fn policy_session(&mut self) -> Attempt<AuthSession> {
        let policy = self.start(tpm2::TPM2_RH_NULL, None, tpm2::TPM2_SE_POLICY)?;
        self.state.loaded.add_temporary(policy.handle);
        Ok(policy)
    }

    /// TPM2_PolicySecret: proves in `session` that `authority` authorizes what `policy` is used for.
    pub(super) fn policy_secret(
        &mut self,
        authority: &Handle,
        auth: &Auth,
        policy: &AuthSession,
        session: &mut AuthSession,
    ) -> Attempt<()> {
        let command = Command::new(tpm2::TPM2_CC_PolicySecret)?
            .handle(authority.clone())
            .handle(Handle::permanent(policy.handle))
            // nonceTPM, cpHashA and policyRef empty, no expiration.
            .parameters(Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0));
        let used = Use { session, auth: auth.bytes(), attributes: CONTINUE };
        self.pin_told = true;
        self.send(command, Authorization::Sessions(vec![used])).map_err(Failure::tried)?;
        Ok(())
    }

    /// TPM2_PolicyAuthValue: what `policy` is used for proves the object's authValue too.
    pub(super) fn policy_auth_value(&mut self, policy: &mut AuthSession) -> Attempt<()> {
        let command =
            Command::new(tpm2::TPM2_CC_PolicyAuthValue)?.handle(Handle::permanent(policy.handle));
        self.send(command, Authorization::None)?;
        policy.prove_auth_value();
        Ok(())
    }

    /// TPM2_PolicyCommandCode: `policy` is used for the command `code` (TPM_CC) only.
    pub(super) fn policy_command_code(&mut self, policy: &AuthSession, code: u32) -> Attempt<()> {
        let command = Command::new(tpm2::TPM2_CC_PolicyCommandCode)?
            .handle(Handle::permanent(policy.handle))
            .parameters(Writer::new().u32(code));
        self.send(command, Authorization::None).map(drop)
    }
}
