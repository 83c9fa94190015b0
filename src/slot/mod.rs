//! LAYER 2: a slot is a TPM hierarchy.
//!
//! | file | what |
//! |---|---|
//! | `hierarchy.rs` | slot ID to hierarchy and back |
//! | `info.rs` | `C_GetSlotList`, `C_GetSlotInfo`, `C_GetTokenInfo` |

mod hierarchy;
mod info;

pub use hierarchy::{hierarchy_of, slot_number, slot_of};
pub use info::{MANUFACTURER, blank_padded};
