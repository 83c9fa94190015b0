//! Where the module is, and whether p11-kit knows it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The module's file name.
const FILE: &str = "libhierarkey.so";

/// Where packages put modules: Debian's folder of this architecture, Fedora's, and others'.
fn folders() -> Vec<PathBuf> {
    let triplet = match std::env::consts::ARCH {
        "arm" => "arm-linux-gnueabihf".to_owned(),
        arch => format!("{arch}-linux-gnu"),
    };
    let mut folders = Vec::new();
    for prefix in ["/usr/lib", "/usr/local/lib"] {
        for inside in [format!("{triplet}/pkcs11"), triplet.clone(), "pkcs11".to_owned()] {
            folders.push(Path::new(prefix).join(inside));
        }
    }
    folders.extend(["/usr/lib64/pkcs11".into(), "/usr/lib".into(), "/usr/local/lib".into()]);
    folders
}

/// The module: the one that is named, else the one that is installed, else the one beside this
/// program.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        let found = fs::canonicalize(path).map_err(|error| Failure::reading(path, &error))?;
        let mut magic = [0; 4];
        let read = File::open(&found).and_then(|mut file| file.read_exact(&mut magic));
        if read.is_err() || magic != *b"\x7fELF" {
            return Err(Failure::input(format!("{}: is no shared library", path.display())));
        }
        return Ok(found);
    }
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    folders()
        .into_iter()
        .chain(beside)
        .map(|folder| folder.join(FILE))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::not_found(format!("{FILE} is not installed: name it by --module FILE"))
        })
}

/// The files by which p11-kit knows the module: system's and user's.
pub fn p11_kit_files() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["/usr/share/p11-kit/modules", "/etc/pkcs11/modules"]
        .into_iter()
        .map(PathBuf::from)
        .collect();
    if let Some(home) = std::env::var_os("HOME") {
        folders.push(Path::new(&home).join(".config/pkcs11/modules"));
    }
    let mut files = Vec::new();
    for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let names_us = |text: String| {
            text.lines().any(|line| {
                line.trim_start().strip_prefix("module").is_some_and(|rest| rest.contains(FILE))
            })
        };
        if fs::read_to_string(entry.path()).is_ok_and(names_us) {
            files.push(entry.path());
        }
    }
    files
}
