//! Dual-function cryptographic functions.

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CKF_DECRYPT, CKF_DIGEST, CKF_ENCRYPT, CKF_SIGN, CKF_VERIFY,
};

use super::input::Input;
use super::output::Output;
use crate::error::Result;
use crate::provider::{self, Call};

/// `C_DigestEncryptUpdate`.
pub(super) fn digest_encrypt_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    run(session, part, result, CKF_DIGEST | CKF_ENCRYPT, |call, part, result| {
        call.digest_encrypt_update(part, result)
    })
}

/// `C_DecryptDigestUpdate`.
pub(super) fn decrypt_digest_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    run(session, part, result, CKF_DECRYPT | CKF_DIGEST, |call, part, result| {
        call.decrypt_digest_update(part, result)
    })
}

/// `C_SignEncryptUpdate`.
pub(super) fn sign_encrypt_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    run(session, part, result, CKF_SIGN | CKF_ENCRYPT, |call, part, result| {
        call.sign_encrypt_update(part, result)
    })
}

/// `C_DecryptVerifyUpdate`.
pub(super) fn decrypt_verify_update(
    session: CK_SESSION_HANDLE,
    part: Input<'_>,
    result: Output<'_>,
) -> Result<()> {
    run(session, part, result, CKF_DECRYPT | CKF_VERIFY, |call, part, result| {
        call.decrypt_verify_update(part, result)
    })
}

fn run<'a>(
    session: CK_SESSION_HANDLE,
    part: Input<'a>,
    result: Output<'a>,
    operations: CK_FLAGS,
    update: impl FnOnce(&mut Call<'_>, &[u8], Output<'a>) -> Result<()>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let part = part.bytes_beside(&result, call, operations)?;
        update(call, &part, result)
    })
}
