//! What `C_SetAttributeValue`, `C_CopyObject` and `C_DestroyObject` allow.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_COPYABLE, CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_PUBLIC_KEY_INFO,
    CKA_TRUSTED, CKA_UNIQUE_ID, CKO_CERTIFICATE, CKR_ACTION_PROHIBITED,
};

use super::attribute::{self, Attribute, Holders, Later, Preset};
use super::creation::{
    Actor, Role, check_public_key_info, check_together, foreign, inconsistent, read_only,
};
use super::value::{AttributeSet, Value};
use super::{public, usage};
use crate::error::{Error, Result};

/// The object `object` with `changes` made: all of them or, on an error, none.
///
/// Errors: `CKR_ACTION_PROHIBITED` for an object that is not CKA_MODIFIABLE;
/// `CKR_ATTRIBUTE_READ_ONLY` for an attribute that does not change, or not that way, or not by this
/// actor; `CKR_ATTRIBUTE_VALUE_INVALID` for a CKA_PUBLIC_KEY_INFO of another key;
/// `CKR_TEMPLATE_INCONSISTENT` for an attribute that such an object does not have, a usage that it
/// cannot serve; `CKR_SESSION_READ_ONLY` for a token object in a R/O session.
///
/// PKCS#11 v3.1, "Modifying objects"; C_SetAttributeValue.
pub fn set(object: &AttributeSet, changes: &AttributeSet, actor: Actor) -> Result<AttributeSet> {
    actor.may_write(object)?;
    if !object.is_true(CKA_MODIFIABLE) {
        return Err(Error::new(CKR_ACTION_PROHIBITED, "this object is not CKA_MODIFIABLE"));
    }
    change(object, changes, actor, false)
}

/// The copy of `object` that `template` asks for. It lacks CKA_UNIQUE_ID, which whoever stores it
/// gives it ([`AttributeSet::identify`]).
///
/// Beside what [`set`] changes, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE and CKA_DESTROYABLE may be
/// given, and anything else with the value that it has.
///
/// Errors: `CKR_ACTION_PROHIBITED` for an object that is not CKA_COPYABLE; as [`set`];
/// `CKR_USER_NOT_LOGGED_IN` and `CKR_SESSION_READ_ONLY` as the copy is a new object.
///
/// PKCS#11 v3.1, "Copying objects"; C_CopyObject.
pub fn copy(object: &AttributeSet, template: &AttributeSet, actor: Actor) -> Result<AttributeSet> {
    if !object.is_true(CKA_COPYABLE) {
        return Err(Error::new(CKR_ACTION_PROHIBITED, "this object is not CKA_COPYABLE"));
    }
    let mut copy = change(object, template, actor, true)?;
    copy.remove(CKA_UNIQUE_ID);
    actor.may_write(&copy)?;
    Ok(copy)
}

/// Whether `actor` may destroy `object`.
///
/// Errors: `CKR_ACTION_PROHIBITED` for an object that is not CKA_DESTROYABLE, which a profile
/// object never is; `CKR_SESSION_READ_ONLY` for a token object in a R/O session.
///
/// PKCS#11 v3.1, C_DestroyObject.
pub fn may_destroy(object: &AttributeSet, actor: Actor) -> Result<()> {
    actor.may_write(object)?;
    if object.is_true(CKA_DESTROYABLE) {
        Ok(())
    } else {
        Err(Error::new(CKR_ACTION_PROHIBITED, "this object is not CKA_DESTROYABLE"))
    }
}

fn change(
    object: &AttributeSet,
    changes: &AttributeSet,
    actor: Actor,
    copying: bool,
) -> Result<AttributeSet> {
    let holder = Holders::of(object)
        .ok_or_else(|| Error::bug("an object of a kind that this module does not know"))?;
    let mut changed = object.clone();
    for (cka, value) in changes.iter() {
        let row = attribute::find(cka, holder).ok_or_else(|| foreign(cka))?;
        let same = object.get(cka) == Some(value);
        check_row(row, value, same, copying)?;
        if !same {
            check_trust(object, row, actor)?;
            check_value(object, holder, row, value)?;
        }
        changed.insert(cka, value.clone());
    }
    check_together(&changed)?;
    restore_public_key_info(object, &mut changed);
    Ok(changed)
}

/// Whether the row lets its attribute become `value`.
fn check_row(row: &Attribute, value: &Value, same: bool, copying: bool) -> Result<()> {
    let may = match row.later {
        Later::Free => true,
        Later::ToTrue => same || *value == Value::Bool(true),
        Later::ToFalse => same || *value == Value::Bool(false),
        Later::OnCopy => copying,
        // In a copy, what the copy has anyway may be said.
        Later::Fixed => copying && same && row.cka != CKA_UNIQUE_ID,
    };
    if may { Ok(()) } else { Err(read_only(row, "does not change this way")) }
}

/// CKA_TRUSTED is the security officer's, and so is everything in a certificate that has it.
///
/// PKCS#11 v3.1, "Certificate objects": "Trusted certificates cannot be modified."
fn check_trust(object: &AttributeSet, row: &Attribute, actor: Actor) -> Result<()> {
    let trusted = object.class() == Some(CKO_CERTIFICATE) && object.is_true(CKA_TRUSTED);
    if actor.role == Role::SecurityOfficer || !(row.officer || trusted) {
        return Ok(());
    }
    Err(read_only(row, "is the security officer's to change here"))
}

fn check_value(
    object: &AttributeSet,
    holder: Holders,
    row: &Attribute,
    value: &Value,
) -> Result<()> {
    if row.preset == Preset::Usage && *value == Value::Bool(true) && !usage::serves(holder, row.cka)
    {
        return Err(inconsistent(format!("a key of this kind cannot serve {}", row.name)));
    }
    if row.cka == CKA_PUBLIC_KEY_INFO {
        let given = AttributeSet::new().with(row.cka, value.clone());
        check_public_key_info(&given, &public::attributes(&public::public_key(object)?)?)?;
    }
    Ok(())
}

/// An empty CKA_PUBLIC_KEY_INFO means: the key's own.
fn restore_public_key_info(object: &AttributeSet, changed: &mut AttributeSet) {
    const CKA: CK_ATTRIBUTE_TYPE = CKA_PUBLIC_KEY_INFO;
    if changed.has(CKA)
        && changed.filled(CKA).is_none()
        && let Some(own) = object.get(CKA)
    {
        changed.insert(CKA, own.clone());
    }
}
