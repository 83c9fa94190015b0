//! The application's object handles.

use std::collections::HashMap;

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_PROFILE_ID, CK_SLOT_ID, CKR_HOST_MEMORY,
    CKR_OBJECT_HANDLE_INVALID,
};

use crate::error::{Error, Result};

/// Which object of a slot a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A token object: its row.
    Token(i64),
    /// A session object: its number within the process.
    Session(u64),
    /// A profile object.
    Profile(CK_PROFILE_ID),
    /// A mechanism object.
    Mechanism(CK_MECHANISM_TYPE),
}

#[derive(Clone, Copy)]
struct Entry {
    slot: CK_SLOT_ID,
    key: ObjectKey,
    private: bool,
}

/// The object handles of one application: valid in all its sessions with the slot, never 0, never
/// given to a second object.
///
/// An object has one handle as long as that is valid. The handle of a private object ends with the
/// login: the object found again after another login has a new one.
///
/// PKCS#11 v3.1, "Session objects and token objects"; C_Logout.
#[derive(Default)]
pub struct Handles {
    last: CK_OBJECT_HANDLE,
    objects: HashMap<CK_OBJECT_HANDLE, Entry>,
    handles: HashMap<(CK_SLOT_ID, ObjectKey), CK_OBJECT_HANDLE>,
}

impl Handles {
    /// Without handles.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle of the object `key` in `slot`, the one it has or a new one. `private` is its
    /// CKA_PRIVATE.
    ///
    /// Errors: `CKR_HOST_MEMORY` when there are no more numbers.
    pub fn handle(
        &mut self,
        slot: CK_SLOT_ID,
        key: ObjectKey,
        private: bool,
    ) -> Result<CK_OBJECT_HANDLE> {
        if let Some(handle) = self.handles.get(&(slot, key)) {
            return Ok(*handle);
        }
        let next = self
            .last
            .checked_add(1)
            .ok_or_else(|| Error::new(CKR_HOST_MEMORY, "every object handle has been used"))?;
        self.last = next;
        self.objects.insert(next, Entry { slot, key, private });
        self.handles.insert((slot, key), next);
        Ok(next)
    }

    /// The object that `handle` stands for in a session with `slot`.
    ///
    /// Errors: `CKR_OBJECT_HANDLE_INVALID`, which functions that take a key tell as
    /// `CKR_KEY_HANDLE_INVALID`.
    pub fn object(&self, slot: CK_SLOT_ID, handle: CK_OBJECT_HANDLE) -> Result<ObjectKey> {
        self.objects
            .get(&handle)
            .filter(|entry| entry.slot == slot)
            .map(|entry| entry.key)
            .ok_or_else(|| Error::new(CKR_OBJECT_HANDLE_INVALID, "no object has this handle"))
    }

    /// The object `key` is gone, and its handle with it.
    pub fn drop_object(&mut self, slot: CK_SLOT_ID, key: ObjectKey) {
        if let Some(handle) = self.handles.remove(&(slot, key)) {
            self.objects.remove(&handle);
        }
    }

    /// The user of `slot` is out: no private object has a handle any more.
    pub fn drop_private(&mut self, slot: CK_SLOT_ID) {
        self.retain(|entry| !(entry.slot == slot && entry.private));
    }

    /// The token in `slot` is gone or another, and all of its handles.
    pub fn drop_slot(&mut self, slot: CK_SLOT_ID) {
        self.retain(|entry| entry.slot != slot);
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.objects.retain(|_, entry| keep(entry));
        let objects = &self.objects;
        self.handles.retain(|_, handle| objects.contains_key(handle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(handles: &Handles, slot: CK_SLOT_ID, handle: CK_OBJECT_HANDLE) -> bool {
        handles.object(slot, handle).is_err_and(|error| error.ck_rv() == CKR_OBJECT_HANDLE_INVALID)
    }

    #[test]
    fn c111_handles_are_not_0_and_one_object_has_one() {
        let mut handles = Handles::new();
        let a = handles.handle(0, ObjectKey::Token(7), false).unwrap();
        let b = handles.handle(0, ObjectKey::Session(7), false).unwrap();
        assert_ne!(a, 0);
        assert_ne!(a, b);
        assert_eq!(handles.handle(0, ObjectKey::Token(7), false).unwrap(), a);
        assert_eq!(handles.object(0, a).unwrap(), ObjectKey::Token(7));
        assert_eq!(handles.object(0, b).unwrap(), ObjectKey::Session(7));
        assert!(refused(&handles, 0, 0));
        assert!(refused(&handles, 0, CK_OBJECT_HANDLE::MAX));
    }

    #[test]
    fn c070_a_handle_means_nothing_in_another_slot() {
        let mut handles = Handles::new();
        let handle = handles.handle(0, ObjectKey::Token(1), false).unwrap();
        assert!(refused(&handles, 1, handle));
    }

    #[test]
    fn c058_private_handles_of_the_slot_end_with_the_logout_and_stay_invalid() {
        let mut handles = Handles::new();
        let private = handles.handle(0, ObjectKey::Token(1), true).unwrap();
        let public = handles.handle(0, ObjectKey::Token(2), false).unwrap();
        let elsewhere = handles.handle(1, ObjectKey::Token(1), true).unwrap();
        handles.drop_private(0);
        assert!(refused(&handles, 0, private));
        assert_eq!(handles.object(0, public).unwrap(), ObjectKey::Token(2));
        assert_eq!(handles.object(1, elsewhere).unwrap(), ObjectKey::Token(1));
        let again = handles.handle(0, ObjectKey::Token(1), true).unwrap();
        assert_ne!(again, private);
        assert!(refused(&handles, 0, private));
    }

    #[test]
    fn c110_the_handle_of_a_destroyed_object_is_not_reused() {
        let mut handles = Handles::new();
        let handle = handles.handle(0, ObjectKey::Session(1), false).unwrap();
        handles.drop_object(0, ObjectKey::Session(1));
        handles.drop_object(0, ObjectKey::Session(1));
        assert!(refused(&handles, 0, handle));
        assert_ne!(handles.handle(0, ObjectKey::Session(1), false).unwrap(), handle);
    }

    #[test]
    fn a_slot_whose_token_is_another_keeps_no_handle() {
        let mut handles = Handles::new();
        let here = handles.handle(0, ObjectKey::Profile(1), false).unwrap();
        let there = handles.handle(1, ObjectKey::Profile(1), false).unwrap();
        handles.drop_slot(0);
        assert!(refused(&handles, 0, here));
        assert!(handles.object(1, there).is_ok());
    }

    #[test]
    fn when_all_numbers_are_used_none_is_used_again() {
        let mut handles = Handles { last: CK_OBJECT_HANDLE::MAX - 1, ..Handles::new() };
        assert_eq!(handles.handle(0, ObjectKey::Token(1), false).unwrap(), CK_OBJECT_HANDLE::MAX);
        let error = handles.handle(0, ObjectKey::Token(2), false).unwrap_err();
        assert_eq!(error.ck_rv(), CKR_HOST_MEMORY);
    }
}
