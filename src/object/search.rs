//! Which objects a search template matches.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS, CKA_CLASS, CKA_ID, CKA_LABEL, CKO_HW_FEATURE,
    CKO_MECHANISM, CKO_PROFILE, CKO_VALIDATION,
};

use super::reading::is_hidden;
use super::template::RawAttribute;
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

impl Search {
    /// The search for `template`; an empty one finds everything that may be seen.
    pub fn new(template: Vec<RawAttribute>) -> Self {
        Self(template)
    }

    /// Whether it finds `object`. Who may see `object` is for the caller to know.
    ///
    /// An attribute that is not shown matches nothing: a search is no way to guess a key.
    pub fn matches(&self, object: &AttributeSet) -> bool {
        let asked_for = self.asked(CKA_CLASS).is_some()
            || !object.class().is_some_and(|class| FOUND_BY_CLASS_ONLY.contains(&class));
        asked_for
            && self.0.iter().all(|wanted| {
                !is_hidden(object, wanted.kind)
                    && object.get(wanted.kind).is_some_and(|value| value.is_given_as(&wanted.value))
            })
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
        self.0.iter().find(|wanted| wanted.kind == kind).map(|wanted| wanted.value.as_slice())
    }
}
