//! Templates as the application gave them, copied out of its memory.

use std::fmt;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_ULONG, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use super::attribute::{self, Kind};
pub use super::encoding::MAX_DEPTH;
use super::value::{AttributeSet, Value, ulong_from};
use crate::error::{Error, Result};

/// One entry of a template: a type and a value.
#[derive(Clone, PartialEq, Eq)]
pub struct RawAttribute {
    /// CKA_ type.
    pub kind: CK_ATTRIBUTE_TYPE,
    /// Its value as given.
    pub value: RawValue,
}

/// A value as the application gave it, copied.
#[derive(Clone, PartialEq, Eq)]
pub enum RawValue {
    /// Its bytes (a CK_ULONG in the machine's own byte order). Wiped when dropped: it may be a key.
    Bytes(Zeroizing<Vec<u8>>),
    /// The entries of a template, [`MAX_DEPTH`] deep at most.
    Template(Vec<RawAttribute>),
}

impl RawAttribute {
    /// One whose value is `value`.
    pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: RawValue::Bytes(Zeroizing::new(value.into())) }
    }
}

impl fmt::Debug for RawAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}: {:?}", self.kind, self.value)
    }
}

impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // May be a key: only its length is told.
            Self::Bytes(value) => write!(f, "{} bytes", value.len()),
            Self::Template(entries) => entries.fmt(f),
        }
    }
}

/// What `C_GetAttributeValue` says of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeAnswer {
    /// Its value, in the bytes the application expects.
    Value(Vec<u8>),
    /// It is a template: its attributes.
    Template(Vec<(CK_ATTRIBUTE_TYPE, AttributeAnswer)>),
    /// It exists and is not shown: `CKR_ATTRIBUTE_SENSITIVE`.
    Sensitive,
    /// This object has no such attribute: `CKR_ATTRIBUTE_TYPE_INVALID`.
    Invalid,
}

/// A template for something new, or for a change, as values. (A search has its own:
/// [`Search`](super::search::Search).)
///
/// The same attribute twice with the same value counts as once. All this holds for the templates
/// inside it too.
///
/// Errors: `CKR_ATTRIBUTE_TYPE_INVALID` for an attribute that this module does not know;
/// `CKR_ATTRIBUTE_VALUE_INVALID` for a value that is none of its data type;
/// `CKR_TEMPLATE_INCONSISTENT` for two values of one attribute.
///
/// PKCS#11 v3.1, "Creating objects"; v3.2, "Template attributes".
pub fn template(raw: &[RawAttribute]) -> Result<AttributeSet> {
    let mut set = AttributeSet::new();
    for entry in raw {
        let kind = attribute::kind(entry.kind).ok_or_else(|| {
            let why = format!("attribute 0x{:x} is not known", entry.kind);
            Error::new(CKR_ATTRIBUTE_TYPE_INVALID, why)
        })?;
        let value = match (kind, &entry.value) {
            (Kind::Template, RawValue::Template(inner)) => Some(Value::Template(template(inner)?)),
            (_, RawValue::Template(_)) => None,
            (_, RawValue::Bytes(bytes)) => value(kind, bytes),
        };
        let value = value.ok_or_else(|| {
            let why = format!("{} has a malformed value", attribute::name(entry.kind));
            Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why)
        })?;
        if set.get(entry.kind).is_some_and(|other| *other != value) {
            let why = format!("{} is given two values", attribute::name(entry.kind));
            return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
        }
        set.insert(entry.kind, value);
    }
    Ok(set)
}

fn value(kind: Kind, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        Kind::Bool => match bytes {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        Kind::Ulong => Value::Ulong(ulong_from(bytes)?),
        Kind::Bytes | Kind::BigInteger | Kind::Text => Value::bytes(bytes),
        Kind::Date if bytes.is_empty() => Value::Date(None),
        Kind::Date => Value::Date(Some(date(bytes)?)),
        Kind::Mechanisms => Value::Mechanisms(
            bytes.chunks(size_of::<CK_ULONG>()).map(ulong_from).collect::<Option<_>>()?,
        ),
        Kind::Template => return None,
    })
}

/// CK_DATE: four digits of the year, two of the month, two of the day.
fn date(bytes: &[u8]) -> Option<[u8; 8]> {
    let date: [u8; 8] = bytes.try_into().ok()?;
    if !date.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [.., month_tens, month_ones, day_tens, day_ones] = date;
    let number = |tens: u8, ones: u8| {
        tens.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(ones.wrapping_sub(b'0'))
    };
    let possible = (1..=12).contains(&number(month_tens, month_ones))
        && (1..=31).contains(&number(day_tens, day_ones));
    possible.then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::*;
    use proptest::prelude::*;

    fn entry(kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> RawAttribute {
        RawAttribute::bytes(kind, value)
    }

    fn refusal(raw: &[RawAttribute]) -> CK_RV {
        template(raw).unwrap_err().ck_rv()
    }

    #[test]
    fn c092_an_unknown_attribute_is_a_type_invalid() {
        // CKA_NSS_DB, which NSS gives and asks for.
        assert_eq!(refusal(&[entry(0xD5A0_DB00, [])]), CKR_ATTRIBUTE_TYPE_INVALID);
        assert_eq!(refusal(&[entry(CKA_VENDOR_DEFINED, [])]), CKR_ATTRIBUTE_TYPE_INVALID);
        assert_eq!(refusal(&[entry(CKA_PRIME, [1])]), CKR_ATTRIBUTE_TYPE_INVALID);
    }

    #[test]
    fn c092_a_value_of_the_wrong_length_or_range_is_a_value_invalid() {
        let ulong = CKO_DATA.to_ne_bytes();
        for (kind, value) in [
            (CKA_TOKEN, vec![]),
            (CKA_TOKEN, vec![1, 0]),
            (CKA_TOKEN, vec![2]),
            (CKA_TOKEN, vec![0xFF]),
            (CKA_CLASS, vec![]),
            (CKA_CLASS, ulong[..ulong.len() - 1].to_vec()),
            (CKA_CLASS, [&ulong[..], &[0]].concat()),
            (CKA_ALLOWED_MECHANISMS, vec![0; ulong.len() + 1]),
            (CKA_START_DATE, b"2026".to_vec()),
            (CKA_START_DATE, b"20261301".to_vec()),
            (CKA_START_DATE, b"20260100".to_vec()),
            (CKA_END_DATE, b"2026010a".to_vec()),
        ] {
            assert_eq!(refusal(&[entry(kind, value)]), CKR_ATTRIBUTE_VALUE_INVALID, "0x{kind:x}");
        }
    }

    #[test]
    fn c092_two_values_of_one_attribute_are_inconsistent() {
        let twice = [entry(CKA_LABEL, *b"a"), entry(CKA_ID, []), entry(CKA_LABEL, *b"b")];
        assert_eq!(refusal(&twice), CKR_TEMPLATE_INCONSISTENT);
    }

    #[test]
    fn c093_the_same_value_twice_counts_once() {
        let set = template(&[entry(CKA_LABEL, *b"a"), entry(CKA_LABEL, *b"a")]).unwrap();
        assert_eq!(set, AttributeSet::new().with(CKA_LABEL, Value::bytes(*b"a")));
    }

    fn nest(kind: CK_ATTRIBUTE_TYPE, inner: Vec<RawAttribute>) -> RawAttribute {
        RawAttribute { kind, value: RawValue::Template(inner) }
    }

    #[test]
    fn c106_a_template_within_a_template_is_read_into_values_as_deep_as_it_goes() {
        let inner = vec![entry(CKA_ENCRYPT, [1]), entry(CKA_ENCRYPT, [1])];
        let middle = vec![nest(CKA_WRAP_TEMPLATE, inner), entry(CKA_LABEL, *b"l")];
        let set = template(&[nest(CKA_UNWRAP_TEMPLATE, middle)]).unwrap();
        let inner = AttributeSet::new().with(CKA_ENCRYPT, Value::Bool(true));
        let middle = AttributeSet::new()
            .with(CKA_WRAP_TEMPLATE, Value::Template(inner))
            .with(CKA_LABEL, Value::bytes(*b"l"));
        let outer = AttributeSet::new().with(CKA_UNWRAP_TEMPLATE, Value::Template(middle));
        assert_eq!(set, outer);
        assert!(AttributeSet::from_bytes(&set.to_bytes()).unwrap() == set);
    }

    #[test]
    fn c106_a_template_within_a_template_is_held_to_the_same_rules() {
        for (inner, told) in [
            (vec![entry(0xD5A0_DB00, [])], CKR_ATTRIBUTE_TYPE_INVALID),
            (vec![entry(CKA_ENCRYPT, [2])], CKR_ATTRIBUTE_VALUE_INVALID),
            (vec![entry(CKA_ENCRYPT, [0]), entry(CKA_ENCRYPT, [1])], CKR_TEMPLATE_INCONSISTENT),
            (vec![nest(CKA_LABEL, vec![])], CKR_ATTRIBUTE_VALUE_INVALID),
        ] {
            assert_eq!(refusal(&[nest(CKA_DERIVE_TEMPLATE, inner.clone())]), told, "{inner:?}");
            let deeper = nest(CKA_UNWRAP_TEMPLATE, vec![nest(CKA_DERIVE_TEMPLATE, inner)]);
            assert_eq!(refusal(&[deeper]), told);
        }
        for kind in [CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE] {
            assert_eq!(refusal(&[entry(kind, [0; 24])]), CKR_ATTRIBUTE_VALUE_INVALID);
            assert!(template(&[nest(kind, vec![])]).is_ok());
        }
        let twice = |other| {
            let one = nest(CKA_WRAP_TEMPLATE, vec![entry(CKA_SIGN, [1])]);
            template(&[one, nest(CKA_WRAP_TEMPLATE, vec![entry(CKA_SIGN, [other])])])
        };
        assert!(twice(1).is_ok());
        assert_eq!(twice(0).unwrap_err().ck_rv(), CKR_TEMPLATE_INCONSISTENT);
    }

    #[test]
    fn c107_allowed_mechanisms_are_read_as_a_list() {
        let bytes = [CKM_ECDSA.to_ne_bytes(), CKM_RSA_PKCS.to_ne_bytes()].concat();
        let set = template(&[entry(CKA_ALLOWED_MECHANISMS, bytes)]).unwrap();
        let list = Value::Mechanisms(vec![CKM_ECDSA as u64, CKM_RSA_PKCS as u64]);
        assert_eq!(set.get(CKA_ALLOWED_MECHANISMS), Some(&list));
    }

    #[test]
    fn debug_output_of_a_template_hides_values() {
        assert_eq!(format!("{:?}", entry(CKA_VALUE, *b"key")), "0x11: 3 bytes");
        let nested = nest(CKA_UNWRAP_TEMPLATE, vec![entry(CKA_VALUE, *b"key")]);
        assert_eq!(format!("{nested:?}"), "0x40000212: [0x11: 3 bytes]");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_given_back_byte_for_byte(
            row in prop::sample::select(attribute::ATTRIBUTES), value in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            if let Ok(set) = template(&[entry(row.cka, value.clone())]) {
                let given = set.get(row.cka).unwrap().to_application().unwrap();
                prop_assert_eq!(&*given, &value);
            }
        }
    }
}
