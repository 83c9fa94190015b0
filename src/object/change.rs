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
    let changed = change(object, changes, actor, Purpose::Setting)?;
    // What a key was allowed to be when it was made it stays.
    if !usage::mixes_wrapping(object) {
        actor.may_mix(&changed)?;
    }
    Ok(changed)
}

/// The copy of `object` that `template` asks for. It lacks CKA_UNIQUE_ID, which whoever stores it
/// gives it ([`AttributeSet::identify`]).
///
/// Beside what [`set`] changes, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE and CKA_DESTROYABLE may be
/// given, and anything else with the value that it has.
///
/// Errors: `CKR_ACTION_PROHIBITED` for an object that is not CKA_COPYABLE; as [`set`];
/// `CKR_USER_NOT_LOGGED_IN`, `CKR_SESSION_READ_ONLY` and, for usages that exclude each other,
/// `CKR_TEMPLATE_INCONSISTENT` as the copy is a new object.
///
/// PKCS#11 v3.1, "Copying objects"; C_CopyObject.
pub fn copy(object: &AttributeSet, template: &AttributeSet, actor: Actor) -> Result<AttributeSet> {
    actor.must_see(object)?;
    if !object.is_true(CKA_COPYABLE) {
        return Err(Error::new(CKR_ACTION_PROHIBITED, "this object is not CKA_COPYABLE"));
    }
    let mut copy = change(object, template, actor, Purpose::Copying)?;
    actor.may_mix(&copy)?;
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

/// What an object is changed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It itself.
    Setting,
    /// The copy that it becomes.
    Copying,
}

fn change(
    object: &AttributeSet,
    changes: &AttributeSet,
    actor: Actor,
    purpose: Purpose,
) -> Result<AttributeSet> {
    let holder = Holders::of(object)
        .ok_or_else(|| Error::bug("an object of a kind that this module does not know"))?;
    let mut changed = object.clone();
    for (cka, value) in changes.iter() {
        let row = attribute::find(cka, holder).ok_or_else(|| foreign(cka))?;
        let same = object.get(cka) == Some(value);
        check_row(row, value, same, purpose)?;
        if !same {
            check_trust(object, row, actor)?;
            check_value(object, holder, row, value)?;
        }
        if row.later == Later::ToNone && !same {
            changed.remove(cka);
        } else {
            changed.insert(cka, value.clone());
        }
    }
    check_together(&changed)?;
    restore_public_key_info(object, &mut changed);
    Ok(changed)
}

/// Whether the row lets its attribute become `value`.
fn check_row(row: &Attribute, value: &Value, same: bool, purpose: Purpose) -> Result<()> {
    let copying = purpose == Purpose::Copying;
    let may = match row.later {
        Later::Free => true,
        Later::ToTrue => same || *value == Value::Bool(true),
        Later::ToFalse => same || *value == Value::Bool(false),
        Later::ToNone => same || *value == Value::bytes([]),
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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::tpm::Curve;
    use cryptoki_sys::*;

    fn one(cka: CK_ATTRIBUTE_TYPE, value: Value) -> AttributeSet {
        AttributeSet::new().with(cka, value)
    }

    fn told<T>(result: Result<T>) -> Told<T> {
        result.map_err(|error| error.ck_rv())
    }

    /// `set` and `copy` of one attribute by the user.
    fn changed(
        object: &AttributeSet,
        cka: CK_ATTRIBUTE_TYPE,
        value: Value,
    ) -> [Told<AttributeSet>; 2] {
        let changes = one(cka, value);
        [told(set(object, &changes, USER)), told(copy(object, &changes, USER))]
    }

    #[test]
    fn k_id_and_label_are_set_after_generation() {
        for cka in [CKA_ID, CKA_LABEL] {
            for result in changed(&private_key(), cka, Value::bytes(*b"new")) {
                assert_eq!(result.unwrap().bytes(cka), Some(&b"new"[..]));
            }
        }
    }

    #[test]
    fn c097_one_way_attributes_go_one_way_by_set_and_by_copy() {
        for (cka, from, to) in [
            (CKA_SENSITIVE, false, true),
            (CKA_WRAP_WITH_TRUSTED, false, true),
            (CKA_EXTRACTABLE, true, false),
            (CKA_COPYABLE, true, false),
            (CKA_SIGN, true, false),
        ] {
            let with = |value| private_key().with(cka, Value::Bool(value));
            for result in changed(&with(from), cka, Value::Bool(to)) {
                assert_eq!(result.unwrap().bool(cka), Some(to), "0x{cka:x}");
            }
            // What it is already it may be said to be.
            for result in changed(&with(from), cka, Value::Bool(from)) {
                assert!(result.is_ok(), "0x{cka:x}");
            }
            let back = set(&with(to), &one(cka, Value::Bool(from)), USER);
            assert_eq!(told(back), Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
            if cka != CKA_COPYABLE {
                let back = copy(&with(to), &one(cka, Value::Bool(from)), USER);
                assert_eq!(told(back), Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
            }
        }
    }

    #[test]
    fn c099_what_an_object_is_does_not_change() {
        let certificate = create(&certificate(), USER).unwrap();
        for (object, cka, value) in [
            (private_key(), CKA_CLASS, ulong(CKO_DATA)),
            (private_key(), CKA_KEY_TYPE, ulong(CKK_RSA)),
            (private_key(), CKA_EC_PARAMS, Value::bytes([1])),
            (private_key(), CKA_EC_POINT, Value::bytes([1])),
            (private_key(), CKA_VALUE, Value::bytes([1])),
            (private_key(), CKA_LOCAL, FALSE),
            (private_key(), CKA_ALWAYS_SENSITIVE, FALSE),
            (private_key(), CKA_NEVER_EXTRACTABLE, FALSE),
            (private_key(), CKA_KEY_GEN_MECHANISM, ulong(1)),
            (private_key(), CKA_ALLOWED_MECHANISMS, Value::Mechanisms(vec![1])),
            (private_key(), CKA_ALWAYS_AUTHENTICATE, TRUE),
            (certificate.clone(), CKA_VALUE, Value::bytes([1])),
            (certificate.clone(), CKA_SUBJECT, Value::bytes([1])),
            (certificate, CKA_CERTIFICATE_CATEGORY, ulong(1)),
            (create(&data(), USER).unwrap(), CKA_VALUE, Value::bytes([1])),
        ] {
            for result in changed(&object, cka, value) {
                assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
            }
        }
        for cka in [CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_DESTROYABLE] {
            let result = told(set(&private_key(), &one(cka, FALSE), USER));
            assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
        }
        let same = one(CKA_CLASS, ulong(CKO_PRIVATE_KEY));
        assert_eq!(told(set(&private_key(), &same, USER)), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert!(copy(&private_key(), &same, USER).is_ok());
    }

    #[test]
    fn c103_a_unique_id_is_neither_set_nor_copied() {
        let mut object = private_key();
        object.identify(&[1; 16]);
        let id = object.get(CKA_UNIQUE_ID).unwrap().clone();
        for result in changed(&object, CKA_UNIQUE_ID, id) {
            assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY));
        }
        assert!(!copy(&object, &AttributeSet::new(), USER).unwrap().has(CKA_UNIQUE_ID));
        assert!(set(&object, &AttributeSet::new(), USER).unwrap().has(CKA_UNIQUE_ID));
    }

    #[test]
    fn c100_objects_that_do_not_change_copy_or_go_away_say_so() {
        let label = one(CKA_LABEL, Value::bytes(*b"x"));
        let fixed = private_key().with(CKA_MODIFIABLE, FALSE);
        assert_eq!(told(set(&fixed, &label, USER)), Err(CKR_ACTION_PROHIBITED));
        assert!(copy(&fixed, &label, USER).is_ok());
        let single = private_key().with(CKA_COPYABLE, FALSE);
        assert_eq!(told(copy(&single, &label, USER)), Err(CKR_ACTION_PROHIBITED));
        assert!(set(&single, &label, USER).is_ok());
        let lasting = private_key().with(CKA_DESTROYABLE, FALSE);
        assert_eq!(told(may_destroy(&lasting, USER)), Err(CKR_ACTION_PROHIBITED));
        assert!(may_destroy(&private_key(), USER).is_ok());
        let profile = super::super::profile::profile(CKP_BASELINE_PROVIDER);
        assert_eq!(told(set(&profile, &label, USER)), Err(CKR_ACTION_PROHIBITED));
        assert_eq!(told(copy(&profile, &label, USER)), Err(CKR_ACTION_PROHIBITED));
        assert_eq!(told(may_destroy(&profile, USER)), Err(CKR_ACTION_PROHIBITED));
    }

    #[test]
    fn c109_a_check_value_of_a_secret_key_is_taken_away_and_not_changed() {
        let key = one(CKA_CLASS, ulong(CKO_SECRET_KEY))
            .with(CKA_KEY_TYPE, ulong(CKK_AES))
            .with(CKA_MODIFIABLE, TRUE)
            .with(CKA_COPYABLE, TRUE)
            .with(CKA_CHECK_VALUE, Value::bytes([1, 2, 3]));
        for result in changed(&key, CKA_CHECK_VALUE, Value::bytes([])) {
            assert!(!result.unwrap().has(CKA_CHECK_VALUE));
        }
        for result in changed(&key, CKA_CHECK_VALUE, Value::bytes([1, 2, 3])) {
            assert_eq!(result, Ok(key.clone()));
        }
        for result in changed(&key, CKA_CHECK_VALUE, Value::bytes([1, 2, 4])) {
            assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY));
        }
        let certificate = create(&certificate(), USER).unwrap();
        for result in changed(&certificate, CKA_CHECK_VALUE, Value::bytes([])) {
            assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY));
        }
    }

    #[test]
    fn c101_one_refused_change_refuses_all() {
        let changes = one(CKA_LABEL, Value::bytes(*b"x")).with(CKA_LOCAL, FALSE);
        assert_eq!(told(set(&private_key(), &changes, USER)), Err(CKR_ATTRIBUTE_READ_ONLY));
        let both = one(CKA_LABEL, Value::bytes(*b"x")).with(CKA_ID, Value::bytes(*b"y"));
        let object = set(&private_key(), &both, USER).unwrap();
        assert_eq!(object.bytes(CKA_LABEL), Some(&b"x"[..]));
        assert_eq!(object.bytes(CKA_ID), Some(&b"y"[..]));
    }

    #[test]
    fn c089_a_read_only_session_changes_and_destroys_session_objects_only() {
        let label = one(CKA_LABEL, Value::bytes(*b"x"));
        let token = private_key().with(CKA_TOKEN, TRUE);
        assert_eq!(told(set(&token, &label, READER)), Err(CKR_SESSION_READ_ONLY));
        assert_eq!(told(may_destroy(&token, READER)), Err(CKR_SESSION_READ_ONLY));
        assert!(set(&private_key(), &label, READER).is_ok());
        assert!(may_destroy(&private_key(), READER).is_ok());
        assert_eq!(told(copy(&token, &label, READER)), Err(CKR_SESSION_READ_ONLY));
        assert!(copy(&token, &one(CKA_TOKEN, FALSE), READER).is_ok());
        let to_token = one(CKA_TOKEN, TRUE);
        assert_eq!(told(copy(&private_key(), &to_token, READER)), Err(CKR_SESSION_READ_ONLY));
        assert!(copy(&private_key(), &to_token, USER).unwrap().is_token());
    }

    #[test]
    fn c090_a_private_copy_needs_the_user() {
        let object = create(&data(), PUBLIC).unwrap();
        let private = one(CKA_PRIVATE, TRUE);
        assert_eq!(told(copy(&object, &private, PUBLIC)), Err(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(told(copy(&object, &private, OFFICER)), Err(CKR_USER_NOT_LOGGED_IN));
        let copied = copy(&object, &private, USER).unwrap();
        assert!(copied.is_private());
        let open = one(CKA_PRIVATE, FALSE);
        assert_eq!(told(copy(&copied, &open, PUBLIC)), Err(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(told(copy(&copied, &open, OFFICER)), Err(CKR_USER_NOT_LOGGED_IN));
        assert!(copy(&copied, &open, USER).is_ok());
    }

    #[test]
    fn c102_a_copy_inherits_what_it_is_not_told() {
        let template = one(CKA_PRIVATE, FALSE)
            .with(CKA_MODIFIABLE, FALSE)
            .with(CKA_DESTROYABLE, FALSE)
            .with(CKA_LABEL, Value::bytes(*b"copy"));
        let copied = copy(&private_key(), &template, USER).unwrap();
        for (cka, value) in private_key().iter() {
            assert_eq!(copied.get(cka), template.get(cka).or(Some(value)), "0x{cka:x}");
        }
        assert!(copied.is_true(CKA_LOCAL));
    }

    #[test]
    fn c102_a_copy_made_unextractable_was_extractable_once() {
        let object = private_key().with(CKA_EXTRACTABLE, TRUE).with(CKA_NEVER_EXTRACTABLE, FALSE);
        for result in changed(&object, CKA_EXTRACTABLE, FALSE) {
            let object = result.unwrap();
            assert_eq!(object.bool(CKA_EXTRACTABLE), Some(false));
            assert_eq!(object.bool(CKA_NEVER_EXTRACTABLE), Some(false));
        }
    }

    #[test]
    fn c098_trust_is_the_officers_to_give_and_to_take() {
        let plain = create(&certificate(), USER).unwrap();
        let trusted = create(&certificate().with(CKA_TRUSTED, TRUE), OFFICER).unwrap();
        for (object, value) in [(&plain, TRUE), (&trusted, FALSE)] {
            let change = one(CKA_TRUSTED, value);
            assert_eq!(told(set(object, &change, USER)), Err(CKR_ATTRIBUTE_READ_ONLY));
            assert_eq!(told(copy(object, &change, USER)), Err(CKR_ATTRIBUTE_READ_ONLY));
            assert!(set(object, &change, OFFICER).is_ok());
        }
    }

    #[test]
    fn c116_a_trusted_certificate_is_the_officers_to_change() {
        let trusted = create(&certificate().with(CKA_TRUSTED, TRUE), OFFICER).unwrap();
        for cka in [CKA_ID, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_LABEL] {
            let change = one(cka, Value::bytes(*b"x"));
            assert_eq!(told(set(&trusted, &change, USER)), Err(CKR_ATTRIBUTE_READ_ONLY));
            assert!(set(&trusted, &change, OFFICER).is_ok());
            assert!(set(&create(&certificate(), USER).unwrap(), &change, USER).is_ok());
        }
    }

    #[test]
    fn c092_an_attribute_of_other_objects_is_inconsistent_with_this_one() {
        for result in changed(&private_key(), CKA_VERIFY, TRUE) {
            assert_eq!(result, Err(CKR_TEMPLATE_INCONSISTENT));
        }
    }

    #[test]
    fn k_a_usage_is_taken_away_and_not_given_to_a_private_key() {
        let signer =
            pair(&ec_key(Curve::P256, P256_INFO), AttributeSet::new(), one(CKA_SIGN, TRUE));
        for result in changed(&signer.1, CKA_DERIVE, TRUE) {
            assert_eq!(result, Err(CKR_ATTRIBUTE_READ_ONLY));
        }
        // A public key can do what any of its kind can, and no more.
        for result in changed(&signer.0, CKA_DERIVE, TRUE) {
            assert!(result.unwrap().is_true(CKA_DERIVE));
        }
        for result in changed(&signer.0, CKA_ENCRYPT, TRUE) {
            assert_eq!(result, Err(CKR_TEMPLATE_INCONSISTENT));
        }
    }

    #[test]
    fn c108_a_public_key_info_is_set_to_the_keys_own_only() {
        let info = |hex| Value::bytes(bytes(hex));
        for result in changed(&private_key(), CKA_PUBLIC_KEY_INFO, info(P256_INFO)) {
            assert!(result.is_ok());
        }
        for result in changed(&private_key(), CKA_PUBLIC_KEY_INFO, info(P384_INFO)) {
            assert_eq!(result, Err(CKR_ATTRIBUTE_VALUE_INVALID));
        }
        for result in changed(&private_key(), CKA_PUBLIC_KEY_INFO, info("")) {
            let object = result.unwrap();
            assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), P256_INFO);
        }
    }
}
