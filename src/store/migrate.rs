//! From an empty or older file to today's tables.

use cryptoki_sys::CKR_TOKEN_NOT_RECOGNIZED;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::{About, Error, Result};

/// `MIGRATIONS[n]` brings a version `n` store to version `n + 1`. Released entries never change.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../sql/0001_store.sql")];

/// "hier": tells our files from other people's (SQLite, PRAGMA application_id).
const APPLICATION: i64 = 0x6869_6572;

/// How a file stands to these migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Nothing is in it yet.
    Empty,
    /// It is ours, and this many migrations were made: fewer than there are.
    Older(usize),
    /// It is ours and of today.
    Current,
}

/// Which version a file has, in the transaction of who asks.
///
/// Errors: `CKR_TOKEN_NOT_RECOGNIZED` for a file of another program or of a newer version of this
/// library.
pub(super) fn version(db: &Connection, migrations: &[&str]) -> Result<Version> {
    let number = |pragma: &str| -> Result<i64> {
        Ok(db.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
    };
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if (application, version) == (0, 0) && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Version::Empty);
    }
    let done = usize::try_from(version).ok().filter(|done| application == APPLICATION && *done > 0);
    match done {
        None => Err(Error::new(CKR_TOKEN_NOT_RECOGNIZED, "the file is not a store of ours")),
        Some(done) if done > migrations.len() => {
            let why = format!("store version {done} is newer than this library");
            Err(Error::new(CKR_TOKEN_NOT_RECOGNIZED, why).concerning(About::NewerStore))
        }
        Some(done) if done < migrations.len() => Ok(Version::Older(done)),
        Some(_) => Ok(Version::Current),
    }
}

/// Makes the missing migrations, all or none.
///
/// Errors: as [`version`], and what SQLite says.
pub(super) fn to_latest(db: &mut Connection, migrations: &[&str]) -> Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock: another process may have been faster.
    let done = match version(&tx, migrations)? {
        Version::Current => return Ok(()),
        Version::Empty => 0,
        Version::Older(done) => done,
    };
    for sql in migrations.iter().skip(done) {
        tx.execute_batch(sql)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", migrations.len() as u64)?;
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(db: &Connection) -> Vec<String> {
        let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL
            AND name NOT LIKE 'sqlite%' ORDER BY type DESC, name DESC";
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn the_snapshot_of_the_schema_is_fresh() {
        let mut db = Connection::open_in_memory().unwrap();
        to_latest(&mut db, MIGRATIONS).unwrap();
        let version = MIGRATIONS.len();
        let mut schema = format!("-- The tables of version {version}: sum of the migrations.\n");
        for sql in tables(&db) {
            schema.push_str(&format!("\n{sql};\n"));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/schema.sql");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        let snapshot = std::fs::read_to_string(path).unwrap_or_default();
        assert!(snapshot == schema, "run again with UPDATE_SNAPSHOTS=1 and commit {path}");
    }

    #[test]
    fn an_older_store_is_brought_up_and_keeps_its_rows() {
        let mut db = Connection::open_in_memory().unwrap();
        let newer = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "INSERT INTO b SELECT x FROM a"];
        assert_eq!(version(&db, &newer[..1]).unwrap(), Version::Empty);
        to_latest(&mut db, &newer[..1]).unwrap();
        to_latest(&mut db, &newer[..1]).unwrap();
        assert_eq!(version(&db, &newer[..1]).unwrap(), Version::Current);
        db.execute("INSERT INTO a VALUES (7)", []).unwrap();
        assert_eq!(version(&db, &newer).unwrap(), Version::Older(1));
        to_latest(&mut db, &newer).unwrap();
        let x: i64 = db.query_row("SELECT x FROM b", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
        let refused = version(&db, &newer[..1]).unwrap_err();
        assert_eq!(refused.ck_rv(), CKR_TOKEN_NOT_RECOGNIZED);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_store_as_it_was() {
        let mut db = Connection::open_in_memory().unwrap();
        let broken = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE a (x)"];
        to_latest(&mut db, &broken[..1]).unwrap();
        to_latest(&mut db, &broken).unwrap_err();
        assert_eq!(version(&db, &broken[..1]).unwrap(), Version::Current);
        assert_eq!(tables(&db), ["CREATE TABLE a (x)"]);
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        for sql in ["CREATE TABLE a (x)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"] {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(sql).unwrap();
            let refused = to_latest(&mut db, MIGRATIONS).unwrap_err();
            assert_eq!(refused.ck_rv(), CKR_TOKEN_NOT_RECOGNIZED, "{sql}");
        }
    }
}
