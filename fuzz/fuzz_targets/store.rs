//! Fed: damage to the store's database: bytes, pages, rows, the schema, a journal beside it.
//!
//! Must hold: no crash, no panic, no leak, no `CKR_GENERAL_ERROR`, documented values only, whatever
//! an application then does with it.

#![no_main]

use std::sync::LazyLock;

use hierarkey_fuzz::damage;
use hierarkey_fuzz::scene::Scene;
use libfuzzer_sys::fuzz_target;

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

fuzz_target!(|input: &[u8]| damage::run(&SCENE, input));
