//! A template made into a new object: what is missing, what is not for the application to say, and
//! what does not go together.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CKA_ALWAYS_AUTHENTICATE,
    CKA_ALWAYS_SENSITIVE, CKA_CHECK_VALUE, CKA_CLASS, CKA_EXTRACTABLE, CKA_KEY_GEN_MECHANISM,
    CKA_KEY_TYPE, CKA_LOCAL, CKA_MODULUS, CKA_MODULUS_BITS, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE,
    CKA_PUBLIC_KEY_INFO, CKA_SENSITIVE, CKK_GENERIC_SECRET, CKO_MECHANISM, CKO_PRIVATE_KEY,
    CKO_PROFILE, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_SESSION_READ_ONLY, CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT, CKR_USER_NOT_LOGGED_IN,
};

use super::attribute::{self, Attribute, Given, Holders};
use super::value::{AttributeSet, Value};
use super::{certificate, public, secret_key, usage};
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
    /// Whether a secret key may both wrap keys and decrypt, or both unwrap and encrypt.
    pub mixes_wrapping: bool,
}

impl Role {
    /// Whether `object` exists for whoever has this role: a private object does for the user only.
    ///
    /// PKCS#11 v3.1, "Session states"; "Storage objects".
    pub fn sees(self, object: &AttributeSet) -> bool {
        self == Self::User || !object.is_private()
    }
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
        self.must_see(object)
    }

    /// Whether this actor may make the key `object` with the usages that it has.
    ///
    /// Who holds a key that wraps and decrypts reads in clear whatever it wraps, and with one that
    /// unwraps and encrypts makes keys of a known value: for secret keys that is refused unless the
    /// administrator allows it. Of an RSA pair either half does one of the two.
    ///
    /// Errors: `CKR_TEMPLATE_INCONSISTENT`.
    pub(super) fn may_mix(self, object: &AttributeSet) -> Result<()> {
        if self.mixes_wrapping || !usage::mixes_wrapping(object) {
            return Ok(());
        }
        Err(inconsistent(
            "a secret key has neither CKA_WRAP with CKA_DECRYPT nor CKA_UNWRAP with CKA_ENCRYPT",
        ))
    }

    /// Errors: `CKR_USER_NOT_LOGGED_IN` where `object` does not exist for this actor.
    pub(super) fn must_see(self, object: &AttributeSet) -> Result<()> {
        if self.role.sees(object) {
            Ok(())
        } else {
            Err(Error::new(CKR_USER_NOT_LOGGED_IN, "a private object without its user"))
        }
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
    actor.may_mix(&object)?;
    check_domains(&object)?;
    settle_history(path, holder, &mut object);
    check_together(&object)?;
    if path == Path::Create {
        complete_created(holder, &mut object)?;
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
    if path == Path::Unwrap && !matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
        return Err(inconsistent("only private and secret keys are unwrapped"));
    }
    Holders::of(object).filter(|_| !matches!(class, CKO_PROFILE | CKO_MECHANISM)).ok_or_else(|| {
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
        // A key that makes or opens other keys has no operation for the PIN to come in between.
        if usage::AT_ONCE.iter().any(|cka| object.is_true(*cka)) {
            return Err(inconsistent(
                "CKA_ALWAYS_AUTHENTICATE goes with none of CKA_DERIVE, CKA_UNWRAP, CKA_DECAPSULATE",
            ));
        }
        // Who had it outside would need no PIN.
        if object.is_true(CKA_EXTRACTABLE) {
            return Err(inconsistent("CKA_ALWAYS_AUTHENTICATE goes not with CKA_EXTRACTABLE"));
        }
    }
    Ok(())
}

/// Checks the values given to `C_CreateObject`, and computes what follows from them.
fn complete_created(holder: Holders, object: &mut AttributeSet) -> Result<()> {
    if holder == Holders::CERTIFICATE {
        return certificate::complete(object);
    }
    if Holders::SECRET.contain(holder) {
        return secret_key::complete(object);
    }
    if Holders::PUBLIC.contain(holder) {
        let key = public::public_key(object)?;
        let own = public::attributes(&key)?;
        check_public_key_info(object, &own)?;
        public::say(object, &own);
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

/// Gives `object` its CKA_CHECK_VALUE, `own`, if it has one. An empty one that was given asks for none.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` where another one was given.
pub(super) fn settle_check_value(object: &mut AttributeSet, own: Option<&[u8]>) -> Result<()> {
    match object.bytes(CKA_CHECK_VALUE) {
        Some([]) => drop(object.remove(CKA_CHECK_VALUE)),
        Some(given) if own != Some(given) => {
            let why = "CKA_CHECK_VALUE is of another object";
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        }
        Some(_) => {}
        None => {
            if let Some(own) = own {
                object.insert(CKA_CHECK_VALUE, Value::bytes(own));
            }
        }
    }
    Ok(())
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
mod tests;
