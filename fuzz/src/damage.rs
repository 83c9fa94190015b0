//! A store damaged as the input says, and an application that uses it.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::bytes::Bytes;
use super::scene::Scene;
use super::script::{STEPS, Script};

const PAGE: usize = 4096;

/// Damages the store's database, its bytes, rows, schema, or puts a journal beside it; then lets an
/// application use it, and puts it right again.
pub fn run(scene: &Scene, input: &[u8]) {
    let mut b = Bytes::new(input);
    let steps = [b.below(STEPS.len()), b.below(STEPS.len())];
    let mut file = scene.sound().to_vec();
    let (damages, edits) = (b.u8() % 4, b.u8() % 4);
    scene.reset();
    if edits > 0 {
        let db = Connection::open(scene.database()).expect("the database");
        let columns = columns(&db);
        let _ = db.execute_batch(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; \
             PRAGMA writable_schema = ON; PRAGMA synchronous = OFF",
        );
        (0..edits).for_each(|_| edit(&mut b, &db, &columns));
        drop(db);
        file = std::fs::read(scene.database()).expect("the database");
    }
    (0..damages).for_each(|_| damage(&mut b, &mut file));
    scene.put(&file);
    if b.once_in(8) {
        // A journal, as a process leaves it that died: SQLite's magic, then the input.
        let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        let journal = [&magic[..], b.rest()].concat();
        let _ = std::fs::write(format!("{}-journal", scene.database().display()), journal);
    }
    let mut script = Script::begin(scene.list);
    for step in steps {
        STEPS[step](&mut script);
    }
    script.finish();
    scene.reset();
}

/// Tables and their columns.
fn columns(db: &Connection) -> Vec<(String, String)> {
    let mut select = db
        .prepare("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c")
        .expect("a query");
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("columns")
}

/// Changes bytes of the file.
fn damage(b: &mut Bytes<'_>, file: &mut Vec<u8>) {
    let pages = (file.len() / PAGE).max(1);
    let (page, offset) = (b.below(pages) * PAGE, b.below(PAGE));
    let at = (page + offset).min(file.len().saturating_sub(1));
    // The first bytes of a page say how the rest is to be read.
    let head = (page + offset % 112).min(file.len().saturating_sub(1));
    match b.u8() % 7 {
        0 => {
            let len = b.below(16);
            for (place, byte) in file.iter_mut().skip(at).zip(b.take(len)) {
                *place = *byte;
            }
        }
        1 => file[head] ^= b.u8(),
        2 => {
            let number = (b.number() as u32).to_be_bytes();
            for (place, byte) in file.iter_mut().skip(head).zip(number) {
                *place = byte;
            }
        }
        3 => file.truncate(at.max(1)),
        4 => file.resize(file.len() + offset, b.u8()),
        5 => {
            let other = b.below(pages) * PAGE;
            if page.max(other) + PAGE <= file.len() {
                for at in 0..PAGE {
                    file.swap(page + at, other + at);
                }
            }
        }
        _ => file[at] ^= 1 << (b.u8() % 8),
    }
}

/// Changes what the rows say, or the schema.
fn edit(b: &mut Bytes<'_>, db: &Connection, columns: &[(String, String)]) {
    let (table, column) = &columns[b.below(columns.len())];
    let len = b.below(40);
    let value = match b.u8() % 5 {
        0 => Value::Null,
        1 => Value::Integer(b.number() as i64),
        2 => Value::Text(String::from_utf8_lossy(b.take(len)).into_owned()),
        3 => Value::Real(0.5),
        _ => Value::Blob(b.take(len).to_vec()),
    };
    let row = b.below(16);
    let _ = match b.u8() % 8 {
        0 => db.execute(&format!("UPDATE {table} SET {column} = ?1"), [value]),
        1 => db.execute(&format!("DELETE FROM {table} WHERE rowid = {row}"), []),
        2 => db.execute_batch(&format!("PRAGMA user_version = {}", b.number() as i32)).map(|()| 0),
        3 => db.execute("UPDATE sqlite_master SET sql = replace(sql, ?1, 'x')", [column]),
        4 => db.execute(&format!("ALTER TABLE {table} RENAME COLUMN {column} TO other"), []),
        // A blob with some of its own bytes changed.
        5 => db.execute(
            &format!(
                "UPDATE {table} SET {column} = CAST(substr({column}, 1, ?1) || ?2 || \
                 substr({column}, ?1 + 3) AS BLOB) WHERE rowid = {row}"
            ),
            (b.u8(), value),
        ),
        _ => db.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE rowid = {row}"), [value]),
    };
}
