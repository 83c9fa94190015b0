//! The house's walls: which layer may name which, and which words may stand where.
//!
//! `LAYERS` is the table of docs/ARCHITECTURE.md. The walk needs no parser: comments, literals and
//! test code are blanked, then every path that starts at `crate` or `super` is resolved, whether it
//! stands in a `use`, in a group of one, or in the middle of an expression. The tests in
//! `layering/sees.rs` show that it sees what it is there for.

#[path = "layering/sees.rs"]
mod sees;
#[path = "layering/tokens.rs"]
mod tokens;

use std::fmt;
use std::fs;
use std::path::Path;

use tokens::{Token, end_of_group, end_of_item, is_test_attribute, shipped, tokens};

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
        modules: &["admin", "provider", "slot", "token", "session"],
        may_use: &["object", "mechanism", "tpm", "store", "config", "error", "os"],
    },
    Layer { modules: &["object", "mechanism"], may_use: &["tpm", "error", "os"] },
    Layer { modules: &["tpm"], may_use: &["error", "os"] },
    Layer { modules: &["store"], may_use: &["error", "os", "config"] },
    Layer { modules: &["error", "config", "os"], may_use: &[] },
];

/// Words that shipped code may write only under certain paths.
struct Words {
    /// What to look for: whole tokens, blanks do not matter.
    texts: &'static [&'static str],
    /// Prefixes of paths in `src/` where they may stand.
    allowed_in: &'static [&'static str],
    why: &'static str,
}

const WORDS: &[Words] = &[
    Words {
        texts: &["unsafe", "*const", "*mut"],
        allowed_in: &["ffi/", "os/", "tpm/transport/", "tpm/transport.rs"],
        why: "unsafe code and pointers have three places",
    },
    Words {
        texts: &["unsafe_code"],
        allowed_in: &["ffi/", "os/", "tpm/transport/", "tpm/transport.rs", "lib.rs"],
        why: "unsafe code and pointers have three places",
    },
    Words {
        texts: &[".unwrap()", ".expect(", "todo!", "unimplemented!", "unreachable!"],
        allowed_in: &[],
        why: "a host program must not be brought down",
    },
    Words {
        texts: &["panic!"],
        // Where a table is made when the module is compiled, a wrong row ends the build.
        allowed_in: &["object/attribute.rs"],
        why: "a host program must not be brought down",
    },
    Words {
        texts: &["process::exit", "process::abort"],
        allowed_in: &[],
        why: "a host program must not be brought down",
    },
    Words {
        texts: &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        allowed_in: &[],
        why: "the host's output is the host's",
    },
    Words {
        texts: &["thread::spawn", "thread::Builder", "thread_local!"],
        allowed_in: &[],
        why: "it outlives dlclose and is lost in fork",
    },
    Words {
        texts: &["env::var", "env::var_os"],
        allowed_in: &["os/"],
        why: "a setuid host's environment is not to be trusted",
    },
    Words {
        texts: &["env::set_var", "env::remove_var", "env::set_current_dir"],
        allowed_in: &[],
        why: "the process is the host's",
    },
    Words { texts: &["rusqlite"], allowed_in: &["store/"], why: "SQL is the store's" },
    Words {
        texts: &["tss_esapi"],
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

/// The files, as beginnings of their paths, that `source` declares for tests only.
fn test_files(path: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if !is_test_attribute(&tokens[at..]) {
            continue;
        }
        let item: Vec<&str> =
            tokens[at..end_of_item(&tokens, at)].iter().map(|token| token.text.as_str()).collect();
        let [.., "mod", name, ";"] = item[..] else { continue };
        let elsewhere = item.windows(3).find(|window| window[..2] == ["path", "="]);
        if let Some(elsewhere) = elsewhere {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            found.push(format!("{folder}/{}", elsewhere[2].trim_matches('"')));
        } else {
            let mut module = module_of(path);
            module.push(name);
            let module = module.join("/");
            found.extend([format!("{module}.rs"), format!("{module}/")]);
        }
    }
    found
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

    for words in WORDS {
        if words.allowed_in.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        for text in words.texts {
            let wanted: Vec<String> = tokens(text).into_iter().map(|token| token.text).collect();
            for window in shipped.windows(wanted.len()) {
                if window.iter().map(|token| &token.text).eq(wanted.iter()) {
                    report(window[0].line, format!("`{text}`: {}", words.why));
                }
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
    let for_tests: Vec<String> =
        files.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let shipped = files
        .iter()
        .filter(|(path, _)| !for_tests.iter().any(|tests| path.starts_with(tests.as_str())));
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
