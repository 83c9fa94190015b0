//! The pages of docs/ and the scripts that run their commands belong together: `swtpm-ci/page.sh` reads a command from its page, and here
//! is whether somebody asks for each, and whether each client has a row.

use std::fs;
use std::path::{Path, PathBuf};

/// The files with this ending in `folder` and below.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// The names of the blocks that `page` marks for running.
fn marks(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("<!-- run: ")?.strip_suffix(" -->"))
}

#[test]
fn each_command_that_a_page_marks_is_run_by_a_script_that_names_the_page() {
    let scripts: Vec<_> = files(&root().join("swtpm-ci"), "sh")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let words = |script: &str, word: &str| {
        script
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .any(|one| one == word)
    };
    let mut seen = 0;
    for path in files(&root().join("docs"), "md") {
        let page = fs::read_to_string(&path).unwrap();
        for mark in marks(&page) {
            let asked = |script: &String| words(script, stem(&path)) && words(script, mark);
            assert!(scripts.iter().any(asked), "nobody runs {mark} of {}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands are marked: are the pages read?");
}

#[test]
fn each_clients_script_is_told_of_in_a_page() {
    let pages: Vec<_> = files(&root().join("docs"), "md")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    // These are tests of our own tool and of a way to the TPM, not of somebody else's program.
    let ours = ["hierarkey", "tabrmd"];
    for path in files(&root().join("swtpm-ci/clients"), "sh") {
        let name = stem(&path);
        let told = |page: &String| {
            page.contains(&format!("`{name}`")) || page.contains(&format!("clients/{name}.sh"))
        };
        assert!(ours.contains(&name) || pages.iter().any(told), "no page tells of {name}");
    }
}
