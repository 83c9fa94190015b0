//! LAYER 2: a slot is a TPM hierarchy.
//!
//! | file | what |
//! |---|---|
//! | `hierarchy.rs` | slot ID to hierarchy and back |
//! | `info.rs` | `C_GetSlotList`, `C_GetSlotInfo`, `C_GetTokenInfo`, `C_WaitForSlotEvent` |
//! | `mechanisms.rs` | `C_GetMechanismList`, `C_GetMechanismInfo`; what the TPM can do |

mod hierarchy;
mod info;
mod mechanisms;

pub use hierarchy::{hierarchy_of, slot_number, slot_of};
pub use info::{MANUFACTURER, blank_padded};
