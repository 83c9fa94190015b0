//! Fed: what an application does, and how the TPM's answers are bent meanwhile: cut, grown,
//! overwritten, made up, with the lengths around them right again. The module is built without its
//! check of the answers' HMAC, so that what lies behind it is reached too.
//!
//! Must hold: no crash, no panic, no leak, no `CKR_GENERAL_ERROR`, documented values only; and once
//! the TPM answers as it should, the token is as good as before.

#![no_main]

use std::sync::LazyLock;

use hierarkey_fuzz::bus;
use hierarkey_fuzz::common::tpm_proxy::Proxy;
use hierarkey_fuzz::scene::Scene;
use libfuzzer_sys::fuzz_target;

static SCENE: LazyLock<(Scene, Proxy)> = LazyLock::new(|| {
    let scene = Scene::new();
    let proxy = scene.behind();
    (scene, proxy)
});

fuzz_target!(|input: &[u8]| bus::run(&SCENE.0, &SCENE.1, input));
