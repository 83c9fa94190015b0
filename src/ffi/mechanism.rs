//! `CK_MECHANISM` in: the parameter is copied when an operation begins, the caller may free it.

use std::marker::PhantomData;

use cryptoki_sys::{
    CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_ECDH1_DERIVE_PARAMS, CK_EXTRACT_PARAMS,
    CK_KEY_DERIVATION_STRING_DATA, CK_MAC_GENERAL_PARAMS, CK_MECHANISM, CK_MECHANISM_TYPE,
    CK_OBJECT_HANDLE, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_ULONG, CKR_ARGUMENTS_BAD,
    CKR_MECHANISM_PARAM_INVALID, CKZ_DATA_SPECIFIED,
};

use super::aead;
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

impl Mechanism<'_> {
    /// Takes down the caller's pointer; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `place` is not NULL it points to a `CK_MECHANISM` of any alignment. If its `pParameter`
    /// is not NULL, `ulParameterLen` bytes there are readable, and if they are the structure that
    /// belongs to the mechanism, so is what that points to, and where it points to a handle that
    /// is a result, that may be written. All this holds for the lifetime, in which nobody else
    /// writes to any of it.
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

    /// The mechanism of a process of messages, or `None` for NULL. Errors: as `choice`'s.
    pub(super) fn for_messages(&self) -> Result<Option<MechanismChoice>> {
        self.choice_by(parameter_shape, aead::messages)
    }

    fn choice_by(
        &self,
        shape_of: impl FnOnce(CK_MECHANISM_TYPE) -> Option<ParameterShape>,
        aead: fn(AeadMode, Input<'_>, CK_ULONG) -> Result<Parameter>,
    ) -> Result<Option<MechanismChoice>> {
        if self.place.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL, so it points to a CK_MECHANISM by `new`'s contract.
        let given = unsafe { self.place.read_unaligned() };
        // SAFETY: by `new`'s contract.
        let bytes = unsafe { Input::new(given.pParameter.cast(), given.ulParameterLen) };
        let parameter = match shape_of(given.mechanism) {
            // The mechanism is refused by name; nothing is known of what the pointer means.
            None => Parameter::None,
            Some(ParameterShape::None) => match believed(bytes, given.ulParameterLen)? {
                [] => Parameter::None,
                bytes => Parameter::Bytes(copied(bytes)?),
            },
            Some(ParameterShape::Pss) => {
                // SAFETY: plain numbers, of which every value is one.
                pss(unsafe { structure(bytes, given.ulParameterLen) }?)
            }
            Some(ParameterShape::Oaep) => {
                // SAFETY: plain numbers and a pointer, of which every value is one.
                oaep(unsafe { structure(bytes, given.ulParameterLen) }?)?
            }
            Some(ParameterShape::OptionalIv(_)) => match believed(bytes, given.ulParameterLen)? {
                [] => Parameter::None,
                bytes => Parameter::Bytes(copied(bytes)?),
            },
            Some(ParameterShape::Data) => {
                // SAFETY: a pointer and a number, of which every value is one.
                let given: CK_KEY_DERIVATION_STRING_DATA =
                    unsafe { structure(bytes, given.ulParameterLen) }?;
                Parameter::Data(pointed_to(given.pData, given.ulLen)?)
            }
            Some(ParameterShape::BitIndex) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::BitIndex(unsafe {
                    structure::<CK_EXTRACT_PARAMS>(bytes, given.ulParameterLen)
                }?)
            }
            Some(ParameterShape::CbcData) => {
                // SAFETY: bytes, a pointer and a number, of which every value is one.
                let given: CK_AES_CBC_ENCRYPT_DATA_PARAMS =
                    unsafe { structure(bytes, given.ulParameterLen) }?;
                let data = pointed_to(given.pData, given.length)?;
                Parameter::CbcData { iv: given.iv, data }
            }
            Some(ParameterShape::Ecdh) => {
                // SAFETY: plain numbers and pointers, of which every value is one.
                ecdh(unsafe { structure(bytes, given.ulParameterLen) }?)?
            }
            Some(ParameterShape::Aead(mode)) => aead(mode, bytes, given.ulParameterLen)?,
            Some(ParameterShape::KeyHandle) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::KeyHandle(unsafe {
                    structure::<CK_OBJECT_HANDLE>(bytes, given.ulParameterLen)
                }?)
            }
            Some(ParameterShape::Hkdf) => derivation::hkdf(bytes, given.ulParameterLen)?,
            Some(ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf) => {
                derivation::kdf(bytes, given.ulParameterLen)?
            }
            Some(ParameterShape::FeedbackKdf) => {
                derivation::feedback_kdf(bytes, given.ulParameterLen)?
            }
            Some(ParameterShape::Iv) => {
                Parameter::Bytes(copied(believed(bytes, given.ulParameterLen)?)?)
            }
            Some(ParameterShape::Counter) => {
                // SAFETY: plain numbers, of which every value is one.
                let given: CK_AES_CTR_PARAMS = unsafe { structure(bytes, given.ulParameterLen) }?;
                Parameter::Counter { bits: given.ulCounterBits, block: given.cb }
            }
            Some(ParameterShape::MacLength) => {
                // SAFETY: a plain number, of which every value is one.
                Parameter::MacLength(unsafe {
                    structure::<CK_MAC_GENERAL_PARAMS>(bytes, given.ulParameterLen)
                }?)
            }
        };
        Ok(Some(MechanismChoice { ckm: given.mechanism, parameter }))
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
        if self.place.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: not NULL, so it points to a CK_MECHANISM by `new`'s contract.
        let given = unsafe { self.place.read_unaligned() };
        // SAFETY: by `new`'s contract.
        let bytes = unsafe { Input::new(given.pParameter.cast(), given.ulParameterLen) };
        derivation::additional_keys(parameter_shape(given.mechanism), bytes, given.ulParameterLen)
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
