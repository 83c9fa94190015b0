//! The house's walls: which layer may name which, and which words may stand where.
//!
//! `LAYERS` is the table of docs/ARCHITECTURE.md. The walk needs no parser: comments, literals and
//! test code are blanked, then every path that starts at `crate` or `super` is resolved, whether it
//! stands in a `use`, in a group of one, or in the middle of an expression. The tests below the
//! walk show that it sees what it is there for.

use std::fmt;
use std::fs;
use std::path::Path;

/// A layer: the modules directly under `src/` that make it, and the modules they may name.
struct Layer {
    modules: &'static [&'static str],
    may_use: &'static [&'static str],
}

/// From the application down to the TPM. A layer's modules may always name one another.
const LAYERS: &[Layer] = &[
    Layer {
        modules: &["ffi"],
        may_use: &[
            "provider",
            "slot",
            "token",
            "session",
            "object",
            "mechanism",
            "config",
            "error",
            "os",
        ],
    },
    Layer {
        modules: &["provider", "slot", "token", "session"],
        may_use: &["object", "mechanism", "tpm", "store", "config", "error", "os"],
    },
    Layer { modules: &["object", "mechanism"], may_use: &["tpm", "error", "os"] },
    Layer { modules: &["tpm"], may_use: &["error", "os"] },
    Layer { modules: &["store"], may_use: &["error", "os", "config"] },
    Layer { modules: &["error", "config", "os"], may_use: &[] },
];

/// A word that shipped code may write only under certain paths.
struct Word {
    /// What to look for: whole tokens, blanks do not matter.
    text: &'static str,
    /// Prefixes of paths in `src/` where it may stand.
    allowed_in: &'static [&'static str],
    why: &'static str,
}

const POINTERS: &[&str] = &["ffi/", "os/", "tpm/transport/", "tpm/transport.rs"];

const WORDS: &[Word] = &[
    Word { text: "unsafe", allowed_in: POINTERS, why: "unsafe code has three places" },
    Word {
        text: "unsafe_code",
        allowed_in: &["ffi/", "os/", "tpm/transport/", "tpm/transport.rs", "lib.rs"],
        why: "unsafe code has three places",
    },
    Word { text: "*const", allowed_in: POINTERS, why: "pointers end at the C ABI" },
    Word { text: "*mut", allowed_in: POINTERS, why: "pointers end at the C ABI" },
    Word { text: ".unwrap()", allowed_in: &[], why: "a host program must not be brought down" },
    Word { text: ".expect(", allowed_in: &[], why: "a host program must not be brought down" },
    Word { text: "panic!", allowed_in: &[], why: "a host program must not be brought down" },
    Word { text: "todo!", allowed_in: &[], why: "a host program must not be brought down" },
    Word {
        text: "unimplemented!",
        allowed_in: &[],
        why: "a host program must not be brought down",
    },
    Word { text: "unreachable!", allowed_in: &[], why: "a host program must not be brought down" },
    Word { text: "process::exit", allowed_in: &[], why: "a host program must not be brought down" },
    Word {
        text: "process::abort",
        allowed_in: &[],
        why: "a host program must not be brought down",
    },
    Word { text: "println!", allowed_in: &[], why: "the host's output is the host's" },
    Word { text: "print!", allowed_in: &[], why: "the host's output is the host's" },
    Word { text: "eprintln!", allowed_in: &[], why: "the host's output is the host's" },
    Word { text: "eprint!", allowed_in: &[], why: "the host's output is the host's" },
    Word { text: "dbg!", allowed_in: &[], why: "the host's output is the host's" },
    Word {
        text: "thread::spawn",
        allowed_in: &[],
        why: "a thread outlives dlclose and dies in fork",
    },
    Word {
        text: "thread::Builder",
        allowed_in: &[],
        why: "a thread outlives dlclose and dies in fork",
    },
    Word { text: "thread_local!", allowed_in: &[], why: "its destructor outlives dlclose" },
    Word {
        text: "env::var",
        allowed_in: &["os/"],
        why: "a setuid host's environment is not to be trusted",
    },
    Word {
        text: "env::var_os",
        allowed_in: &["os/"],
        why: "a setuid host's environment is not to be trusted",
    },
    Word { text: "env::set_var", allowed_in: &[], why: "the environment is the host's" },
    Word {
        text: "env::set_current_dir",
        allowed_in: &[],
        why: "the working directory is the host's",
    },
    Word { text: "rusqlite", allowed_in: &["store/", "store.rs"], why: "SQL is the store's" },
    Word {
        text: "tss_esapi",
        allowed_in: &["tpm/"],
        why: "the TPM's structures are the tpm layer's",
    },
];

/// Words that a layer must not know, by their beginnings (names of constants and types).
const FOREIGN: &[(&str, &[&str])] = &[
    ("tpm", &["CKA_", "CKM_", "CKO_", "CKK_"]),
    ("store", &["CKA_", "CKM_", "CKO_", "CKK_", "TPM_", "TPM2_", "TPM2B_", "TPMA_", "TPMT_"]),
    ("provider", &["TPM2_CC_", "TPM_ST_"]),
    ("slot", &["TPM2_CC_", "TPM_ST_"]),
    ("token", &["TPM2_CC_", "TPM_ST_"]),
    ("session", &["TPM2_CC_", "TPM_ST_"]),
    ("object", &["TPM2_CC_", "TPM_ST_"]),
    ("mechanism", &["TPM2_CC_", "TPM_ST_"]),
];

/// Something that stands where it must not.
#[derive(Debug, PartialEq)]
struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.path, self.line, self.what)
    }
}

// ---------------------------------------------------------------------------------------------
// From text to tokens

/// A token and the line it stands on: an identifier, a number, or one character.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// The tokens of Rust source, without comments; literals and lifetimes leave `""` behind.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest, 0),
            ['b' | 'c', '"', ..] => quoted(rest, 1),
            ['b', '\'', ..] => 1 + character(&rest[1..]),
            ['\'', ..] => character(rest),
            _ => match raw_string(rest) {
                Some(length) => length,
                None if is_word(rest[0]) => rest.iter().take_while(|c| is_word(**c)).count(),
                None => 1,
            },
        };
        let text: String = chars[start..start + length].iter().collect();
        let blank = text.starts_with("//") || text.starts_with("/*") || rest[0].is_whitespace();
        let word = text.chars().all(is_word);
        if !blank {
            let text = if word || length == 1 { text.clone() } else { String::from("\"\"") };
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        at += length;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// Length of a string literal whose opening quote is at `open`.
fn quoted(rest: &[char], open: usize) -> usize {
    let mut at = open + 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of a character literal or of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => {
            let escaped = rest.iter().skip(3).take_while(|c| **c != '\'').count();
            (escaped + 4).min(rest.len())
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1 + rest.iter().skip(1).take_while(|c| is_word(**c)).count(),
    }
}

/// Length of the raw string that `rest` begins with, if it does.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = match rest {
        ['r', '"' | '#', ..] => 1,
        ['b' | 'c', 'r', '"' | '#', ..] => 2,
        _ => return None,
    };
    let hashes = rest.iter().skip(prefix).take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return None; // a raw identifier
    }
    let mut at = open + 1;
    while at < rest.len() {
        let closing = rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count();
        if rest[at] == '"' && closing == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

/// The tokens without the items that only tests see.
fn shipped(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Whether an attribute begins here that compiles its item for tests only.
fn is_test_attribute(rest: &[Token]) -> bool {
    let attribute: Vec<&str> = rest.iter().take(7).map(|token| token.text.as_str()).collect();
    matches!(
        attribute[..],
        ["#", "[", "test", "]", ..]
            | ["#", "[", "cfg", "(", "test", ")", "]", ..]
            | ["#", "[", "cfg", "(", "all", "(", "test", ..]
    )
}

/// The index after the item whose first attribute begins at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    // The attributes first: a bracket in them does not end the item.
    while tokens.get(at).is_some_and(|token| token.text == "#") {
        at = end_of_group(tokens, at + 1);
    }
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ";" => return at + 1,
            "{" => {
                let end = end_of_group(tokens, at);
                let goes_on = tokens.get(end).is_some_and(|next| next.text == ";");
                return if goes_on { end + 1 } else { end };
            }
            "(" | "[" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The index after the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

// ---------------------------------------------------------------------------------------------
// From tokens to violations

/// The module that a file under `src/` is: `tpm/wire.rs` is `[tpm, wire]`, `tpm/mod.rs` is `[tpm]`.
fn module_of(path: &str) -> Vec<&str> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    stem.split('/').filter(|part| *part != "mod" && *part != "lib").collect()
}

/// The modules of the crate that `tokens` name, directly under `src/`, with their lines.
fn named_modules(module: &[&str], tokens: &[Token]) -> Vec<Token> {
    let mut named = Vec::new();
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut at = 0;
    while at < tokens.len() {
        // Where the path starts: at the crate's root, or so many storeys up.
        let root = match text(at) {
            // `pub(crate)` and `pub(super)` are no paths.
            "crate" if text(at + 1) == ":" => Some(0),
            "crate" if text(at + 1) == "as" => {
                named.push(Token {
                    text: String::from("crate under another name"),
                    line: tokens[at].line,
                });
                None
            }
            "super" if text(at + 1) == ":" => {
                let mut up = 1;
                while text(at + 3) == "super" {
                    (at, up) = (at + 3, up + 1);
                }
                Some(module.len().saturating_sub(up))
            }
            _ => None,
        };
        match root {
            Some(0) => heads(tokens, at + 3, &mut named),
            Some(_) => named.push(Token { text: module[0].to_owned(), line: tokens[at].line }),
            None => {}
        }
        at += 1;
    }
    named
}

/// The first names of the path, or of each path of the group, that begins at `at`.
fn heads(tokens: &[Token], at: usize, named: &mut Vec<Token>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        named.push(first.clone());
        return;
    }
    let mut inside = at + 1;
    let end = end_of_group(tokens, at).saturating_sub(1);
    while inside < end {
        heads(tokens, inside, named);
        // On to the next path of this group.
        while inside < end && tokens[inside].text != "," {
            inside =
                if tokens[inside].text == "{" { end_of_group(tokens, inside) } else { inside + 1 };
        }
        inside += 1;
    }
}

fn layer_of(module: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.modules.contains(&module))
}

/// Everything in one file of `src/` that stands where it must not. `path` is relative to `src/`.
fn violations(path: &str, source: &str) -> Vec<Violation> {
    let all = tokens(source);
    let shipped = shipped(&all);
    let module = module_of(path);
    let mut found = Vec::new();
    let mut report =
        |line: usize, what: String| found.push(Violation { path: path.to_owned(), line, what });

    if let Some(&here) = module.first() {
        match layer_of(here) {
            None => report(1, format!("`{here}` has no row in the table of layers")),
            Some(layer) => {
                for named in named_modules(&module, &shipped) {
                    let name = named.text.as_str();
                    // Macros and items at the root are nobody's layer; modules are.
                    let known = layer_of(name).is_some();
                    let allowed = layer.modules.contains(&name) || layer.may_use.contains(&name);
                    if (known && !allowed) || name.contains(' ') || name == "*" {
                        report(named.line, format!("{here} must not use {name}"));
                    }
                }
            }
        }
        for (_, beginnings) in FOREIGN.iter().filter(|(layer, _)| *layer == here) {
            for token in &shipped {
                if beginnings.iter().any(|beginning| token.text.starts_with(beginning)) {
                    report(token.line, format!("{here} must not know {}", token.text));
                }
            }
        }
    }

    for word in WORDS {
        if word.allowed_in.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        let wanted: Vec<String> = tokens(word.text).into_iter().map(|token| token.text).collect();
        for window in shipped.windows(wanted.len()) {
            if window.iter().map(|token| &token.text).eq(wanted.iter()) {
                report(window[0].line, format!("`{}`: {}", word.text, word.why));
            }
        }
    }
    found
}

/// What nobody may leave behind, in tests either: unfinished work and tests that do not run.
fn leftovers(path: &str, source: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    // Written in two halves, so that this file does not find itself.
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ign", "ore")] {
        for (index, line) in source.lines().enumerate() {
            if line.contains(mark) {
                found.push(Violation {
                    path: path.to_owned(),
                    line: index + 1,
                    what: format!("`{mark}` left behind"),
                });
            }
        }
    }
    found
}

// ---------------------------------------------------------------------------------------------
// The walk

/// Every Rust file under `folder`, as a path relative to it and its text, in order.
fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                let relative = path.strip_prefix(folder).expect("found below it");
                files.push((relative.to_string_lossy().into_owned(), text));
            }
        }
    }
    files.sort();
    files
}

fn no_violations(found: &[Violation]) {
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn every_layer_names_only_what_it_may() {
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 5, "the walk must find the source");
    // A file that only tests see is named so, and its `mod` line carries the cfg.
    let shipped = files.iter().filter(|(path, _)| !path.ends_with("tests.rs"));
    let found: Vec<Violation> =
        shipped.flat_map(|(path, source)| violations(path, source)).collect();
    no_violations(&found);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "tools/src"] {
        for (path, source) in rust_files(&root.join(folder)) {
            found.extend(leftovers(&format!("../{folder}/{path}"), &source));
        }
    }
    no_violations(&found);
}

// ---------------------------------------------------------------------------------------------
// The walk sees what it is there for

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
