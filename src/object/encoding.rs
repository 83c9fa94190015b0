//! The bytes of an [`AttributeSet`] at rest: one encoding per set, the same on every machine.
//!
//! A version byte, then the attributes by strictly ascending type, each as
//! type (u64), tag (u8), length (u64), value; all numbers big-endian. Unknown versions and tags,
//! other orders and left-over bytes are refused, so that equal sets have equal bytes and the
//! reverse.

use zeroize::Zeroizing;

use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

const VERSION: u8 = 1;

/// How deep a template may be within others in an object; PKCS#11 lets a token limit it.
pub const MAX_DEPTH: usize = 4;

/// Tags of the values. Released ones never change.
mod tag {
    pub(super) const BOOL: u8 = 1;
    pub(super) const ULONG: u8 = 2;
    pub(super) const BYTES: u8 = 3;
    pub(super) const MECHANISMS: u8 = 4;
    pub(super) const DATE: u8 = 5;
    pub(super) const TEMPLATE: u8 = 6;
}

impl AttributeSet {
    /// The set's bytes, wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.encoded_len()));
        bytes.push(VERSION);
        write_set(self, &mut bytes);
        bytes
    }

    /// The set that [`to_bytes`](Self::to_bytes) gave `bytes` for.
    ///
    /// Errors: `CKR_GENERAL_ERROR` for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, attributes)) => read_set(attributes, 0).ok_or_else(|| {
                Error::bug("the stored attributes of an object are not well-formed")
            }),
            Some((version, _)) => {
                Err(Error::bug(format!("attributes of an object in unknown version {version}")))
            }
            None => Err(Error::bug("an object is stored without attributes")),
        }
    }

    /// How many bytes [`to_bytes`](Self::to_bytes) makes.
    pub fn encoded_len(&self) -> usize {
        set_len(self).saturating_add(1)
    }
}

fn set_len(set: &AttributeSet) -> usize {
    set.iter().fold(0, |sum: usize, (_, value)| {
        let len = match value {
            Value::Bool(_) => 1,
            Value::Ulong(_) => 8,
            Value::Bytes(bytes) => bytes.len(),
            Value::Mechanisms(list) => list.len().saturating_mul(8),
            Value::Date(date) => date.map_or(0, |date| date.len()),
            Value::Template(template) => set_len(template),
        };
        sum.saturating_add(len).saturating_add(8 + 1 + 8)
    })
}

fn write_set(set: &AttributeSet, out: &mut Vec<u8>) {
    for (kind, value) in set.iter() {
        out.extend((kind as u64).to_be_bytes());
        let mut entry = |tag: u8, len: usize| {
            out.push(tag);
            out.extend((len as u64).to_be_bytes());
        };
        match value {
            Value::Bool(value) => {
                entry(tag::BOOL, 1);
                out.push(u8::from(*value));
            }
            Value::Ulong(value) => {
                entry(tag::ULONG, 8);
                out.extend(value.to_be_bytes());
            }
            Value::Bytes(bytes) => {
                entry(tag::BYTES, bytes.len());
                out.extend_from_slice(bytes);
            }
            Value::Mechanisms(list) => {
                entry(tag::MECHANISMS, list.len().saturating_mul(8));
                list.iter().for_each(|mechanism| out.extend(mechanism.to_be_bytes()));
            }
            Value::Date(date) => {
                entry(tag::DATE, date.map_or(0, |date| date.len()));
                out.extend(date.iter().flatten());
            }
            Value::Template(template) => {
                entry(tag::TEMPLATE, set_len(template));
                write_set(template, out);
            }
        }
    }
}

fn read_set(mut bytes: &[u8], depth: usize) -> Option<AttributeSet> {
    let mut attributes = Vec::new();
    let mut last = None;
    while !bytes.is_empty() {
        let (kind, rest) = read_u64(bytes)?;
        let (&tag, rest) = rest.split_first()?;
        let (len, rest) = read_u64(rest)?;
        let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        if last.is_some_and(|last| last >= kind) {
            return None;
        }
        attributes.push((kind.try_into().ok()?, read_value(tag, value, depth)?));
        last = Some(kind);
        bytes = rest;
    }
    Some(attributes.into_iter().collect())
}

fn read_value(tag: u8, bytes: &[u8], depth: usize) -> Option<Value> {
    Some(match tag {
        tag::BOOL => match bytes {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        tag::ULONG => Value::Ulong(u64::from_be_bytes(bytes.try_into().ok()?)),
        tag::BYTES => Value::bytes(bytes),
        tag::MECHANISMS => {
            let mut list = Vec::new();
            let mut rest = bytes;
            while !rest.is_empty() {
                let (mechanism, tail) = read_u64(rest)?;
                list.push(mechanism);
                rest = tail;
            }
            Value::Mechanisms(list)
        }
        tag::DATE if bytes.is_empty() => Value::Date(None),
        tag::DATE => Value::Date(Some(bytes.try_into().ok()?)),
        tag::TEMPLATE if depth < MAX_DEPTH => {
            Value::Template(read_set(bytes, depth.saturating_add(1))?)
        }
        _ => return None,
    })
}

fn read_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<u64>().prop_map(Value::Ulong),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::bytes),
            prop::collection::vec(any::<u64>(), 0..5).prop_map(Value::Mechanisms),
            any::<Option<[u8; 8]>>().prop_map(Value::Date),
        ];
        leaf.prop_recursive(MAX_DEPTH as u32, 16, 4, |inner| {
            prop::collection::btree_map(any::<u32>().prop_map(u64::from), inner, 0..4)
                .prop_map(|map| Value::Template(map.into_iter().collect()))
        })
    }

    fn set() -> impl Strategy<Value = AttributeSet> {
        prop::collection::btree_map(any::<u32>().prop_map(u64::from), value(), 0..8)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn c117_every_set_comes_back_from_its_bytes(set in set()) {
            let bytes = set.to_bytes();
            prop_assert_eq!(bytes.len(), set.encoded_len());
            prop_assert_eq!(AttributeSet::from_bytes(&bytes).unwrap(), set);
        }

        #[test]
        fn bytes_that_are_read_at_all_are_the_sets_own(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(set) = AttributeSet::from_bytes(&bytes) {
                prop_assert_eq!(&*set.to_bytes(), &bytes);
            }
        }

        #[test]
        fn damaged_bytes_are_refused_or_mean_another_set(
            set in set(), at in any::<prop::sample::Index>(), flip in 1_u8..=255,
        ) {
            let mut bytes = set.to_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            match AttributeSet::from_bytes(&bytes) {
                Ok(other) => prop_assert_ne!(other, set),
                Err(error) => prop_assert_eq!(error.ck_rv(), cryptoki_sys::CKR_GENERAL_ERROR),
            }
        }

        #[test]
        fn cut_bytes_are_never_the_same_set(set in set(), keep in any::<prop::sample::Index>()) {
            let bytes = set.to_bytes();
            let cut = &bytes[..keep.index(bytes.len())];
            prop_assert!(AttributeSet::from_bytes(cut).ok() != Some(set));
        }
    }

    #[test]
    fn the_encoding_is_what_it_was_when_it_was_released() {
        let set = AttributeSet::new()
            .with(3, Value::bytes(*b"ab"))
            .with(1, Value::Bool(true))
            .with(0x110, Value::Date(Some(*b"20260131")));
        assert_eq!(
            hex::encode(&*set.to_bytes()),
            "01\
             0000000000000001010000000000000001 01\
             0000000000000003030000000000000002 6162\
             0000000000000110050000000000000008 3230323630313331"
                .replace(' ', "")
        );
    }

    #[test]
    fn templates_nested_too_deep_are_refused() {
        let nest = |levels| {
            (0..levels).fold(AttributeSet::new(), |inner, _| {
                AttributeSet::new().with(1, Value::Template(inner))
            })
        };
        assert!(AttributeSet::from_bytes(&nest(MAX_DEPTH).to_bytes()).is_ok());
        assert!(AttributeSet::from_bytes(&nest(MAX_DEPTH + 1).to_bytes()).is_err());
    }

    #[test]
    fn a_newer_version_is_refused() {
        assert!(AttributeSet::from_bytes(&[VERSION + 1]).is_err());
        assert!(AttributeSet::from_bytes(&[]).is_err());
        assert_eq!(AttributeSet::from_bytes(&[VERSION]).unwrap(), AttributeSet::new());
    }
}
