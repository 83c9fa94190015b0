//! Searching: a snapshot at the beginning, handed out in pieces.

use std::collections::VecDeque;

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::object::search::{Found, Search as Wanted};
use crate::object::template::RawAttribute;
use crate::object::value::AttributeSet;
use crate::object::{ObjectKey, Role};
use crate::session::Call;
use crate::session::kind::Kind;
use crate::session::operation::{Delivery, Operation};
use crate::slot::slot_of;
use crate::store::Filter;

/// An active search: the handles not handed out yet.
pub struct Search(VecDeque<CK_OBJECT_HANDLE>);

impl Operation for Search {}

impl Call<'_> {
    /// Finds every visible object that matches. PKCS#11 v3.1, C_FindObjectsInit.
    ///
    /// Errors: `CKR_OPERATION_ACTIVE`.
    pub fn find_init(&mut self, raw: Vec<RawAttribute>) -> Result<()> {
        self.may_begin(Kind::Search)?;
        let wanted = Wanted::new(raw);
        let mut found = VecDeque::new();
        self.find_token_objects(&wanted, &mut found)?;
        self.find_session_objects(&wanted, &mut found)?;
        let described = self.described(&wanted)?;
        self.hand_out(described.into_iter().map(|place| (place, false)).collect(), &mut found)?;
        self.session.searching.begin(Search(found));
        Ok(())
    }

    fn find_token_objects(
        &mut self,
        wanted: &Wanted,
        found: &mut VecDeque<CK_OBJECT_HANDLE>,
    ) -> Result<()> {
        let Some(token) = self.provider.token(self.cell.hierarchy)? else { return Ok(()) };
        let filter = Filter {
            class: wanted.class(),
            id: wanted.id().map(<[u8]>::to_vec),
            label: wanted.label().map(<[u8]>::to_vec),
        };
        let keys = token.row_keys(&self.login.who);
        let mut places = Vec::new();
        self.provider.store.lock().objects(token.row.id, &keys, &filter, &mut |row| {
            let attributes = AttributeSet::from_bytes(&row.content)?;
            match wanted.test(&attributes) {
                Found::No => {}
                test => places.push((ObjectKey::Token(row.id.0), row.private, test)),
            }
            Ok(())
        })?;
        let places = self.matching(wanted, places)?;
        self.hand_out(places, found)
    }

    fn find_session_objects(
        &mut self,
        wanted: &Wanted,
        found: &mut VecDeque<CK_OBJECT_HANDLE>,
    ) -> Result<()> {
        let user = self.actor().role == Role::User;
        let mut places = Vec::new();
        for (id, object) in self.provider.session_objects.lock().iter() {
            let private = object.attributes.is_private();
            if object.hierarchy == self.cell.hierarchy && (user || !private) {
                match wanted.test(&object.attributes) {
                    Found::No => {}
                    test => places.push((ObjectKey::Session(*id), private, test)),
                }
            }
        }
        let places = self.matching(wanted, places)?;
        self.hand_out(places, found)
    }

    /// Those of `places` that match, for which the TPM is asked where it has to be; whether each is
    /// private. Nothing is locked meanwhile.
    fn matching(
        &self,
        wanted: &Wanted,
        places: Vec<(ObjectKey, bool, Found)>,
    ) -> Result<Vec<(ObjectKey, bool)>> {
        let mut matching = Vec::new();
        for (place, private, found) in places {
            let matches = match found {
                Found::Yes => true,
                Found::IfInTpm => self.matches_in_tpm(wanted, place)?,
                Found::No => false,
            };
            if matches {
                matching.push((place, private));
            }
        }
        Ok(matching)
    }

    fn matches_in_tpm(&self, wanted: &Wanted, place: ObjectKey) -> Result<bool> {
        // It may have been destroyed, or made sensitive, since it was looked at.
        let Some(mut object) = self.object_at(place)? else { return Ok(false) };
        if wanted.test(&object.attributes) == Found::IfInTpm {
            self.reveal(&mut object)?;
        }
        Ok(wanted.matches(&object.attributes))
    }

    fn hand_out(
        &self,
        places: Vec<(ObjectKey, bool)>,
        found: &mut VecDeque<CK_OBJECT_HANDLE>,
    ) -> Result<()> {
        let slot = slot_of(self.cell.hierarchy);
        // What is private was found for a user who may have logged out since.
        let table = self.provider.table.lock();
        let logged_out = table.login(self.cell.hierarchy).epoch != self.login.epoch;
        let mut handles = self.provider.handles.lock();
        for (place, private) in places {
            if private && logged_out {
                continue;
            }
            found.push_back(handles.handle(slot, place, private)?);
        }
        Ok(())
    }

    /// The next handles, `max` at most; none after the last. PKCS#11 v3.1, C_FindObjects.
    ///
    /// A handle that a logout has made invalid meanwhile is left out.
    pub fn find(&mut self, max: usize) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let slot = slot_of(self.cell.hierarchy);
        let provider = self.provider;
        let mut found = Vec::new();
        self.session.searching.update(|Search(rest)| {
            let handles = provider.handles.lock();
            while found.len() < max {
                match rest.pop_front() {
                    Some(handle) if handles.object(slot, handle).is_ok() => {
                        found.push(handle);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Ends the search. PKCS#11 v3.1, C_FindObjectsFinal.
    pub fn find_final(&mut self) -> Result<()> {
        self.session.searching.finish(|_| Ok(Delivery::Written))
    }
}
