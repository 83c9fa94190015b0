//! Fed: a file to `hierarkey key import`'s reader: PEM and DER of PKCS#1, SEC 1 and PKCS#8, PKCS#12,
//! OpenSSH's form, with a passphrase.
//!
//! Must hold: no crash, no panic, no leak.

#![no_main]
#![allow(dead_code, unused_imports)]

// The tool is a program, not a library: the reader comes in with the files it stands on.
#[path = "../../tools/src/failure.rs"]
mod failure;
#[path = "../src/tool_key.rs"]
mod key;
#[path = "../../tools/src/output.rs"]
mod output;
#[path = "../../tools/src/stdout.rs"]
mod stdout;

/// What the reader makes of numbers, as the tool has it.
mod token_session {
    use hierarkey::cryptoki::*;
    use hierarkey::object::template::RawAttribute;

    pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> RawAttribute {
        RawAttribute::bytes(kind, value)
    }

    pub fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> RawAttribute {
        bytes(kind, value.to_ne_bytes())
    }
}

use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|file: &[u8]| {
    let passphrase = || Ok(Zeroizing::new(b"secret".to_vec()));
    if let Ok(contents) = key::reader::read(file, &passphrase) {
        contents.key.map(|key| key.attributes());
    }
});
