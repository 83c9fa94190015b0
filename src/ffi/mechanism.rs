//! `CK_MECHANISM` in: the parameter is copied when an operation begins, the caller may free it.

use std::marker::PhantomData;

use cryptoki_sys::{
    CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_ECDH1_DERIVE_PARAMS, CK_EXTRACT_PARAMS,
    CK_KEY_DERIVATION_STRING_DATA, CK_MAC_GENERAL_PARAMS, CK_MECHANISM, CK_MECHANISM_TYPE,
    CK_OBJECT_HANDLE, CK_RSA_AES_KEY_WRAP_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS,
    CK_ULONG, CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
    CKZ_DATA_SPECIFIED,
};

use super::aead::{self, Message, MessageParameter};
use super::derivation::{self, AdditionalKey};
use super::input::{Input, copied};
use crate::error::{Error, Result};
use crate::mechanism::parameter::{MechanismChoice, Parameter, ParameterShape};
use crate::mechanism::{AeadMode, parameter_shape};

/// More bytes than a parameter, or what it points to, has: a larger length is not believed.
const MOST_BYTES: CK_ULONG = 64 << 10;

/// The pointer that the caller gave for a mechanism.
#[derive(Clone, Copy)]
pub(super) struct Mechanism<'call> {
    place: *const CK_MECHANISM,
    memory: PhantomData<&'call CK_MECHANISM>,
}

impl<'call> Mechanism<'call> {
    /// Takes down the caller's pointer; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `place` is not NULL it points to a `CK_MECHANISM` of any alignment. If its `pParameter`
    /// is not NULL, `ulParameterLen` bytes there are readable, and if they are the structure that
    /// belongs to the mechanism, so is what that points to; where the standard says that a function
    /// returns something there, it is writable. All this holds for the lifetime, in which nobody but
    /// this library writes to any of it.
    pub(super) unsafe fn new(place: *const CK_MECHANISM) -> Self {
        Self { place, memory: PhantomData }
    }

    /// The mechanism, or `None` for NULL, which cancels an operation.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for a parameter of a wrong length, NULL with a
    /// length, or an OAEP source that is not data.
    pub(super) fn choice(&self) -> Result<Option<MechanismChoice>> {
        self.choice_by(parameter_shape, aead::operation)
    }

    /// The mechanism, where there has to be one. Errors: as `choice`'s, and `CKR_ARGUMENTS_BAD`.
    pub(super) fn required(&self) -> Result<MechanismChoice> {
        self.choice()?.ok_or_else(missing)
    }

    /// The mechanism that wraps or unwraps a key. Errors: as `required`'s.
    pub(super) fn for_wrapping(&self) -> Result<MechanismChoice> {
        self.choice_by(parameter_shape, aead::wrapping)?.ok_or_else(missing)
    }

    /// Writes the nonce that a key was wrapped with to where the parameter has its own.
    pub(super) fn write_nonce(&self, nonce: &[u8]) -> Result<()> {
        let (ckm, bytes, len) = self.raw().ok_or_else(missing)?;
        match parameter_shape(ckm) {
            Some(ParameterShape::Aead(mode)) => {
                aead::wrapping_places(mode, bytes, len)?.write_nonce(nonce)
            }
            _ => Err(Error::bug("a nonce for a mechanism without one")),
        }
    }

    /// The mechanism that wraps or unwraps a key whose tag is apart: `aad` and a message's parameter.
    ///
    /// Errors: as `required`'s; `CKR_MECHANISM_INVALID` for a mechanism without a tag.
    pub(super) fn for_authenticated_wrapping(
        &self,
        aad: Input<'_>,
    ) -> Result<(CK_MECHANISM_TYPE, Message)> {
        let (ckm, bytes, len) = self.raw().ok_or_else(missing)?;
        match parameter_shape(ckm) {
            Some(ParameterShape::Aead(mode)) => {
                // SAFETY: by `Mechanism::new`'s contract.
                let parameter = unsafe { MessageParameter::of(bytes, len) };
                let mut message = parameter.read(Some(mode), Some(aad))?;
                // It is the wrapped key's, whatever is said of it.
                message.parameter.data_len = None;
                Ok((ckm, message))
            }
            _ => Err(Error::new(CKR_MECHANISM_INVALID, "nothing is authenticated by it")),
        }
    }

    /// The type, the parameter and its length; `None` for NULL.
    fn raw(&self) -> Option<(CK_MECHANISM_TYPE, Input<'call>, CK_ULONG)> {
        if self.place.is_null() {
            return None;
        }
        // SAFETY: not NULL, so it points to a CK_MECHANISM by `new`'s contract.
        let given = unsafe { self.place.read_unaligned() };
        // SAFETY: by `new`'s contract.
        let bytes = unsafe { Input::new(given.pParameter.cast(), given.ulParameterLen) };
        Some((given.mechanism, bytes, given.ulParameterLen))
    }

    /// The mechanism of a process of messages, or `None` for NULL. Errors: as `choice`'s.
    pub(super) fn for_messages(&self) -> Result<Option<MechanismChoice>> {
        self.choice_by(parameter_shape, aead::messages)
    }

    fn choice_by(
        &self,
        shape_of: impl FnOnce(CK_MECHANISM_TYPE) -> Option<ParameterShape>,
        aead: fn(AeadMode, Input<'_>, CK_ULONG) -> Result<Parameter>,
    ) -> Result<Option<MechanismChoice>> {
        let Some((ckm, bytes, len)) = self.raw() else { return Ok(None) };
        let parameter = match shape_of(ckm) {
            // The mechanism is refused by name; nothing is known of what the pointer means.
            None => Parameter::None,
            Some(ParameterShape::None) => match believed(bytes, len)? {
                [] => Parameter::None,
                bytes => Parameter::Bytes(copied(bytes)?),
            },
            Some(ParameterShape::Pss) => {
                // SAFETY: plain numbers, of which every value is one.
                pss(unsafe { structure(bytes, len) }?)
            }
            Some(ParameterShape::Oaep) => {
                // SAFETY: plain numbers and a pointer, of which every value is one.
                oaep(unsafe { structure(bytes, len) }?)?
            }
            Some(ParameterShape::RsaAes) => {
                // SAFETY: a plain number and a pointer, of which every value is one.
                rsa_aes(unsafe { structure(bytes, len) }?)?
            }
            Some(ParameterShape::OptionalIv(_)) => match believed(bytes, len)? {
                [] => Parameter::None,
                bytes => Parameter::Bytes(copied(bytes)?),
            },
            Some(ParameterShape::Data) => {
                // SAFETY: a pointer and a number, of which every value is one.
                let given: CK_KEY_DERIVATION_STRING_DATA = unsafe { structure(bytes, len) }?;
                Parameter::Data(pointed_to(given.pData, given.ulLen)?)
            }
            Some(ParameterShape::BitIndex) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::BitIndex(unsafe { structure::<CK_EXTRACT_PARAMS>(bytes, len) }?)
            }
            Some(ParameterShape::CbcData) => {
                // SAFETY: bytes, a pointer and a number, of which every value is one.
                let given: CK_AES_CBC_ENCRYPT_DATA_PARAMS = unsafe { structure(bytes, len) }?;
                let data = pointed_to(given.pData, given.length)?;
                Parameter::CbcData { iv: given.iv, data }
            }
            Some(ParameterShape::Ecdh) => {
                // SAFETY: plain numbers and pointers, of which every value is one.
                ecdh(unsafe { structure(bytes, len) }?)?
            }
            Some(ParameterShape::KeyHandle) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::KeyHandle(unsafe { structure::<CK_OBJECT_HANDLE>(bytes, len) }?)
            }
            Some(ParameterShape::Hkdf) => derivation::hkdf(bytes, len)?,
            Some(ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf) => {
                derivation::kdf(bytes, len)?
            }
            Some(ParameterShape::FeedbackKdf) => derivation::feedback_kdf(bytes, len)?,
            Some(ParameterShape::Aead(mode)) => aead(mode, bytes, len)?,
            Some(ParameterShape::Iv) => Parameter::Bytes(copied(believed(bytes, len)?)?),
            Some(ParameterShape::Counter) => {
                // SAFETY: plain numbers, of which every value is one.
                let given: CK_AES_CTR_PARAMS = unsafe { structure(bytes, len) }?;
                Parameter::Counter { bits: given.ulCounterBits, block: given.cb }
            }
            Some(ParameterShape::MacLength) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::MacLength(unsafe { structure::<CK_MAC_GENERAL_PARAMS>(bytes, len) }?)
            }
        };
        Ok(Some(MechanismChoice { ckm, parameter }))
    }
}

fn missing() -> Error {
    Error::new(CKR_ARGUMENTS_BAD, "NULL for the mechanism")
}

impl<'call> Mechanism<'call> {
    /// The keys that a derivation makes beside the one that it is called for; of most there are none.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn additional_keys(&self) -> Result<Vec<AdditionalKey<'call>>> {
        match self.raw() {
            Some((ckm, bytes, len)) => {
                derivation::additional_keys(parameter_shape(ckm), bytes, len)
            }
            None => Ok(Vec::new()),
        }
    }
}

fn pss(given: CK_RSA_PKCS_PSS_PARAMS) -> Parameter {
    Parameter::Pss { hash: given.hashAlg, mgf: given.mgf, salt_len: given.sLen }
}

fn oaep(given: CK_RSA_PKCS_OAEP_PARAMS) -> Result<Parameter> {
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let label = unsafe { Input::new(given.pSourceData.cast(), given.ulSourceDataLen) };
    let label = believed(label, given.ulSourceDataLen)?;
    // No data needs no source: applications leave it 0 then.
    if given.source != CKZ_DATA_SPECIFIED && !(given.source == 0 && label.is_empty()) {
        return Err(invalid("source of the encoding parameter"));
    }
    Ok(Parameter::Oaep { hash: given.hashAlg, mgf: given.mgf, label: copied(label)? })
}

fn rsa_aes(given: CK_RSA_AES_KEY_WRAP_PARAMS) -> Result<Parameter> {
    if given.pOAEPParams.is_null() {
        return Err(invalid("NULL for the parameter of OAEP"));
    }
    // SAFETY: not NULL, so it points to its structure by the contract of `Mechanism::new`.
    match oaep(unsafe { given.pOAEPParams.read_unaligned() })? {
        Parameter::Oaep { hash, mgf, label } => {
            Ok(Parameter::RsaAes { key_bits: given.ulAESKeyBits, hash, mgf, label })
        }
        _ => Err(invalid("shape")),
    }
}

/// A copy of what a parameter's structure points to.
pub(super) fn pointed_to(start: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    copied(believed(unsafe { Input::new(start, len) }, len)?)
}

fn ecdh(given: CK_ECDH1_DERIVE_PARAMS) -> Result<Parameter> {
    Ok(Parameter::Ecdh {
        kdf: given.kdf,
        shared: pointed_to(given.pSharedData, given.ulSharedDataLen)?,
        public: pointed_to(given.pPublicData, given.ulPublicDataLen)?,
    })
}

/// The bytes of `input`, whose length is `len`, if that is a length a parameter can have.
pub(super) fn believed(input: Input<'_>, len: CK_ULONG) -> Result<&[u8]> {
    if len > MOST_BYTES {
        return Err(invalid("length of the parameter"));
    }
    input.bytes().map_err(|error| error.told_as(CKR_MECHANISM_PARAM_INVALID))
}

/// The structure at `input`, whose length `len` must be its own.
///
/// # Safety
///
/// Every pattern of bits is a value of `T`.
pub(super) unsafe fn structure<T: Copy>(input: Input<'_>, len: CK_ULONG) -> Result<T> {
    if len != size_of::<T>() as CK_ULONG {
        return Err(invalid("length of the parameter"));
    }
    let bytes = believed(input, len)?;
    // SAFETY: as many bytes as a T has, which make a T by this function's contract.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

pub(super) fn invalid(what: &'static str) -> Error {
    Error::new(CKR_MECHANISM_PARAM_INVALID, what)
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
