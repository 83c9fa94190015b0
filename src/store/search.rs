//! The rows of a token's objects: find.

use rusqlite::{Transaction, named_params};

use super::error::is_damage;
use super::object::{COLUMNS, Found, ID, LABEL, ObjectRow, row_by_id};
use super::seal::RowKeys;
use super::{ObjectId, Store, TokenId};
use crate::error::{Error, Result};

/// What a search asks for; what is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// CKA_CLASS.
    pub class: Option<u64>,
    /// CKA_ID, exactly.
    pub id: Option<Vec<u8>>,
    /// CKA_LABEL, exactly.
    pub label: Option<Vec<u8>>,
}

/// The tags of one value in the public and in the private rows.
type Tags = [Option<[u8; 16]>; 2];

/// A filter as the table knows it.
struct Wanted {
    class: Option<i64>,
    id_tags: Option<Tags>,
    label_tags: Option<Tags>,
    private_too: bool,
}

impl Wanted {
    fn new(filter: &Filter, keys: &RowKeys) -> Result<Self> {
        // A public and a private row of one CKA_ID have different tags.
        let tags = |attribute, value: &Option<Vec<u8>>| {
            let tag = |private| {
                keys.of(private)
                    .zip(value.as_ref())
                    .map(|(key, value)| key.lookup_tag(attribute, value))
            };
            Ok::<_, Error>(match value {
                Some(_) => Some([tag(false).transpose()?, tag(true).transpose()?]),
                None => None,
            })
        };
        Ok(Self {
            class: filter.class.map(u64::cast_signed),
            id_tags: tags(ID, &filter.id)?,
            label_tags: tags(LABEL, &filter.label)?,
            private_too: keys.private.is_some(),
        })
    }

    /// Whether a row that was found otherwise is one of those that are asked for.
    fn takes(&self, row: &ObjectRow) -> bool {
        let among = |tags: Option<Tags>, tag: Option<[u8; 16]>| {
            tags.is_none_or(|tags| tag.is_some() && tags.contains(&tag))
        };
        self.class.is_none_or(|class| class == row.class.cast_signed())
            && among(self.id_tags, row.id_tag)
            && among(self.label_tags, row.label_tag)
    }

    /// The statement that reads the fewest rows: by the index of the rarest attribute, or through
    /// the table once. All take the same parameters.
    fn sql(&self) -> String {
        // "+" keeps SQLite from an index.
        let (id, label, class) = match self {
            Self { id_tags: Some(_), .. } => ("id_tag", "+label_tag", "+class"),
            Self { label_tags: Some(_), .. } => ("+id_tag", "label_tag", "+class"),
            Self { class: Some(_), .. } => ("+id_tag", "+label_tag", "class"),
            _ => ("+id_tag", "+label_tag", "+class"),
        };
        let in_tags = |wanted: bool, column: &str, name: &str| match wanted {
            true => format!("{column} IN (:{name}_public, :{name}_private)"),
            false => format!("(:{name}_public IS NULL AND :{name}_private IS NULL)"),
        };
        let class = match self.class {
            Some(_) => format!("{class} = :class"),
            None => ":class IS NULL".to_owned(),
        };
        let indexed = if self.id_tags.is_none() && self.label_tags.is_none() && self.class.is_none()
        {
            "NOT INDEXED"
        } else {
            ""
        };
        format!(
            "SELECT {COLUMNS} FROM object {indexed}
            WHERE token_id = :token_id AND {} AND {} AND {class}
                AND private <= :private_too
            ORDER BY id",
            in_tags(self.id_tags.is_some(), id, "id"),
            in_tags(self.label_tags.is_some(), label, "label"),
        )
    }
}

impl Store {
    /// Shows every object of `token` that `filter` asks for to `visit`, in the order in which they
    /// were made, each once, as of one moment. Private ones only with the private key.
    ///
    /// A row that others changed is set aside: told to the log once and passed over. Where a page
    /// of the file is damaged, the rows on the others are still found. `visit` runs inside the
    /// transaction, so it is quick.
    ///
    /// Errors: as [`Store`] says; what `visit` fails with, which ends the search.
    pub fn objects(
        &mut self,
        token: TokenId,
        keys: &RowKeys,
        filter: &Filter,
        visit: &mut dyn FnMut(ObjectRow) -> Result<()>,
    ) -> Result<()> {
        let mut aside = Vec::new();
        let searched = self.reading(|tx| {
            search(tx, token, keys, filter, &mut |id, found| match found {
                Found::Sound(row) => visit(row),
                Found::Nothing => Ok(()),
                Found::SetAside(why) => {
                    aside.push((id, why));
                    Ok(())
                }
            })
        });
        for (id, why) in aside {
            self.tell(token, id, &why);
        }
        searched.map(|_| ())
    }

    /// CKA_CLASS and the TPM's public area of every private object of `token`, as they stand in
    /// clear: without the private key nothing is known of who wrote them.
    ///
    /// Errors: as [`Store`] says.
    pub fn hidden(&mut self, token: TokenId) -> Result<Vec<(u64, Option<Vec<u8>>)>> {
        let read = self.reading(|tx| {
            let sql = "SELECT class, key_public FROM object WHERE token_id = ?1 AND private = 1";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map([token.0], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        Ok(read.unwrap_or_default())
    }

    /// The objects of `token` that are not as this module wrote them. Private ones can be told
    /// from sound ones only with the private key.
    ///
    /// Errors: as [`Store`] says.
    pub fn set_aside(&mut self, token: TokenId, keys: &RowKeys) -> Result<Vec<ObjectId>> {
        let mut aside = Vec::new();
        self.reading(|tx| {
            search(tx, token, keys, &Filter::default(), &mut |id, found| {
                if let Found::SetAside(_) = found {
                    aside.push(id);
                }
                Ok(())
            })
        })?;
        Ok(aside)
    }
}

/// Looks at every row that `filter` asks for.
fn search(
    tx: &Transaction<'_>,
    token: TokenId,
    keys: &RowKeys,
    filter: &Filter,
    look: &mut dyn FnMut(ObjectId, Found) -> Result<()>,
) -> Result<()> {
    let wanted = Wanted::new(filter, keys)?;
    let tag = |tags: Option<Tags>| tags.unwrap_or_default();
    let ([id_public, id_private], [label_public, label_private]) =
        (tag(wanted.id_tags), tag(wanted.label_tags));
    let mut statement = tx.prepare_cached(&wanted.sql())?;
    let mut rows = statement.query(named_params! {
        ":token_id": token.0,
        ":class": wanted.class,
        ":id_public": id_public,
        ":id_private": id_private,
        ":label_public": label_public,
        ":label_private": label_private,
        ":private_too": wanted.private_too,
    })?;
    let mut last = ObjectId(i64::MIN);
    loop {
        match rows.next() {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => {
                last = ObjectId(row.get(0)?);
                look(last, Found::row(row, keys))?;
            }
            Err(error) if is_damage(&error) => break,
            Err(error) => return Err(error.into()),
        }
    }
    drop(rows);
    salvage(tx, token, keys, &wanted, last, look)
}

/// Goes on after `last` row by row, where a damaged page ended the search: their numbers stand in
/// the indexes too.
fn salvage(
    tx: &Transaction<'_>,
    token: TokenId,
    keys: &RowKeys,
    wanted: &Wanted,
    last: ObjectId,
    look: &mut dyn FnMut(ObjectId, Found) -> Result<()>,
) -> Result<()> {
    log::error!("the store is damaged: reading what is left of it");
    let numbers = |index: &str| -> rusqlite::Result<Vec<i64>> {
        let sql = format!(
            "SELECT id FROM object INDEXED BY {index} WHERE token_id = ?1 AND id > ?2 ORDER BY id"
        );
        tx.prepare(&sql)?.query_map((token.0, last.0), |row| row.get(0))?.collect()
    };
    let ids = numbers("object_by_class")
        .or_else(|_| numbers("object_by_id_tag"))
        .or_else(|_| numbers("object_by_label_tag"))?;
    for id in ids.into_iter().map(ObjectId) {
        match row_by_id(tx, token, keys, id) {
            Ok(Found::Sound(row)) if !wanted.takes(&row) => {}
            Ok(found) => look(id, found)?,
            Err(error) => look(id, Found::SetAside(error))?,
        }
    }
    Ok(())
}

/// The statement for a filter, for the test that looks at its plan.
#[cfg(test)]
pub(super) fn sql_of(filter: &Filter, keys: &RowKeys) -> Result<String> {
    Wanted::new(filter, keys).map(|wanted| wanted.sql())
}
