//! The walk sees what it is there for.

use super::*;

/// What the walk says about `source`, as lines and words.
fn said(path: &str, source: &str) -> Vec<(usize, String)> {
    violations(path, source).into_iter().map(|found| (found.line, found.what)).collect()
}

fn line_and(line: usize, what: &str) -> Vec<(usize, String)> {
    vec![(line, what.to_owned())]
}

#[test]
fn a_use_across_layers_is_seen() {
    let said = said("object/template.rs", "use crate::error::Error;\nuse crate::store::Store;\n");
    assert_eq!(said, line_and(2, "object must not use store"));
}

#[test]
fn a_group_hides_nothing() {
    let source =
        "use crate::{\n    error::{Error, Result},\n    tpm::{types::Key, Tpm},\n    store,\n};\n";
    assert_eq!(
        said("ffi/signing.rs", source),
        [(3, String::from("ffi must not use tpm")), (4, String::from("ffi must not use store")),]
    );
    let nested = "use {std::fmt, crate::{config::Config, session::state}};\n";
    assert_eq!(said("store/mod.rs", nested), line_and(1, "store must not use session"));
}

#[test]
fn a_path_inside_an_expression_is_seen() {
    let source = "fn f() {\n    let x = crate\n        ::session::state(1);\n}\n";
    assert_eq!(said("tpm/key.rs", source), line_and(3, "tpm must not use session"));
}

#[test]
fn super_is_followed_to_the_top() {
    assert_eq!(
        said("tpm/transport/socket.rs", "use super::super::super::store::Store;\n"),
        line_and(1, "tpm must not use store")
    );
    assert_eq!(said("tpm/transport/socket.rs", "use super::super::wire::Reader;\n"), []);
    assert_eq!(
        said("store/mod.rs", "use super::tpm::Tpm;\n"),
        line_and(1, "store must not use tpm")
    );
}

#[test]
fn a_macro_path_and_another_name_for_the_crate_are_seen() {
    let source = "macro_rules! m { () => { $crate::ffi::entry::call() } }\n";
    assert_eq!(said("session/mod.rs", source), line_and(1, "session must not use ffi"));
    let renamed = "use crate as house;\n";
    assert_eq!(
        said("session/mod.rs", renamed),
        line_and(1, "session must not use crate under another name")
    );
}

#[test]
fn a_module_without_a_layer_is_seen() {
    assert_eq!(
        said("cellar/mod.rs", "fn f() {}\n"),
        line_and(1, "`cellar` has no row in the table of layers")
    );
}

#[test]
fn comments_and_literals_are_not_code() {
    let source = r####"
// use crate::store::Store; unsafe { x.unwrap() }
/* nested /* unsafe */ panic!("x") */
/// `crate::store` and `.expect("x")`
const A: &str = "crate::store unsafe \" .unwrap()";
const B: &str = r#"unsafe { " } panic!"#;
const C: [char; 3] = ['"', '\'', '\u{22}'];
fn f<'unsafe_not>(x: &'unsafe_not str) -> u8 { b'"' }
"####;
    assert_eq!(said("object/search.rs", source), []);
}

#[test]
fn a_quote_in_a_character_does_not_swallow_what_follows() {
    let source = "fn f(c: char) -> bool { c == '\"' || c == '\\'' || c == b'\\\\' as char }\nfn g() { h().unwrap() }\n";
    assert_eq!(said("object/search.rs", source).len(), 1);
    assert_eq!(said("object/search.rs", source)[0].0, 2);
}

#[test]
fn panics_output_threads_and_pointers_are_seen() {
    let source = "fn f() {\n    g().unwrap();\n    g() . expect (\"x\");\n    todo!();\n    eprintln!(\"x\");\n    std::thread::spawn(g);\n    let p: *const u8 = q;\n    unsafe { h(p) }\n}\n";
    let mut lines: Vec<usize> =
        said("session/signing.rs", source).into_iter().map(|(line, _)| line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(said("ffi/input.rs", "unsafe fn f(p: *const u8) -> u8 { *p }\n"), []);
    // These only look alike.
    assert_eq!(said("session/signing.rs", "fn f() { g().unwrap_or(0); h().expect_err(1); }\n"), []);
}

#[test]
fn foreign_words_are_seen() {
    assert_eq!(
        said("tpm/key.rs", "use cryptoki_sys::{CKR_OK, CKA_ID};\n"),
        line_and(1, "tpm must not know CKA_ID")
    );
    assert_eq!(
        said("session/mod.rs", "use rusqlite::Connection;\n"),
        line_and(1, "`rusqlite`: SQL is the store's")
    );
}

#[test]
fn test_code_may_do_as_it_likes_and_ends_where_it_ends() {
    let source = "#[cfg(test)]\n#[allow(clippy::all)]\nmod tests {\n    use crate::store::Store;\n    fn f() { g().unwrap(); }\n}\nfn h() { g().unwrap() }\n";
    assert_eq!(
        said("object/search.rs", source).iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [7]
    );
    let one_use = "#[cfg(test)]\nuse crate::store::Store;\nuse crate::session::state;\n";
    assert_eq!(said("tpm/key.rs", one_use), line_and(3, "tpm must not use session"));
    let function = "#[cfg(test)]\nfn f(x: [u8; 2]) -> u8 { g().unwrap() }\nfn h() { panic!() }\n";
    assert_eq!(said("tpm/key.rs", function).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_file_that_only_tests_see_is_found_by_its_declaration() {
    let source = r#"
        mod search;
        #[cfg(test)]
        #[allow(clippy::all)]
        pub(crate) mod testing;
        #[cfg(test)]
        mod tests { mod x; }
        #[cfg(test)]
        #[path = "search_tests.rs"]
        mod more;
    "#;
    assert_eq!(
        test_files("object/mod.rs", source),
        ["object/testing.rs", "object/testing/", "object/search_tests.rs"]
    );
}

#[test]
fn leftovers_are_seen() {
    let source = format!("fn f() {{}}\n// {}: later\n", concat!("TO", "DO"));
    assert_eq!(leftovers("x.rs", &source).len(), 1);
    assert_eq!(leftovers("x.rs", "fn todos() {}\n"), []);
}

#[test]
fn the_table_of_layers_has_no_way_up() {
    for (index, layer) in LAYERS.iter().enumerate() {
        for name in layer.may_use {
            let below = LAYERS.iter().position(|layer| layer.modules.contains(name));
            assert!(below.is_some_and(|below| below > index), "{:?} -> {name}", layer.modules);
        }
    }
}
