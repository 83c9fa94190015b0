//! Fed: a sequence of C_ calls, any function with any arguments that the C ABI allows, on a token
//! with an object of each kind, the user logged in.
//!
//! Must hold: no crash, no panic, no leak; no byte beside the caller's buffers; each value returned
//! is one that the standard gives the function, and none blames the TPM, the store or the module.

#![no_main]

use std::sync::LazyLock;

use hierarkey_fuzz::bytes::Bytes;
use hierarkey_fuzz::scene::Scene;
use libfuzzer_sys::fuzz_target;

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

fuzz_target!(|input: &[u8]| {
    SCENE.run(|application| application.run(&mut Bytes::new(input)));
});
