//! What `C_GetAttributeValue` and `C_GetObjectSize` answer.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CKA_EXTRACTABLE, CKA_SENSITIVE};

use super::attribute::{self, Holders};
use super::template::AttributeAnswer;
use super::value::{AttributeSet, Value};

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
    object.get(kind).map_or(AttributeAnswer::Invalid, shown)
}

fn shown(value: &Value) -> AttributeAnswer {
    if let Value::Template(inner) = value {
        return AttributeAnswer::Template(
            inner.iter().map(|(kind, value)| (kind, shown(value))).collect(),
        );
    }
    value.to_application().map_or(AttributeAnswer::Invalid, |mut value| {
        // Taken out, not copied: the bytes are the caller's now.
        AttributeAnswer::Value(std::mem::take(&mut *value))
    })
}

/// Whether the attribute `kind` of `object` may be told, but only the TPM knows it.
pub fn is_kept_in_tpm(object: &AttributeSet, kind: CK_ATTRIBUTE_TYPE) -> bool {
    let row = Holders::of(object).and_then(|holder| attribute::find(kind, holder));
    row.is_some_and(|row| row.secret) && !is_hidden(object, kind) && !object.has(kind)
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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use cryptoki_sys::*;

    #[test]
    fn c104_secret_attributes_are_not_shown_though_nothing_of_them_is_stored() {
        let ec = private_key();
        assert_eq!(answer(&ec, CKA_VALUE), AttributeAnswer::Sensitive);
        let (public, rsa) = pair(&rsa_key(), AttributeSet::new(), AttributeSet::new());
        for cka in [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_COEFFICIENT] {
            assert_eq!(answer(&rsa, cka), AttributeAnswer::Sensitive, "0x{cka:x}");
            assert_eq!(answer(&public, cka), AttributeAnswer::Invalid, "0x{cka:x}");
        }
    }

    #[test]
    fn c104_either_of_sensitive_and_unextractable_hides_a_value() {
        let key = |sensitive, extractable| {
            AttributeSet::new()
                .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
                .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET))
                .with(CKA_VALUE, Value::bytes(*b"key"))
                .with(CKA_SENSITIVE, Value::Bool(sensitive))
                .with(CKA_EXTRACTABLE, Value::Bool(extractable))
        };
        let shown = AttributeAnswer::Value(b"key".to_vec());
        assert_eq!(answer(&key(false, true), CKA_VALUE), shown);
        assert_eq!(answer(&key(true, true), CKA_VALUE), AttributeAnswer::Sensitive);
        assert_eq!(answer(&key(false, false), CKA_VALUE), AttributeAnswer::Sensitive);
        assert_eq!(answer(&key(true, false), CKA_VALUE), AttributeAnswer::Sensitive);
    }

    #[test]
    fn c104_an_attribute_that_an_object_does_not_have_is_invalid() {
        for cka in [CKA_MODULUS, CKA_VENDOR_DEFINED, CKA_UNWRAP_TEMPLATE, CKA_VERIFY, 0xD5A0_DB00] {
            assert_eq!(answer(&private_key(), cka), AttributeAnswer::Invalid, "0x{cka:x}");
        }
    }

    #[test]
    fn c105_empty_attributes_are_answered_with_nothing_in_them() {
        for cka in [CKA_LABEL, CKA_ID, CKA_START_DATE, CKA_SUBJECT] {
            let empty = AttributeAnswer::Value(vec![]);
            assert_eq!(answer(&private_key(), cka), empty, "0x{cka:x}");
        }
    }

    #[test]
    fn k_a_private_key_answers_what_its_public_key_is() {
        let info = AttributeAnswer::Value(bytes(P256_INFO));
        assert_eq!(answer(&private_key(), CKA_PUBLIC_KEY_INFO), info);
        for cka in [CKA_EC_PARAMS, CKA_EC_POINT] {
            assert!(matches!(answer(&private_key(), cka), AttributeAnswer::Value(_)));
        }
    }

    #[test]
    fn c115_a_size_grows_with_what_is_in_an_object() {
        let object = private_key();
        let larger = object.clone().with(CKA_LABEL, Value::bytes([0; 100]));
        assert_eq!(size(&larger) - size(&object), 100);
        assert_eq!(size(&object), object.to_bytes().len() as u64);
    }
}
