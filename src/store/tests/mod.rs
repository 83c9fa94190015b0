//! The store's promises, by subject.

mod access;
mod concurrency;
mod damage;
mod rows;
mod sealing;

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::*;
use crate::error::Result;

impl Store {
    /// [`update_objects`](Self::update_objects) of one.
    fn update_object(
        &mut self,
        token: TokenId,
        keys: &RowKeys,
        id: ObjectId,
        change: &mut dyn FnMut(&mut ObjectRow) -> Result<()>,
    ) -> Result<bool> {
        self.update_objects(token, keys, &[id], change)
    }

    /// [`delete_objects`](Self::delete_objects) of one; whether it was there.
    fn delete_object(&mut self, token: TokenId, id: ObjectId) -> Result<bool> {
        Ok(self.delete_objects(token, &[id])? > 0)
    }
}

/// A directory with a store.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("store")
    }

    fn file(&self) -> PathBuf {
        self.directory().join(FILE)
    }

    fn location(&self) -> StoreLocation {
        StoreLocation::new(self.directory())
    }

    fn store(&self) -> Store {
        Store::new(self.location())
    }

    /// A store with a token in slot 0.
    fn with_token(&self, token: TokenId) -> Store {
        let mut store = self.store();
        store.replace_token(None, &token_row(0, token), &keys(token, false).public).unwrap();
        store
    }

    /// A connection without any of our care, as an attacker has it.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }
}

const TOKEN: TokenId = TokenId([7; 16]);

fn keys(token: TokenId, private: bool) -> RowKeys {
    RowKeys {
        public: RowKey::derive(&[1; 32], token, Rows::Public).unwrap(),
        private: private.then(|| RowKey::derive(&[2; 32], token, Rows::Private).unwrap()),
    }
}

fn blob(name: &str) -> StoredBlob {
    StoredBlob {
        public: format!("{name} public").into(),
        private: format!("{name} private").into(),
    }
}

fn token_row(slot: u8, id: TokenId) -> TokenRow {
    TokenRow {
        slot,
        id,
        label: *b"a token                         ",
        serial: *b"0123456789abcdef",
        manufacturer: "IBM".into(),
        model: "SW TPM".into(),
        firmware: u64::MAX - 1,
        primary_public: b"primary".to_vec(),
        so: blob("so"),
        user: Some(blob("user")),
        key: blob("key"),
        pin_scheme: 1,
        reset_count: Some(3),
        abilities: b"abilities".to_vec(),
        created: 1_700_000_000,
        generation: 0,
        mac: Vec::new(),
    }
}

/// Object number `n`, with a CKA_ID and CKA_LABEL of its own.
fn object(n: u32, private: bool) -> NewObject {
    let mut unique_id = [0; 16];
    unique_id[..4].copy_from_slice(&n.to_be_bytes());
    NewObject {
        unique_id,
        private,
        class: u64::from(n % 3),
        id: Some(format!("id {n}").into()),
        label: Some(format!("label {n}").into()),
        content: Zeroizing::new(format!("the attributes of object {n}").into()),
        key: Some(blob(&format!("key {n}"))),
        auth_id: Some([9; 32]),
    }
}

fn find(store: &mut Store, keys: &RowKeys, filter: &Filter) -> Result<Vec<ObjectRow>> {
    let mut found = Vec::new();
    store.objects(TOKEN, keys, filter, &mut |row| {
        found.push(row);
        Ok(())
    })?;
    Ok(found)
}

fn find_ids(store: &mut Store, keys: &RowKeys, filter: &Filter) -> Vec<ObjectId> {
    find(store, keys, filter).unwrap().into_iter().map(|row| row.id).collect()
}
