//! Files that somebody changed, or a disk.

use std::fs;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED};

use super::*;

/// Two public and two private objects in a token, and one public in another token.
fn example() -> (Place, Store, RowKeys, Vec<ObjectId>) {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    let new: Vec<_> = (0..4).map(|n| object(n, n >= 2)).collect();
    let ids = store.insert_objects(TOKEN, &keys, &new).unwrap();
    (place, store, keys, ids)
}

#[test]
fn an_object_with_any_column_changed_is_set_aside_and_the_others_stay() {
    for number in [0, 2] {
        for change in [
            "unique_id = x'ffffffffffffffffffffffffffffffff'",
            "private = 1 - private",
            "class = class + 1",
            "id_tag = x'00000000000000000000000000000000'",
            "id_tag = NULL",
            "label_tag = id_tag",
            "label_tag = x'00'",
            "content = CAST(content || x'00' AS BLOB)",
            "content = x''",
            "content = x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'",
            "key_public = x''",
            "key_private = NULL",
            "key_public = key_private, key_private = key_public",
            "key_public = NULL, key_private = NULL",
            "auth_id = NULL",
            "auth_id = x'00'",
            "mac = x''",
            "mac = zeroblob(32)",
        ] {
            let (place, mut store, keys, ids) = example();
            let id = ids[number];
            place
                .raw()
                .execute(&format!("UPDATE object SET {change} WHERE id = ?1"), [id.0])
                .unwrap();
            let rest: Vec<_> = ids.iter().copied().filter(|other| *other != id).collect();
            assert_eq!(find_ids(&mut store, &keys, &Filter::default()), rest, "{change}");
            assert_eq!(store.object(TOKEN, &keys, id).unwrap(), None, "{change}");
            assert!(!store.update_object(TOKEN, &keys, id, &mut |_| Ok(())).unwrap(), "{change}");
            assert_eq!(store.set_aside(TOKEN, &keys).unwrap(), [id], "{change}");
            assert!(store.delete_object(TOKEN, id).unwrap(), "{change}");
            assert_eq!(store.set_aside(TOKEN, &keys).unwrap(), [], "{change}");
        }
    }
}

#[test]
fn rows_that_trade_places_or_parts_are_set_aside() {
    let swap_column = |column: &str| {
        format!(
            "CREATE TEMP TABLE t AS SELECT id, {column} AS v FROM object;
             UPDATE object SET {column} = (SELECT v FROM t WHERE t.id = 4) WHERE id = 3;
             UPDATE object SET {column} = (SELECT v FROM t WHERE t.id = 3) WHERE id = 4"
        )
    };
    for swap in [
        "UPDATE object SET id = 99 WHERE id = 3; UPDATE object SET id = 3 WHERE id = 4;
         UPDATE object SET id = 4 WHERE id = 99"
            .to_owned(),
        swap_column("content"),
        swap_column("key_private"),
        swap_column("key_public"),
        swap_column("id_tag"),
        swap_column("mac"),
    ] {
        let (place, mut store, keys, ids) = example();
        assert_eq!(ids, [1, 2, 3, 4].map(ObjectId));
        place.raw().execute_batch(&swap).unwrap();
        assert_eq!(find_ids(&mut store, &keys, &Filter::default()), ids[..2], "{swap}");
        assert_eq!(store.set_aside(TOKEN, &keys).unwrap(), ids[2..], "{swap}");
    }
}

#[test]
fn an_object_moved_to_another_token_is_set_aside_there() {
    let (place, mut store, _, ids) = example();
    let other = TokenId([8; 16]);
    // Even of the same secrets.
    let theirs = keys(other, true);
    store.replace_token(None, &token_row(1, other), &theirs.public).unwrap();
    place.raw().execute("UPDATE object SET token_id = ?1", [other.0]).unwrap();
    assert_eq!(store.set_aside(other, &theirs).unwrap(), ids);
    assert_eq!(find_ids(&mut store, &keys(TOKEN, true), &Filter::default()), []);
}

#[test]
fn a_token_with_any_column_changed_is_not_recognized() {
    let key = keys(TOKEN, false).public;
    for change in [
        "id = x'00000000000000000000000000000000'",
        "label = x'00'",
        "label = CAST(serial || serial AS BLOB)",
        "serial = x'00112233445566778899aabbccddeeff'",
        "manufacturer = 'somebody'",
        "model = manufacturer, manufacturer = model",
        "firmware = firmware + 1",
        "primary_public = x''",
        "so_public = so_private, so_private = so_public",
        "so_private = user_private",
        "user_public = so_public, user_private = so_private",
        "user_public = NULL",
        "user_private = NULL",
        "user_public = NULL, user_private = NULL",
        "key_public = x''",
        "key_private = x''",
        "pin_scheme = 0",
        "pin_scheme = -1",
        "reset_count = NULL",
        "reset_count = 4294967296",
        "abilities = x''",
        "created = created + 1",
        "generation = generation + 1",
        "mac = zeroblob(32)",
        "mac = x''",
    ] {
        let place = Place::new();
        let mut store = place.with_token(TOKEN);
        place.raw().execute(&format!("UPDATE token SET {change}"), []).unwrap();
        let read = store.token(0).and_then(|row| verify_token(&row.unwrap(), &key));
        assert_eq!(read.unwrap_err().ck_rv(), CKR_TOKEN_NOT_RECOGNIZED, "{change}");
        assert!(store.remove_token(0).unwrap(), "{change}");
    }
}

#[test]
fn the_objects_on_other_pages_than_a_damaged_one_are_still_found() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, false);
    let new: Vec<_> = (0..100)
        .map(|n| NewObject {
            content: Zeroizing::new([vec![b'.'; 400], format!("object {n} ends").into()].concat()),
            ..object(n, false)
        })
        .collect();
    let ids = store.insert_objects(TOKEN, &keys, &new).unwrap();
    let mut file = fs::read(place.file()).unwrap();
    let mark = b"object 50 ends";
    let at = file.windows(mark.len()).position(|bytes| bytes == mark).unwrap();
    let page = at / 4096 * 4096;
    file[page..page + 4096].fill(0xff);
    fs::write(place.file(), file).unwrap();

    let mut store = place.store();
    for filter in [Filter::default(), Filter { class: Some(1), ..Filter::default() }] {
        let found = find_ids(&mut store, &keys, &filter);
        let all = ids.iter().filter(|id| filter.class.is_none_or(|_| (id.0 - 1) % 3 == 1)).count();
        assert!(found.len() < all && found.len() * 100 > all * 80, "{} of {all}", found.len());
        assert!(found.is_sorted());
        if filter.class.is_none() {
            let mut together = [found, store.set_aside(TOKEN, &keys).unwrap()].concat();
            together.sort();
            assert_eq!(together, ids);
        }
    }
}

/// Random numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

#[test]
fn no_damage_to_the_file_crashes_or_shows_an_object_that_was_not_written() {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let seed = u64::from_le_bytes(seed) | 1;
    println!("seed {seed}");
    let mut random = Random(seed);

    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    let new: Vec<_> = (0..40).map(|n| object(n, n % 2 == 0)).collect();
    store.insert_objects(TOKEN, &keys, &new).unwrap();
    let token = store.token(0).unwrap().unwrap();
    let written = find(&mut store, &keys, &Filter::default()).unwrap();
    let sound = fs::read(place.file()).unwrap();
    drop(store);

    let pages = sound.len() / 4096;
    assert!(pages > 5);
    for round in 0..pages * 2 + 150 {
        let mut file = sound.clone();
        if round < pages * 2 {
            // Each page once all ones, once noise.
            let page = &mut file[round / 2 * 4096..][..4096];
            page.iter_mut().for_each(|byte| {
                *byte = if round % 2 == 0 { 0xff } else { random.below(256) as u8 };
            });
        } else {
            for _ in 0..=random.below(8) {
                let at = random.below(file.len());
                file[at] ^= 1 << random.below(8);
            }
        }
        fs::write(place.file(), file).unwrap();
        let mut store = place.store();
        let allowed = |error: crate::error::Error| {
            let rv = error.ck_rv();
            let known = [CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_NOT_PRESENT, CKR_DEVICE_ERROR];
            assert!(known.contains(&rv), "seed {seed}, round {round}: {error}");
        };
        match store.token(0) {
            Ok(Some(row)) if verify_token(&row, &keys.public).is_ok() => assert_eq!(row, token),
            Ok(_) => {}
            Err(error) => allowed(error),
        }
        for filter in [
            Filter::default(),
            Filter { class: Some(1), ..Filter::default() },
            Filter { id: Some(b"id 7".to_vec()), ..Filter::default() },
        ] {
            match find(&mut store, &keys, &filter) {
                Ok(found) => {
                    assert!(found.iter().all(|row| written.contains(row)), "seed {seed}");
                }
                Err(error) => allowed(error),
            }
        }
        for row in &written {
            match store.object(TOKEN, &keys, row.id) {
                Ok(found) => assert!(found.is_none_or(|found| &found == row), "seed {seed}"),
                Err(error) => allowed(error),
            }
        }
        // Writing into a damaged file may fail in any way that is told.
        let _told = store.insert_objects(TOKEN, &keys, &[object(99, true)]);
        let _told = store.update_object(TOKEN, &keys, written[0].id, &mut |_| Ok(()));
        let _told = store.delete_object(TOKEN, written[1].id);
        let _told = store.remove_token(0);
        drop(store);
        let _none = fs::remove_file(place.directory().join(format!("{FILE}-journal")));
    }
}
