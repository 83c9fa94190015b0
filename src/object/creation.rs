//! A template made into a new object: what is missing, what is not for the application to say, and
//! what does not go together.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CKA_ALWAYS_AUTHENTICATE,
    CKA_ALWAYS_SENSITIVE, CKA_CLASS, CKA_EXTRACTABLE, CKA_KEY_GEN_MECHANISM, CKA_KEY_TYPE,
    CKA_LOCAL, CKA_MODULUS, CKA_MODULUS_BITS, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE,
    CKA_PUBLIC_KEY_INFO, CKA_SENSITIVE, CKK_GENERIC_SECRET, CKO_PRIVATE_KEY, CKO_PROFILE,
    CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_SESSION_READ_ONLY, CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
    CKR_USER_NOT_LOGGED_IN,
};

use super::attribute::{self, Attribute, Given, Holders};
use super::value::{AttributeSet, Value};
use super::{certificate, public, usage};
use crate::error::{Error, Result};

/// Who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nobody.
    Public,
    /// The user.
    User,
    /// The security officer.
    SecurityOfficer,
}

/// Who asks, and in what kind of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who is logged in.
    pub role: Role,
    /// Whether the session is a R/W session.
    pub read_write: bool,
}

impl Actor {
    /// Whether this actor may create, change or destroy `object`.
    ///
    /// Errors: `CKR_SESSION_READ_ONLY` for a token object in a R/O session;
    /// `CKR_USER_NOT_LOGGED_IN` for a private object unless the user is in: to the security officer
    /// it does not exist either.
    ///
    /// PKCS#11 v3.1, C_CreateObject.
    pub(super) fn may_write(self, object: &AttributeSet) -> Result<()> {
        if object.is_token() && !self.read_write {
            return Err(Error::new(CKR_SESSION_READ_ONLY, "a token object in a R/O session"));
        }
        if object.is_private() && self.role != Role::User {
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, "a private object without its user"));
        }
        Ok(())
    }
}

/// How a new object comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// `C_CreateObject`.
    Create,
    /// `C_GenerateKey`, or one half of `C_GenerateKeyPair`.
    Generate {
        /// The mechanism, for CKA_KEY_GEN_MECHANISM.
        mechanism: CK_MECHANISM_TYPE,
        /// What it makes.
        class: CK_OBJECT_CLASS,
        /// What it makes.
        key_type: CK_KEY_TYPE,
    },
    /// `C_UnwrapKey`.
    Unwrap,
    /// `C_DeriveKey`: a secret key, generic unless the template says otherwise.
    Derive {
        /// CKA_ALWAYS_SENSITIVE of the base key.
        always_sensitive: bool,
        /// CKA_NEVER_EXTRACTABLE of the base key.
        never_extractable: bool,
    },
}

impl Path {
    fn given(self, row: &Attribute) -> Given {
        match self {
            Self::Create => row.create,
            Self::Generate { .. } => row.generate,
            Self::Unwrap => row.unwrap,
            Self::Derive { .. } => row.derive,
        }
    }
}

/// The object that `template` describes, with all defaults; without CKA_UNIQUE_ID, which whoever
/// stores it gives it ([`AttributeSet::identify`]), and, where it is not created from given values,
/// without the values that its making gives it.
///
/// Errors: `CKR_TEMPLATE_INCOMPLETE`, `CKR_ATTRIBUTE_READ_ONLY`, `CKR_ATTRIBUTE_VALUE_INVALID`,
/// `CKR_TEMPLATE_INCONSISTENT`, `CKR_CURVE_NOT_SUPPORTED`, `CKR_DOMAIN_PARAMS_INVALID`;
/// `CKR_USER_NOT_LOGGED_IN` for a private object unless the user is in, `CKR_SESSION_READ_ONLY` for
/// a token object in a R/O session.
///
/// PKCS#11 v3.1, "Creating objects"; "Common attributes".
pub fn new_object(path: Path, template: &AttributeSet, actor: Actor) -> Result<AttributeSet> {
    let mut object = template.clone();
    let holder = settle_kind(path, &mut object)?;
    for (cka, _) in template.iter() {
        check_given(path, holder, cka, template, actor)?;
    }
    for row in attribute::of(holder) {
        if object.has(row.cka) {
            continue;
        }
        if path.given(row) == Given::Must {
            return Err(incomplete(row.cka));
        }
        if let Some(value) = row.preset_value() {
            object.insert(row.cka, value);
        }
    }
    usage::settle(holder, &mut object)?;
    check_domains(&object)?;
    settle_history(path, holder, &mut object);
    check_together(&object)?;
    if path == Path::Create {
        complete_created(holder, &mut object)?;
    } else if matches!(path, Path::Generate { .. }) && object.is_true(CKA_EXTRACTABLE) {
        // Keys are made with fixedTPM and fixedParent; one that may leave needs another TPM object.
        return Err(inconsistent("keys that can be extracted are not generated"));
    }
    actor.may_write(&object)?;
    Ok(object)
}

/// Settles CKA_CLASS and CKA_KEY_TYPE, of which the path may know more than the template.
fn settle_kind(path: Path, object: &mut AttributeSet) -> Result<Holders> {
    match path {
        Path::Generate { class, key_type, .. } => {
            contribute(object, CKA_CLASS, class)?;
            contribute(object, CKA_KEY_TYPE, key_type)?;
        }
        Path::Derive { .. } => {
            contribute(object, CKA_CLASS, CKO_SECRET_KEY)?;
            if !object.has(CKA_KEY_TYPE) {
                contribute(object, CKA_KEY_TYPE, CKK_GENERIC_SECRET)?;
            }
        }
        Path::Create | Path::Unwrap => {}
    }
    let class = object.class().ok_or_else(|| incomplete(CKA_CLASS))?;
    let is_key = matches!(class, CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY);
    if is_key && object.key_type().is_none() {
        return Err(incomplete(CKA_KEY_TYPE));
    }
    if path == Path::Create && matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
        return Err(inconsistent("private and secret keys are generated, not created from values"));
    }
    if path == Path::Unwrap && !matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
        return Err(inconsistent("only private and secret keys are unwrapped"));
    }
    Holders::of(object).filter(|_| class != CKO_PROFILE).ok_or_else(|| {
        let why = "objects of this CKA_CLASS and CKA_KEY_TYPE are not offered";
        Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why)
    })
}

fn contribute(object: &mut AttributeSet, cka: CK_ATTRIBUTE_TYPE, own: u64) -> Result<()> {
    match object.insert(cka, Value::Ulong(own)) {
        Some(given) if given != Value::Ulong(own) => {
            Err(inconsistent(format!("{} is not what this makes", attribute::name(cka))))
        }
        _ => Ok(()),
    }
}

/// Whether `cka` may be in `template` at all.
fn check_given(
    path: Path,
    holder: Holders,
    cka: CK_ATTRIBUTE_TYPE,
    template: &AttributeSet,
    actor: Actor,
) -> Result<()> {
    let row = attribute::find(cka, holder).ok_or_else(|| foreign(cka))?;
    if path.given(row) == Given::Never {
        return Err(read_only(row, "is the token's to set"));
    }
    if row.officer && template.is_true(cka) && actor.role != Role::SecurityOfficer {
        return Err(read_only(row, "is the security officer's to set"));
    }
    Ok(())
}

/// Numbers that must be one of a few.
fn check_domains(object: &AttributeSet) -> Result<()> {
    use cryptoki_sys::{
        CKA_CERTIFICATE_CATEGORY, CKA_CERTIFICATE_TYPE, CKA_JAVA_MIDP_SECURITY_DOMAIN, CKC_X_509,
    };
    for (cka, most) in [
        (CKA_CERTIFICATE_TYPE, CKC_X_509 as u64),
        (CKA_CERTIFICATE_CATEGORY, 3),
        (CKA_JAVA_MIDP_SECURITY_DOMAIN, 3),
    ] {
        if object.ulong(cka).is_some_and(|value| value > most) {
            let why = format!("{} is out of range", attribute::name(cka));
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        }
    }
    Ok(())
}

/// The attributes that tell where a key comes from.
///
/// PKCS#11 v3.1, C_CreateObject, C_GenerateKey, C_UnwrapKey, C_DeriveKey and "ECDH key derivation".
fn settle_history(path: Path, holder: Holders, object: &mut AttributeSet) {
    if let Path::Generate { mechanism, .. } = path {
        object.insert(CKA_LOCAL, Value::Bool(true));
        object.insert(CKA_KEY_GEN_MECHANISM, Value::Ulong(mechanism as u64));
    }
    let (sensitive, unextractable) = match path {
        Path::Create | Path::Unwrap => (false, false),
        Path::Generate { .. } => (true, true),
        Path::Derive { always_sensitive, never_extractable } => {
            (always_sensitive, never_extractable)
        }
    };
    if Holders::PRIVATE.and(Holders::SECRET).contain(holder) {
        let always = sensitive && object.is_true(CKA_SENSITIVE);
        let never = unextractable && !object.is_true(CKA_EXTRACTABLE);
        object.insert(CKA_ALWAYS_SENSITIVE, Value::Bool(always));
        object.insert(CKA_NEVER_EXTRACTABLE, Value::Bool(never));
    }
}

/// What has to go together in every object, new or copied.
pub(super) fn check_together(object: &AttributeSet) -> Result<()> {
    if object.is_true(CKA_ALWAYS_AUTHENTICATE) {
        // PKCS#11 v3.1, "Private key objects".
        if !object.is_true(CKA_PRIVATE) {
            return Err(inconsistent("CKA_ALWAYS_AUTHENTICATE goes with CKA_PRIVATE only"));
        }
        return Err(inconsistent("keys that ask for the PIN each time are not offered"));
    }
    Ok(())
}

/// Checks the values given to `C_CreateObject`, and computes what follows from them.
fn complete_created(holder: Holders, object: &mut AttributeSet) -> Result<()> {
    if holder == Holders::CERTIFICATE {
        return certificate::complete(object);
    }
    if Holders::PUBLIC.contain(holder) {
        let key = public::public_key(object)?;
        let own = public::attributes(&key)?;
        check_public_key_info(object, &own)?;
        for (cka, value) in own.iter() {
            // An RSA number stays as it was given, so that it is found again; an EC key becomes an
            // OID and a DER point, which every program reads.
            if !(holder == Holders::PUBLIC_RSA && object.has(cka)) || cka == CKA_PUBLIC_KEY_INFO {
                object.insert(cka, value.clone());
            }
        }
        if let Some(modulus) = object.bytes(CKA_MODULUS) {
            object.insert(CKA_MODULUS_BITS, Value::Ulong(public::bits(modulus)));
        }
    }
    Ok(())
}

/// Whether the CKA_PUBLIC_KEY_INFO in `given`, if it has one that is not empty, is that of `own`.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID`. PKCS#11 v3.1, "Private key objects".
pub(super) fn check_public_key_info(given: &AttributeSet, own: &AttributeSet) -> Result<()> {
    match given.filled(CKA_PUBLIC_KEY_INFO) {
        Some(info) if own.bytes(CKA_PUBLIC_KEY_INFO) != Some(info) => {
            Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO is of another key"))
        }
        _ => Ok(()),
    }
}

pub(super) fn inconsistent(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(CKR_TEMPLATE_INCONSISTENT, why)
}

pub(super) fn incomplete(cka: CK_ATTRIBUTE_TYPE) -> Error {
    Error::new(CKR_TEMPLATE_INCOMPLETE, format!("{} is missing", attribute::name(cka)))
}

/// An attribute that is right for other objects.
pub(super) fn foreign(cka: CK_ATTRIBUTE_TYPE) -> Error {
    inconsistent(format!("{} is no attribute of this object", attribute::name(cka)))
}

pub(super) fn read_only(row: &Attribute, why: &str) -> Error {
    Error::new(CKR_ATTRIBUTE_READ_ONLY, format!("{} {why}", row.name))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::tpm::{Curve, PublicKey};
    use cryptoki_sys::*;

    fn refused<T: std::fmt::Debug>(result: Result<T>) -> CK_RV {
        result.unwrap_err().ck_rv()
    }

    fn ec() -> PublicKey {
        ec_key(Curve::P256, P256_INFO)
    }

    const GENERATE_PRIVATE: Path =
        Path::Generate { mechanism: CKM_EC_KEY_PAIR_GEN, class: CKO_PRIVATE_KEY, key_type: CKK_EC };
    const GENERATE_AES: Path =
        Path::Generate { mechanism: CKM_AES_KEY_GEN, class: CKO_SECRET_KEY, key_type: CKK_AES };

    #[test]
    fn an_object_has_the_defaults_of_the_standard() {
        let object = create(&data(), PUBLIC).unwrap();
        let expected = data()
            .with(CKA_TOKEN, FALSE)
            .with(CKA_PRIVATE, FALSE)
            .with(CKA_MODIFIABLE, TRUE)
            .with(CKA_COPYABLE, TRUE)
            .with(CKA_DESTROYABLE, TRUE)
            .with(CKA_LABEL, Value::bytes([]))
            .with(CKA_APPLICATION, Value::bytes([]))
            .with(CKA_OBJECT_ID, Value::bytes([]))
            .with(CKA_VALUE, Value::bytes([]));
        assert_eq!(object, expected);
    }

    #[test]
    fn c092_what_must_be_given_and_is_not_makes_a_template_incomplete() {
        for (template, needed) in [
            (data(), vec![CKA_CLASS]),
            (certificate(), vec![CKA_CLASS, CKA_CERTIFICATE_TYPE, CKA_VALUE]),
            (public(&ec()), vec![CKA_CLASS, CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_EC_POINT]),
            (public(&rsa_key()), vec![CKA_CLASS, CKA_KEY_TYPE, CKA_MODULUS, CKA_PUBLIC_EXPONENT]),
        ] {
            assert!(create(&template, USER).is_ok());
            for cka in needed {
                let mut without = template.clone();
                without.remove(cka);
                assert_eq!(create(&without, USER), Err(CKR_TEMPLATE_INCOMPLETE), "0x{cka:x}");
            }
        }
    }

    #[test]
    fn c092_an_attribute_of_other_objects_is_inconsistent() {
        for (template, cka, value) in [
            (data(), CKA_SIGN, TRUE),
            (certificate(), CKA_MODULUS, Value::bytes([1])),
            (public(&ec()), CKA_MODULUS, Value::bytes([1])),
            (public(&ec()), CKA_SENSITIVE, TRUE),
        ] {
            assert_eq!(create(&template.with(cka, value), USER), Err(CKR_TEMPLATE_INCONSISTENT));
        }
    }

    #[test]
    fn c096_what_is_the_tokens_to_set_is_read_only_on_every_path() {
        for cka in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            let template = AttributeSet::new().with(cka, TRUE);
            for path in [GENERATE_PRIVATE, GENERATE_AES] {
                assert_eq!(refused(new_object(path, &template, USER)), CKR_ATTRIBUTE_READ_ONLY);
            }
        }
        let origin = AttributeSet::new().with(CKA_KEY_GEN_MECHANISM, Value::Ulong(1));
        assert_eq!(refused(new_object(GENERATE_PRIVATE, &origin, USER)), CKR_ATTRIBUTE_READ_ONLY);
        for (cka, value) in [
            (CKA_LOCAL, FALSE),
            (CKA_KEY_GEN_MECHANISM, Value::Ulong(u64::MAX)),
            (CKA_MODULUS_BITS, Value::Ulong(1024)),
        ] {
            let template = public(&rsa_key()).with(cka, value);
            assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_READ_ONLY), "0x{cka:x}");
        }
        // The values of a key that is made are not given.
        for cka in [CKA_EC_PARAMS, CKA_EC_POINT, CKA_VALUE] {
            let template = AttributeSet::new().with(cka, Value::bytes([1]));
            assert_eq!(
                refused(new_object(GENERATE_PRIVATE, &template, USER)),
                CKR_ATTRIBUTE_READ_ONLY
            );
        }
    }

    #[test]
    fn c103_a_unique_id_in_a_template_is_read_only() {
        for template in [data(), certificate(), public(&ec())] {
            let template = template.with(CKA_UNIQUE_ID, Value::bytes(*b"1"));
            assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_READ_ONLY));
        }
        let template = AttributeSet::new().with(CKA_UNIQUE_ID, Value::bytes(*b"1"));
        for path in [GENERATE_PRIVATE, GENERATE_AES] {
            assert_eq!(refused(new_object(path, &template, USER)), CKR_ATTRIBUTE_READ_ONLY);
        }
    }

    #[test]
    fn c096_a_created_key_is_not_local() {
        let object = create(&public(&rsa_key()), USER).unwrap();
        assert_eq!(object.bool(CKA_LOCAL), Some(false));
        assert_eq!(object.ulong(CKA_KEY_GEN_MECHANISM), Some(u64::MAX));
        assert!(!object.has(CKA_ALWAYS_SENSITIVE));
    }

    #[test]
    fn c096_unwrapped_and_derived_keys_know_where_they_come_from() {
        let template = AttributeSet::new()
            .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
            .with(CKA_KEY_TYPE, ulong(CKK_AES));
        let history = |object: &AttributeSet| {
            [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE].map(|cka| object.is_true(cka))
        };
        let unwrapped = new_object(Path::Unwrap, &template, USER).unwrap();
        assert_eq!(history(&unwrapped), [false, false, false]);
        let mut untyped = template.clone();
        untyped.remove(CKA_KEY_TYPE);
        assert_eq!(refused(new_object(Path::Unwrap, &untyped, USER)), CKR_TEMPLATE_INCOMPLETE);
        // 121: by AND with the base key's.
        for (always_sensitive, never_extractable) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let path = Path::Derive { always_sensitive, never_extractable };
            let guarded = new_object(path, &template, USER).unwrap();
            assert_eq!(history(&guarded), [false, always_sensitive, never_extractable]);
            let open = template.clone().with(CKA_SENSITIVE, FALSE).with(CKA_EXTRACTABLE, TRUE);
            let open = new_object(path, &open, USER).unwrap();
            assert_eq!(history(&open), [false, false, false]);
        }
    }

    #[test]
    fn k_what_systemd_derives_in_a_read_only_session_is_a_generic_secret() {
        let template = AttributeSet::new()
            .with(CKA_TOKEN, FALSE)
            .with(CKA_CLASS, ulong(CKO_SECRET_KEY))
            .with(CKA_KEY_TYPE, ulong(CKK_GENERIC_SECRET))
            .with(CKA_SENSITIVE, FALSE)
            .with(CKA_EXTRACTABLE, TRUE);
        let path = Path::Derive { always_sensitive: true, never_extractable: true };
        let object = new_object(path, &template, READER).unwrap();
        assert_eq!(object.bool(CKA_SENSITIVE), Some(false));
        assert!(new_object(path, &AttributeSet::new(), READER).is_ok());
    }

    #[test]
    fn c098_only_the_officer_makes_something_trusted() {
        let trusted = certificate().with(CKA_TRUSTED, TRUE);
        assert_eq!(create(&trusted, USER), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(create(&trusted, PUBLIC), Err(CKR_ATTRIBUTE_READ_ONLY));
        assert!(create(&trusted, OFFICER).unwrap().is_true(CKA_TRUSTED));
        assert!(create(&certificate().with(CKA_TRUSTED, FALSE), USER).is_ok());
    }

    #[test]
    fn c090_private_objects_are_the_users() {
        let private = data().with(CKA_PRIVATE, TRUE);
        assert!(create(&private, USER).is_ok());
        assert_eq!(create(&private, PUBLIC), Err(CKR_USER_NOT_LOGGED_IN));
        assert!(create(&data(), PUBLIC).is_ok());
        // A private key is private unless its template says otherwise.
        let private = new_object(GENERATE_PRIVATE, &AttributeSet::new(), PUBLIC);
        assert_eq!(refused(private), CKR_USER_NOT_LOGGED_IN);
        let open = AttributeSet::new().with(CKA_PRIVATE, FALSE);
        assert!(new_object(GENERATE_PRIVATE, &open, PUBLIC).is_ok());
    }

    #[test]
    fn c060_the_officer_creates_no_private_object() {
        let private = data().with(CKA_PRIVATE, TRUE);
        assert_eq!(create(&private, OFFICER), Err(CKR_USER_NOT_LOGGED_IN));
    }

    #[test]
    fn c089_a_read_only_session_creates_session_objects_only() {
        assert!(create(&data(), READER).is_ok());
        assert_eq!(create(&data().with(CKA_TOKEN, TRUE), READER), Err(CKR_SESSION_READ_ONLY));
        assert!(create(&data().with(CKA_TOKEN, TRUE), USER).is_ok());
    }

    #[test]
    fn c065_a_key_that_asks_each_time_is_private_and_not_offered_yet() {
        for private in [TRUE, FALSE] {
            let template =
                AttributeSet::new().with(CKA_ALWAYS_AUTHENTICATE, TRUE).with(CKA_PRIVATE, private);
            let result = new_object(GENERATE_PRIVATE, &template, USER);
            assert_eq!(refused(result), CKR_TEMPLATE_INCONSISTENT);
        }
    }

    #[test]
    fn c119_generated_keys_are_sensitive_and_stay_in_the_tpm() {
        for path in [GENERATE_PRIVATE, GENERATE_AES] {
            let sized = if path == GENERATE_AES {
                AttributeSet::new().with(CKA_VALUE_LEN, Value::Ulong(32))
            } else {
                AttributeSet::new()
            };
            let object = new_object(path, &sized, USER).unwrap();
            for cka in [CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL] {
                assert!(object.is_true(cka), "0x{cka:x}");
            }
            assert_eq!(object.bool(CKA_EXTRACTABLE), Some(false));
            let open = new_object(path, &sized.clone().with(CKA_SENSITIVE, FALSE), USER).unwrap();
            assert!(!open.is_true(CKA_ALWAYS_SENSITIVE));
            let movable = sized.with(CKA_EXTRACTABLE, TRUE);
            assert_eq!(refused(new_object(path, &movable, USER)), CKR_TEMPLATE_INCONSISTENT);
        }
    }

    #[test]
    fn c118_a_class_or_key_type_other_than_the_mechanisms_is_inconsistent() {
        for (cka, wrong, right) in
            [(CKA_CLASS, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY), (CKA_KEY_TYPE, CKK_RSA, CKK_EC)]
        {
            let with = |value| AttributeSet::new().with(cka, ulong(value));
            let result = new_object(GENERATE_PRIVATE, &with(wrong), USER);
            assert_eq!(refused(result), CKR_TEMPLATE_INCONSISTENT);
            assert!(new_object(GENERATE_PRIVATE, &with(right), USER).is_ok());
        }
    }

    #[test]
    fn classes_and_types_that_are_not_offered_are_invalid_values() {
        const CKO_NSS_TRUST: CK_ULONG = 0xCE53_4353;
        for class in [CKO_NSS_TRUST, CKO_PROFILE, CKO_HW_FEATURE, CKO_DOMAIN_PARAMETERS] {
            let template = AttributeSet::new().with(CKA_CLASS, ulong(class));
            assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_VALUE_INVALID), "0x{class:x}");
        }
        for (template, cka, value) in [
            (public(&ec()), CKA_KEY_TYPE, CKK_DSA),
            (certificate(), CKA_CERTIFICATE_TYPE, CKC_WTLS),
            (certificate(), CKA_CERTIFICATE_CATEGORY, 4),
            (certificate(), CKA_JAVA_MIDP_SECURITY_DOMAIN, 4),
        ] {
            let template = template.with(cka, ulong(value));
            assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_VALUE_INVALID), "0x{cka:x}");
        }
    }

    #[test]
    fn private_and_secret_keys_are_not_created_from_values() {
        for (class, key_type) in [(CKO_PRIVATE_KEY, CKK_EC), (CKO_SECRET_KEY, CKK_AES)] {
            let template = AttributeSet::new()
                .with(CKA_CLASS, ulong(class))
                .with(CKA_KEY_TYPE, ulong(key_type))
                .with(CKA_VALUE, Value::bytes([7; 32]));
            assert_eq!(create(&template, USER), Err(CKR_TEMPLATE_INCONSISTENT));
        }
    }

    #[test]
    fn c108_a_created_public_key_says_what_it_is() {
        let object = create(&public(&ec()), USER).unwrap();
        assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), P256_INFO);
        let object = create(&public(&rsa_key()), USER).unwrap();
        assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), RSA_INFO);
        assert_eq!(object.ulong(CKA_MODULUS_BITS), Some(1024));
        let with = |info| public(&ec()).with(CKA_PUBLIC_KEY_INFO, Value::bytes(bytes(info)));
        assert!(create(&with(P256_INFO), USER).is_ok());
        assert!(create(&with(""), USER).unwrap().filled(CKA_PUBLIC_KEY_INFO).is_some());
        assert_eq!(create(&with(P384_INFO), USER), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }

    #[test]
    fn c088_a_created_ec_key_reads_as_oid_and_octet_string_however_it_was_given() {
        let PublicKey::Ec { x, y, .. } = ec() else { unreachable!() };
        let named = [&[0x13, 9], &b"secp256r1"[..]].concat();
        let template = public(&ec())
            .with(CKA_EC_PARAMS, Value::bytes(named))
            .with(CKA_EC_POINT, Value::bytes([&[4], &x[..], &y[..]].concat()));
        assert_eq!(create(&template, USER), create(&public(&ec()), USER));
    }

    #[test]
    fn a_created_rsa_key_keeps_its_numbers_as_they_were_given() {
        let PublicKey::Rsa { modulus, .. } = rsa_key() else { unreachable!() };
        let padded = [&[0], &modulus[..]].concat();
        let template = public(&rsa_key()).with(CKA_MODULUS, Value::bytes(padded.clone()));
        let object = create(&template, USER).unwrap();
        assert_eq!(object.bytes(CKA_MODULUS), Some(&padded[..]));
        assert_eq!(object.ulong(CKA_MODULUS_BITS), Some(1024));
        assert_eq!(public::public_key(&object).unwrap(), rsa_key());
    }
}
