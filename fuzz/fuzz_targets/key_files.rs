//! Fed: a file to `hierarkey key import`'s reader: PEM and DER of PKCS#1, SEC 1 and PKCS#8, PKCS#12,
//! OpenSSH's form, with a passphrase.
//!
//! Must hold: no crash, no panic, no leak.

#![no_main]
#![allow(dead_code, unused_imports)]

// The tool is a program, not a library: the reader comes in with the files it stands on.
#[path = "../../tools/src/failure.rs"]
mod failure;
#[path = "../../tools/src/name.rs"]
mod name;
#[path = "../../tools/src/output.rs"]
mod output;
#[path = "../../tools/src/pin.rs"]
mod pin;
#[path = "../../tools/src/prompt.rs"]
mod prompt;
#[path = "../../tools/src/slot.rs"]
mod slot;
#[path = "../../tools/src/token_session.rs"]
mod token_session;
#[path = "../../tools/src/uri.rs"]
mod uri;
#[path = "../src/tool_key.rs"]
mod key;

use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|file: &[u8]| {
    let passphrase = || Ok(Zeroizing::new(b"secret".to_vec()));
    if let Ok(contents) = key::reader::read(file, &passphrase) {
        contents.key.map(|key| key.attributes());
    }
});
