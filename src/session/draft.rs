//! Objects about to come into being: what they are made of, and how several are added at once.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CKA_ID, CKA_LABEL};

use crate::error::{Error, Result};
use crate::object::ObjectKey;
use crate::object::value::AttributeSet;
use crate::provider::Provider;
use crate::session::Call;
use crate::session::object::{KeyMaterial, SessionObject};
use crate::slot::slot_of;
use crate::store::NewObject;
use crate::token::{Attached, secrets};
use crate::tpm::{Auth, Blob};

/// An object about to come into being.
pub(super) struct Draft {
    pub attributes: AttributeSet,
    pub key: Option<KeyMaterial>,
    /// What a token key's authValue is derived from.
    pub auth_id: Option<[u8; 32]>,
}

impl Draft {
    /// One without a key in the TPM.
    pub fn plain(attributes: AttributeSet) -> Self {
        Self { attributes, key: None, auth_id: None }
    }
}

impl Call<'_> {
    /// Adds `drafts`, which are all token objects or all session objects: every one or none. Gives
    /// their handles.
    pub(super) fn add(&mut self, mut drafts: Vec<Draft>) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let mut rows = Vec::new();
        for draft in &mut drafts {
            let mut id = [0; 16];
            getrandom::fill(&mut id)?;
            draft.attributes.identify(&id);
            if draft.attributes.is_token() {
                rows.push(new_row(draft, id));
            }
        }
        let mut ids = Vec::new();
        if !rows.is_empty() {
            let token = self.initialized_token()?;
            let keys = token.row_keys(&self.login.who);
            ids = self.provider.store.lock().insert_objects(token.row.id, &keys, &rows)?;
        }
        let mut ids = ids.into_iter();
        let slot = slot_of(self.cell.hierarchy);
        let mut private_places = Vec::new();
        let handles = drafts
            .into_iter()
            .map(|draft| {
                let private = draft.attributes.is_private();
                let place = if draft.attributes.is_token() {
                    let id = ids.next().ok_or_else(|| Error::bug("a row without an id"))?;
                    ObjectKey::Token(id.0)
                } else {
                    ObjectKey::Session(self.provider.add_session_object(SessionObject {
                        hierarchy: self.cell.hierarchy,
                        owner: self.cell.handle,
                        attributes: draft.attributes,
                        key: draft.key,
                    }))
                };
                if private {
                    private_places.push(place);
                }
                self.provider.handles.lock().handle(slot, place, private)
            })
            .collect();
        self.drop_if_logged_out(private_places);
        handles
    }

    /// A logout while this call was running did not see what the call has just made. It counts as
    /// made before the logout: private handles are invalid, private session objects are gone.
    fn drop_if_logged_out(&self, private_places: Vec<ObjectKey>) {
        let hierarchy = self.cell.hierarchy;
        let epoch = self.provider.table.lock().login(hierarchy).epoch;
        if private_places.is_empty() || epoch == self.login.epoch {
            return;
        }
        let mut blobs = Vec::new();
        for place in private_places {
            if let ObjectKey::Session(id) = place {
                let object = self.provider.session_objects.lock().remove(&id);
                blobs.extend(object.and_then(|object| object.key).map(|key| key.blob));
            }
            self.provider.handles.lock().drop_object(slot_of(hierarchy), place);
        }
        self.provider.forget_keys(&blobs);
    }

    pub(super) fn add_one(&mut self, draft: Draft) -> Result<CK_OBJECT_HANDLE> {
        let handles = self.add(vec![draft])?;
        handles.first().copied().ok_or_else(|| Error::bug("an object without a handle"))
    }

    /// A draft of a key whose blob `make` makes under the authValue it is given: derived for a
    /// token object, random for a session object.
    pub(super) fn draft_key(
        &self,
        attributes: AttributeSet,
        make: impl FnOnce(&Provider, &Attached, &Auth) -> Result<Blob>,
    ) -> Result<Draft> {
        let token = self.initialized_token()?;
        let random = secrets::random_secret()?;
        let (auth, auth_id) = if attributes.is_token() {
            (self.key_auth(&token, attributes.is_private(), &random)?, Some(*random))
        } else {
            (Auth::new(&random[..]), None)
        };
        let blob = make(self.provider, &token, &auth)?;
        Ok(Draft { attributes, key: Some(KeyMaterial { blob, auth }), auth_id })
    }
}

fn new_row(draft: &Draft, unique_id: [u8; 16]) -> NewObject {
    let attributes = &draft.attributes;
    NewObject {
        unique_id,
        private: attributes.is_private(),
        class: attributes.class().unwrap_or_default(),
        id: name(attributes, CKA_ID),
        label: name(attributes, CKA_LABEL),
        content: attributes.to_bytes(),
        key: draft.key.as_ref().map(|key| key.blob.clone().into()),
        auth_id: draft.auth_id,
    }
}

/// What the store finds an object by.
pub(super) fn name(attributes: &AttributeSet, kind: CK_ATTRIBUTE_TYPE) -> Option<Vec<u8>> {
    attributes.bytes(kind).map(<[u8]>::to_vec)
}
