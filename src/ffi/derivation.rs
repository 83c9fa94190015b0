//! The parameters of derivations that are lists: what a key is derived from, and further keys.

use cryptoki_sys::{
    CK_DERIVED_KEY, CK_HKDF_PARAMS, CK_OBJECT_HANDLE, CK_PRF_DATA_PARAM, CK_SP800_108_BYTE_ARRAY,
    CK_SP800_108_COUNTER, CK_SP800_108_COUNTER_FORMAT, CK_SP800_108_DKM_LENGTH,
    CK_SP800_108_DKM_LENGTH_FORMAT, CK_SP800_108_FEEDBACK_KDF_PARAMS,
    CK_SP800_108_ITERATION_VARIABLE, CK_SP800_108_KDF_PARAMS, CK_SP800_108_KEY_HANDLE, CK_ULONG,
    CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_KEY, CKF_HKDF_SALT_NULL,
};

use super::attributes::Template;
use super::input::{Input, copied};
use super::scalar::Out;
use super::structure::{AnyBits, believed, invalid, pointed_to, structure};
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
pub(super) fn hkdf(bytes: Input<'_>) -> Result<Parameter> {
    let given: CK_HKDF_PARAMS = structure(bytes)?;
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
pub(super) fn kdf(bytes: Input<'_>) -> Result<Parameter> {
    let given: CK_SP800_108_KDF_PARAMS = structure(bytes)?;
    let inputs = inputs(given.pDataParams, given.ulNumberOfDataParams)?;
    Ok(Parameter::Kdf(KdfParameter { prf: given.prfType, inputs, iv: Vec::new() }))
}

/// CK_SP800_108_FEEDBACK_KDF_PARAMS.
pub(super) fn feedback_kdf(bytes: Input<'_>) -> Result<Parameter> {
    let given: CK_SP800_108_FEEDBACK_KDF_PARAMS = structure(bytes)?;
    let inputs = inputs(given.pDataParams, given.ulNumberOfDataParams)?;
    let iv = pointed_to(given.pIV, given.ulIVLen)?;
    Ok(Parameter::Kdf(KdfParameter { prf: given.prfType, inputs, iv }))
}

/// The additional keys in the parameter at `bytes`, which has this shape.
pub(super) fn additional_keys<'call>(
    shape: Option<ParameterShape>,
    bytes: Input<'call>,
) -> Result<Vec<AdditionalKey<'call>>> {
    let (start, count) = match shape {
        Some(ParameterShape::CounterKdf | ParameterShape::DoublePipelineKdf) => {
            let given: CK_SP800_108_KDF_PARAMS = structure(bytes)?;
            (given.pAdditionalDerivedKeys, given.ulAdditionalDerivedKeys)
        }
        Some(ParameterShape::FeedbackKdf) => {
            let given: CK_SP800_108_FEEDBACK_KDF_PARAMS = structure(bytes)?;
            (given.pAdditionalDerivedKeys, given.ulAdditionalDerivedKeys)
        }
        _ => return Ok(Vec::new()),
    };
    let keys: Vec<CK_DERIVED_KEY> = entries(start, count)?;
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
    let given: Vec<CK_PRF_DATA_PARAM> = entries(start, count)?;
    given.into_iter().map(input).collect()
}

fn input(given: CK_PRF_DATA_PARAM) -> Result<PrfInput> {
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let value = unsafe { Input::new(given.pValue.cast(), given.ulValueLen) };
    Ok(match given.type_ {
        CK_SP800_108_ITERATION_VARIABLE if value.is_absent() => PrfInput::Iteration(None),
        CK_SP800_108_ITERATION_VARIABLE => PrfInput::Iteration(Some(counter(value)?)),
        CK_SP800_108_COUNTER => PrfInput::Counter(counter(value)?),
        CK_SP800_108_DKM_LENGTH => {
            let format: CK_SP800_108_DKM_LENGTH_FORMAT = structure(value)?;
            PrfInput::Length(
                format.dkmLengthMethod,
                NumberFormat {
                    little_endian: format.bLittleEndian != 0,
                    bits: format.ulWidthInBits,
                },
            )
        }
        CK_SP800_108_BYTE_ARRAY => PrfInput::Bytes(copied(believed(value)?)?),
        CK_SP800_108_KEY_HANDLE => PrfInput::Key(structure(value)?),
        _ => return Err(invalid("kind of input of a KDF")),
    })
}

fn counter(value: Input<'_>) -> Result<NumberFormat> {
    let format: CK_SP800_108_COUNTER_FORMAT = structure(value)?;
    Ok(NumberFormat { little_endian: format.bLittleEndian != 0, bits: format.ulWidthInBits })
}

/// The `count` entries that a parameter points to.
fn entries<T: AnyBits>(start: *const T, count: CK_ULONG) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if start.is_null() || count > MOST_ENTRIES {
        return Err(invalid("list in the parameter"));
    }
    // SAFETY: not NULL, so there are `count` entries, of any alignment, by the contract of
    // `Mechanism::new`, and any bytes are one.
    Ok((0..count as usize).map(|at| unsafe { start.add(at).read_unaligned() }).collect())
}
