//! Several `Store`s on one file, as several processes have them.

use std::fs;

use super::*;

#[test]
fn every_change_is_seen_by_the_next_call_of_another() {
    let place = Place::new();
    let mut writer = place.store();
    let mut reader = place.store();
    let keys = keys(TOKEN, true);
    assert_eq!(reader.token(0).unwrap(), None);
    writer.replace_token(None, &token_row(0, TOKEN), &keys.public).unwrap();
    assert!(reader.token(0).unwrap().is_some());
    let mut versions = vec![reader.data_version().unwrap()];
    let id = writer.insert_objects(TOKEN, &keys, &[object(1, true)]).unwrap()[0];
    assert_eq!(find_ids(&mut reader, &keys, &Filter::default()), [id]);
    versions.push(reader.data_version().unwrap());
    writer
        .update_object(TOKEN, &keys, id, &mut |row| {
            row.class = 77;
            Ok(())
        })
        .unwrap();
    assert_eq!(reader.object(TOKEN, &keys, id).unwrap().unwrap().class, 77);
    versions.push(reader.data_version().unwrap());
    assert_eq!(reader.data_version().unwrap(), versions[2]);
    assert!(reader.delete_object(TOKEN, id).unwrap());
    assert_eq!(writer.object(TOKEN, &keys, id).unwrap(), None);
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[test]
fn a_file_that_was_taken_away_or_replaced_is_noticed() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let copy = place.root.path().join("copy");
    fs::rename(place.directory(), &copy).unwrap();
    assert_eq!(store.token(0).unwrap(), None);
    let other = TokenId([8; 16]);
    let mut second = place.store();
    second.replace_token(None, &token_row(1, other), &keys(other, false).public).unwrap();
    let before = store.data_version().unwrap();
    assert_eq!(store.token(1).unwrap().unwrap().id, other);
    fs::rename(copy.join(FILE), place.file()).unwrap();
    assert_eq!(store.token(0).unwrap().unwrap().id, TOKEN);
    assert_eq!(store.token(1).unwrap(), None);
    assert_ne!(store.data_version().unwrap(), before);
}

#[test]
fn writers_wait_for_one_another_from_the_creation_on() {
    let place = Place::new();
    let (writers, each) = (4, 12);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let place = &place;
            scope.spawn(move || {
                let mut store = place.store();
                let keys = keys(TOKEN, true);
                // All create the store; the token of only one is the first.
                let slot = u8::try_from(writer).unwrap();
                let own = TokenId([slot; 16]);
                let key = RowKey::derive(&[3; 32], own, Rows::Public).unwrap();
                store.replace_token(None, &token_row(slot, own), &key).unwrap();
                if slot == 0 {
                    store.replace_token(Some(own), &token_row(0, TOKEN), &keys.public).unwrap();
                }
                while store.token(0).unwrap().is_none_or(|row| row.id != TOKEN) {
                    std::thread::yield_now();
                }
                for n in 0..each {
                    let new = object(writer * each + n, n % 2 == 0);
                    let id = store.insert_objects(TOKEN, &keys, &[new]).unwrap()[0];
                    assert!(store.object(TOKEN, &keys, id).unwrap().is_some());
                }
            });
        }
    });
    let found = find(&mut place.store(), &keys(TOKEN, true), &Filter::default()).unwrap();
    assert_eq!(found.len(), (writers * each) as usize);
}

#[test]
fn the_store_of_a_process_that_died_in_a_transaction_is_as_before_it() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, false);
    let new: Vec<_> = (0..200).map(|n| object(n, false)).collect();
    let ids = store.insert_objects(TOKEN, &keys, &new).unwrap();

    // Everything reached the file but the commit: what kill -9 leaves behind, in another directory.
    let raw = place.raw();
    raw.execute_batch("PRAGMA cache_size = 2; BEGIN IMMEDIATE; UPDATE object SET content = x'00'")
        .unwrap();
    let dead = Place::new();
    fs::create_dir(dead.directory()).unwrap();
    for name in [FILE.to_owned(), format!("{FILE}-journal")] {
        fs::copy(place.directory().join(&name), dead.directory().join(&name)).unwrap();
    }
    drop(raw);
    let mut mode = fs::metadata(dead.directory()).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o700);
    fs::set_permissions(dead.directory(), mode).unwrap();

    assert_eq!(find_ids(&mut dead.store(), &keys, &Filter::default()), ids);
    assert!(!dead.directory().join(format!("{FILE}-journal")).exists());
}
