//! The parameters of GCM and CCM: one structure for an operation, one for wrapping, one for messages.

use std::ptr;

use cryptoki_sys::{
    CK_CCM_MESSAGE_PARAMS, CK_CCM_PARAMS, CK_CCM_WRAP_PARAMS, CK_GCM_MESSAGE_PARAMS, CK_GCM_PARAMS,
    CK_GCM_WRAP_PARAMS, CK_ULONG, CKG_NO_GENERATE, CKR_MECHANISM_PARAM_INVALID,
    CKR_OPERATION_NOT_INITIALIZED,
};

use super::input::{Input, copied};
use super::structure::{invalid, pointed_to, structure};
use crate::error::{Error, Result};
use crate::mechanism::parameter::{AeadParameter, Parameter};
use crate::mechanism::{AeadMode, Sealed};

/// More associated data than is taken: with more, nothing could be told from a length that is wrong.
const MOST_AAD: CK_ULONG = 64 << 20;

/// CK_GCM_PARAMS or CK_CCM_PARAMS, at `input`.
pub(super) fn operation(mode: AeadMode, input: Input<'_>) -> Result<Parameter> {
    let parameter = match mode {
        AeadMode::Gcm => {
            let given: CK_GCM_PARAMS = structure(input)?;
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
            let given: CK_CCM_PARAMS = structure(input)?;
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
pub(super) fn wrapping(mode: AeadMode, input: Input<'_>) -> Result<Parameter> {
    let parameter = match mode {
        AeadMode::Gcm if input.len() == size_of::<CK_GCM_WRAP_PARAMS>() as CK_ULONG => {
            let given: CK_GCM_WRAP_PARAMS = structure(input)?;
            AeadParameter {
                nonce: pointed_to(given.pIv, given.ulIvLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulTagBits,
                data_len: None,
                generator: given.ivGenerator,
                fixed_bits: given.ulIvFixedBits,
            }
        }
        AeadMode::Ccm if input.len() == size_of::<CK_CCM_WRAP_PARAMS>() as CK_ULONG => {
            let given: CK_CCM_WRAP_PARAMS = structure(input)?;
            AeadParameter {
                nonce: pointed_to(given.pNonce, given.ulNonceLen)?,
                aad: associated(given.pAAD, given.ulAADLen)?,
                tag: given.ulMACLen,
                data_len: None,
                generator: given.nonceGenerator,
                fixed_bits: given.ulNonceFixedBits,
            }
        }
        _ => match operation(mode, input)? {
            Parameter::Aead(given) => AeadParameter { data_len: None, ..given },
            _ => return Err(invalid("shape")),
        },
    };
    Ok(Parameter::Aead(parameter))
}

/// Where a nonce goes that was made for a wrapping: into the structure that [`wrapping`] read.
pub(super) fn wrapping_places(mode: AeadMode, input: Input<'_>) -> Result<Places> {
    let (nonce, nonce_len) = match mode {
        AeadMode::Gcm => {
            let given: CK_GCM_WRAP_PARAMS = structure(input)?;
            (given.pIv, pointed_to(given.pIv, given.ulIvLen)?.len())
        }
        AeadMode::Ccm => {
            let given: CK_CCM_WRAP_PARAMS = structure(input)?;
            (given.pNonce, pointed_to(given.pNonce, given.ulNonceLen)?.len())
        }
    };
    Ok(Places { nonce, nonce_len, tag: ptr::null_mut(), tag_len: 0 })
}

/// A copy of associated data.
fn associated(start: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
    if len > MOST_AAD {
        return Err(invalid("length of the associated data"));
    }
    // SAFETY: what the structure points to is readable by the contract of `Mechanism::new`.
    let bytes = unsafe { Input::new(start, len) }.bytes();
    copied(bytes.map_err(|error| error.told_as(CKR_MECHANISM_PARAM_INVALID))?)
}

/// What a process of messages begins with: nothing, or a message's parameter, which says nothing yet.
pub(super) fn messages(mode: AeadMode, input: Input<'_>) -> Result<Parameter> {
    if input.is_empty() || input.len() == message_size(mode) {
        return Ok(Parameter::None);
    }
    Err(invalid("length of the parameter"))
}

fn message_size(mode: AeadMode) -> CK_ULONG {
    let size = match mode {
        AeadMode::Gcm => size_of::<CK_GCM_MESSAGE_PARAMS>(),
        AeadMode::Ccm => size_of::<CK_CCM_MESSAGE_PARAMS>(),
    };
    size as CK_ULONG
}

/// The pointer that the caller gave for a message's parameter: CK_GCM_MESSAGE_PARAMS or
/// CK_CCM_MESSAGE_PARAMS.
#[derive(Clone, Copy)]
pub(super) struct MessageParameter<'call>(Input<'call>);

impl<'call> MessageParameter<'call> {
    /// Takes down the caller's pointer; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `place` is not NULL, `len` bytes there are readable, at any alignment. If they are the
    /// structure that belongs to the process of messages, what its pointers point to, if they are not
    /// NULL, is readable and writable for the lifetime, in which nobody but this library touches it.
    pub(super) unsafe fn new(place: *const u8, len: CK_ULONG) -> Self {
        // SAFETY: by this function's contract.
        unsafe { Self::of(Input::new(place, len)) }
    }

    /// The same of `structure`.
    ///
    /// # Safety
    ///
    /// As [`new`](Self::new)'s.
    pub(super) unsafe fn of(structure: Input<'call>) -> Self {
        Self(structure)
    }

    /// The parameter, with the associated data that came beside it. `mode` is that of the process, if
    /// there is one.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`; `CKR_ARGUMENTS_BAD` for the associated data.
    pub(super) fn read(self, mode: Option<AeadMode>, aad: Option<Input<'_>>) -> Result<Message> {
        let none = || Error::new(CKR_OPERATION_NOT_INITIALIZED, "no messages are under way");
        let aad = aad.map_or(Ok(Vec::new()), |aad| copied(aad.bytes()?))?;
        match mode.ok_or_else(none)? {
            AeadMode::Gcm => {
                let given: CK_GCM_MESSAGE_PARAMS = structure(self.0)?;
                let parameter = AeadParameter {
                    nonce: pointed_to(given.pIv, given.ulIvLen)?,
                    aad,
                    tag: given.ulTagBits,
                    data_len: None,
                    generator: given.ivGenerator,
                    fixed_bits: given.ulIvFixedBits,
                };
                let tag_len = given.ulTagBits / 8;
                Ok(Message { parameter, nonce: given.pIv, tag: given.pTag, tag_len })
            }
            AeadMode::Ccm => {
                let given: CK_CCM_MESSAGE_PARAMS = structure(self.0)?;
                let parameter = AeadParameter {
                    nonce: pointed_to(given.pNonce, given.ulNonceLen)?,
                    aad,
                    tag: given.ulMACLen,
                    data_len: Some(given.ulDataLen),
                    generator: given.nonceGenerator,
                    fixed_bits: given.ulNonceFixedBits,
                };
                let tag_len = given.ulMACLen;
                Ok(Message { parameter, nonce: given.pNonce, tag: given.pMAC, tag_len })
            }
        }
    }
}

/// A message's parameter, and where its nonce and tag are.
pub(super) struct Message {
    pub(super) parameter: AeadParameter,
    nonce: *mut u8,
    tag: *mut u8,
    tag_len: CK_ULONG,
}

impl Message {
    /// Where the nonce and the tag go, which there has to be room for.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for NULL.
    pub(super) fn sealing(self) -> Result<(AeadParameter, Places)> {
        if self.tag.is_null() {
            return Err(invalid("NULL for the tag"));
        }
        let places = self.places();
        Ok((self.parameter, places))
    }

    /// Where the nonce goes; a tag is not made yet.
    pub(super) fn beginning(self) -> (AeadParameter, Places) {
        let places = self.places();
        (self.parameter, places)
    }

    /// The parameter and the tag that was given with it.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn opening(self) -> Result<(AeadParameter, Vec<u8>)> {
        let tag = pointed_to(self.tag, self.tag_len)?;
        Ok((self.parameter, tag))
    }

    fn places(&self) -> Places {
        let nonce_len = self.parameter.nonce.len();
        Places { nonce: self.nonce, nonce_len, tag: self.tag, tag_len: self.tag_len }
    }
}

/// Where a message's nonce and tag are written to.
pub(super) struct Places {
    nonce: *mut u8,
    nonce_len: usize,
    tag: *mut u8,
    tag_len: CK_ULONG,
}

impl Places {
    /// Writes what something was encrypted with, once it is.
    pub(super) fn tell(&self, sealed: Option<Sealed>) -> Result<()> {
        let Some(sealed) = sealed else { return Ok(()) };
        if let Some(nonce) = sealed.nonce {
            self.write_nonce(&nonce)?;
        }
        self.write_tag(&sealed.tag)
    }

    /// Writes a nonce that was made here, as long as the one in its place.
    pub(super) fn write_nonce(&self, nonce: &[u8]) -> Result<()> {
        if nonce.len() != self.nonce_len {
            return Err(Error::bug("a nonce of another length"));
        }
        // SAFETY: so many bytes were read there, and are writable by `MessageParameter::new`'s
        // contract, or by `Mechanism::new`'s.
        unsafe { ptr::copy_nonoverlapping(nonce.as_ptr(), self.nonce, nonce.len()) };
        Ok(())
    }

    /// Writes a tag, as long as was said.
    fn write_tag(&self, tag: &[u8]) -> Result<()> {
        if tag.len() as CK_ULONG != self.tag_len || self.tag.is_null() {
            return Err(Error::bug("a tag of another length"));
        }
        // SAFETY: not NULL, and so many bytes are writable there by `MessageParameter::new`'s
        // contract, or by `Mechanism::new`'s.
        unsafe { ptr::copy_nonoverlapping(tag.as_ptr(), self.tag, tag.len()) };
        Ok(())
    }
}
