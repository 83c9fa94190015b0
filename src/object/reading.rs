//! What `C_GetAttributeValue` and `C_GetObjectSize` answer.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CKA_EXTRACTABLE, CKA_SENSITIVE};

use super::attribute::{self, Holders};
use super::template::AttributeAnswer;
use super::value::AttributeSet;

/// What `object` says of its attribute `kind`.
///
/// A secret attribute of a sensitive or unextractable key is not shown, whether it is kept anywhere
/// outside the TPM or not.
///
/// PKCS#11 v3.1, C_GetAttributeValue; "Common attributes", footnote 7.
pub fn answer(object: &AttributeSet, kind: CK_ATTRIBUTE_TYPE) -> AttributeAnswer {
    if is_hidden(object, kind) {
        return AttributeAnswer::Sensitive;
    }
    object.get(kind).and_then(|value| value.to_application()).map_or(
        AttributeAnswer::Invalid,
        |mut value| {
            // Taken out, not copied: the bytes are the caller's now.
            AttributeAnswer::Value(std::mem::take(&mut *value))
        },
    )
}

/// Whether nobody is told the attribute `kind` of `object`, nor whether it has a certain value.
pub(super) fn is_hidden(object: &AttributeSet, kind: CK_ATTRIBUTE_TYPE) -> bool {
    let guarded = || object.is_true(CKA_SENSITIVE) || object.bool(CKA_EXTRACTABLE) == Some(false);
    Holders::of(object)
        .and_then(|holder| attribute::find(kind, holder))
        .is_some_and(|row| row.secret && guarded())
}

/// How large `object` is: the bytes of its attributes at rest.
///
/// PKCS#11 v3.1, C_GetObjectSize.
pub fn size(object: &AttributeSet) -> u64 {
    object.encoded_len() as u64
}
