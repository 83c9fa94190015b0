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
