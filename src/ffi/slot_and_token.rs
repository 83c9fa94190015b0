//! Slot and token management functions.

use cryptoki_sys::{
    CK_BBOOL, CK_FALSE, CK_FLAGS, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_SESSION_HANDLE,
    CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_VOID_PTR, CKR_ARGUMENTS_BAD,
};

use super::general::expect_null;
use super::input::Input;
use super::list::List;
use super::scalar::Out;
use crate::error::{Error, Result};
use crate::provider;

/// `C_GetSlotList`.
pub(super) fn slot_list(token_present: CK_BBOOL, slots: List<'_, CK_SLOT_ID>) -> Result<()> {
    let provider = provider::current()?;
    slots.fill(|| provider.slot_list(token_present != CK_FALSE))
}

/// `C_GetSlotInfo`.
pub(super) fn slot_info(slot: CK_SLOT_ID, info: Out<'_, CK_SLOT_INFO>) -> Result<()> {
    let provider = provider::current()?;
    info.fill(|| provider.slot_info(slot))
}

/// `C_GetTokenInfo`.
pub(super) fn token_info(slot: CK_SLOT_ID, info: Out<'_, CK_TOKEN_INFO>) -> Result<()> {
    let provider = provider::current()?;
    info.fill(|| provider.token_info(slot))
}

/// `C_WaitForSlotEvent`.
pub(super) fn wait_for_slot_event(
    flags: CK_FLAGS,
    slot: Out<'_, CK_SLOT_ID>,
    reserved: CK_VOID_PTR,
) -> Result<()> {
    let provider = provider::current()?;
    expect_null(reserved)?;
    slot.fill(|| provider.wait_for_slot_event(flags))
}

/// `C_GetMechanismList`.
pub(super) fn mechanism_list(
    slot: CK_SLOT_ID,
    mechanisms: List<'_, CK_MECHANISM_TYPE>,
) -> Result<()> {
    let provider = provider::current()?;
    mechanisms.fill(|| provider.mechanism_list(slot))
}

/// `C_GetMechanismInfo`.
pub(super) fn mechanism_info(
    slot: CK_SLOT_ID,
    ckm: CK_MECHANISM_TYPE,
    info: Out<'_, CK_MECHANISM_INFO>,
) -> Result<()> {
    let provider = provider::current()?;
    info.fill(|| provider.mechanism_info(slot, ckm))
}

/// `C_InitToken`; `label` is 32 bytes, padded with blanks.
pub(super) fn init_token(slot: CK_SLOT_ID, pin: Input<'_>, label: Input<'_>) -> Result<()> {
    let provider = provider::current()?;
    let label = label.bytes()?.try_into();
    let label = label.map_err(|_| Error::new(CKR_ARGUMENTS_BAD, "label of a wrong length"))?;
    provider.init_token(slot, pin.pin()?, label)
}

/// `C_InitPIN`.
pub(super) fn init_pin(session: CK_SESSION_HANDLE, pin: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| call.init_pin(pin.pin()?))
}

/// `C_SetPIN`.
pub(super) fn set_pin(session: CK_SESSION_HANDLE, old: Input<'_>, new: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| call.set_pin(old.pin()?, new.pin()?))
}
