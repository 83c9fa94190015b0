//! What is written reads back, is found, changes and goes as a whole.

use cryptoki_sys::{
    CKR_ARGUMENTS_BAD, CKR_DEVICE_MEMORY, CKR_DEVICE_REMOVED, CKR_FUNCTION_FAILED,
    CKR_USER_NOT_LOGGED_IN,
};

use super::*;
use crate::error::Error;

#[test]
fn a_store_that_does_not_exist_reads_as_empty_and_is_not_created_by_reading() {
    let place = Place::new();
    let mut store = place.store();
    let keys = keys(TOKEN, true);
    assert_eq!(store.token(0).unwrap(), None);
    assert!(!store.remove_token(0).unwrap());
    assert_eq!(store.object(TOKEN, &keys, ObjectId(1)).unwrap(), None);
    assert_eq!(find(&mut store, &keys, &Filter::default()).unwrap(), []);
    assert_eq!(store.data_version().unwrap(), 0);
    assert!(store.writable().unwrap());
    assert!(!place.directory().exists());
}

#[test]
fn a_token_reads_back_as_it_was_written() {
    let place = Place::new();
    let key = keys(TOKEN, false).public;
    let mut store = place.store();
    let mut before = None;
    for (user, reset_count) in [(None, None), (Some(blob("user")), Some(u32::MAX))] {
        let row = TokenRow { user, reset_count, ..token_row(3, TOKEN) };
        let generation = store.replace_token(before, &row, &key).unwrap();
        before = Some(TOKEN);
        let read = place.store().token(3).unwrap().unwrap();
        verify_token(&read, &key).unwrap();
        assert_eq!(TokenRow { mac: Vec::new(), generation: 0, ..read.clone() }, row);
        assert_eq!(read.generation, generation);
        assert_eq!(store.token(0).unwrap(), None);
    }
}

#[test]
fn a_new_initialisation_takes_the_old_objects_along() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let other = TokenId([8; 16]);
    store.replace_token(None, &token_row(1, other), &keys(other, false).public).unwrap();
    let kept = store.insert_objects(other, &keys(other, false), &[object(2, false)]).unwrap();
    let old = store.insert_objects(TOKEN, &keys(TOKEN, false), &[object(1, false)]).unwrap();

    let again = TokenId([9; 16]);
    let before = store.token(0).unwrap().unwrap().generation;
    let key = keys(again, false).public;
    for wrong in [None, Some(again)] {
        assert!(store.replace_token(wrong, &token_row(0, again), &key).is_err());
    }
    store.replace_token(Some(TOKEN), &token_row(0, again), &key).unwrap();
    assert!(store.token(0).unwrap().unwrap().generation > before);
    assert_eq!(store.object(TOKEN, &keys(TOKEN, false), old[0]).unwrap(), None);
    let left: i64 =
        place.raw().query_row("SELECT count(*) FROM object", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    assert!(store.object(other, &keys(other, false), kept[0]).unwrap().is_some());

    // Who still holds the old initialisation cannot put anything into the new one.
    let refused =
        store.insert_objects(TOKEN, &keys(TOKEN, false), &[object(3, false)]).unwrap_err();
    assert_eq!(refused.ck_rv(), CKR_DEVICE_REMOVED);
    // And a number is never used twice.
    let new = store.insert_objects(again, &keys(again, false), &[object(1, false)]).unwrap();
    assert!(new[0] > old[0] && new[0] > kept[0]);
}

#[test]
fn of_two_changes_to_a_token_from_one_state_the_second_fails() {
    let place = Place::new();
    let mut first = place.with_token(TOKEN);
    let mut second = place.store();
    let key = keys(TOKEN, false).public;
    let before = first.token(0).unwrap().unwrap();
    assert_eq!(second.token(0).unwrap().as_ref(), Some(&before));
    let changed = TokenRow { so: blob("new so"), ..before.clone() };
    let generation = first.update_token(before.generation, &changed, &key).unwrap();
    let refused = second.update_token(before.generation, &before, &key).unwrap_err();
    assert_eq!(refused.ck_rv(), CKR_FUNCTION_FAILED);
    let read = second.token(0).unwrap().unwrap();
    verify_token(&read, &key).unwrap();
    assert_eq!((read.so.clone(), read.generation), (blob("new so"), generation));
    assert!(second.remove_token(0).unwrap());
    assert!(!second.remove_token(0).unwrap());
    assert_eq!(
        first.update_token(generation, &read, &key).unwrap_err().ck_rv(),
        CKR_FUNCTION_FAILED
    );
}

#[test]
fn objects_read_back_as_they_were_written() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    let bare = NewObject {
        id: None,
        label: None,
        content: Zeroizing::default(),
        key: None,
        auth_id: None,
        class: u64::MAX,
        ..object(3, true)
    };
    let new = [object(1, false), object(2, true), bare];
    let ids = store.insert_objects(TOKEN, &keys, &new).unwrap();
    for (id, new) in ids.iter().zip(&new) {
        let read = place.store().object(TOKEN, &keys, *id).unwrap().unwrap();
        assert_eq!(read.id, *id);
        assert_eq!(
            (read.unique_id, read.private, read.class),
            (new.unique_id, new.private, new.class)
        );
        assert_eq!(
            (read.content, read.key, read.auth_id),
            (new.content.clone(), new.key.clone(), new.auth_id)
        );
    }
    assert_eq!(find_ids(&mut store, &keys, &Filter::default()), ids);
}

#[test]
fn objects_are_inserted_all_or_none() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, false);
    let twins = [object(1, false), object(2, false), object(1, false)];
    store.insert_objects(TOKEN, &keys, &twins).unwrap_err();
    let hidden = [object(1, false), object(2, true)];
    let refused = store.insert_objects(TOKEN, &keys, &hidden).unwrap_err();
    assert_eq!(refused.ck_rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(find(&mut store, &keys, &Filter::default()).unwrap(), []);
}

#[test]
fn a_search_finds_by_class_id_and_label_and_all_of_them() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    let new: Vec<_> = (0..12).map(|n| object(n, n % 2 == 1)).collect();
    let ids = store.insert_objects(TOKEN, &keys, &new).unwrap();
    for class in [None, Some(0), Some(1), Some(9)] {
        for id in [None, Some("id 4"), Some("id 7"), Some("label 4"), Some("")] {
            for label in [None, Some("label 4"), Some("label 7"), Some("nobody")] {
                let filter = Filter { class, id: id.map(Into::into), label: label.map(Into::into) };
                let expected: Vec<_> = ids
                    .iter()
                    .zip(&new)
                    .filter(|(_, new)| {
                        class.is_none_or(|class| new.class == class)
                            && (filter.id.is_none() || new.id == filter.id)
                            && (filter.label.is_none() || new.label == filter.label)
                    })
                    .map(|(id, _)| *id)
                    .collect();
                assert_eq!(find_ids(&mut store, &keys, &filter), expected, "{filter:?}");
            }
        }
    }
}

#[test]
fn private_objects_do_not_show_without_their_key() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let (public, all) = (keys(TOKEN, false), keys(TOKEN, true));
    let ids = store.insert_objects(TOKEN, &all, &[object(1, false), object(2, true)]).unwrap();
    assert_eq!(find_ids(&mut store, &public, &Filter::default()), ids[..1]);
    let secret = Filter { id: Some(b"id 2".to_vec()), ..Filter::default() };
    assert_eq!(find_ids(&mut store, &public, &secret), []);
    assert_eq!(find_ids(&mut store, &all, &secret), ids[1..]);
    assert_eq!(store.object(TOKEN, &public, ids[1]).unwrap(), None);
    assert!(!store.update_object(TOKEN, &public, ids[1], &mut |_| Ok(())).unwrap());
    assert_eq!(store.set_aside(TOKEN, &public).unwrap(), []);
}

#[test]
fn a_change_is_all_or_nothing_and_moves_the_search_tags() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    for private in [false, true] {
        let number = if private { 2 } else { 1 };
        let id = store.insert_objects(TOKEN, &keys, &[object(number, private)]).unwrap()[0];
        let before = store.object(TOKEN, &keys, id).unwrap();
        let failed = store.update_object(TOKEN, &keys, id, &mut |row| {
            row.content.clear();
            Err(Error::new(CKR_ARGUMENTS_BAD, "changed its mind"))
        });
        assert_eq!(failed.unwrap_err().ck_rv(), CKR_ARGUMENTS_BAD);
        assert_eq!(store.object(TOKEN, &keys, id).unwrap(), before);
        store
            .update_object(TOKEN, &keys, id, &mut |row| {
                row.private ^= true;
                Ok(())
            })
            .unwrap_err();
        assert_eq!(store.object(TOKEN, &keys, id).unwrap(), before);

        let changed = store.update_object(TOKEN, &keys, id, &mut |row| {
            row.content = Zeroizing::new(b"new attributes".to_vec());
            row.set_id(Some(b"new id".to_vec()));
            Ok(())
        });
        assert!(changed.unwrap());
        let by = |id: &str, label: &str| Filter {
            class: None,
            id: Some(id.into()),
            label: Some(label.into()),
        };
        let (old_id, label) = (format!("id {number}"), format!("label {number}"));
        assert_eq!(find_ids(&mut store, &keys, &by("new id", &label)), [id]);
        assert_eq!(find_ids(&mut store, &keys, &by(&old_id, &label)), []);
        store
            .update_object(TOKEN, &keys, id, &mut |row| {
                row.set_label(None);
                Ok(())
            })
            .unwrap();
        assert_eq!(find_ids(&mut store, &keys, &by("new id", &label)), []);
        let row = store.object(TOKEN, &keys, id).unwrap().unwrap();
        assert_eq!(row.content.as_slice(), b"new attributes");
        assert!(store.delete_object(TOKEN, id).unwrap());
        assert!(!store.delete_object(TOKEN, id).unwrap());
        assert!(!store.update_object(TOKEN, &keys, id, &mut |_| Ok(())).unwrap());
    }
}

#[test]
fn a_visitor_that_fails_ends_the_search() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, false);
    store.insert_objects(TOKEN, &keys, &[object(1, false), object(2, false)]).unwrap();
    let mut visited = 0;
    let failed = store.objects(TOKEN, &keys, &Filter::default(), &mut |_| {
        visited += 1;
        Err(Error::new(CKR_ARGUMENTS_BAD, "enough"))
    });
    assert_eq!((failed.unwrap_err().ck_rv(), visited), (CKR_ARGUMENTS_BAD, 1));
}

#[test]
fn a_full_disk_takes_nothing_and_harms_nothing() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, false);
    let kept = store.insert_objects(TOKEN, &keys, &[object(1, false)]).unwrap();
    store.reading(|tx| Ok(tx.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))?)).unwrap();
    let big = NewObject { content: Zeroizing::new(vec![5; 100_000]), ..object(2, false) };
    let refused = store.insert_objects(TOKEN, &keys, &[object(3, false), big]).unwrap_err();
    assert_eq!(refused.ck_rv(), CKR_DEVICE_MEMORY);
    assert_eq!(find_ids(&mut store, &keys, &Filter::default()), kept);
}

#[test]
fn what_is_private_or_deleted_cannot_be_read_in_the_file() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let keys = keys(TOKEN, true);
    let holds = |text: &str| {
        let file = std::fs::read(place.file()).unwrap();
        file.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    let ids = store.insert_objects(TOKEN, &keys, &[object(1, false), object(2, true)]).unwrap();
    assert!(holds("the attributes of object 1") && holds("key 2 private"));
    for secret in ["the attributes of object 2", "id 2", "label 2"] {
        assert!(!holds(secret), "{secret}");
    }
    for id in ids {
        store.delete_object(TOKEN, id).unwrap();
    }
    for gone in ["the attributes of object 1", "key 2 private"] {
        assert!(!holds(gone), "{gone}");
    }
}

#[test]
fn a_search_by_id_or_label_or_class_uses_an_index() {
    let place = Place::new();
    let mut store = place.with_token(TOKEN);
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    for (filter, index) in [
        (Filter { id: some(b"i"), label: some(b"l"), class: Some(1) }, "object_by_id_tag"),
        (Filter { id: None, label: some(b"l"), class: Some(1) }, "object_by_label_tag"),
        (Filter { id: None, label: None, class: Some(1) }, "object_by_class"),
        (Filter::default(), "SCAN object"),
    ] {
        let sql = search::sql_of(&filter, &keys(TOKEN, true)).unwrap();
        let plan = store.reading(|tx| {
            let mut statement = tx.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut rows = statement.raw_query();
            let mut plan = String::new();
            while let Some(row) = rows.next()? {
                plan.push_str(&row.get::<_, String>(3)?);
            }
            Ok(plan)
        });
        let plan = plan.unwrap().unwrap();
        assert!(plan.contains(index), "{filter:?}: {plan}");
    }
}
