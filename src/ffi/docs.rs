//! docs/functions.md, printed from the table of functions.

use std::fmt::Write;

use super::function_list::ROWS;

fn functions_markdown() -> String {
    let mut page = String::from(
        "# Functions\n\n\
         Printed from the table in `src/ffi/function_list.rs` (`UPDATE_DOCS=1 cargo nextest run --lib docs`). Every function of\n\
         PKCS#11 2.40, 3.0 and 3.2 is in its list and exported. One that is not offered checks its session first and then answers\n\
         `CKR_FUNCTION_NOT_SUPPORTED`.\n\n\
         | function | since | offered |\n|---|---|---|\n",
    );
    for (name, version, body) in ROWS {
        let offered = match body.split('(').next() {
            Some("not_offered") => "not yet",
            Some("not_parallel") => "answers `CKR_FUNCTION_NOT_PARALLEL`",
            _ => "yes",
        };
        // Writing into a String does not fail.
        let _ = writeln!(page, "| {name} | {}.{} | {offered} |", version.major, version.minor);
    }
    page
}

#[test]
fn the_page_of_functions_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/functions.md");
    let page = functions_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap();
    assert_eq!(stored, page, "stale: UPDATE_DOCS=1 cargo nextest run --lib docs");
}
