//! The rows of a token's objects: write, read, change, delete.

use cryptoki_sys::{CKR_DEVICE_MEMORY, CKR_TOKEN_NOT_RECOGNIZED, CKR_USER_NOT_LOGGED_IN};
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{OptionalExtension, Row, Transaction, named_params};
use zeroize::Zeroizing;

use super::seal::{Canonical, RowKey, RowKeys, Sink};
use super::{ObjectId, Store, StoredBlob, TokenId};
use crate::error::{Error, Result};

/// An object that is not in the store yet.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// CKA_UNIQUE_ID: another one for each object.
    pub unique_id: [u8; 16],
    /// Whether it shows after a login only; its content is then encrypted.
    pub private: bool,
    /// CKA_CLASS; in clear even in a private row.
    pub class: u64,
    /// CKA_ID, by which it is found; `None` where it has none.
    pub id: Option<Vec<u8>>,
    /// CKA_LABEL, by which it is found; `None` where it has none.
    pub label: Option<Vec<u8>>,
    /// The attributes, `id` and `label` included, in a form of the caller's.
    pub content: Zeroizing<Vec<u8>>,
    /// The TPM's key, where the object has one.
    pub key: Option<StoredBlob>,
    /// What its authorization value is derived from.
    pub auth_id: Option<[u8; 32]>,
}

/// An object in the store, verified and decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its number, for ever.
    pub id: ObjectId,
    /// As it was given.
    pub unique_id: [u8; 16],
    /// As it was given.
    pub private: bool,
    /// As it was given.
    pub class: u64,
    /// The attributes.
    pub content: Zeroizing<Vec<u8>>,
    /// The TPM's key.
    pub key: Option<StoredBlob>,
    /// What its authorization value is derived from.
    pub auth_id: Option<[u8; 32]>,
    pub(super) id_tag: Option<[u8; 16]>,
    pub(super) label_tag: Option<[u8; 16]>,
    /// New values of CKA_ID and CKA_LABEL, whose tags are made when the row is written.
    new_id: Option<Option<Vec<u8>>>,
    new_label: Option<Option<Vec<u8>>>,
}

impl ObjectRow {
    /// From now on it is found by this CKA_ID; `content` is the caller's to change.
    pub fn set_id(&mut self, id: Option<Vec<u8>>) {
        self.new_id = Some(id);
    }

    /// From now on it is found by this CKA_LABEL; `content` is the caller's to change.
    pub fn set_label(&mut self, label: Option<Vec<u8>>) {
        self.new_label = Some(label);
    }
}

/// The names of the searched attributes in their tags.
pub(super) const ID: &str = "CKA_ID";
pub(super) const LABEL: &str = "CKA_LABEL";

/// A row as it lies in the file, nothing of it verified yet.
pub(super) struct RawObject<'a> {
    id: ObjectId,
    token: TokenId,
    unique_id: [u8; 16],
    private: bool,
    class: u64,
    id_tag: Option<[u8; 16]>,
    label_tag: Option<[u8; 16]>,
    content: &'a [u8],
    key: Option<(&'a [u8], &'a [u8])>,
    auth_id: Option<[u8; 32]>,
    mac: &'a [u8],
}

/// Which row it is: bound to the content by its encryption.
struct Header<'a>(&'a RawObject<'a>);

impl Canonical for Header<'_> {
    fn write_to(&self, sink: &mut impl Sink) {
        let row = self.0;
        sink.field(b"hierarkey object row 1");
        sink.number(row.id.0);
        sink.field(&row.token.0);
        sink.field(&row.unique_id);
        sink.number(row.private.into());
        sink.number(row.class.cast_signed());
    }
}

impl Canonical for RawObject<'_> {
    fn write_to(&self, sink: &mut impl Sink) {
        Header(self).write_to(sink);
        sink.optional(self.id_tag.as_ref().map(<[u8; 16]>::as_slice));
        sink.optional(self.label_tag.as_ref().map(<[u8; 16]>::as_slice));
        sink.field(self.content);
        sink.optional(self.key.map(|(public, _)| public));
        sink.optional(self.key.map(|(_, private)| private));
        sink.optional(self.auth_id.as_ref().map(<[u8; 32]>::as_slice));
    }
}

/// The columns of a [`RawObject`], in the order in which it reads them.
pub(super) const COLUMNS: &str = "id, token_id, unique_id, private, class, id_tag, label_tag,
    content, key_public, key_private, auth_id, mac";

impl<'a> RawObject<'a> {
    /// Reads a row of [`COLUMNS`]; fails where a column is not of its type or length.
    pub(super) fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        let key = match (row.get_ref(8)?, row.get_ref(9)?) {
            (ValueRef::Null, ValueRef::Null) => None,
            (public, private) => Some((public.as_blob()?, private.as_blob()?)),
        };
        Ok(Self {
            id: ObjectId(row.get(0)?),
            token: TokenId(bytes(row.get_ref(1)?)?),
            unique_id: bytes(row.get_ref(2)?)?,
            private: row.get(3)?,
            class: row.get::<_, i64>(4)?.cast_unsigned(),
            id_tag: optional_bytes(row.get_ref(5)?)?,
            label_tag: optional_bytes(row.get_ref(6)?)?,
            content: row.get_ref(7)?.as_blob()?,
            key,
            auth_id: optional_bytes(row.get_ref(10)?)?,
            mac: row.get_ref(11)?.as_blob()?,
        })
    }

    /// Verifies the row, then decrypts what it holds.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when it is not as this module wrote it.
    pub(super) fn open(&self, key: &RowKey) -> Result<ObjectRow> {
        if self.token != key.token() {
            return Err(Error::new(CKR_TOKEN_NOT_RECOGNIZED, "a row of another token"));
        }
        key.verify(self, self.mac)?;
        Ok(ObjectRow {
            id: self.id,
            unique_id: self.unique_id,
            private: self.private,
            class: self.class,
            content: if self.private {
                key.decrypt(&Header(self), self.content)?
            } else {
                Zeroizing::new(self.content.to_vec())
            },
            key: self.key.map(|(public, private)| StoredBlob {
                public: public.to_vec(),
                private: private.to_vec(),
            }),
            auth_id: self.auth_id,
            id_tag: self.id_tag,
            label_tag: self.label_tag,
            new_id: None,
            new_label: None,
        })
    }
}

fn bytes<const N: usize>(value: ValueRef<'_>) -> rusqlite::Result<[u8; N]> {
    Ok(FromSql::column_result(value)?)
}

fn optional_bytes<const N: usize>(value: ValueRef<'_>) -> rusqlite::Result<Option<[u8; N]>> {
    Ok(FromSql::column_result(value)?)
}

impl Store {
    /// Adds objects to `token`, all or none, and gives their numbers in the same order.
    ///
    /// Errors: as [`Store`] says; `CKR_USER_NOT_LOGGED_IN` for a private object without the private
    /// key; `CKR_DEVICE_REMOVED` when the token was initialised anew meanwhile.
    pub fn insert_objects(
        &mut self,
        token: TokenId,
        keys: &RowKeys,
        rows: &[NewObject],
    ) -> Result<Vec<ObjectId>> {
        self.writing(|tx| {
            let mut last: i64 = tx
                .prepare_cached(
                    "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'object'), 0),
                        coalesce((SELECT max(id) FROM object), 0), 0)",
                )?
                .query_row([], |row| row.get(0))?;
            let mut ids = Vec::with_capacity(rows.len());
            for new in rows {
                // The MAC covers the number, so it is chosen here, as AUTOINCREMENT would.
                last = last.checked_add(1).ok_or_else(|| {
                    Error::new(CKR_DEVICE_MEMORY, "the store's numbers are used up")
                })?;
                let row = ObjectRow {
                    id: ObjectId(last),
                    unique_id: new.unique_id,
                    private: new.private,
                    class: new.class,
                    content: new.content.clone(),
                    key: new.key.clone(),
                    auth_id: new.auth_id,
                    id_tag: None,
                    label_tag: None,
                    new_id: Some(new.id.clone()),
                    new_label: Some(new.label.clone()),
                };
                write_row(
                    tx,
                    "INSERT INTO object VALUES (:id, :token_id, :unique_id, :private, :class,
                        :id_tag, :label_tag, :content, :key_public, :key_private, :auth_id, :mac)",
                    token,
                    keys,
                    &row,
                )?;
                ids.push(row.id);
            }
            Ok(ids)
        })
    }

    /// The object with this number; `None` when it is not there (any more), is private and the
    /// private key is missing, or was changed by others.
    ///
    /// Errors: as [`Store`] says.
    pub fn object(
        &mut self,
        token: TokenId,
        keys: &RowKeys,
        id: ObjectId,
    ) -> Result<Option<ObjectRow>> {
        let read = self.reading(|tx| row_by_id(tx, token, keys, id))?;
        let found = match read.unwrap_or(Found::Nothing) {
            Found::Sound(row) => Some(row),
            Found::Nothing => None,
            Found::SetAside(why) => {
                self.tell(token, id, &why);
                None
            }
        };
        Ok(found)
    }

    /// Reads objects, lets `change` change each, and writes them, in one transaction: no other
    /// process comes between. False when there is no such object, as [`object`](Self::object) says,
    /// and then none is changed.
    ///
    /// What makes an object that very one (`id`, `unique_id`, `private`) stays.
    ///
    /// Errors: as [`Store`] says; what `change` fails with, and then nothing is changed.
    pub fn update_objects(
        &mut self,
        token: TokenId,
        keys: &RowKeys,
        ids: &[ObjectId],
        change: &mut dyn FnMut(&mut ObjectRow) -> Result<()>,
    ) -> Result<bool> {
        let mut set_aside = None;
        let changed = self.writing(|tx| {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                match row_by_id(tx, token, keys, *id)? {
                    Found::Sound(row) => rows.push(row),
                    Found::Nothing => return Ok(false),
                    Found::SetAside(why) => {
                        set_aside = Some((*id, why));
                        return Ok(false);
                    }
                }
            }
            for row in &mut rows {
                let before = (row.id, row.unique_id, row.private);
                change(row)?;
                if before != (row.id, row.unique_id, row.private) {
                    return Err(Error::bug("a change made another object of one"));
                }
                write_row(
                    tx,
                    "UPDATE object SET unique_id = :unique_id, private = :private, class = :class,
                        id_tag = :id_tag, label_tag = :label_tag, content = :content,
                        key_public = :key_public, key_private = :key_private, auth_id = :auth_id,
                        mac = :mac
                    WHERE id = :id AND token_id = :token_id",
                    token,
                    keys,
                    row,
                )?;
            }
            Ok(true)
        })?;
        if let Some((id, why)) = set_aside {
            self.tell(token, id, &why);
        }
        Ok(changed)
    }

    /// Deletes objects, be they sound or set aside, in one transaction; how many were there.
    ///
    /// Errors: as [`Store`] says.
    pub fn delete_objects(&mut self, token: TokenId, ids: &[ObjectId]) -> Result<usize> {
        self.writing(|tx| {
            let mut delete =
                tx.prepare_cached("DELETE FROM object WHERE id = ?1 AND token_id = ?2")?;
            ids.iter().try_fold(0, |deleted, id| Ok(deleted + delete.execute((id.0, token.0))?))
        })
    }

    /// Says once in the log that a row is passed over.
    pub(super) fn tell(&mut self, token: TokenId, id: ObjectId, why: &Error) {
        /// More than this is not a few damaged rows but a damaged store.
        const MOST: usize = 1000;
        if self.told.len() < MOST && self.told.insert(id) {
            log::warn!("object {} of token {token:?} is set aside: {why}", id.0);
        }
    }
}

/// What became of looking at one row.
pub(super) enum Found {
    Sound(ObjectRow),
    /// There is none, or none that these keys may see.
    Nothing,
    /// There is one, and it is not as this module wrote it.
    SetAside(Error),
}

impl Found {
    /// What a row is to a caller with these keys.
    pub(super) fn row(row: &Row<'_>, keys: &RowKeys) -> Self {
        let raw = match RawObject::read(row) {
            Ok(raw) => raw,
            Err(error) => return Self::SetAside(error.into()),
        };
        match keys.of(raw.private).map(|key| raw.open(key)) {
            None => Self::Nothing,
            Some(Ok(row)) => Self::Sound(row),
            Some(Err(error)) => Self::SetAside(error),
        }
    }
}

/// One row by its number.
pub(super) fn row_by_id(
    tx: &Transaction<'_>,
    token: TokenId,
    keys: &RowKeys,
    id: ObjectId,
) -> Result<Found> {
    let sql = format!("SELECT {COLUMNS} FROM object WHERE id = ?1 AND token_id = ?2");
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_row((id.0, token.0), |row| Ok(Found::row(row, keys))).optional()?;
    Ok(found.unwrap_or(Found::Nothing))
}

/// Writes `row` with its tags, its encryption and its MAC by a statement with named parameters.
fn write_row(
    tx: &Transaction<'_>,
    sql: &str,
    token: TokenId,
    keys: &RowKeys,
    row: &ObjectRow,
) -> Result<()> {
    let key = keys.of(row.private).ok_or_else(|| {
        Error::new(CKR_USER_NOT_LOGGED_IN, "a private object without the private row key")
    })?;
    if key.token() != token {
        return Err(Error::bug("an object's row and its key belong to different tokens"));
    }
    let tag = |new: &Option<Option<Vec<u8>>>, old, attribute| match new {
        Some(Some(value)) => key.lookup_tag(attribute, value).map(Some),
        Some(None) => Ok(None),
        None => Ok(old),
    };
    let mut raw = RawObject {
        id: row.id,
        token,
        unique_id: row.unique_id,
        private: row.private,
        class: row.class,
        id_tag: tag(&row.new_id, row.id_tag, ID)?,
        label_tag: tag(&row.new_label, row.label_tag, LABEL)?,
        content: &row.content,
        key: row.key.as_ref().map(|key| (key.public.as_slice(), key.private.as_slice())),
        auth_id: row.auth_id,
        mac: &[],
    };
    let encrypted;
    if row.private {
        encrypted = key.encrypt(&Header(&raw), &row.content)?;
        raw.content = &encrypted;
    }
    let mac = key.mac(&raw)?;
    tx.prepare_cached(sql)?.execute(named_params! {
        ":id": raw.id.0,
        ":token_id": token.0,
        ":unique_id": raw.unique_id,
        ":private": raw.private,
        ":class": raw.class.cast_signed(),
        ":id_tag": raw.id_tag,
        ":label_tag": raw.label_tag,
        ":content": raw.content,
        ":key_public": raw.key.map(|(public, _)| public),
        ":key_private": raw.key.map(|(_, private)| private),
        ":auth_id": raw.auth_id,
        ":mac": mac,
    })?;
    Ok(())
}
