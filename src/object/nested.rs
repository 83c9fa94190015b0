//! Templates within a key: what they ask of keys that are wrapped, unwrapped or derived with it.

use cryptoki_sys::CK_ATTRIBUTE_TYPE;

use super::creation::inconsistent;
use super::reading::is_hidden;
use super::value::{AttributeSet, Value};
use crate::error::Result;

/// Whether `object` is as the template `cka` of `key` wants it; a key without one wants nothing.
///
/// PKCS#11 v3.1, C_WrapKey: by the rules of C_FindObjects.
pub fn fits(key: &AttributeSet, cka: CK_ATTRIBUTE_TYPE, object: &AttributeSet) -> bool {
    match key.get(cka) {
        Some(Value::Template(wanted)) => wanted
            .iter()
            .all(|(cka, value)| object.get(cka) == Some(value) && !is_hidden(object, cka)),
        _ => true,
    }
}

/// `template` with what the template `cka` of `key` adds to it.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` where both say something else of one attribute.
///
/// PKCS#11 v3.1, C_UnwrapKey and C_DeriveKey.
pub fn add(
    key: &AttributeSet,
    cka: CK_ATTRIBUTE_TYPE,
    mut template: AttributeSet,
) -> Result<AttributeSet> {
    if let Some(Value::Template(added)) = key.get(cka) {
        for (cka, value) in added.iter() {
            if template.insert(cka, value.clone()).is_some_and(|given| given != *value) {
                return Err(inconsistent("the key's own template says something else"));
            }
        }
    }
    Ok(template)
}
