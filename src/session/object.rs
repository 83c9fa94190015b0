//! Object management: from a handle to an object of the store or of a session, and what is done with
//! it.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKA_ALLOWED_MECHANISMS,
    CKA_ID, CKA_LABEL, CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKR_OBJECT_HANDLE_INVALID,
    CKR_TOKEN_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN,
};

use crate::error::{Error, Result};
use crate::mechanism::restricted_scheme;
use crate::object::reading::{answer, is_kept_in_tpm, size};
use crate::object::revealed::reveal;
use crate::object::secret_key::take_value;
use crate::object::template::{AttributeAnswer, RawAttribute, template};
use crate::object::value::{AttributeSet, Value};
use crate::object::{Actor, ObjectKey, Path, Role, copy, may_destroy, new_object, set};
use crate::session::Call;
use crate::session::draft::{Draft, name};
use crate::slot::slot_of;
use crate::store::{ObjectId, ObjectRow};
use crate::token::{Attached, Login, secrets};
use crate::tpm::{Abilities, Auth, Blob, Hierarchy, Key, Scheme, SecretBytes, Tpm};

/// A key as the TPM takes it.
#[derive(Clone)]
pub struct KeyMaterial {
    /// The wrapped key.
    pub blob: Blob,
    /// Its authValue.
    pub auth: Auth,
}

/// An object as one call sees it.
pub struct Object {
    /// Where it lives.
    pub place: ObjectKey,
    /// Its attributes.
    pub attributes: AttributeSet,
    /// The key in the TPM, for a private key.
    pub key: Option<KeyMaterial>,
    /// The token that a token object was read from.
    pub token: Option<Arc<Attached>>,
}

impl Object {
    /// The only scheme the TPM lets this key sign with, where it was made so.
    pub fn fixed_scheme(&self, abilities: &Abilities) -> Option<Scheme> {
        fixed_scheme(&self.attributes, abilities)
    }
}

/// The scheme a key with these attributes is made with.
pub(super) fn fixed_scheme(attributes: &AttributeSet, abilities: &Abilities) -> Option<Scheme> {
    match attributes.get(CKA_ALLOWED_MECHANISMS) {
        Some(Value::Mechanisms(allowed)) => restricted_scheme(allowed, abilities),
        _ => None,
    }
}

/// An object that lives in memory, as long as the session that made it.
#[derive(Clone)]
pub struct SessionObject {
    /// The slot it is on.
    pub hierarchy: Hierarchy,
    /// The session that made it.
    pub owner: CK_SESSION_HANDLE,
    /// Its attributes.
    pub attributes: AttributeSet,
    /// The key in the TPM.
    pub key: Option<KeyMaterial>,
}

impl Call<'_> {
    /// Who asks, for the attribute rules.
    pub(super) fn actor(&self) -> Actor {
        let role = match self.login.who {
            Login::Public => Role::Public,
            Login::User(_) => Role::User,
            Login::SecurityOfficer(_) => Role::SecurityOfficer,
        };
        Actor {
            role,
            read_write: self.cell.read_write,
            mixes_wrapping: self.provider.config.mixed_wrapping_keys,
        }
    }

    /// The token of this session's slot.
    ///
    /// Errors: `CKR_TOKEN_NOT_INITIALIZED`.
    pub(super) fn initialized_token(&self) -> Result<Arc<Attached>> {
        self.provider.token(self.cell.hierarchy)?.ok_or_else(not_initialized)
    }

    /// The object behind `handle`, if this session may see it.
    ///
    /// Errors: `CKR_OBJECT_HANDLE_INVALID`.
    pub(super) fn object(&mut self, handle: CK_OBJECT_HANDLE) -> Result<Object> {
        let slot = slot_of(self.cell.hierarchy);
        let place = self.provider.handles.lock().object(slot, handle)?;
        let Some(object) = self.object_at(place)? else {
            self.provider.handles.lock().drop_object(slot, place);
            return Err(gone());
        };
        if object.attributes.is_private() && self.actor().role != Role::User {
            return Err(gone());
        }
        Ok(object)
    }

    /// The object at `place`; `None` once it has been destroyed.
    pub(super) fn object_at(&self, place: ObjectKey) -> Result<Option<Object>> {
        Ok(match place {
            ObjectKey::Token(id) => self.token_object(id)?,
            ObjectKey::Session(id) => self.provider.session_objects.lock().get(&id).map(|object| {
                let (attributes, key) = (object.attributes.clone(), object.key.clone());
                Object { place, attributes, key, token: None }
            }),
            ObjectKey::Profile(_) | ObjectKey::Mechanism(_) => self
                .description(place)?
                .map(|attributes| Object { place, attributes, key: None, token: None }),
        })
    }

    fn token_object(&self, id: i64) -> Result<Option<Object>> {
        let Some(token) = self.provider.token(self.cell.hierarchy)? else { return Ok(None) };
        let keys = token.row_keys(&self.login.who);
        let row = self.provider.store.lock().object(token.row.id, &keys, ObjectId(id))?;
        row.map(|row| self.object_of(token, row)).transpose()
    }

    fn object_of(&self, token: Arc<Attached>, row: ObjectRow) -> Result<Object> {
        let attributes = AttributeSet::from_bytes(&row.content)?;
        let key = match (row.key, row.auth_id) {
            (Some(blob), Some(auth_id)) => {
                let auth = self.key_auth(&token, row.private, &auth_id)?;
                Some(KeyMaterial { blob: blob.into(), auth })
            }
            _ => None,
        };
        Ok(Object { place: ObjectKey::Token(row.id.0), attributes, key, token: Some(token) })
    }

    /// The authValue of a token key: guarded by the user's secret where it is private.
    pub(super) fn key_auth(
        &self,
        token: &Attached,
        private: bool,
        auth_id: &[u8; 32],
    ) -> Result<Auth> {
        if !private {
            return token.public_key_auth(auth_id);
        }
        let user =
            self.login.who.user(token.row.id).ok_or_else(|| {
                Error::new(CKR_USER_NOT_LOGGED_IN, "a private key needs its user")
            })?;
        secrets::key_auth(&user.secret, auth_id)
    }

    /// PKCS#11 v3.1, C_CreateObject.
    ///
    /// Errors: the template's; `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn create_object(&mut self, raw: Vec<RawAttribute>) -> Result<CK_OBJECT_HANDLE> {
        let draft = self.draft_object(&raw)?;
        self.add_one(draft)
    }

    /// Several objects at once, all of them or none: what PKCS#11 has no call for, and a key that
    /// comes with its public half and its certificates needs.
    ///
    /// Errors: as [`create_object`](Self::create_object).
    pub fn create_objects(&mut self, raw: &[Vec<RawAttribute>]) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let drafts = raw.iter().map(|one| self.draft_object(one)).collect::<Result<_>>()?;
        self.add(drafts)
    }

    fn draft_object(&mut self, raw: &[RawAttribute]) -> Result<Draft> {
        let mut attributes = new_object(Path::Create, &template(raw)?, self.actor())?;
        match attributes.class() {
            Some(CKO_SECRET_KEY) => {
                self.check_secret_type(&attributes)?;
                let (kind, secret) = take_value(&mut attributes)?;
                self.draft_secret_key(kind, attributes, secret)
            }
            Some(CKO_PRIVATE_KEY) => self.draft_private_key(attributes),
            _ => Ok(Draft::plain(attributes)),
        }
    }

    /// PKCS#11 v3.1, C_CopyObject. The copy of a key has an authValue of its own, so that nothing
    /// that opens one opens the other.
    ///
    /// Errors: `CKR_ACTION_PROHIBITED` (CKA_COPYABLE is false), the template's.
    pub fn copy_object(
        &mut self,
        handle: CK_OBJECT_HANDLE,
        raw: Vec<RawAttribute>,
    ) -> Result<CK_OBJECT_HANDLE> {
        let object = self.object(handle)?;
        let attributes = copy(&object.attributes, &template(&raw)?, self.actor())?;
        let draft = match &object.key {
            None => Draft::plain(attributes),
            Some(KeyMaterial { blob, auth: old }) => {
                self.draft_key(attributes, |provider, token, auth| {
                    let key = Key { parent: &token.primary, blob, auth: old };
                    provider.engine.turn()?.change_auth(&key, auth)
                })?
            }
        };
        self.add_one(draft)
    }

    /// PKCS#11 v3.1, C_DestroyObject.
    ///
    /// Errors: `CKR_OBJECT_HANDLE_INVALID`, `CKR_SESSION_READ_ONLY`, `CKR_ACTION_PROHIBITED`,
    /// `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn destroy_object(&mut self, handle: CK_OBJECT_HANDLE) -> Result<()> {
        self.destroy_objects(&[handle])
    }

    /// Several objects at once, all of them or none: what PKCS#11 has no call for, and whoever
    /// destroys both halves of a key needs. One that another process destroyed meanwhile is as it
    /// should be, unless it was the only one.
    ///
    /// Errors: as [`destroy_object`](Self::destroy_object).
    pub fn destroy_objects(&mut self, handles: &[CK_OBJECT_HANDLE]) -> Result<()> {
        let objects =
            handles.iter().map(|handle| self.object(*handle)).collect::<Result<Vec<_>>>()?;
        for object in &objects {
            may_destroy(&object.attributes, self.actor())?;
        }
        let rows = token_rows(&objects);
        let mut were_there = 0;
        if !rows.is_empty() {
            let token = self.initialized_token()?;
            were_there = self.provider.store.lock().delete_objects(token.row.id, &rows)?;
        }
        let slot = slot_of(self.cell.hierarchy);
        let mut blobs = Vec::new();
        for object in objects {
            if let ObjectKey::Session(id) = object.place {
                let removed = self.provider.session_objects.lock().remove(&id);
                were_there += usize::from(removed.is_some());
            }
            self.provider.handles.lock().drop_object(slot, object.place);
            blobs.extend(object.key.map(|key| key.blob));
        }
        self.provider.forget_keys(&blobs);
        if were_there > 0 { Ok(()) } else { Err(gone()) }
    }

    /// Bytes the object takes. PKCS#11 v3.1, C_GetObjectSize.
    pub fn object_size(&mut self, handle: CK_OBJECT_HANDLE) -> Result<CK_ULONG> {
        let object = self.object(handle)?;
        let key = object.key.map_or(0, |key| key.blob.public.len() + key.blob.private.len());
        Ok((size(&object.attributes) as CK_ULONG).saturating_add(key as CK_ULONG))
    }

    /// What the object says of each of `kinds`. PKCS#11 v3.1, C_GetAttributeValue.
    pub fn attribute_values(
        &mut self,
        handle: CK_OBJECT_HANDLE,
        kinds: &[CK_ATTRIBUTE_TYPE],
    ) -> Result<Vec<AttributeAnswer>> {
        let mut object = self.object(handle)?;
        if kinds.iter().any(|kind| is_kept_in_tpm(&object.attributes, *kind)) {
            self.reveal(&mut object)?;
        }
        Ok(kinds.iter().map(|kind| answer(&object.attributes, *kind)).collect())
    }

    /// Adds the attributes that only the TPM has of a key that may leave it.
    pub(super) fn reveal(&self, object: &mut Object) -> Result<()> {
        let secret = self.secret(object)?;
        reveal(&mut object.attributes, &secret)
    }

    /// The secret of a key that may leave the TPM: its value, a prime or a scalar.
    pub(super) fn secret(&self, object: &Object) -> Result<SecretBytes> {
        let token = self.initialized_token()?;
        let material =
            object.key.as_ref().ok_or_else(|| Error::bug("a key that is not in the TPM"))?;
        let key = Key { parent: &token.primary, blob: &material.blob, auth: &material.auth };
        self.provider.engine.turn()?.export(&key)
    }

    /// Changes attributes, all of them or none. PKCS#11 v3.1, C_SetAttributeValue.
    ///
    /// Errors: `CKR_OBJECT_HANDLE_INVALID`, `CKR_SESSION_READ_ONLY`, `CKR_ACTION_PROHIBITED`,
    /// `CKR_ATTRIBUTE_READ_ONLY`, the template's, `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn set_attribute_values(
        &mut self,
        handle: CK_OBJECT_HANDLE,
        raw: Vec<RawAttribute>,
    ) -> Result<()> {
        self.set_attribute_values_of_all(&[handle], raw)
    }

    /// The same attributes of several objects at once, of all of the token's or of none: what
    /// PKCS#11 has no call for, and whoever renames both halves of a key needs.
    ///
    /// Errors: as [`set_attribute_values`](Self::set_attribute_values).
    pub fn set_attribute_values_of_all(
        &mut self,
        handles: &[CK_OBJECT_HANDLE],
        raw: Vec<RawAttribute>,
    ) -> Result<()> {
        let objects =
            handles.iter().map(|handle| self.object(*handle)).collect::<Result<Vec<_>>>()?;
        let changes = template(&raw)?;
        let actor = self.actor();
        // Before anything is locked, so that a template's error never waits for the store.
        for object in &objects {
            set(&object.attributes, &changes, actor)?;
        }
        let rows = token_rows(&objects);
        if !rows.is_empty() {
            let token = self.initialized_token()?;
            let keys = token.row_keys(&self.login.who);
            let mut store = self.provider.store.lock();
            let found = store.update_objects(token.row.id, &keys, &rows, &mut |row| {
                // The row may have changed since: the rules hold for what it says now.
                let now = AttributeSet::from_bytes(&row.content)?;
                let changed = set(&now, &changes, actor)?;
                row.set_id(name(&changed, CKA_ID));
                row.set_label(name(&changed, CKA_LABEL));
                row.content = changed.to_bytes();
                Ok(())
            })?;
            if !found {
                return Err(gone());
            }
        }
        for object in objects {
            match object.place {
                ObjectKey::Token(_) => {}
                ObjectKey::Session(id) => {
                    let mut objects = self.provider.session_objects.lock();
                    let object = objects.get_mut(&id).ok_or_else(gone)?;
                    object.attributes = set(&object.attributes, &changes, actor)?;
                }
                ObjectKey::Profile(_) | ObjectKey::Mechanism(_) => return Err(gone()),
            }
        }
        Ok(())
    }
}

/// The rows of those that lie in the store.
fn token_rows(objects: &[Object]) -> Vec<ObjectId> {
    let row = |object: &Object| match object.place {
        ObjectKey::Token(id) => Some(ObjectId(id)),
        ObjectKey::Session(_) | ObjectKey::Profile(_) | ObjectKey::Mechanism(_) => None,
    };
    objects.iter().filter_map(row).collect()
}

pub(super) fn not_initialized() -> Error {
    Error::new(CKR_TOKEN_NOT_INITIALIZED, "the slot's token is not initialised")
}

fn gone() -> Error {
    Error::new(CKR_OBJECT_HANDLE_INVALID, "no object that this session may see has this handle")
}
