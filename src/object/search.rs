//! Which objects a search template matches.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS, CKA_CLASS, CKA_ID, CKA_LABEL, CKA_VALUE_LEN,
    CKO_HW_FEATURE, CKO_MECHANISM, CKO_PROFILE, CKO_VALIDATION,
};

use super::reading::{is_hidden, is_kept_in_tpm};
use super::template::{RawAttribute, RawValue};
use super::value::{AttributeSet, ulong_from};

/// Classes that are found only where the template names them.
const FOUND_BY_CLASS_ONLY: [CK_OBJECT_CLASS; 4] =
    [CKO_HW_FEATURE, CKO_PROFILE, CKO_MECHANISM, CKO_VALIDATION];

/// A search template: what each attribute has to be, byte for byte.
///
/// Unlike a template for something new it is never wrong: an attribute that this module does not
/// know, or a value that none can have, matches no object. Programs ask for their own vendors'
/// attributes and classes and expect to find nothing.
///
/// PKCS#11 v3.1, C_FindObjectsInit.
#[derive(Clone, Debug, Default)]
pub struct Search(Vec<RawAttribute>);

/// Whether a search finds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does.
    Yes,
    /// It does if attributes that only the TPM has are as asked for: everything else is.
    IfInTpm,
    /// It does not.
    No,
}

impl Search {
    /// The search for `template`; an empty one finds everything that may be seen.
    pub fn new(template: Vec<RawAttribute>) -> Self {
        Self(template)
    }

    /// Whether it finds `object`. Who may see `object` is for the caller to know.
    ///
    /// An attribute that is not shown matches nothing: a search is no way to guess a key.
    pub fn matches(&self, object: &AttributeSet) -> bool {
        self.test(object) == Found::Yes
    }

    /// The same, as far as it can be said of what is kept of `object` outside the TPM.
    pub fn test(&self, object: &AttributeSet) -> Found {
        let asked_for = self.asked(CKA_CLASS).is_some()
            || !object.class().is_some_and(|class| FOUND_BY_CLASS_ONLY.contains(&class));
        let mut found = if asked_for { Found::Yes } else { Found::No };
        for wanted in &self.0 {
            match test(wanted, object) {
                Found::Yes => {}
                Found::IfInTpm if found == Found::Yes => found = Found::IfInTpm,
                Found::IfInTpm => {}
                Found::No => return Found::No,
            }
        }
        found
    }

    /// The CKA_CLASS it asks for: an index may narrow the search by it. (None where it asks for
    /// none, or for what is none.)
    pub fn class(&self) -> Option<u64> {
        self.asked(CKA_CLASS).and_then(ulong_from)
    }

    /// The CKA_ID it asks for, likewise.
    pub fn id(&self) -> Option<&[u8]> {
        self.asked(CKA_ID)
    }

    /// The CKA_LABEL it asks for, likewise.
    pub fn label(&self) -> Option<&[u8]> {
        self.asked(CKA_LABEL)
    }

    fn asked(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        self.0.iter().find(|wanted| wanted.kind == kind).and_then(|wanted| match &wanted.value {
            RawValue::Bytes(bytes) => Some(bytes.as_slice()),
            RawValue::Template(_) => None,
        })
    }
}

fn test(wanted: &RawAttribute, object: &AttributeSet) -> Found {
    let is = |yes| if yes { Found::Yes } else { Found::No };
    match object.get(wanted.kind) {
        Some(value) => is(!is_hidden(object, wanted.kind) && value.is_given_as(&wanted.value)),
        None if !is_kept_in_tpm(object, wanted.kind) => Found::No,
        // The TPM need not be asked for a value of another length.
        None => match (&wanted.value, object.ulong(CKA_VALUE_LEN)) {
            (RawValue::Bytes(value), Some(len)) if value.len() as u64 != len => Found::No,
            (RawValue::Bytes(_), _) => Found::IfInTpm,
            (RawValue::Template(_), _) => Found::No,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{profile::profile, value::Value};
    use super::*;
    use cryptoki_sys::*;

    fn search<const N: usize>(template: [(CK_ATTRIBUTE_TYPE, &[u8]); N]) -> Search {
        let raw = |(kind, value): (_, &[u8])| RawAttribute::bytes(kind, value);
        Search::new(template.into_iter().map(raw).collect())
    }

    #[test]
    fn c112_every_attribute_has_to_match_byte_for_byte() {
        let object = private_key().with(CKA_LABEL, Value::bytes(*b"vpn"));
        let class = CKO_PRIVATE_KEY.to_ne_bytes();
        for (template, found) in [
            (search([]), true),
            (search([(CKA_CLASS, &class)]), true),
            (search([(CKA_CLASS, &class), (CKA_LABEL, b"vpn"), (CKA_SIGN, &[1])]), true),
            (search([(CKA_CLASS, &class), (CKA_LABEL, b"vp")]), false),
            (search([(CKA_LABEL, b"VPN")]), false),
            (search([(CKA_LABEL, b"vpn\0")]), false),
            (search([(CKA_LABEL, b"vpn"), (CKA_LABEL, b"ssh")]), false),
            (search([(CKA_ID, b"")]), true),
            (search([(CKA_SIGN, &[0])]), false),
            (search([(CKA_SIGN, &[1, 0])]), false),
            (search([(CKA_CLASS, &class[..4])]), false),
            (search([(CKA_MODULUS, b"")]), false),
        ] {
            assert_eq!(template.matches(&object), found, "{template:?}");
        }
    }

    #[test]
    fn c112_attributes_and_classes_that_are_not_known_find_nothing() {
        const CKO_NSS_TRUST: CK_ULONG = 0xCE53_4353;
        assert!(!search([(0xD5A0_DB00, &[])]).matches(&private_key()));
        assert!(!search([(CKA_CLASS, &CKO_NSS_TRUST.to_ne_bytes())]).matches(&private_key()));
    }

    #[test]
    fn c112_a_search_is_no_way_to_guess_a_key() {
        let key = |sensitive| {
            AttributeSet::new()
                .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
                .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET))
                .with(CKA_VALUE, Value::bytes(*b"key"))
                .with(CKA_SENSITIVE, Value::Bool(sensitive))
                .with(CKA_EXTRACTABLE, TRUE)
        };
        let guess = search([(CKA_VALUE, b"key")]);
        assert!(!guess.matches(&key(true)));
        assert!(guess.matches(&key(false)));
    }

    #[test]
    fn c112_the_tpm_is_asked_only_for_what_it_alone_can_say() {
        let key = |sensitive| {
            AttributeSet::new()
                .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
                .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET))
                .with(CKA_VALUE_LEN, ulong(3))
                .with(CKA_SENSITIVE, Value::Bool(sensitive))
                .with(CKA_EXTRACTABLE, TRUE)
        };
        let class = CKO_SECRET_KEY.to_ne_bytes();
        let other = CKO_DATA.to_ne_bytes();
        for (template, found) in [
            (search([(CKA_VALUE, b"key")]), Found::IfInTpm),
            (search([(CKA_CLASS, &class), (CKA_VALUE, b"key")]), Found::IfInTpm),
            (search([(CKA_VALUE, b"key"), (CKA_CLASS, &class)]), Found::IfInTpm),
            (search([(CKA_VALUE, b"key"), (CKA_CLASS, &other)]), Found::No),
            (search([(CKA_VALUE, b"longer")]), Found::No),
            (search([(CKA_CLASS, &class)]), Found::Yes),
            (search([(CKA_PRIVATE_EXPONENT, b"key")]), Found::No),
        ] {
            assert_eq!(template.test(&key(false)), found, "{template:?}");
        }
        assert_eq!(search([(CKA_VALUE, b"key")]).test(&key(true)), Found::No);
    }

    #[test]
    fn c106_a_template_within_an_object_is_found_by_its_attributes_in_any_order() {
        let inner = AttributeSet::new().with(CKA_SIGN, TRUE).with(CKA_LABEL, Value::bytes(*b"l"));
        let object = private_key().with(CKA_UNWRAP_TEMPLATE, Value::Template(inner));
        let (sign, label) = (
            |yes| RawAttribute::bytes(CKA_SIGN, [yes]),
            |text: &[u8]| RawAttribute::bytes(CKA_LABEL, text),
        );
        let unknown = RawAttribute::bytes(0xD5A0_DB00, []);
        for (entries, found) in [
            (vec![sign(1), label(b"l")], true),
            (vec![label(b"l"), sign(1)], true),
            (vec![label(b"l"), sign(1), label(b"l")], true),
            (vec![], false),
            (vec![sign(1)], false),
            (vec![sign(0), label(b"l")], false),
            (vec![sign(1), label(b"m")], false),
            (vec![sign(1), label(b"l"), unknown], false),
        ] {
            let value = RawValue::Template(entries);
            let wanted = RawAttribute { kind: CKA_UNWRAP_TEMPLATE, value };
            assert_eq!(Search::new(vec![wanted.clone()]).matches(&object), found, "{wanted:?}");
            assert!(!Search::new(vec![wanted]).matches(&private_key()));
        }
        assert!(!search([(CKA_UNWRAP_TEMPLATE, b"")]).matches(&object));
    }

    #[test]
    fn c112_profile_objects_are_found_when_their_class_is_asked_for() {
        let object = profile(CKP_BASELINE_PROVIDER);
        let class = CKO_PROFILE.to_ne_bytes();
        let id = CKP_BASELINE_PROVIDER.to_ne_bytes();
        assert!(!search([]).matches(&object));
        assert!(!search([(CKA_PROFILE_ID, &id)]).matches(&object));
        assert!(search([(CKA_CLASS, &class)]).matches(&object));
        assert!(search([(CKA_CLASS, &class), (CKA_PROFILE_ID, &id)]).matches(&object));
        assert!(!search([(CKA_CLASS, &class), (CKA_PROFILE_ID, &[0; 8])]).matches(&object));
    }

    #[test]
    fn an_index_learns_what_a_search_is_for() {
        let template = search([(CKA_CLASS, &CKO_DATA.to_ne_bytes()), (CKA_ID, b"i")]);
        assert_eq!(template.class(), Some(CKO_DATA as u64));
        assert_eq!(template.id(), Some(&b"i"[..]));
        assert_eq!(template.label(), None);
        assert_eq!(search([(CKA_CLASS, &[1])]).class(), None);
    }
}
