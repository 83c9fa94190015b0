//! Key management functions.

use cryptoki_sys::{CK_INVALID_HANDLE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};

use super::attributes::Template;
use super::input::Input;
use super::mechanism::Mechanism;
use super::output::Output;
use super::scalar::Out;
use crate::error::Result;
use crate::mechanism::parameter::{MechanismChoice, Parameter};
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

/// `C_WrapKey`.
pub(super) fn wrap_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    wrapping_key: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    wrapped: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let choice = mechanism.for_wrapping()?;
        match call.wrap_key(&choice, wrapping_key, key, wrapped)? {
            Some(nonce) => mechanism.write_nonce(&nonce),
            None => Ok(()),
        }
    })
}

/// `C_WrapKeyAuthenticated`.
pub(super) fn wrap_key_authenticated(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    wrapping_key: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    aad: Input<'_>,
    wrapped: Output<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let (ckm, message) = mechanism.for_authenticated_wrapping(aad)?;
        let (given, places) = message.sealing()?;
        let choice = MechanismChoice { ckm, parameter: Parameter::Aead(given) };
        let sealed = call.wrap_key_authenticated(&choice, wrapping_key, key, wrapped)?;
        places.tell(sealed)
    })
}

/// `C_UnwrapKeyAuthenticated`.
pub(super) fn unwrap_key_authenticated(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    unwrapping_key: CK_OBJECT_HANDLE,
    wrapped: Input<'_>,
    template: Template<'_>,
    aad: Input<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        key.fill(|| {
            let (ckm, message) = mechanism.for_authenticated_wrapping(aad)?;
            let (given, tag) = message.opening()?;
            let choice = MechanismChoice { ckm, parameter: Parameter::Aead(given) };
            let (wrapped, template) = (wrapped.bytes()?, template.read()?);
            call.unwrap_key_authenticated(&choice, unwrapping_key, wrapped, &tag, &template)
        })
    })
}

/// `C_UnwrapKey`.
pub(super) fn unwrap_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    unwrapping_key: CK_OBJECT_HANDLE,
    wrapped: Input<'_>,
    template: Template<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        key.fill(|| {
            let mechanism = mechanism.for_wrapping()?;
            call.unwrap_key(&mechanism, unwrapping_key, wrapped.bytes()?, &template.read()?)
        })
    })
}

/// `C_DeriveKey`.
pub(super) fn derive_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    base_key: CK_OBJECT_HANDLE,
    template: Template<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        key.present()?;
        let choice = mechanism.required()?;
        let additional = mechanism.additional_keys()?;
        let mut templates = vec![template.read()?];
        for key in &additional {
            templates.push(key.template.read()?);
        }
        let mut places: Vec<_> =
            [key].into_iter().chain(additional.into_iter().map(|k| k.handle)).collect();
        let handles = call.derive_keys(&choice, base_key, &templates).map_err(|refused| {
            // Of several templates the one that was refused is told by its handle.
            let told = |at: &usize| places.len() > 1 && *at < places.len();
            if let Some(at) = refused.template.filter(told) {
                places.swap_remove(at).write(CK_INVALID_HANDLE);
            }
            refused.error
        })?;
        places.into_iter().zip(handles).for_each(|(place, handle)| place.write(handle));
        Ok(())
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

/// `C_EncapsulateKey`.
pub(super) fn encapsulate_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    public_key: CK_OBJECT_HANDLE,
    template: Template<'_>,
    ciphertext: Output<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        // Who asks for the length has no handle to get.
        if !ciphertext.is_query() {
            key.present()?;
        }
        let mechanism = mechanism.required()?;
        let made = call.encapsulate_key(&mechanism, public_key, &template.read()?, ciphertext)?;
        if let Some(handle) = made {
            key.write(handle);
        }
        Ok(())
    })
}

/// `C_DecapsulateKey`.
pub(super) fn decapsulate_key(
    session: CK_SESSION_HANDLE,
    mechanism: Mechanism<'_>,
    private_key: CK_OBJECT_HANDLE,
    template: Template<'_>,
    ciphertext: Input<'_>,
    key: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| {
        key.fill(|| {
            let mechanism = mechanism.required()?;
            call.decapsulate_key(&mechanism, private_key, ciphertext.bytes()?, &template.read()?)
        })
    })
}
