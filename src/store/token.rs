//! The row of a token.

use cryptoki_sys::{CKR_FUNCTION_FAILED, CKR_TOKEN_NOT_RECOGNIZED};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::seal::{Canonical, RowKey, Sink};
use super::{Store, StoredBlob, TokenId};
use crate::error::{Error, Result};

/// Everything that is kept about an initialised token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// 0 to 3: owner, endorsement, platform, null.
    pub slot: u8,
    /// Random, new at each initialisation.
    pub id: TokenId,
    /// CK_TOKEN_INFO's label, padded with blanks.
    pub label: [u8; 32],
    /// CK_TOKEN_INFO's serialNumber.
    pub serial: [u8; 16],
    /// Who made the TPM.
    pub manufacturer: String,
    /// Which TPM it is.
    pub model: String,
    /// Which firmware it had when `abilities` was written.
    pub firmware: u64,
    /// The public area of the primary key.
    pub primary_public: Vec<u8>,
    /// The security officer's sealed object.
    pub so: StoredBlob,
    /// The user's sealed object, once the user has a PIN.
    pub user: Option<StoredBlob>,
    /// The sealed key of the public rows.
    pub key: StoredBlob,
    /// How a PIN becomes an authorization value.
    pub pin_scheme: u32,
    /// The TPM's resetCount at initialisation, for a token that the next reset ends.
    pub reset_count: Option<u32>,
    /// What the TPM can do, in a form of the caller's.
    pub abilities: Vec<u8>,
    /// When it was initialised, in seconds since 1970.
    pub created: i64,
    /// One more with each change; the store sets it, whatever the caller says.
    pub generation: i64,
    /// Over all of the above; the store sets it.
    pub mac: Vec<u8>,
}

impl Canonical for TokenRow {
    fn write_to(&self, sink: &mut impl Sink) {
        sink.field(b"hierarkey token row 1");
        sink.number(self.slot.into());
        sink.field(&self.id.0);
        sink.field(&self.label);
        sink.field(&self.serial);
        sink.field(self.manufacturer.as_bytes());
        sink.field(self.model.as_bytes());
        sink.number(self.firmware.cast_signed());
        sink.field(&self.primary_public);
        for blob in [Some(&self.so), self.user.as_ref(), Some(&self.key)] {
            sink.optional(blob.map(|blob| blob.public.as_slice()));
            sink.optional(blob.map(|blob| blob.private.as_slice()));
        }
        sink.number(self.pin_scheme.into());
        sink.optional(self.reset_count.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
        sink.field(&self.abilities);
        sink.number(self.created);
        sink.number(self.generation);
    }
}

/// Whether a token's row is as this module wrote it. `key` is the public row key, which the TPM
/// releases with what the row says; until then nothing in the row is believed.
///
/// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when it is not.
pub fn verify_token(row: &TokenRow, key: &RowKey) -> Result<()> {
    if key.token() != row.id {
        return Err(Error::new(CKR_TOKEN_NOT_RECOGNIZED, "a token's row was changed by others"));
    }
    key.verify(row, &row.mac)
}

impl Store {
    /// The row of the token in `slot` (0 to 3), not yet verified; `None` until it is initialised.
    ///
    /// Errors: as [`Store`] says.
    pub fn token(&mut self, slot: u8) -> Result<Option<TokenRow>> {
        let read = self.reading(|tx| {
            let mut statement = tx.prepare_cached("SELECT * FROM token WHERE slot = ?1")?;
            Ok(statement.query_row([slot], read_row).optional()?)
        })?;
        Ok(read.flatten())
    }

    /// Which token is in `slot`, and its generation: what tells whether a row read before still
    /// holds. `None` until it is initialised.
    ///
    /// Errors: as [`Store`] says.
    pub fn token_stamp(&mut self, slot: u8) -> Result<Option<(TokenId, i64)>> {
        Ok(self.reading(|tx| stamp(tx, slot))?.flatten())
    }

    /// Puts a token into its slot; the one that was there, `expected`, goes with all its objects.
    /// Gives the generation of the new row.
    ///
    /// Errors: as [`Store`] says; `CKR_FUNCTION_FAILED` when another token than `expected` is there.
    ///
    /// PKCS#11 v3.1, C_InitToken.
    pub fn replace_token(
        &mut self,
        expected: Option<TokenId>,
        row: &TokenRow,
        key: &RowKey,
    ) -> Result<i64> {
        self.writing(|tx| {
            let found = stamp(tx, row.slot)?;
            if found.map(|(id, _)| id) != expected {
                let why = "another process initialised the token meanwhile";
                return Err(Error::new(CKR_FUNCTION_FAILED, why));
            }
            let before = found.map(|(_, generation)| generation);
            tx.prepare_cached("DELETE FROM token WHERE slot = ?1")?.execute([row.slot])?;
            let row = signed(row, before.unwrap_or(0), key)?;
            write_row(
                tx,
                "INSERT INTO token VALUES (:slot, :id, :label, :serial, :manufacturer, :model,
                    :firmware, :primary_public, :so_public, :so_private, :user_public,
                    :user_private, :key_public, :key_private, :pin_scheme, :reset_count,
                    :abilities, :created, :generation, :mac)",
                &row,
            )?;
            Ok(row.generation)
        })
    }

    /// Changes a token's row, if it is still the one with the generation that `row` was made from.
    /// Gives the new generation.
    ///
    /// Errors: as [`Store`] says; `CKR_FUNCTION_FAILED` when another process changed or replaced
    /// the token meanwhile: the change is not made, and the caller reads the row again.
    pub fn update_token(
        &mut self,
        expected_generation: i64,
        row: &TokenRow,
        key: &RowKey,
    ) -> Result<i64> {
        self.writing(|tx| {
            let before: Option<i64> = tx
                .prepare_cached("SELECT generation FROM token WHERE slot = ?1 AND id = ?2")?
                .query_row((row.slot, row.id.0), |row| row.get(0))
                .optional()?;
            if before != Some(expected_generation) {
                let why = "another process changed the token meanwhile";
                return Err(Error::new(CKR_FUNCTION_FAILED, why));
            }
            let row = signed(row, expected_generation, key)?;
            write_row(
                tx,
                "UPDATE token SET label = :label, serial = :serial, manufacturer = :manufacturer,
                    model = :model, firmware = :firmware, primary_public = :primary_public,
                    so_public = :so_public, so_private = :so_private, user_public = :user_public,
                    user_private = :user_private, key_public = :key_public,
                    key_private = :key_private, pin_scheme = :pin_scheme,
                    reset_count = :reset_count, abilities = :abilities, created = :created,
                    generation = :generation, mac = :mac
                WHERE slot = :slot AND id = :id",
                &row,
            )?;
            Ok(row.generation)
        })
    }

    /// Removes the token in `slot` with all its objects; whether there was one.
    ///
    /// Errors: as [`Store`] says. Where there is no store none is made.
    pub fn remove_token(&mut self, slot: u8) -> Result<bool> {
        if self.token_exists(slot)? {
            self.writing(|tx| {
                let mut statement = tx.prepare_cached("DELETE FROM token WHERE slot = ?1")?;
                Ok(statement.execute([slot])? > 0)
            })
        } else {
            Ok(false)
        }
    }

    /// Whether there is a row, be it readable or not: a damaged token can be removed.
    fn token_exists(&mut self, slot: u8) -> Result<bool> {
        let read = self.reading(|tx| {
            Ok(tx.prepare_cached("SELECT 1 FROM token WHERE slot = ?1")?.exists([slot])?)
        })?;
        Ok(read.unwrap_or(false))
    }
}

fn stamp(tx: &Transaction<'_>, slot: u8) -> Result<Option<(TokenId, i64)>> {
    Ok(tx
        .prepare_cached("SELECT id, generation FROM token WHERE slot = ?1")?
        .query_row([slot], |row| Ok((TokenId(row.get(0)?), row.get(1)?)))
        .optional()?)
}

/// The row with the generation after `before` and its MAC.
fn signed(row: &TokenRow, before: i64, key: &RowKey) -> Result<TokenRow> {
    if key.token() != row.id {
        return Err(Error::bug("a token's row and its key belong to different tokens"));
    }
    let generation =
        before.checked_add(1).ok_or_else(|| Error::bug("a token's generations are used up"))?;
    let mut row = TokenRow { generation, ..row.clone() };
    row.mac = key.mac(&row)?.to_vec();
    Ok(row)
}

fn write_row(tx: &Transaction<'_>, sql: &str, row: &TokenRow) -> Result<()> {
    let user_public = row.user.as_ref().map(|blob| &blob.public);
    let user_private = row.user.as_ref().map(|blob| &blob.private);
    tx.prepare_cached(sql)?.execute(named_params! {
        ":slot": row.slot,
        ":id": row.id.0,
        ":label": row.label,
        ":serial": row.serial,
        ":manufacturer": row.manufacturer,
        ":model": row.model,
        ":firmware": row.firmware.cast_signed(),
        ":primary_public": row.primary_public,
        ":so_public": row.so.public,
        ":so_private": row.so.private,
        ":user_public": user_public,
        ":user_private": user_private,
        ":key_public": row.key.public,
        ":key_private": row.key.private,
        ":pin_scheme": row.pin_scheme,
        ":reset_count": row.reset_count,
        ":abilities": row.abilities,
        ":created": row.created,
        ":generation": row.generation,
        ":mac": row.mac,
    })?;
    Ok(())
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    let blob = |public: &str, private: &str| -> rusqlite::Result<_> {
        Ok(StoredBlob { public: row.get(public)?, private: row.get(private)? })
    };
    let has_user = row.get_ref("user_public")? != ValueRef::Null;
    Ok(TokenRow {
        slot: row.get("slot")?,
        id: TokenId(row.get("id")?),
        label: row.get("label")?,
        serial: row.get("serial")?,
        manufacturer: row.get("manufacturer")?,
        model: row.get("model")?,
        firmware: row.get::<_, i64>("firmware")?.cast_unsigned(),
        primary_public: row.get("primary_public")?,
        so: blob("so_public", "so_private")?,
        user: if has_user { Some(blob("user_public", "user_private")?) } else { None },
        key: blob("key_public", "key_private")?,
        pin_scheme: row.get("pin_scheme")?,
        reset_count: row.get("reset_count")?,
        abilities: row.get("abilities")?,
        created: row.get("created")?,
        generation: row.get("generation")?,
        mac: row.get("mac")?,
    })
}
