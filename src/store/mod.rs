//! LAYER 4b: the store, an SQLite file of rows of plain bytes. Knows nothing of TPM types, nor of
//! what an attribute means.
//!
//! | file | what |
//! |---|---|
//! | `open.rs` | the file: found, trusted, opened, created; one transaction for each call |
//! | `migrate.rs` | from an empty or older file to today's tables (`sql/`) |
//! | `token.rs` | the row of a token |
//! | `object.rs` | the rows of its objects: write, read, change, delete |
//! | `search.rs` | the rows of its objects: find |
//! | `seal.rs` | what makes a row believable: its MAC, its encryption, its search tags |
//! | `in_flight.rs` | what a forked child may not do |
//! | `error.rs` | SQLite's errors as `CKR_` |
//!
//! A row says nothing that is believed before its MAC was checked under a key that the TPM
//! released. A row that fails is set aside: told to the log once, passed over, never deleted.
//! What the MAC cannot tell is an old row from today's: who may write the file may bring back
//! yesterday's row, or take one away.

mod error;
mod in_flight;
mod migrate;
mod object;
mod open;
mod seal;
mod search;
mod token;

pub use crate::os::directory::{Sharing, StoreLocation};
pub use object::{NewObject, ObjectRow};
pub use open::Store;
pub use seal::{RowKey, RowKeys, Rows};
pub use search::Filter;
pub use token::{TokenRow, verify_token};

#[cfg(test)]
mod tests;

use std::fmt;

/// The name of the store's file in its directory.
pub const FILE: &str = "hierarkey.sqlite3";

/// Which initialisation of which token: random, new each time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Which object of a store. Never given to another one, not even after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub i64);

/// A key or sealed object of the TPM, as two areas that mean nothing to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// The public area.
    pub public: Vec<u8>,
    /// The wrapped private area.
    pub private: Vec<u8>,
}
