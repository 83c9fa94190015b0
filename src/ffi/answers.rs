//! Templates that ask for values, answered in place: `C_GetAttributeValue`.

use std::marker::PhantomData;
use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_RV, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL,
    CKR_TEMPLATE_INCONSISTENT,
};

use super::attributes::Entry;
use super::input::length_at;
use crate::error::{Error, Result};
use crate::object::template::AttributeAnswer;

/// A template that asks for values.
pub(super) struct Questions<'call> {
    entries: Vec<Entry>,
    memory: PhantomData<&'call mut [CK_ATTRIBUTE]>,
}

impl Questions<'_> {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, memory: PhantomData }
    }

    /// The types asked for, in order.
    pub(super) fn kinds(&self) -> Vec<CK_ATTRIBUTE_TYPE> {
        self.entries.iter().map(|entry| entry.says.type_).collect()
    }

    /// Writes the answers, one for each entry in order; every entry gets its own, whatever the
    /// others got.
    ///
    /// PKCS#11 v3.1, C_GetAttributeValue: an entry that gets no value gets the length
    /// `CK_UNAVAILABLE_INFORMATION`. Errors, where several apply the first of:
    /// `CKR_TEMPLATE_INCONSISTENT` (for an array of attributes that the template it asks for does
    /// not fit: see [`fit`]), `CKR_ATTRIBUTE_SENSITIVE`, `CKR_ATTRIBUTE_TYPE_INVALID`,
    /// `CKR_BUFFER_TOO_SMALL`.
    pub(super) fn answer(self, answers: &[AttributeAnswer]) -> Result<()> {
        if answers.len() != self.entries.len() {
            return Err(Error::bug("not one answer for each attribute"));
        }
        let mut refused = Vec::new();
        for (entry, answer) in self.entries.iter().zip(answers) {
            write(entry, answer, &mut refused);
        }
        let told = [
            CKR_TEMPLATE_INCONSISTENT,
            CKR_ATTRIBUTE_SENSITIVE,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_BUFFER_TOO_SMALL,
        ];
        let worst = told.iter().find_map(|rv| refused.iter().find(|(_, other)| other == rv));
        match worst {
            Some((kind, rv)) => Err(Error::new(*rv, format!("attribute {kind:#x}"))),
            None => Ok(()),
        }
    }
}

/// Which entries got no value, and what for.
type Refused = Vec<(CK_ATTRIBUTE_TYPE, CK_RV)>;

fn write(entry: &Entry, answer: &AttributeAnswer, refused: &mut Refused) {
    let written = match answer {
        AttributeAnswer::Value(value) => write_value(&entry.says, value),
        AttributeAnswer::Template(inner) => write_template(entry, inner, refused),
        AttributeAnswer::Sensitive => Err(CKR_ATTRIBUTE_SENSITIVE),
        AttributeAnswer::Invalid => Err(CKR_ATTRIBUTE_TYPE_INVALID),
    };
    let len = written.unwrap_or_else(|rv| {
        refused.push((entry.says.type_, rv));
        CK_UNAVAILABLE_INFORMATION
    });
    // SAFETY: an entry of a template made for `Template::questions`, or of an array in it, is
    // writable and of any alignment; no reference to the field is made.
    unsafe { (&raw mut (*entry.place).ulValueLen).write_unaligned(len) }
}

/// Copies `value` to where `entry` wants it; with NULL it wants none. Gives its length.
fn write_value(entry: &CK_ATTRIBUTE, value: &[u8]) -> std::result::Result<CK_ULONG, CK_RV> {
    if !entry.pValue.is_null() {
        let room = length_at(entry.pValue as usize, entry.ulValueLen);
        if room.is_none_or(|room| room < value.len()) {
            return Err(CKR_BUFFER_TOO_SMALL);
        }
        // SAFETY: `value` is our own memory, and not longer than the room that `pValue` has by the
        // contract of `Template::new`.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), entry.pValue.cast(), value.len()) };
    }
    Ok(value.len() as CK_ULONG)
}

/// Answers the array that `entry` has for the template `inner`: a question for each attribute. With
/// NULL only the array's length is asked for. Gives that length.
///
/// PKCS#11 v3.2, "Template attributes"; v3.1, C_GetAttributeValue.
fn write_template(
    entry: &Entry,
    inner: &[(CK_ATTRIBUTE_TYPE, AttributeAnswer)],
    refused: &mut Refused,
) -> std::result::Result<CK_ULONG, CK_RV> {
    if entry.says.pValue.is_null() {
        return Ok(array_len(inner.len()));
    }
    if entry.says.ulValueLen == 0 && !inner.is_empty() {
        return Err(CKR_BUFFER_TOO_SMALL);
    }
    let places = entry.array().ok_or(CKR_TEMPLATE_INCONSISTENT)?;
    let kinds: Vec<_> = places.iter().map(|place| place.says.type_).collect();
    let fitting = fit(&kinds, inner)?;
    let len = array_len(fitting.len());
    for (place, (kind, answer)) in places.iter().zip(fitting) {
        // SAFETY: as in `write`.
        unsafe { (&raw mut (*place.place).type_).write_unaligned(*kind) };
        write(place, answer, refused);
    }
    Ok(len)
}

fn array_len(entries: usize) -> CK_ULONG {
    entries.saturating_mul(size_of::<CK_ATTRIBUTE>()) as CK_ULONG
}

/// What each entry of an array with the types `kinds` is answered from the template `inner`.
///
/// Either all types are `CK_UNAVAILABLE_INFORMATION`, and there are as many as `inner` has: then
/// they are told. Or each is one of `inner`, no two are the same, and none of `inner` is left out
/// but templates, which keeps a caller out of templates inside templates.
///
/// Up to 3.1 the types were ignored, and the array had to be large enough; C_GetAttributeValue says so
/// still. A program that goes by that leaves them zero, which names nothing twice: it gets them all.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` otherwise.
fn fit<'a>(
    kinds: &[CK_ATTRIBUTE_TYPE],
    inner: &'a [(CK_ATTRIBUTE_TYPE, AttributeAnswer)],
) -> std::result::Result<Vec<&'a (CK_ATTRIBUTE_TYPE, AttributeAnswer)>, CK_RV> {
    if kinds.iter().all(|kind| *kind == CK_UNAVAILABLE_INFORMATION) && kinds.len() == inner.len() {
        return Ok(inner.iter().collect());
    }
    let named: Option<Vec<_>> =
        kinds.iter().map(|kind| inner.iter().find(|(other, _)| other == kind)).collect();
    let left_out = inner.iter().filter(|(kind, _)| !kinds.contains(kind));
    let complete =
        left_out.clone().all(|(_, answer)| matches!(answer, AttributeAnswer::Template(_)));
    let distinct = kinds.len().checked_add(left_out.count()) == Some(inner.len());
    if let Some(named) = named.filter(|_| complete && distinct) {
        return Ok(named);
    }
    if kinds.iter().all(|kind| *kind == 0) && kinds.len() >= inner.len() {
        return Ok(inner.iter().collect());
    }
    Err(CKR_TEMPLATE_INCONSISTENT)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
