//! The parameters of derivations that are lists: what a key is derived from, and further keys.

use cryptoki_sys::{
    CK_DERIVED_KEY, CK_HKDF_PARAMS, CK_OBJECT_HANDLE, CK_PRF_DATA_PARAM, CK_SP800_108_BYTE_ARRAY,
    CK_SP800_108_COUNTER, CK_SP800_108_COUNTER_FORMAT, CK_SP800_108_DKM_LENGTH,
    CK_SP800_108_DKM_LENGTH_FORMAT, CK_SP800_108_FEEDBACK_KDF_PARAMS,
    CK_SP800_108_ITERATION_VARIABLE, CK_SP800_108_KDF_PARAMS, CK_SP800_108_KEY_HANDLE, CK_ULONG,
    CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_KEY, CKF_HKDF_SALT_NULL,
};

use super::attributes::Template;
use super::input::Input;
use super::mechanism::{invalid, pointed_to, structure};
use super::scalar::Out;
use crate::error::Result;
use crate::mechanism::derivation_parameter::{
    HkdfParameter, KdfParameter, NumberFormat, PrfInput, Salt,
};
use crate::mechanism::parameter::{Parameter, ParameterShape};

/// More entries than a list of a derivation has: a larger number is not believed.
const MOST_ENTRIES: CK_ULONG = 256;

/// A key to be derived besides: its template, and where its handle goes.
pub(super) struct AdditionalKey<'call> {
    pub(super) template: Template<'call>,
    pub(super) handle: Out<'call, CK_OBJECT_HANDLE>,
}

/// CK_HKDF_PARAMS.
pub(super) fn hkdf(bytes: Input<'_>, len: CK_ULONG) -> Result<Parameter> {
    // SAFETY: plain numbers and pointers, of which every value is one.
    let given: CK_HKDF_PARAMS = unsafe { structure(bytes, len) }?;
    let (extract, expand) = (given.bExtract != 0, given.bExpand != 0);
    // What is not used is not looked at.
    let salt = match given.ulSaltType {
        _ if !extract => Salt::None,
        CKF_HKDF_SALT_NULL => Salt::None,
        CKF_HKDF_SALT_DATA => Salt::Data(pointed_to(given.pSalt, given.ulSaltLen)?),
        CKF_HKDF_SALT_KEY => Salt::Key(given.hSaltKey),
        _ => return Err(invalid("kind of the salt")),
    };
    let info = if expand { pointed_to(given.pInfo, given.ulInfoLen)? } else { Vec::new() };
    let hash = given.prfHashMechanism;
    Ok(Parameter::Hkdf(HkdfParameter { extract, expand, hash, salt, info }))
}

/// CK_SP800_108_KDF_PARAMS.
pub(super) fn kdf(bytes: Input<'_>, len: CK_ULONG) -> Result<Parameter> {
    // SAFETY: plain numbers and pointers, of which every value is one.
    let given: CK_SP800_108_KDF_PARAMS = unsafe { structure(bytes, len) }?;
    let inputs = inputs(given.pDataParams, given.ulNumberOfDataParams)?;
    Ok(Parameter::Kdf(KdfParameter { prf: given.prfType, inputs, iv: Vec::new() }))
}

/// CK_SP800_108_FEEDBACK_KDF_PARAMS.
pub(super) fn feedback_kdf(bytes: Input<'_>, len: CK_ULONG) -> Result<Parameter> {
    // SAFETY: plain numbers and pointers, of which every value is one.
    let given: CK_SP800_108_FEEDBACK_KDF_PARAMS = unsafe { structure(bytes, len) }?;
    let inputs = inputs(given.pDataParams, given.ulNumberOfDataParams)?;
    let iv = pointed_to(given.pIV, given.ulIVLen)?;
    Ok(Parameter::Kdf(KdfParameter { prf: given.prfType, inputs, iv }))
}

/// The additional keys in the parameter at `bytes`, which has this shape.
pub(super) fn additional_keys<'call>(
    shape: Option<ParameterShape>,
    bytes: Input<'call>,
    len: CK_ULONG,
) -> Result<Vec<AdditionalKey<'call>>> {
    let (start, count) = match shape {
        Some(ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf) => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_SP800_108_KDF_PARAMS = unsafe { structure(bytes, len) }?;
            (given.pAdditionalDerivedKeys, given.ulAdditionalDerivedKeys)
        }
        Some(ParameterShape::FeedbackKdf) => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_SP800_108_FEEDBACK_KDF_PARAMS = unsafe { structure(bytes, len) }?;
            (given.pAdditionalDerivedKeys, given.ulAdditionalDerivedKeys)
        }
        _ => return Ok(Vec::new()),
    };
    // SAFETY: pointers and numbers, of which every value is one.
    let keys: Vec<CK_DERIVED_KEY> = unsafe { entries(start, count) }?;
    keys.into_iter()
        .map(|key| {
            // SAFETY: the template and the place of the handle are the caller's, by the contract
            // of `Mechanism::new`.
            let (template, handle) = unsafe {
                (Template::new(key.pTemplate, key.ulAttributeCount), Out::new(key.phKey))
            };
            handle.present().map_err(|_| invalid("no place for a handle"))?;
            Ok(AdditionalKey { template, handle })
        })
        .collect()
}

fn inputs(start: *mut CK_PRF_DATA_PARAM, count: CK_ULONG) -> Result<Vec<PrfInput>> {
    // SAFETY: pointers and numbers, of which every value is one.
    let given: Vec<CK_PRF_DATA_PARAM> = unsafe { entries(start, count) }?;
    given.into_iter().map(input).collect()
}

fn input(given: CK_PRF_DATA_PARAM) -> Result<PrfInput> {
    let len = given.ulValueLen;
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let value = unsafe { Input::new(given.pValue.cast(), len) };
    Ok(match given.type_ {
        CK_SP800_108_ITERATION_VARIABLE if value.is_absent() => PrfInput::Iteration(None),
        CK_SP800_108_ITERATION_VARIABLE => PrfInput::Iteration(Some(counter(value, len)?)),
        CK_SP800_108_COUNTER => PrfInput::Counter(counter(value, len)?),
        CK_SP800_108_DKM_LENGTH => {
            // SAFETY: plain numbers, of which every value is one.
            let format: CK_SP800_108_DKM_LENGTH_FORMAT = unsafe { structure(value, len) }?;
            PrfInput::Length(
                format.dkmLengthMethod,
                NumberFormat {
                    little_endian: format.bLittleEndian != 0,
                    bits: format.ulWidthInBits,
                },
            )
        }
        CK_SP800_108_BYTE_ARRAY => PrfInput::Bytes(pointed_to(given.pValue.cast(), len)?),
        // SAFETY: a plain number, of which every value is one.
        CK_SP800_108_KEY_HANDLE => PrfInput::Key(unsafe { structure(value, len) }?),
        _ => return Err(invalid("kind of input of a KDF")),
    })
}

fn counter(value: Input<'_>, len: CK_ULONG) -> Result<NumberFormat> {
    // SAFETY: plain numbers, of which every value is one.
    let format: CK_SP800_108_COUNTER_FORMAT = unsafe { structure(value, len) }?;
    Ok(NumberFormat { little_endian: format.bLittleEndian != 0, bits: format.ulWidthInBits })
}

/// The `count` entries that a parameter points to.
///
/// # Safety
///
/// Every pattern of bits is a value of `T`.
unsafe fn entries<T: Copy>(start: *const T, count: CK_ULONG) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if start.is_null() || count > MOST_ENTRIES {
        return Err(invalid("list in the parameter"));
    }
    // SAFETY: not NULL, so there are `count` entries, of any alignment, by the contract of
    // `Mechanism::new`, and they are values by this function's.
    Ok((0..count as usize).map(|at| unsafe { start.add(at).read_unaligned() }).collect())
}
