//! Templates within a key: what they ask of keys that are wrapped, unwrapped or derived with it.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CKR_TEMPLATE_INCONSISTENT};

use super::attribute;
use super::reading::is_hidden;
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

/// Whether `object` is as the template `cka` of `key` wants it; a key without one wants nothing.
///
/// As a search matches: an attribute that is not shown matches nothing, so that wrapping is no way
/// to guess a key.
///
/// PKCS#11 v3.1, C_WrapKey.
pub fn fits(key: &AttributeSet, cka: CK_ATTRIBUTE_TYPE, object: &AttributeSet) -> bool {
    within(key, cka).all(|(cka, value)| !is_hidden(object, cka) && object.get(cka) == Some(value))
}

/// `template` with what the template `cka` of `key` adds to it, which is held to the rules of
/// templates as if the application had said it.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` where both say something else of one attribute.
///
/// PKCS#11 v3.1, C_UnwrapKey and C_DeriveKey.
pub fn add(
    key: &AttributeSet,
    cka: CK_ATTRIBUTE_TYPE,
    mut template: AttributeSet,
) -> Result<AttributeSet> {
    for (added, value) in within(key, cka) {
        if template.insert(added, value.clone()).is_some_and(|given| given != *value) {
            return Err(conflict(added, cka));
        }
    }
    Ok(template)
}

/// Whether the new key `object` came out with all that [`add`] asked for: the defaults of a kind of
/// key may have dropped a usage that it cannot serve beside others.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT`.
pub fn check_added(
    key: &AttributeSet,
    cka: CK_ATTRIBUTE_TYPE,
    object: &AttributeSet,
) -> Result<()> {
    match within(key, cka).find(|(added, value)| object.get(*added) != Some(*value)) {
        Some((added, _)) => Err(conflict(added, cka)),
        None => Ok(()),
    }
}

fn within(
    key: &AttributeSet,
    cka: CK_ATTRIBUTE_TYPE,
) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &Value)> {
    let template = match key.get(cka) {
        Some(Value::Template(template)) => Some(template),
        _ => None,
    };
    template.into_iter().flat_map(AttributeSet::iter)
}

fn conflict(added: CK_ATTRIBUTE_TYPE, cka: CK_ATTRIBUTE_TYPE) -> Error {
    let (added, cka) = (attribute::name(added), attribute::name(cka));
    Error::new(CKR_TEMPLATE_INCONSISTENT, format!("{added} is not what {cka} asks for"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Path, new_object};
    use super::*;
    use cryptoki_sys::*;

    fn key(sensitive: bool) -> AttributeSet {
        AttributeSet::new()
            .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
            .with(CKA_KEY_TYPE, ulong(CKK_AES))
            .with(CKA_VALUE, Value::bytes(*b"key"))
            .with(CKA_LABEL, Value::bytes(*b"backup"))
            .with(CKA_SENSITIVE, Value::Bool(sensitive))
            .with(CKA_EXTRACTABLE, TRUE)
    }

    fn with(kind: CK_ATTRIBUTE_TYPE, template: AttributeSet) -> AttributeSet {
        AttributeSet::new().with(kind, Value::Template(template))
    }

    fn one(cka: CK_ATTRIBUTE_TYPE, value: Value) -> AttributeSet {
        AttributeSet::new().with(cka, value)
    }

    fn told<T>(result: Result<T>) -> Told<T> {
        result.map_err(|error| error.ck_rv())
    }

    #[test]
    fn c119_a_wrap_template_is_matched_as_a_search_is() {
        let wrap =
            |template| fits(&with(CKA_WRAP_TEMPLATE, template), CKA_WRAP_TEMPLATE, &key(true));
        let label = |text: &[u8]| Value::bytes(text);
        assert!(wrap(AttributeSet::new()));
        assert!(wrap(one(CKA_LABEL, label(b"backup"))));
        assert!(wrap(one(CKA_LABEL, label(b"backup")).with(CKA_EXTRACTABLE, TRUE)));
        for refused in [
            one(CKA_LABEL, label(b"backups")),
            one(CKA_LABEL, label(b"")),
            one(CKA_LABEL, label(b"backup")).with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET)),
            one(CKA_ID, label(b"")),
            one(CKA_WRAP_TEMPLATE, Value::Template(AttributeSet::new())),
        ] {
            assert!(!wrap(refused));
        }
        assert!(fits(&AttributeSet::new(), CKA_WRAP_TEMPLATE, &key(true)));
    }

    #[test]
    fn c119_a_wrap_template_is_no_way_to_guess_a_key() {
        let guess = with(CKA_WRAP_TEMPLATE, one(CKA_VALUE, Value::bytes(*b"key")));
        assert!(!fits(&guess, CKA_WRAP_TEMPLATE, &key(true)));
        assert!(fits(&guess, CKA_WRAP_TEMPLATE, &key(false)));
    }

    #[test]
    fn c120_an_unwrap_template_is_added_and_a_conflict_is_inconsistent() {
        for kind in [CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE] {
            let base = with(kind, one(CKA_SENSITIVE, TRUE).with(CKA_EXTRACTABLE, FALSE));
            let given = one(CKA_LABEL, Value::bytes(*b"l"));
            let all = given.clone().with(CKA_SENSITIVE, TRUE).with(CKA_EXTRACTABLE, FALSE);
            assert_eq!(told(add(&base, kind, given.clone())), Ok(all.clone()));
            assert_eq!(told(add(&base, kind, all.clone())), Ok(all.clone()));
            let conflicting = given.clone().with(CKA_EXTRACTABLE, TRUE);
            assert_eq!(told(add(&base, kind, conflicting.clone())), Err(CKR_TEMPLATE_INCONSISTENT));
            assert_eq!(told(add(&AttributeSet::new(), kind, given.clone())), Ok(given));
        }
        let other = with(CKA_DERIVE_TEMPLATE, one(CKA_SENSITIVE, TRUE));
        let none = AttributeSet::new();
        assert_eq!(told(add(&other, CKA_UNWRAP_TEMPLATE, none.clone())), Ok(none));
    }

    #[test]
    fn c120_what_an_unwrap_template_adds_is_held_to_the_rules_of_templates() {
        let unwrap = |template| {
            let base = with(CKA_UNWRAP_TEMPLATE, template);
            let given =
                one(CKA_CLASS, ulong(CKO_SECRET_KEY)).with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET));
            let object = add(&base, CKA_UNWRAP_TEMPLATE, given.clone())
                .and_then(|template| new_object(Path::Unwrap, &template, USER));
            told(object.and_then(|object| {
                check_added(&base, CKA_UNWRAP_TEMPLATE, &object)?;
                Ok(object)
            }))
        };
        assert!(unwrap(one(CKA_SIGN, TRUE)).unwrap().is_true(CKA_SIGN));
        assert_eq!(unwrap(one(CKA_TRUSTED, TRUE)), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(unwrap(one(CKA_LOCAL, TRUE)), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(unwrap(one(CKA_MODULUS, Value::bytes([1]))), Err(CKR_TEMPLATE_INCONSISTENT));
        // Beside another usage, one that such a key cannot serve is dropped for an application.
        let both = one(CKA_SIGN, TRUE).with(CKA_ENCRYPT, TRUE);
        assert_eq!(unwrap(both), Err(CKR_TEMPLATE_INCONSISTENT));
    }
}
