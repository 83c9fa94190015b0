//! Who may read and write, and whose files are believed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use cryptoki_sys::{
    CK_RV, CKR_FUNCTION_FAILED, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED,
    CKR_TOKEN_WRITE_PROTECTED,
};

use super::*;

/// Names the directory that the other user's process looks at.
const STORE: &str = "HIERARKEY_TEST_STORE";

fn set_mode(path: impl AsRef<std::path::Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `test` of this file again in a process that has no rights over what this one made: as
/// another user where this one is root, whom no mode stops.
fn without_rights(test: &str, directory: &std::path::Path) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", &format!("store::tests::access::{test}")]).env(STORE, directory);
    if is_root() {
        again.uid(65_534).gid(65_534);
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn rv<T: fmt::Debug>(result: Result<T>) -> CK_RV {
    result.unwrap_err().ck_rv()
}

#[test]
fn who_may_only_read_reads_everything_and_writes_nothing() {
    let keys = keys(TOKEN, true);
    if let Some(directory) = std::env::var_os(STORE) {
        let mut store = Store::new(StoreLocation::new(directory));
        assert!(store.token(0).unwrap().is_some());
        let found = find_ids(&mut store, &keys, &Filter::default());
        assert_eq!(found.len(), 1);
        assert!(!store.writable().unwrap());
        for refused in [
            rv(store.insert_objects(TOKEN, &keys, &[object(2, false)])),
            rv(store.update_object(TOKEN, &keys, found[0], &mut |_| Ok(()))),
            rv(store.delete_object(TOKEN, found[0])),
            rv(store.remove_token(0)),
            rv(store.replace_token(None, &token_row(0, TOKEN), &keys.public)),
        ] {
            assert_eq!(refused, CKR_TOKEN_WRITE_PROTECTED);
        }
        assert_eq!(find_ids(&mut store, &keys, &Filter::default()), found);
        return;
    }
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    store.insert_objects(TOKEN, &keys, &[object(1, true)]).unwrap();
    set_mode(place.root.path(), 0o755);
    // Neither; only the directory; only the file.
    for (directory, file) in [(0o555, 0o444), (0o755, 0o444), (0o555, 0o644)] {
        set_mode(place.directory(), directory);
        set_mode(place.file(), file);
        if is_root() || (directory, file) == (0o555, 0o444) {
            without_rights(
                "who_may_only_read_reads_everything_and_writes_nothing",
                &place.directory(),
            );
        }
    }
    set_mode(place.directory(), 0o755);
}

#[test]
fn what_may_not_be_read_is_no_token_and_what_may_not_be_made_is_write_protected() {
    let keys = keys(TOKEN, false);
    if let Some(directory) = std::env::var_os(STORE) {
        let directory = PathBuf::from(directory);
        for closed in ["closed file", "closed directory"] {
            let mut store = Store::new(StoreLocation::new(directory.join(closed)));
            assert_eq!(rv(store.token(0)), CKR_TOKEN_NOT_PRESENT, "{closed}");
            assert_eq!(rv(store.insert_objects(TOKEN, &keys, &[])), CKR_TOKEN_NOT_PRESENT);
        }
        for nowhere in ["empty", "empty/below"] {
            let mut store = Store::new(StoreLocation::new(directory.join(nowhere)));
            assert_eq!(store.token(0).unwrap(), None);
            assert!(!store.writable().unwrap());
            let refused = rv(store.replace_token(None, &token_row(0, TOKEN), &keys.public));
            assert_eq!(refused, CKR_TOKEN_WRITE_PROTECTED, "{nowhere}");
        }
        return;
    }
    let place = Place::new();
    set_mode(place.root.path(), 0o755);
    let at = |name: &str| place.root.path().join(name);
    for (closed, directory, file) in
        [("closed file", 0o755, 0o000), ("closed directory", 0o000, 0o644)]
    {
        let mut store = Store::new(StoreLocation::new(at(closed)));
        store.replace_token(None, &token_row(0, TOKEN), &keys.public).unwrap();
        set_mode(at(closed).join(FILE), file);
        set_mode(at(closed), directory);
    }
    fs::create_dir(at("empty")).unwrap();
    set_mode(at("empty"), 0o555);
    without_rights(
        "what_may_not_be_read_is_no_token_and_what_may_not_be_made_is_write_protected",
        place.root.path(),
    );
    set_mode(at("closed directory"), 0o755);
}

#[test]
fn who_may_only_read_waits_for_somebody_to_undo_a_broken_transaction() {
    let keys = keys(TOKEN, false);
    if let Some(directory) = std::env::var_os(STORE) {
        let mut store = Store::new(StoreLocation::new(directory));
        assert_eq!(rv(find(&mut store, &keys, &Filter::default())), CKR_FUNCTION_FAILED);
        return;
    }
    let place = Place::new();
    let new: Vec<_> = (0..200).map(|n| object(n, false)).collect();
    place.with_token(TOKEN).insert_objects(TOKEN, &keys, &new).unwrap();
    let raw = place.raw();
    raw.execute_batch("PRAGMA cache_size = 2; BEGIN IMMEDIATE; UPDATE object SET content = x'00'")
        .unwrap();
    let dead = Place::new();
    fs::create_dir(dead.directory()).unwrap();
    for name in [FILE.to_owned(), format!("{FILE}-journal")] {
        fs::copy(place.directory().join(&name), dead.directory().join(&name)).unwrap();
        set_mode(dead.directory().join(&name), 0o444);
    }
    set_mode(dead.root.path(), 0o755);
    set_mode(dead.directory(), 0o555);
    without_rights(
        "who_may_only_read_waits_for_somebody_to_undo_a_broken_transaction",
        &dead.directory(),
    );
    set_mode(dead.directory(), 0o755);
}

#[test]
fn a_store_that_is_read_only_by_configuration_is_not_written() {
    let place = Place::new();
    let keys = keys(TOKEN, false);
    let location = StoreLocation { read_only: true, ..place.location() };
    let mut store = Store::new(location.clone());
    assert!(!store.writable().unwrap());
    let refused = rv(store.replace_token(None, &token_row(0, TOKEN), &keys.public));
    assert_eq!(refused, CKR_TOKEN_WRITE_PROTECTED);
    assert!(!place.directory().exists());
    place.with_token(TOKEN);
    assert!(store.token(0).unwrap().is_some());
    assert_eq!(rv(store.remove_token(0)), CKR_TOKEN_WRITE_PROTECTED);
}

#[test]
fn a_store_that_others_could_have_written_is_not_believed() {
    let place = Place::new();
    place.with_token(TOKEN);
    for path in [place.directory(), place.file()] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        for bit in [0o002, 0o020] {
            set_mode(&path, mode | bit);
            let mut store = place.store();
            assert_eq!(rv(store.token(0)), CKR_TOKEN_NOT_PRESENT, "{path:?} {bit:o}");
            assert_eq!(rv(store.remove_token(0)), CKR_TOKEN_NOT_PRESENT);
            assert_eq!(rv(store.writable()), CKR_TOKEN_NOT_PRESENT);
            let shared = StoreLocation { sharing: Sharing::GroupWrite, ..place.location() };
            assert_eq!(Store::new(shared).token(0).is_ok(), bit == 0o020);
            // Putting it right is enough, for the same `Store` too.
            set_mode(&path, mode);
            assert!(store.token(0).unwrap().is_some());
        }
        if is_root() {
            chown(&path, Some(12_345), None).unwrap();
            assert_eq!(rv(place.store().token(0)), CKR_TOKEN_NOT_PRESENT, "{path:?}");
            chown(&path, Some(0), None).unwrap();
        }
    }
}

#[test]
fn symbolic_links_and_relative_paths_are_not_followed() {
    let place = Place::new();
    place.with_token(TOKEN);
    let link = place.root.path().join("link");
    symlink(place.directory(), &link).unwrap();
    assert_eq!(rv(Store::new(StoreLocation::new(&link)).token(0)), CKR_TOKEN_NOT_PRESENT);
    assert_eq!(rv(Store::new(StoreLocation::new("store")).token(0)), CKR_TOKEN_NOT_PRESENT);
    fs::rename(place.file(), place.directory().join("real")).unwrap();
    symlink(place.directory().join("real"), place.file()).unwrap();
    assert_eq!(rv(place.store().token(0)), CKR_TOKEN_NOT_PRESENT);
    // A link above the store's own directory is the system's business: /home may be one.
    let above = place.root.path().join("above");
    symlink(place.root.path(), &above).unwrap();
    fs::remove_file(place.file()).unwrap();
    fs::rename(place.directory().join("real"), place.file()).unwrap();
    assert!(Store::new(StoreLocation::new(above.join("store"))).token(0).unwrap().is_some());
}

#[test]
fn what_is_not_a_store_of_this_version_is_not_recognized_and_left_alone() {
    type Spoil = fn(&Place);
    let spoils: [(&str, Spoil); 5] = [
        ("newer", |place| place.raw().execute_batch("PRAGMA user_version = 99").unwrap()),
        ("foreign", |place| place.raw().execute_batch("PRAGMA application_id = 5").unwrap()),
        ("text", |place| fs::write(place.file(), "x".repeat(5_000)).unwrap()),
        ("no tables", |place| {
            place.raw().execute_batch("DROP TABLE object; DROP TABLE token").unwrap()
        }),
        ("cut", |place| {
            let file = fs::read(place.file()).unwrap();
            fs::write(place.file(), &file[..file.len() / 2]).unwrap();
        }),
    ];
    for (name, spoil) in spoils {
        let place = Place::new();
        let mut open_before = place.with_token(TOKEN);
        spoil(&place);
        let spoilt = fs::read(place.file()).unwrap();
        for store in [&mut open_before, &mut place.store()] {
            assert_eq!(rv(store.token(0)), CKR_TOKEN_NOT_RECOGNIZED, "{name}");
            let refused =
                rv(store.replace_token(None, &token_row(0, TOKEN), &keys(TOKEN, false).public));
            assert_eq!(refused, CKR_TOKEN_NOT_RECOGNIZED, "{name}");
        }
        assert!(fs::read(place.file()).unwrap() == spoilt, "{name}");
    }
}

#[test]
fn an_empty_file_is_a_store_about_to_be_made() {
    let place = Place::new();
    place.location().create(FILE).unwrap();
    assert_eq!(place.store().token(0).unwrap(), None);
    assert!(place.with_token(TOKEN).token(0).unwrap().is_some());
}

#[test]
fn a_store_in_another_journal_mode_is_brought_back() {
    let place = Place::new();
    place.with_token(TOKEN);
    let mode: String =
        place.raw().query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert!(place.store().token(0).unwrap().is_some());
    let mode: String = place.raw().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn every_connection_is_set_up_to_keep_what_was_acknowledged() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    for (pragma, expected) in [
        ("journal_mode", "delete"),
        ("synchronous", "3"),
        ("cell_size_check", "1"),
        ("trusted_schema", "0"),
        ("foreign_keys", "1"),
        ("temp_store", "2"),
        ("secure_delete", "1"),
        ("busy_timeout", "10000"),
    ] {
        let value = store.reading(|tx| {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            let sql = sql.replace("CAST(busy_timeout", "CAST(timeout");
            Ok(tx.query_row(&sql, [], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(value.unwrap().as_deref(), Some(expected), "{pragma}");
    }
}
