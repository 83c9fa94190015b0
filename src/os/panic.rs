//! What becomes of a panic's text.

use std::panic::{self, PanicHookInfo};

/// Sends the text of every panic to the log, and nothing of it to stderr.
///
/// A shared library has a standard library of its own, so the hook of a host written in Rust is
/// another one and stays as it is. A program that links this crate as a Rust library shares its
/// hook; such a program leaves this call out. May be called again.
pub fn install() {
    // A function item has no size: boxing it allocates nothing that unloading could leave behind.
    panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("no text", String::as_str),
    };
    match panic.location() {
        Some(at) => log::error!("panicked at {}:{}: {text}", at.file(), at.line()),
        None => log::error!("panicked: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::os::log::{LogSettings, Target};

    /// Names the log file of the process that panics: the hook is the whole process's.
    const LOG: &str = "HIERARKEY_TEST_PANIC_LOG";

    #[test]
    fn the_text_of_a_panic_goes_to_the_log_and_not_to_stderr() {
        if let Some(file) = std::env::var_os(LOG) {
            let level = log::LevelFilter::Error;
            super::super::log::install(&LogSettings { target: Target::File(file.into()), level });
            install();
            install();
            panic::catch_unwind(|| panic!("a text of {} parts", 2)).unwrap_err();
            panic::catch_unwind(|| panic!("a plain text")).unwrap_err();
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let name = "os::panic::tests::the_text_of_a_panic_goes_to_the_log_and_not_to_stderr";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(LOG, &file)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let log = fs::read_to_string(file).unwrap();
        assert!(log.contains("src/os/panic.rs") && log.contains(": a text of 2 parts\n"), "{log}");
        assert!(log.contains(": a plain text\n"), "{log}");
    }
}
