//! Key management functions.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE};

use super::attributes::Template;
use super::mechanism::Mechanism;
use super::scalar::Out;
use crate::error::Result;
use crate::provider;

/// `C_GenerateKey`.
pub(super) fn generate_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    template: Template<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        key.fill(|| call.generate_key(mechanism.required()?, template.read()?))
    })
}

/// `C_GenerateKeyPair`.
pub(super) fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    public_template: Template<'_>,
    private_template: Template<'_>,
    public_key: Out<'_, CK_OBJECT_HANDLE>,
    private_key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        public_key.fill_with(private_key, || {
            let mechanism = mechanism.required()?;
            call.generate_key_pair(mechanism, public_template.read()?, private_template.read()?)
        })
    })
}
