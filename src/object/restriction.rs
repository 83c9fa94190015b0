//! What a key asks of the keys that it wraps, unwraps and derives: `CKA_WRAP_TEMPLATE`,
//! `CKA_UNWRAP_TEMPLATE` and `CKA_DERIVE_TEMPLATE`.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_WRAP_TEMPLATE, CKR_KEY_HANDLE_INVALID, CKR_TEMPLATE_INCONSISTENT,
};

use super::attribute;
use super::reading::is_hidden;
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

/// Whether `object` has every attribute of `template`, with the same value: as a search would match
/// it, so that an attribute that is not shown matches nothing.
///
/// PKCS#11 v3.1, C_WrapKey.
pub fn satisfies(template: &AttributeSet, object: &AttributeSet) -> bool {
    unsatisfied(template, object).is_none()
}

fn unsatisfied(template: &AttributeSet, object: &AttributeSet) -> Option<CK_ATTRIBUTE_TYPE> {
    let matches = |(kind, value)| !is_hidden(object, kind) && object.get(kind) == Some(value);
    template.iter().find(|attribute| !matches(*attribute)).map(|(kind, _)| kind)
}

/// Whether the CKA_WRAP_TEMPLATE of `wrapping`, if it has one, lets it wrap `key`.
///
/// Errors: `CKR_KEY_HANDLE_INVALID`. PKCS#11 v3.1, C_WrapKey.
pub fn may_wrap(wrapping: &AttributeSet, key: &AttributeSet) -> Result<()> {
    match unsatisfied(held(wrapping, CKA_WRAP_TEMPLATE), key) {
        Some(kind) => {
            let why = format!("{} is not what CKA_WRAP_TEMPLATE asks for", attribute::name(kind));
            Err(Error::new(CKR_KEY_HANDLE_INVALID, why))
        }
        None => Ok(()),
    }
}

/// The application's `template` for a new key with what `base`, which unwraps or derives it, adds:
/// the attributes of `base`'s `kind`, CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE, if it has one.
/// What it adds is held to the rules of templates as if the application had said it.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` where the two have different values of one attribute.
///
/// PKCS#11 v3.1, C_UnwrapKey, C_DeriveKey.
pub fn apply(
    base: &AttributeSet,
    kind: CK_ATTRIBUTE_TYPE,
    template: &AttributeSet,
) -> Result<AttributeSet> {
    let mut applied = template.clone();
    for (cka, value) in held(base, kind).iter() {
        if applied.insert(cka, value.clone()).is_some_and(|given| given != *value) {
            return Err(conflict(cka, kind));
        }
    }
    Ok(applied)
}

/// Whether the new key `object` came out with all that [`apply`] asked for: the defaults of a kind
/// of key may have dropped a usage that it cannot serve.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT`.
pub fn check_applied(
    base: &AttributeSet,
    kind: CK_ATTRIBUTE_TYPE,
    object: &AttributeSet,
) -> Result<()> {
    let differs = |(cka, value): &(CK_ATTRIBUTE_TYPE, &Value)| object.get(*cka) != Some(*value);
    match held(base, kind).iter().find(differs) {
        Some((cka, _)) => Err(conflict(cka, kind)),
        None => Ok(()),
    }
}

fn held(key: &AttributeSet, kind: CK_ATTRIBUTE_TYPE) -> &AttributeSet {
    static NONE: AttributeSet = AttributeSet::new();
    match key.get(kind) {
        Some(Value::Template(template)) => template,
        _ => &NONE,
    }
}

fn conflict(cka: CK_ATTRIBUTE_TYPE, kind: CK_ATTRIBUTE_TYPE) -> Error {
    let (cka, kind) = (attribute::name(cka), attribute::name(kind));
    Error::new(CKR_TEMPLATE_INCONSISTENT, format!("{cka} is not what {kind} asks for"))
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
        let wrap = |template| told(may_wrap(&with(CKA_WRAP_TEMPLATE, template), &key(true)));
        let label = |text: &[u8]| Value::bytes(text);
        assert_eq!(wrap(AttributeSet::new()), Ok(()));
        assert_eq!(wrap(one(CKA_LABEL, label(b"backup"))), Ok(()));
        assert_eq!(wrap(one(CKA_LABEL, label(b"backup")).with(CKA_EXTRACTABLE, TRUE)), Ok(()));
        for refused in [
            one(CKA_LABEL, label(b"backups")),
            one(CKA_LABEL, label(b"")),
            one(CKA_LABEL, label(b"backup")).with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET)),
            one(CKA_ID, label(b"")),
            one(CKA_WRAP_TEMPLATE, Value::Template(AttributeSet::new())),
        ] {
            assert_eq!(wrap(refused), Err(CKR_KEY_HANDLE_INVALID));
        }
        assert_eq!(told(may_wrap(&AttributeSet::new(), &key(true))), Ok(()));
    }

    #[test]
    fn c119_a_wrap_template_is_no_way_to_guess_a_key() {
        let guess = one(CKA_VALUE, Value::bytes(*b"key"));
        assert!(!satisfies(&guess, &key(true)));
        assert!(satisfies(&guess, &key(false)));
    }

    #[test]
    fn c120_an_unwrap_template_is_added_and_a_conflict_is_inconsistent() {
        for kind in [CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE] {
            let base = with(kind, one(CKA_SENSITIVE, TRUE).with(CKA_EXTRACTABLE, FALSE));
            let given = one(CKA_LABEL, Value::bytes(*b"l"));
            let all = given.clone().with(CKA_SENSITIVE, TRUE).with(CKA_EXTRACTABLE, FALSE);
            assert_eq!(told(apply(&base, kind, &given)), Ok(all.clone()));
            assert_eq!(told(apply(&base, kind, &all)), Ok(all.clone()));
            let conflicting = given.clone().with(CKA_EXTRACTABLE, TRUE);
            assert_eq!(told(apply(&base, kind, &conflicting)), Err(CKR_TEMPLATE_INCONSISTENT));
            assert_eq!(told(apply(&AttributeSet::new(), kind, &given)), Ok(given));
        }
        let other = with(CKA_DERIVE_TEMPLATE, one(CKA_SENSITIVE, TRUE));
        let none = AttributeSet::new();
        assert_eq!(told(apply(&other, CKA_UNWRAP_TEMPLATE, &none)), Ok(none));
    }

    #[test]
    fn c120_what_an_unwrap_template_adds_is_held_to_the_rules_of_templates() {
        let unwrap = |template| {
            let base = with(CKA_UNWRAP_TEMPLATE, template);
            let given =
                one(CKA_CLASS, ulong(CKO_SECRET_KEY)).with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET));
            let object = apply(&base, CKA_UNWRAP_TEMPLATE, &given)
                .and_then(|template| new_object(Path::Unwrap, &template, USER));
            told(object.and_then(|object| {
                check_applied(&base, CKA_UNWRAP_TEMPLATE, &object)?;
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
