//! Slot IDs are fixed: 0 owner, 1 endorsement, 2 platform, 3 null.

use cryptoki_sys::{CK_SLOT_ID, CKR_SLOT_ID_INVALID};

use crate::error::{Error, Result};
use crate::tpm::Hierarchy;

/// The hierarchy behind slot `id`.
///
/// Errors: `CKR_SLOT_ID_INVALID`.
pub fn hierarchy_of(id: CK_SLOT_ID) -> Result<Hierarchy> {
    usize::try_from(id)
        .ok()
        .and_then(|index| Hierarchy::ALL.get(index).copied())
        .ok_or_else(|| Error::new(CKR_SLOT_ID_INVALID, "slots are 0 to 3"))
}

/// The slot that shows `hierarchy`.
pub fn slot_of(hierarchy: Hierarchy) -> CK_SLOT_ID {
    slot_number(hierarchy).into()
}

/// The same as the store has it.
pub fn slot_number(hierarchy: Hierarchy) -> u8 {
    match hierarchy {
        Hierarchy::Owner => 0,
        Hierarchy::Endorsement => 1,
        Hierarchy::Platform => 2,
        Hierarchy::Null => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_and_hierarchy_are_one_to_one() {
        for (id, hierarchy) in (0..).zip(Hierarchy::ALL) {
            assert_eq!(slot_of(hierarchy), id);
            assert_eq!(hierarchy_of(id).unwrap(), hierarchy);
        }
        assert_eq!(hierarchy_of(4).unwrap_err().ck_rv(), CKR_SLOT_ID_INVALID);
        assert_eq!(hierarchy_of(CK_SLOT_ID::MAX).unwrap_err().ck_rv(), CKR_SLOT_ID_INVALID);
    }
}
