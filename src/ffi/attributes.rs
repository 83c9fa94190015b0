//! Templates: copied in for those who read them, answered in place for `C_GetAttributeValue`.

use std::marker::PhantomData;
use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_DECAPSULATE_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_ENCAPSULATE_TEMPLATE, CKA_UNWRAP_TEMPLATE,
    CKA_WRAP_TEMPLATE, CKF_ARRAY_ATTRIBUTE, CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_BUFFER_TOO_SMALL,
};

use super::input::{Input, copied, length_at};
use crate::error::{Error, Result};
use crate::object::template::{AttributeAnswer, RawAttribute};

/// More entries than any object has attributes: a larger count is an error of the caller's, and
/// is not believed as far as reading that much memory.
const MOST_ENTRIES: CK_ULONG = 4096;

/// More bytes than any value of an object here has, in the same sense.
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
    /// `pValue` that is not NULL are readable or, for `questions`, writable. All this holds for
    /// `'call`, in which nobody but this library touches any of it.
    pub(super) unsafe fn new(entries: *mut CK_ATTRIBUTE, count: CK_ULONG) -> Self {
        Self { entries, count, memory: PhantomData }
    }

    /// Copies types and values.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a count; `CKR_ATTRIBUTE_VALUE_INVALID` for a value
    /// that is NULL with a length, or longer than any value is; `CKR_ATTRIBUTE_TYPE_INVALID` for a
    /// template inside the template, whose pointers must not get into an object;
    /// `CKR_HOST_MEMORY`.
    pub(super) fn read(&self) -> Result<Vec<RawAttribute>> {
        self.entries()?.into_iter().map(|(_, entry)| read_entry(&entry)).collect()
    }

    /// The entries as questions for values, with their places for the answers.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for NULL with a count.
    pub(super) fn questions(&self) -> Result<Questions<'call>> {
        Ok(Questions { entries: self.entries()?, memory: PhantomData })
    }

    /// Where each entry is, and what it says.
    fn entries(&self) -> Result<Vec<(*mut CK_ATTRIBUTE, CK_ATTRIBUTE)>> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        if self.entries.is_null() {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "NULL for a template with entries"));
        }
        if self.count > MOST_ENTRIES {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "more entries than a template can have"));
        }
        let entries = (0..self.count as usize).map(|index| {
            // SAFETY: `index` is below `count`, so there is an entry by `new`'s contract.
            unsafe {
                let place = self.entries.add(index);
                (place, place.read_unaligned())
            }
        });
        Ok(entries.collect())
    }
}

fn read_entry(entry: &CK_ATTRIBUTE) -> Result<RawAttribute> {
    let kind = entry.type_;
    if holds_attributes(kind) {
        return Err(Error::new(CKR_ATTRIBUTE_TYPE_INVALID, format!("template in {kind:#x}")));
    }
    if entry.ulValueLen > MOST_BYTES {
        return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, format!("length of {kind:#x}")));
    }
    // SAFETY: `ulValueLen` readable bytes at `pValue` by the contract of `Template::new`.
    let value = unsafe { Input::new(entry.pValue.cast(), entry.ulValueLen) };
    let value = value.bytes().map_err(|error| error.told_as(CKR_ATTRIBUTE_VALUE_INVALID))?;
    Ok(RawAttribute { kind, value: copied(value)? })
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

/// A template that asks for values.
pub(super) struct Questions<'call> {
    entries: Vec<(*mut CK_ATTRIBUTE, CK_ATTRIBUTE)>,
    memory: PhantomData<&'call mut [CK_ATTRIBUTE]>,
}

impl Questions<'_> {
    /// The types asked for, in order.
    pub(super) fn kinds(&self) -> Vec<CK_ATTRIBUTE_TYPE> {
        self.entries.iter().map(|(_, entry)| entry.type_).collect()
    }

    /// Writes the answers, one for each entry in order; every entry gets its own, whatever the
    /// others got.
    ///
    /// PKCS#11 v3.1, C_GetAttributeValue: an entry that gets no value gets the length
    /// `CK_UNAVAILABLE_INFORMATION`. Errors, where several apply the first of:
    /// `CKR_ATTRIBUTE_SENSITIVE`, `CKR_ATTRIBUTE_TYPE_INVALID`, `CKR_BUFFER_TOO_SMALL`.
    pub(super) fn answer(self, answers: &[AttributeAnswer]) -> Result<()> {
        if answers.len() != self.entries.len() {
            return Err(Error::bug("not one answer for each attribute"));
        }
        let (mut sensitive, mut invalid, mut small) = (None, None, None);
        for ((place, entry), answer) in self.entries.iter().zip(answers) {
            let refused = match answer {
                AttributeAnswer::Value(value) => match write_value(entry, value) {
                    Ok(()) => {
                        // SAFETY: see `tell_len`.
                        unsafe { tell_len(*place, value.len() as CK_ULONG) };
                        continue;
                    }
                    Err(TooSmall) => &mut small,
                },
                AttributeAnswer::Sensitive => &mut sensitive,
                AttributeAnswer::Invalid => &mut invalid,
            };
            *refused = Some(entry.type_);
            // SAFETY: see `tell_len`.
            unsafe { tell_len(*place, CK_UNAVAILABLE_INFORMATION) };
        }
        let told = [
            (sensitive, CKR_ATTRIBUTE_SENSITIVE),
            (invalid, CKR_ATTRIBUTE_TYPE_INVALID),
            (small, CKR_BUFFER_TOO_SMALL),
        ];
        match told.into_iter().find_map(|(kind, rv)| Some((kind?, rv))) {
            Some((kind, rv)) => Err(Error::new(rv, format!("attribute {kind:#x}"))),
            None => Ok(()),
        }
    }
}

struct TooSmall;

/// Copies `value` to where `entry` wants it; with NULL it wants none.
fn write_value(entry: &CK_ATTRIBUTE, value: &[u8]) -> std::result::Result<(), TooSmall> {
    if entry.pValue.is_null() {
        return Ok(());
    }
    let room = length_at(entry.pValue as usize, entry.ulValueLen).ok_or(TooSmall)?;
    if room < value.len() {
        return Err(TooSmall);
    }
    // SAFETY: `value` is our own memory, and not longer than the room that `pValue` has by the
    // contract of `Template::new`.
    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), entry.pValue.cast(), value.len()) };
    Ok(())
}

/// Writes the length of the entry at `place`.
///
/// # Safety
///
/// `place` is an entry of a template made for `Template::questions`: writable, of any alignment.
unsafe fn tell_len(place: *mut CK_ATTRIBUTE, len: CK_ULONG) {
    // SAFETY: by this function's contract; no reference to the field is made.
    unsafe { (&raw mut (*place).ulValueLen).write_unaligned(len) }
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
