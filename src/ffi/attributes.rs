//! Templates: copied in, with the templates inside them, for those who read them.

use std::marker::PhantomData;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_ULONG, CKA_DECAPSULATE_TEMPLATE, CKA_DERIVE_TEMPLATE,
    CKA_ENCAPSULATE_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_WRAP_TEMPLATE, CKF_ARRAY_ATTRIBUTE,
    CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use super::answers::Questions;
use super::input::{Input, copied, length_at};
use crate::error::{Error, Result};
use crate::object::template::{MAX_DEPTH, RawAttribute, RawValue};

/// More entries than any object has attributes: a larger count is an error of the caller's, and
/// is not believed as far as reading that much memory.
const MOST_ENTRIES: CK_ULONG = 4096;

/// More bytes than all values of an object here have together, in the same sense.
const MOST_BYTES: CK_ULONG = 16 << 20;

/// The array and the number of entries that the caller gave for a template.
#[derive(Clone, Copy)]
pub(super) struct Template<'call> {
    entries: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    memory: PhantomData<&'call mut [CK_ATTRIBUTE]>,
}

impl<'call> Template<'call> {
    /// Takes down the caller's pointer and number; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `entries` is not NULL there are `count` entries, of any alignment, that are readable,
    /// and writable too if [`Self::questions`] is asked for. In each, `ulValueLen` bytes at a
    /// `pValue` that is not NULL are readable or, for `questions`, writable. The same holds for
    /// the entries that such bytes are, where the type says that they are an array of entries.
    /// All this holds for `'call`, in which nobody but this library touches any of it.
    pub(super) unsafe fn new(entries: *mut CK_ATTRIBUTE, count: CK_ULONG) -> Self {
        Self { entries, count, memory: PhantomData }
    }

    /// Copies types and values, and those of the templates inside: no pointer of the caller's
    /// outlives the call.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a count; `CKR_ATTRIBUTE_VALUE_INVALID` for a value
    /// that is NULL with a length, longer than any value is, or no whole number of entries where
    /// it is a template; `CKR_TEMPLATE_INCONSISTENT` for templates inside one another deeper than
    /// [`MAX_DEPTH`], or with more entries than a template can have; `CKR_HOST_MEMORY`.
    ///
    /// PKCS#11 v3.2, "Template attributes".
    pub(super) fn read(&self) -> Result<Vec<RawAttribute>> {
        let mut left = Left { entries: MOST_ENTRIES, bytes: MOST_BYTES };
        left.read(self.entries()?, 0)
    }

    /// The entries as questions for values, with their places for the answers.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a count.
    pub(super) fn questions(&self) -> Result<Questions<'call>> {
        Ok(Questions::new(self.entries()?))
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        if self.entries.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for a template with entries"));
        }
        if self.count > MOST_ENTRIES {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "more entries than a template can have"));
        }
        // SAFETY: not NULL, so there are `count` entries by `new`'s contract.
        Ok(unsafe { entries_at(self.entries, self.count as usize) })
    }
}

/// Where an entry of a template is, and what it says.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Its place in the caller's memory.
    pub place: *mut CK_ATTRIBUTE,
    /// What was read there.
    pub says: CK_ATTRIBUTE,
}

impl Entry {
    /// The entries that are this entry's value. `None` where the length is none of an array of
    /// entries that a caller may have, or the array is NULL.
    ///
    /// Its type must say that its value is an array of entries.
    pub(super) fn array(&self) -> Option<Vec<Self>> {
        let start = self.says.pValue;
        let len = length_at(start as usize, self.says.ulValueLen)?;
        let count = len / size_of::<CK_ATTRIBUTE>();
        if !len.is_multiple_of(size_of::<CK_ATTRIBUTE>()) || count as CK_ULONG > MOST_ENTRIES {
            return None;
        }
        if count == 0 {
            return Some(Vec::new());
        }
        // SAFETY: not NULL, and `len` bytes of `count` entries by the contract of `Template::new`.
        (!start.is_null()).then(|| unsafe { entries_at(start.cast(), count) })
    }
}

/// # Safety
///
/// There are `count` readable entries at `start`, of any alignment.
unsafe fn entries_at(start: *mut CK_ATTRIBUTE, count: usize) -> Vec<Entry> {
    (0..count)
        .map(|index| {
            // SAFETY: `index` is below `count`, so there is an entry by this function's contract.
            unsafe {
                let place = start.add(index);
                Entry { place, says: place.read_unaligned() }
            }
        })
        .collect()
}

/// How much a template may still hold. An array may have itself for a value: without an end to it
/// a small template would be an endless one.
struct Left {
    entries: CK_ULONG,
    bytes: CK_ULONG,
}

impl Left {
    fn read(&mut self, entries: Vec<Entry>, depth: usize) -> Result<Vec<RawAttribute>> {
        self.entries = self.entries.checked_sub(entries.len() as CK_ULONG).ok_or_else(|| {
            let why = "more entries in templates than a template can have";
            Error::new(CKR_TEMPLATE_INCONSISTENT, why)
        })?;
        entries.iter().map(|entry| self.read_entry(entry, depth)).collect()
    }

    fn read_entry(&mut self, entry: &Entry, depth: usize) -> Result<RawAttribute> {
        let kind = entry.says.type_;
        let value = if holds_attributes(kind) {
            if depth >= MAX_DEPTH {
                let why = format!("{kind:#x} is too deep inside other templates");
                return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
            }
            let inner = entry.array().ok_or_else(|| {
                let why = format!("the value of {kind:#x} is no array of attributes");
                Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why)
            })?;
            RawValue::Template(self.read(inner, depth.saturating_add(1))?)
        } else {
            RawValue::Bytes(Zeroizing::new(self.read_bytes(&entry.says)?))
        };
        Ok(RawAttribute { kind, value })
    }

    fn read_bytes(&mut self, entry: &CK_ATTRIBUTE) -> Result<Vec<u8>> {
        self.bytes = self.bytes.checked_sub(entry.ulValueLen).ok_or_else(|| {
            Error::new(CKR_ATTRIBUTE_VALUE_INVALID, format!("length of {:#x}", entry.type_))
        })?;
        // SAFETY: `ulValueLen` readable bytes at `pValue` by the contract of `Template::new`.
        let value = unsafe { Input::new(entry.pValue.cast(), entry.ulValueLen) };
        let value = value.bytes().map_err(|error| error.told_as(CKR_ATTRIBUTE_VALUE_INVALID))?;
        copied(value)
    }
}

/// Whether the value is an array of `CK_ATTRIBUTE`: pointers into the caller's memory.
fn holds_attributes(kind: CK_ATTRIBUTE_TYPE) -> bool {
    // 3.2 numbers two of them without the flag that marks arrays.
    const KINDS: [CK_ATTRIBUTE_TYPE; 5] = [
        CKA_WRAP_TEMPLATE,
        CKA_UNWRAP_TEMPLATE,
        CKA_DERIVE_TEMPLATE,
        CKA_ENCAPSULATE_TEMPLATE | CKF_ARRAY_ATTRIBUTE,
        CKA_DECAPSULATE_TEMPLATE | CKF_ARRAY_ATTRIBUTE,
    ];
    KINDS.contains(&(kind | CKF_ARRAY_ATTRIBUTE))
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
