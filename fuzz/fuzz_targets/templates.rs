//! Fed: templates, nested ones too, to the functions that make, change, read and find objects.
//!
//! Must hold: as for `calls`.

#![no_main]

use std::sync::LazyLock;

use hierarkey_fuzz::bytes::Bytes;
use hierarkey_fuzz::calls;
use hierarkey_fuzz::scene::Scene;
use libfuzzer_sys::fuzz_target;

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

fuzz_target!(|input: &[u8]| {
    SCENE.run(|application| application.run_some(&mut Bytes::new(input), &calls::ABOUT_OBJECTS));
});
