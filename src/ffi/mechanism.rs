//! `CK_MECHANISM` in: the parameter is copied when an operation begins, the caller may free it.

use std::marker::PhantomData;

use cryptoki_sys::{
    CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_ECDH1_DERIVE_PARAMS, CK_EXTRACT_PARAMS,
    CK_KEY_DERIVATION_STRING_DATA, CK_MAC_GENERAL_PARAMS, CK_MECHANISM, CK_MECHANISM_TYPE,
    CK_OBJECT_HANDLE, CK_RSA_AES_KEY_WRAP_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS,
    CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID, CKZ_DATA_SPECIFIED,
};

use super::aead::{self, Message, MessageParameter};
use super::derivation::{self, AdditionalKey};
use super::input::{Input, copied};
use super::structure::{believed, invalid, pointed_to, structure};
use crate::error::{Error, Result};
use crate::mechanism::parameter::{MechanismChoice, Parameter, ParameterShape};
use crate::mechanism::{AeadMode, parameter_shape};

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
        self.choice_by(aead::operation)
    }

    /// The mechanism, where there has to be one. Errors: as `choice`'s, and `CKR_ARGUMENTS_BAD`.
    pub(super) fn required(&self) -> Result<MechanismChoice> {
        self.choice()?.ok_or_else(missing)
    }

    /// The mechanism that wraps or unwraps a key. Errors: as `required`'s.
    pub(super) fn for_wrapping(&self) -> Result<MechanismChoice> {
        self.choice_by(aead::wrapping)?.ok_or_else(missing)
    }

    /// Writes the nonce that a key was wrapped with to where the parameter has its own.
    pub(super) fn write_nonce(&self, nonce: &[u8]) -> Result<()> {
        let (ckm, bytes) = self.raw().ok_or_else(missing)?;
        match parameter_shape(ckm) {
            Some(ParameterShape::Aead(mode)) => {
                aead::wrapping_places(mode, bytes)?.write_nonce(nonce)
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
        let (ckm, bytes) = self.raw().ok_or_else(missing)?;
        match parameter_shape(ckm) {
            Some(ParameterShape::Aead(mode)) => {
                // SAFETY: by `Mechanism::new`'s contract.
                let parameter = unsafe { MessageParameter::of(bytes) };
                let mut message = parameter.read(Some(mode), Some(aad))?;
                // It is the wrapped key's, whatever is said of it.
                message.parameter.data_len = None;
                Ok((ckm, message))
            }
            _ => Err(Error::new(CKR_MECHANISM_INVALID, "nothing is authenticated by it")),
        }
    }

    /// The type and the parameter; `None` for NULL.
    fn raw(&self) -> Option<(CK_MECHANISM_TYPE, Input<'call>)> {
        if self.place.is_null() {
            return None;
        }
        // SAFETY: not NULL, so it points to a CK_MECHANISM by `new`'s contract.
        let given = unsafe { self.place.read_unaligned() };
        // SAFETY: by `new`'s contract.
        let bytes = unsafe { Input::new(given.pParameter.cast(), given.ulParameterLen) };
        Some((given.mechanism, bytes))
    }

    /// The mechanism of a process of messages, or `None` for NULL. Errors: as `choice`'s.
    pub(super) fn for_messages(&self) -> Result<Option<MechanismChoice>> {
        self.choice_by(aead::messages)
    }

    fn choice_by(&self, aead: ReadAead) -> Result<Option<MechanismChoice>> {
        let Some((ckm, bytes)) = self.raw() else { return Ok(None) };
        let parameter = match parameter_shape(ckm) {
            Some(shape) => parameter(shape, bytes, aead)?,
            // The mechanism is refused by name; nothing is known of what the pointer means.
            None => Parameter::None,
        };
        Ok(Some(MechanismChoice { ckm, parameter }))
    }

    /// The keys that a derivation makes beside the one that it is called for; of most there are none.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn additional_keys(&self) -> Result<Vec<AdditionalKey<'call>>> {
        match self.raw() {
            Some((ckm, bytes)) => derivation::additional_keys(parameter_shape(ckm), bytes),
            None => Ok(Vec::new()),
        }
    }
}

/// How the parameter of GCM or CCM is read: it is another structure for each kind of function.
type ReadAead = fn(AeadMode, Input<'_>) -> Result<Parameter>;

/// The parameter at `bytes`, which has this shape.
fn parameter(shape: ParameterShape, bytes: Input<'_>, aead: ReadAead) -> Result<Parameter> {
    Ok(match shape {
        ParameterShape::None | ParameterShape::Iv | ParameterShape::OptionalIv(_) => {
            match believed(bytes)? {
                [] => Parameter::None,
                bytes => Parameter::Bytes(copied(bytes)?),
            }
        }
        ParameterShape::Pss => pss(structure(bytes)?),
        ParameterShape::Oaep => oaep(structure(bytes)?)?,
        ParameterShape::RsaAes => rsa_aes(structure(bytes)?)?,
        ParameterShape::Data => {
            let given: CK_KEY_DERIVATION_STRING_DATA = structure(bytes)?;
            Parameter::Data(pointed_to(given.pData, given.ulLen)?)
        }
        ParameterShape::BitIndex => Parameter::BitIndex(structure::<CK_EXTRACT_PARAMS>(bytes)?),
        ParameterShape::CbcData => {
            let given: CK_AES_CBC_ENCRYPT_DATA_PARAMS = structure(bytes)?;
            Parameter::CbcData { iv: given.iv, data: pointed_to(given.pData, given.length)? }
        }
        ParameterShape::Ecdh => ecdh(structure(bytes)?)?,
        ParameterShape::KeyHandle => Parameter::KeyHandle(structure::<CK_OBJECT_HANDLE>(bytes)?),
        ParameterShape::Hkdf => derivation::hkdf(bytes)?,
        ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf => derivation::kdf(bytes)?,
        ParameterShape::FeedbackKdf => derivation::feedback_kdf(bytes)?,
        ParameterShape::Aead(mode) => aead(mode, bytes)?,
        ParameterShape::Counter => {
            let given: CK_AES_CTR_PARAMS = structure(bytes)?;
            Parameter::Counter { bits: given.ulCounterBits, block: given.cb }
        }
        ParameterShape::MacLength => {
            Parameter::MacLength(structure::<CK_MAC_GENERAL_PARAMS>(bytes)?)
        }
    })
}

fn missing() -> Error {
    Error::new(CKR_ARGUMENTS_BAD, "NULL for the mechanism")
}

fn pss(given: CK_RSA_PKCS_PSS_PARAMS) -> Parameter {
    Parameter::Pss { hash: given.hashAlg, mgf: given.mgf, salt_len: given.sLen }
}

fn oaep(given: CK_RSA_PKCS_OAEP_PARAMS) -> Result<Parameter> {
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let label = unsafe { Input::new(given.pSourceData.cast(), given.ulSourceDataLen) };
    let label = believed(label)?;
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

fn ecdh(given: CK_ECDH1_DERIVE_PARAMS) -> Result<Parameter> {
    Ok(Parameter::Ecdh {
        kdf: given.kdf,
        shared: pointed_to(given.pSharedData, given.ulSharedDataLen)?,
        public: pointed_to(given.pPublicData, given.ulPublicDataLen)?,
    })
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
