//! What an object holds: values by attribute type.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_OBJECT_CLASS, CK_ULONG, CKA_ALLOWED_MECHANISMS, CKA_CLASS,
    CKA_KEY_TYPE, CKA_PRIVATE, CKA_TOKEN, CKA_UNIQUE_ID,
};
use zeroize::Zeroizing;

use super::template::RawValue;

/// The value of one attribute.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// CK_BBOOL.
    Bool(bool),
    /// CK_ULONG. `CK_UNAVAILABLE_INFORMATION` is `u64::MAX`, whatever the width of a CK_ULONG.
    Ulong(u64),
    /// A byte array, a big integer or a string. Wiped when dropped, since some are keys.
    Bytes(Zeroizing<Vec<u8>>),
    /// An array of CK_MECHANISM_TYPE.
    Mechanisms(Vec<u64>),
    /// CK_DATE as eight digits (YYYYMMDD), or empty.
    Date(Option<[u8; 8]>),
    /// A template within the object, as `CKA_UNWRAP_TEMPLATE` is.
    Template(AttributeSet),
}

impl Value {
    /// A byte array.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(Zeroizing::new(bytes.into()))
    }

    /// The bytes that the application gets: CK_BBOOL is one byte, CK_ULONG has the machine's width
    /// and byte order. `None` for a template, which has no bytes of its own.
    pub fn to_application(&self) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Ulong(value) => ulong_bytes(*value).to_vec(),
            Self::Bytes(bytes) => return Some(bytes.clone()),
            Self::Mechanisms(list) => list.iter().copied().flat_map(ulong_bytes).collect(),
            Self::Date(date) => date.map(|date| date.to_vec()).unwrap_or_default(),
            Self::Template(_) => return None,
        };
        Some(Zeroizing::new(bytes))
    }

    /// Whether this value is what the application gave as `raw`: the same bytes or, of a template,
    /// the same attributes with the same values.
    pub fn is_given_as(&self, raw: &RawValue) -> bool {
        match (self, raw) {
            (Self::Template(set), RawValue::Template(entries)) => {
                set.iter().all(|(kind, _)| entries.iter().any(|entry| entry.kind == kind))
                    && entries.iter().all(|entry| {
                        set.get(entry.kind).is_some_and(|value| value.is_given_as(&entry.value))
                    })
            }
            (_, RawValue::Template(_)) => false,
            // The most compared, and the longest: without a copy.
            (Self::Bytes(own), RawValue::Bytes(bytes)) => own == bytes,
            (_, RawValue::Bytes(bytes)) => self.to_application().is_some_and(|own| own == *bytes),
        }
    }
}

/// A CK_ULONG as the application has it in memory.
pub(super) fn ulong_bytes(value: u64) -> [u8; size_of::<CK_ULONG>()] {
    // Where a CK_ULONG is narrower, u64::MAX stays CK_UNAVAILABLE_INFORMATION; nothing else that
    // large gets into a value there.
    (value as CK_ULONG).to_ne_bytes()
}

/// A CK_ULONG out of the application's memory, if `bytes` has its width.
pub(super) fn ulong_from(bytes: &[u8]) -> Option<u64> {
    let value = CK_ULONG::from_ne_bytes(bytes.try_into().ok()?);
    Some(if value == CK_ULONG::MAX { u64::MAX } else { value as u64 })
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Ulong(value) => write!(f, "0x{value:x}"),
            // May be a key: only its length is told.
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Mechanisms(list) => write!(f, "{list:x?}"),
            Self::Date(date) => write!(f, "{date:?}"),
            Self::Template(set) => set.fmt(f),
        }
    }
}

/// The attributes of an object, or of a template: at most one value each, ordered by type.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AttributeSet(BTreeMap<CK_ATTRIBUTE_TYPE, Value>);

impl AttributeSet {
    /// Without attributes.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The value of `kind`, if there is one.
    pub fn get(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&Value> {
        self.0.get(&kind)
    }

    /// Whether `kind` has a value.
    pub fn has(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.0.contains_key(&kind)
    }

    /// Gives `kind` the value `value`; tells the one it had.
    pub fn insert(&mut self, kind: CK_ATTRIBUTE_TYPE, value: Value) -> Option<Value> {
        self.0.insert(kind, value)
    }

    /// [`insert`](Self::insert), for chains.
    #[must_use]
    pub fn with(mut self, kind: CK_ATTRIBUTE_TYPE, value: Value) -> Self {
        self.insert(kind, value);
        self
    }

    /// Takes the value of `kind` out.
    pub fn remove(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Option<Value> {
        self.0.remove(&kind)
    }

    /// All of them, by ascending type.
    pub fn iter(&self) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &Value)> {
        self.0.iter().map(|(kind, value)| (*kind, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the CK_BBOOL `kind` is there and CK_TRUE.
    pub fn is_true(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.bool(kind) == Some(true)
    }

    /// The CK_BBOOL `kind`.
    pub fn bool(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<bool> {
        match self.get(kind) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// The CK_ULONG `kind`.
    pub fn ulong(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<u64> {
        match self.get(kind) {
            Some(Value::Ulong(value)) => Some(*value),
            _ => None,
        }
    }

    /// The bytes of `kind`.
    pub fn bytes(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        match self.get(kind) {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// [`bytes`](Self::bytes), if they are not empty.
    pub fn filled(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        self.bytes(kind).filter(|bytes| !bytes.is_empty())
    }

    /// The mechanisms of `kind`.
    pub fn mechanisms(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u64]> {
        match self.get(kind) {
            Some(Value::Mechanisms(list)) => Some(list),
            _ => None,
        }
    }

    /// CKA_CLASS.
    pub fn class(&self) -> Option<CK_OBJECT_CLASS> {
        self.ulong(CKA_CLASS).map(|class| class as CK_OBJECT_CLASS)
    }

    /// CKA_KEY_TYPE.
    pub fn key_type(&self) -> Option<CK_KEY_TYPE> {
        self.ulong(CKA_KEY_TYPE).map(|key_type| key_type as CK_KEY_TYPE)
    }

    /// CKA_TOKEN: kept in the token, not only by a session.
    pub fn is_token(&self) -> bool {
        self.is_true(CKA_TOKEN)
    }

    /// CKA_PRIVATE: only for the user who has logged in.
    pub fn is_private(&self) -> bool {
        self.is_true(CKA_PRIVATE)
    }

    /// Whether `mechanism` may be used with this key: CKA_ALLOWED_MECHANISMS names it, or was
    /// never said.
    ///
    /// PKCS#11 v3.1, "Key objects".
    pub fn allows(&self, mechanism: u64) -> bool {
        self.mechanisms(CKA_ALLOWED_MECHANISMS).is_none_or(|list| list.contains(&mechanism))
    }

    /// Gives the object its CKA_UNIQUE_ID: `id` in lower-case hexadecimal. Whoever stores a new
    /// object chooses `id` at random.
    pub fn identify(&mut self, id: &[u8; 16]) {
        let text = id.iter().fold(String::new(), |mut text, byte| {
            // Writing into a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        self.insert(CKA_UNIQUE_ID, Value::bytes(text));
    }
}

impl fmt::Debug for AttributeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.iter().map(|(kind, value)| (super::attribute::name(*kind), value));
        f.debug_map().entries(named).finish()
    }
}

impl FromIterator<(CK_ATTRIBUTE_TYPE, Value)> for AttributeSet {
    fn from_iter<I: IntoIterator<Item = (CK_ATTRIBUTE_TYPE, Value)>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKA_LABEL, CKA_VALUE};

    #[test]
    fn values_are_given_in_the_machines_words() {
        let ulong = |value: CK_ULONG| value.to_ne_bytes().to_vec();
        let given = |value: Value| value.to_application().unwrap().to_vec();
        assert_eq!(given(Value::Bool(true)), [1]);
        assert_eq!(given(Value::Ulong(7)), ulong(7));
        assert_eq!(given(Value::Ulong(u64::MAX)), ulong(CK_ULONG::MAX));
        assert_eq!(given(Value::Mechanisms(vec![1, 2])), [ulong(1), ulong(2)].concat());
        assert!(given(Value::Date(None)).is_empty());
        assert_eq!(given(Value::Date(Some(*b"20260131"))), b"20260131");
        assert_eq!(Value::Template(AttributeSet::new()).to_application(), None);
        assert_eq!(ulong_from(&ulong(CK_ULONG::MAX)), Some(u64::MAX));
        assert_eq!(ulong_from(&[0; 3]), None);
    }

    #[test]
    fn debug_output_names_attributes_and_hides_bytes() {
        let set = AttributeSet::new()
            .with(CKA_VALUE, Value::bytes(*b"hunter2"))
            .with(CKA_LABEL, Value::bytes(*b"l"));
        let text = format!("{set:?}");
        assert!(text.contains("CKA_VALUE") && text.contains("7 bytes"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("104"), "{text}");
    }

    #[test]
    fn c107_no_list_of_mechanisms_allows_all_and_a_list_only_its_own() {
        let with = |list| AttributeSet::new().with(CKA_ALLOWED_MECHANISMS, Value::Mechanisms(list));
        assert!(AttributeSet::new().allows(1));
        assert!(!with(vec![]).allows(1));
        assert!(with(vec![1, 5]).allows(5));
        assert!(!with(vec![1, 5]).allows(2));
    }

    #[test]
    fn c103_a_unique_id_is_the_hexadecimal_of_its_bytes() {
        let mut set = AttributeSet::new();
        set.identify(&[0xAB; 16]);
        assert_eq!(set.bytes(CKA_UNIQUE_ID), Some("ab".repeat(16).as_bytes()));
    }
}
