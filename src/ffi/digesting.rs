//! Message digesting functions.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKF_DIGEST};

use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use crate::error::Result;
use crate::provider;

/// `C_DigestInit`.
pub(super) fn digest_init(session: CK_SESSION_HANDLE, mechanism: Mechanism<'_>) -> Result<()> {
    provider::with_session(session, |call| call.digest_init(mechanism.choice()?))
}

/// `C_Digest`.
pub(super) fn digest(
    session: CK_SESSION_HANDLE,
    data: Input<'_>,
    digest: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let data = data.bytes_beside(&digest, call, CKF_DIGEST)?;
        call.digest(&data, digest)
    })
}

/// `C_DigestUpdate`.
pub(super) fn digest_update(session: CK_SESSION_HANDLE, part: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_of(call, CKF_DIGEST)?;
        call.digest_update(part)
    })
}

/// `C_DigestKey`.
pub(super) fn digest_key(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.digest_key(key))
}

/// `C_DigestFinal`.
pub(super) fn digest_final(session: CK_SESSION_HANDLE, digest: Output<'_>) -> Result<()> {
    provider::with_session(session, |call| call.digest_final(digest))
}
