//! The parameters of GCM and CCM: one structure for an operation, one for wrapping, one for messages.

use cryptoki_sys::{
    CK_CCM_PARAMS, CK_CCM_WRAP_PARAMS, CK_GCM_PARAMS, CK_GCM_WRAP_PARAMS, CK_ULONG, CKG_NO_GENERATE,
};

use super::input::{Input, copied};
use super::mechanism::{invalid, pointed_to, structure};
use crate::error::Result;
use crate::mechanism::AeadMode;
use crate::mechanism::parameter::{AeadParameter, Parameter};

/// More associated data than is taken: with more, nothing could be told from a length that is wrong.
const MOST_AAD: CK_ULONG = 64 << 20;

/// CK_GCM_PARAMS or CK_CCM_PARAMS, the `len` bytes at `input`.
pub(super) fn operation(mode: AeadMode, input: Input<'_>, len: CK_ULONG) -> Result<Parameter> {
    let parameter = match mode {
        AeadMode::Gcm => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_GCM_PARAMS = unsafe { structure(input, len) }?;
            AeadParameter {
                nonce: pointed_to(given.pIv, given.ulIvLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulTagBits,
                data_len: None,
                generator: CKG_NO_GENERATE,
                fixed_bits: 0,
            }
        }
        AeadMode::Ccm => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_CCM_PARAMS = unsafe { structure(input, len) }?;
            AeadParameter {
                nonce: pointed_to(given.pNonce, given.ulNonceLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulMACLen,
                data_len: Some(given.ulDataLen),
                generator: CKG_NO_GENERATE,
                fixed_bits: 0,
            }
        }
    };
    Ok(Parameter::Aead(parameter))
}

/// CK_GCM_WRAP_PARAMS or CK_CCM_WRAP_PARAMS; or what an operation has, which wrapping had before
/// PKCS#11 v3.2. The length of the data is the wrapped key's, whatever is said of it.
pub(super) fn wrapping(mode: AeadMode, input: Input<'_>, len: CK_ULONG) -> Result<Parameter> {
    let parameter = match mode {
        AeadMode::Gcm if len == size_of::<CK_GCM_WRAP_PARAMS>() as CK_ULONG => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_GCM_WRAP_PARAMS = unsafe { structure(input, len) }?;
            AeadParameter {
                nonce: pointed_to(given.pIv, given.ulIvLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulTagBits,
                data_len: None,
                generator: given.ivGenerator,
                fixed_bits: given.ulIvFixedBits,
            }
        }
        AeadMode::Ccm if len == size_of::<CK_CCM_WRAP_PARAMS>() as CK_ULONG => {
            // SAFETY: plain numbers and pointers, of which every value is one.
            let given: CK_CCM_WRAP_PARAMS = unsafe { structure(input, len) }?;
            AeadParameter {
                nonce: pointed_to(given.pNonce, given.ulNonceLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulMACLen,
                data_len: None,
                generator: given.nonceGenerator,
                fixed_bits: given.ulNonceFixedBits,
            }
        }
        _ => match operation(mode, input, len)? {
            Parameter::Aead(given) => AeadParameter { data_len: None, ..given },
            _ => return Err(invalid("shape")),
        },
    };
    Ok(Parameter::Aead(parameter))
}

/// A copy of associated data.
fn associated(start: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
    if len > MOST_AAD {
        return Err(invalid("length of the associated data"));
    }
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let bytes = unsafe { Input::new(start, len) }.bytes();
    copied(bytes.map_err(|error| error.told_as(cryptoki_sys::CKR_MECHANISM_PARAM_INVALID))?)
}
