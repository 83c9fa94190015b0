//! Keys that travel under other keys.

use cryptoki_sys::*;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::mechanism::parameter::MechanismChoice;
use crate::mechanism::{self, Decrypting, Encrypting, Sealed, Unwrapped};
use crate::object::private_key_info::{private_key_info, read_private_key_info};
use crate::object::secret_key::{fitting_secret, wanted_len};
use crate::object::template::{RawAttribute, template};
use crate::object::value::{AttributeSet, Value};
use crate::object::{Path, nested, new_object};
use crate::session::Call;
use crate::session::key::{UNWRAP, Usable, Usage, WRAP, in_tpm};
use crate::session::object::Object;
use crate::session::operation::{Delivery, Destination};
use crate::tpm::SecretBytes;

impl Call<'_> {
    /// Wraps the key `key` with the key `with`. PKCS#11 v3.1, C_WrapKey.
    ///
    /// Errors: `CKR_WRAPPING_KEY_HANDLE_INVALID`, `CKR_WRAPPING_KEY_TYPE_INCONSISTENT` (its type,
    /// or CKA_WRAP), `CKR_KEY_HANDLE_INVALID` (also where CKA_WRAP_TEMPLATE does not fit),
    /// `CKR_KEY_UNEXTRACTABLE`, `CKR_KEY_NOT_WRAPPABLE`, `CKR_KEY_SIZE_RANGE`,
    /// `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    ///
    /// Gives the nonce, once the key is wrapped with one that was made here.
    pub fn wrap_key(
        &mut self,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        output: impl Destination,
    ) -> Result<Option<Vec<u8>>> {
        Ok(self.wrap(choice, with, key, 0, output)?.and_then(|sealed| sealed.nonce))
    }

    /// Wraps the key `key` with the key `with`, and gives the tag apart, once it is wrapped. PKCS#11
    /// v3.2, C_WrapKeyAuthenticated.
    ///
    /// Errors: as [`wrap_key`](Self::wrap_key)'s; `CKR_MECHANISM_INVALID` for a mechanism without a
    /// tag.
    pub fn wrap_key_authenticated(
        &mut self,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        output: impl Destination,
    ) -> Result<Option<Sealed>> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let tag_len = mechanism::tag_len(choice, &abilities)?;
        self.wrap(choice, with, key, tag_len, output)
    }

    /// Wraps a key, and gives the last `apart` bytes as a tag.
    fn wrap(
        &mut self,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        apart: usize,
        output: impl Destination,
    ) -> Result<Option<Sealed>> {
        let (own, nonce) = mechanism::with_nonce(choice)?.unzip();
        let choice = own.as_ref().unwrap_or(choice);
        let told = |error| told(error, &WRAPPING);
        let wrapping = self.usable_key(with, choice, WRAP).map_err(told)?;
        let row = wrapping.row;
        may_stream(&wrapping, nonce.is_some())?;
        let mut encrypting =
            Encrypting::new(choice, &wrapping.abilities, &wrapping.facts).map_err(told)?;
        let target = self.key_object(key)?;
        may_wrap(&wrapping, &target)?;
        let wrapper = self.bind_secret(wrapping.object)?;
        let too_long = |error: Error| {
            error.retold(&[CKR_DATA_LEN_RANGE, CKR_DATA_INVALID], CKR_KEY_SIZE_RANGE)
        };
        let bound = row.padded_len(bytes_bound(&target.attributes)?);
        let bound = encrypting.ciphertext_len(bound).map_err(too_long)?.saturating_sub(apart);
        // What a secret key becomes is known; a private key may be shorter than it looks.
        let secret = target.attributes.class() == Some(CKO_SECRET_KEY);
        let least = if secret { bound } else { 0 };
        let engine = &self.provider.engine;
        let mut tag = Vec::new();
        let delivery = output.fill_once(&mut None, bound, least, || {
            let mut bytes = self.secret(&target)?;
            if target.attributes.class() == Some(CKO_PRIVATE_KEY) {
                bytes = private_key_info(&target.attributes, &bytes)?;
            }
            let zeros = vec![0; row.padded_len(bytes.len()).saturating_sub(bytes.len())];
            bytes = Zeroizing::new([&bytes[..], &zeros].concat());
            let wrapped = encrypting.encrypt(&bytes, in_tpm(&wrapper, engine)).map_err(too_long)?;
            let mut wrapped = Zeroizing::new(wrapped);
            let len = wrapped.len().saturating_sub(apart);
            tag = wrapped.split_off(len);
            Ok(wrapped)
        })?;
        Ok((delivery == Delivery::Written).then_some(Sealed { nonce, tag }))
    }

    /// Makes the key that `wrapped` is, unwrapped with the key `with`. PKCS#11 v3.1, C_UnwrapKey.
    ///
    /// Errors: the template's; `CKR_UNWRAPPING_KEY_HANDLE_INVALID`,
    /// `CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT` (its type, or CKA_UNWRAP),
    /// `CKR_WRAPPED_KEY_LEN_RANGE`, `CKR_WRAPPED_KEY_INVALID`, `CKR_MECHANISM_INVALID`,
    /// `CKR_MECHANISM_PARAM_INVALID`.
    pub fn unwrap_key(
        &mut self,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        raw: &[RawAttribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let opening = Opening { usage: UNWRAP, template: CKA_UNWRAP_TEMPLATE, path: Path::Unwrap };
        self.open_key(&opening, choice, with, wrapped, template(raw)?)
    }

    /// Makes the key of the template `given` that `wrapped` is, opened with the key `with`.
    ///
    /// Errors: those of [`unwrap_key`](Self::unwrap_key).
    pub(super) fn open_key(
        &mut self,
        opening: &Opening,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        given: AttributeSet,
    ) -> Result<CK_OBJECT_HANDLE> {
        let told = |error| told(error, &UNWRAPPING);
        let unwrapping = self.usable_key(with, choice, opening.usage).map_err(told)?;
        let row = unwrapping.row;
        let scheme = unwrapping.object.fixed_scheme(&unwrapping.abilities);
        let mut decrypting =
            Decrypting::new(choice, &unwrapping.abilities, &unwrapping.facts, scheme)
                .map_err(told)?;
        let with = &unwrapping.object.attributes;
        let given = nested::add(with, opening.template, given)?;
        // PKCS#11 would have CKA_EXTRACTABLE true of what is unwrapped, too; here no key of one's own
        // may leave unless its template says so.
        let given = if matches!(opening.path, Path::Unwrap) { given } else { leaving(given) };
        let object = new_object(opening.path, &given, self.actor())?;
        nested::check_added(with, opening.template, &object)?;
        let bound = decrypting.bound(wrapped.len()).map_err(told)?;
        let key = self.bind(unwrapping.object)?;
        let mut bytes =
            decrypting.decrypt(wrapped, &mut key.in_tpm(&self.provider.engine)).map_err(told)?;
        if bytes.len() > bound {
            return Err(Error::bug("more plaintext than ciphertext"));
        }
        if object.class() == Some(CKO_PRIVATE_KEY) {
            return self.add_private_key(object, &bytes);
        }
        if row.unwrapped() == Unwrapped::AllOrStandIn {
            bytes = fitting_secret(&object, bytes, &unwrapping.abilities.aes_bits);
        }
        let len = wanted_len(&object, Some(bytes.len()))?;
        if row.unwrapped() == Unwrapped::End {
            let before = bytes.len().saturating_sub(len);
            bytes.drain(..before);
        }
        // Zeros fill the last block of a mode that has no padding of its own.
        let (most, zeros) = (bytes.len(), row.padded_len(len));
        if len > most || (len < most && zeros != most) {
            return Err(Error::new(CKR_WRAPPED_KEY_LEN_RANGE, "a key of another length"));
        }
        bytes.truncate(len);
        self.add_secret_key(object, &bytes)
            .map_err(|error| error.retold(&[CKR_KEY_SIZE_RANGE], CKR_WRAPPED_KEY_LEN_RANGE))
    }

    /// Makes the key that `wrapped` is, whose tag came apart. PKCS#11 v3.2, C_UnwrapKeyAuthenticated.
    ///
    /// Errors: as [`unwrap_key`](Self::unwrap_key)'s; `CKR_MECHANISM_INVALID` for a mechanism without
    /// a tag.
    pub fn unwrap_key_authenticated(
        &mut self,
        choice: &MechanismChoice,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        tag: &[u8],
        raw: &[RawAttribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        mechanism::tag_len(choice, &abilities)?;
        self.unwrap_key(choice, with, &[wrapped, tag].concat(), raw)
    }

    fn add_secret_key(&mut self, object: AttributeSet, value: &[u8]) -> Result<CK_OBJECT_HANDLE> {
        let draft = self.draft_of_value(object, value)?;
        self.add_one(draft)
    }

    /// A private key that was unwrapped.
    ///
    /// Errors: `CKR_WRAPPED_KEY_INVALID`.
    fn add_private_key(
        &mut self,
        mut object: AttributeSet,
        bytes: &SecretBytes,
    ) -> Result<CK_OBJECT_HANDLE> {
        read_private_key_info(&mut object, bytes)?;
        let draft = self.draft_private_key(object).map_err(|error| match error.ck_rv() {
            // The values are not the template's.
            CKR_ATTRIBUTE_VALUE_INVALID | CKR_TEMPLATE_INCOMPLETE | CKR_DOMAIN_PARAMS_INVALID => {
                error.told_as(CKR_WRAPPED_KEY_INVALID)
            }
            _ => error,
        })?;
        self.add_one(draft)
    }
}

/// How a key is opened: which attribute of the key that opens it allows that, which of its templates
/// the new key has to fit, and how the new one comes about.
pub(super) struct Opening {
    pub usage: Usage,
    pub template: CK_ATTRIBUTE_TYPE,
    pub path: Path,
}

/// A template for a secret that two sides share: such a key may leave unless the template says
/// otherwise, or that each use asks for the PIN, which excludes it.
///
/// PKCS#11 v3.2, C_EncapsulateKey and C_DecapsulateKey.
pub(super) fn leaving(mut given: AttributeSet) -> AttributeSet {
    if !given.has(CKA_EXTRACTABLE) && !given.is_true(CKA_ALWAYS_AUTHENTICATE) {
        given.insert(CKA_EXTRACTABLE, Value::Bool(true));
    }
    given
}

/// Whether `wrapping` may wrap `target`: in two steps a public key wraps as much as a secret one.
fn may_wrap(wrapping: &Usable, target: &Object) -> Result<()> {
    let (with, key) = (&wrapping.object.attributes, &target.attributes);
    let class = key.class();
    if class == Some(CKO_PUBLIC_KEY) {
        return Err(Error::new(CKR_KEY_NOT_WRAPPABLE, "a public key needs no wrapping"));
    }
    if !key.is_true(CKA_EXTRACTABLE) {
        return Err(Error::new(CKR_KEY_UNEXTRACTABLE, "the key may not leave the TPM"));
    }
    if key.is_true(CKA_WRAP_WITH_TRUSTED) && !with.is_true(CKA_TRUSTED) {
        return Err(Error::new(CKR_KEY_NOT_WRAPPABLE, "a trusted key alone may wrap it"));
    }
    let direct = with.class() != Some(CKO_SECRET_KEY) && !wrapping.row.is_hybrid();
    if class == Some(CKO_PRIVATE_KEY) && direct {
        return Err(Error::new(CKR_KEY_NOT_WRAPPABLE, "a private key goes with a secret key only"));
    }
    if !nested::fits(with, CKA_WRAP_TEMPLATE, key) {
        return Err(Error::new(CKR_KEY_HANDLE_INVALID, "CKA_WRAP_TEMPLATE wants another key"));
    }
    Ok(())
}

/// Whether `wrapping` may wrap under a key stream, with a nonce that was `made_here` or is the
/// caller's. Who can make the stream of another wrapping once more reads the key in it. What is
/// extractable anybody may wrap with a key of his own; of a trusted key it is kept from happening.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`, `CKR_WRAPPING_KEY_TYPE_INCONSISTENT`.
fn may_stream(wrapping: &Usable, made_here: bool) -> Result<()> {
    let key = &wrapping.object.attributes;
    if wrapping.row.aead().is_none() || !key.is_true(CKA_TRUSTED) {
        return Ok(());
    }
    if !made_here {
        let why = "a trusted key wraps with nonces that are made here only";
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, why));
    }
    // Each of them encrypts blocks of the caller's, for GMAC and derivations too.
    let encrypts = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_DERIVE];
    if encrypts.iter().any(|usage| key.is_true(*usage)) {
        let why = "a trusted key that does more than wrap makes its key stream for others";
        return Err(Error::new(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, why));
    }
    Ok(())
}

/// Most bytes that a key is wrapped as.
fn bytes_bound(key: &AttributeSet) -> Result<usize> {
    let len = |cka| key.bytes(cka).map_or(0, <[u8]>::len);
    match (key.class(), key.key_type()) {
        (Some(CKO_SECRET_KEY), _) => wanted_len(key, None),
        // Five numbers of half the modulus' length, two of it, and what DER puts around them.
        (_, Some(CKK_RSA)) => Ok(len(CKA_MODULUS).saturating_mul(5).saturating_add(100)),
        _ => Ok(len(CKA_EC_POINT).saturating_mul(2).saturating_add(60)),
    }
}

/// How a function says what other functions say of their only key.
pub(super) struct Words(&'static [(CK_RV, CK_RV)]);

const WRAPPING: Words = Words(&[
    (CKR_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID),
    (CKR_KEY_TYPE_INCONSISTENT, CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
    (CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
    (CKR_KEY_SIZE_RANGE, CKR_WRAPPING_KEY_SIZE_RANGE),
]);

pub(super) const UNWRAPPING: Words = Words(&[
    (CKR_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    (CKR_KEY_TYPE_INCONSISTENT, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
    (CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
    (CKR_KEY_SIZE_RANGE, CKR_UNWRAPPING_KEY_SIZE_RANGE),
    (CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_WRAPPED_KEY_LEN_RANGE),
    (CKR_ENCRYPTED_DATA_INVALID, CKR_WRAPPED_KEY_INVALID),
]);

/// PKCS#11 v3.1 gives these functions codes of their own.
pub(super) fn told(error: Error, words: &Words) -> Error {
    match words.0.iter().find(|(general, _)| *general == error.ck_rv()) {
        Some((_, own)) => error.told_as(*own),
        None => error,
    }
}
