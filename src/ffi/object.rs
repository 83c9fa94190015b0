//! Object management functions.

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_TEMPLATE_INCONSISTENT,
};

use super::attributes::Template;
use super::list::UpTo;
use super::scalar::Out;
use crate::error::Result;
use crate::provider;

/// `C_CreateObject`.
pub(super) fn create_object(
    session: CK_SESSION_HANDLE,
    template: Template<'_>,
    object: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| object.fill(|| call.create_object(template.read()?)))
}

/// `C_CopyObject`.
pub(super) fn copy_object(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template<'_>,
    copy: Out<'_, CK_OBJECT_HANDLE>,
) -> Result<()> {
    provider::with_session(session, |call| copy.fill(|| call.copy_object(object, template.read()?)))
}

/// `C_DestroyObject`.
pub(super) fn destroy_object(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.destroy_object(object))
}

/// `C_GetObjectSize`.
pub(super) fn object_size(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    size: Out<'_, CK_ULONG>,
) -> Result<()> {
    provider::with_session(session, |call| size.fill(|| call.object_size(object)))
}

/// `C_GetAttributeValue`.
pub(super) fn attribute_values(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template<'_>,
) -> Result<()> {
    provider::with_session(session, |call| {
        let questions = template.questions()?;
        let answers = call.attribute_values(object, &questions.kinds())?;
        questions.answer(&answers)
    })
}

/// `C_SetAttributeValue`.
pub(super) fn set_attribute_values(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template<'_>,
) -> Result<()> {
    provider::with_session(session, |call| call.set_attribute_values(object, template.read()?))
}

/// `C_FindObjectsInit`.
pub(super) fn find_init(session: CK_SESSION_HANDLE, template: Template<'_>) -> Result<()> {
    provider::with_session(session, |call| {
        // A template that nothing new could be made of is, to a search, a value that none has.
        let wanted = template.read().map_err(|error| {
            error.retold(&[CKR_TEMPLATE_INCONSISTENT], CKR_ATTRIBUTE_VALUE_INVALID)
        })?;
        call.find_init(wanted)
    })
}

/// `C_FindObjects`.
pub(super) fn find(session: CK_SESSION_HANDLE, objects: UpTo<'_, CK_OBJECT_HANDLE>) -> Result<()> {
    provider::with_session(session, |call| objects.fill(|most| call.find(most)))
}

/// `C_FindObjectsFinal`.
pub(super) fn find_final(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |call| call.find_final())
}
