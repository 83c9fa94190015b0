//! What the fuzzer looks at, through the built module and without a fuzzer: its seeds, and some made-up
//! inputs. See fuzz/README.md.

// Every unsafe block calls the C ABI, or reads what it wrote.
#![allow(clippy::undocumented_unsafe_blocks)]
#![allow(non_snake_case, reason = "fields are called what PKCS#11 calls them")]

mod common;

#[path = "../fuzz/src/bus.rs"]
mod bus;
#[path = "../fuzz/src/bytes.rs"]
mod bytes;
#[path = "../fuzz/src/calls.rs"]
mod calls;
#[path = "../fuzz/src/damage.rs"]
mod damage;
#[path = "../fuzz/src/mechanisms.rs"]
mod mechanisms;
#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "../fuzz/src/parameter.rs"]
mod parameter;
#[path = "../fuzz/src/scene.rs"]
mod scene;
#[path = "../fuzz/src/script.rs"]
mod script;
#[path = "../fuzz/src/template.rs"]
mod template;

/// The built module in place of the one that the fuzzer is linked with.
mod module {
    use cryptoki_sys::*;

    use super::common::p11::P11;
    use super::common::return_values::name;

    pub fn load() -> &'static CK_FUNCTION_LIST_3_2 {
        P11::load().list
    }

    pub fn fail(why: &str) -> ! {
        panic!("{why}");
    }

    pub fn no_bug(function: &str, rv: CK_RV) {
        assert_ne!(rv, CKR_GENERAL_ERROR, "{function}");
    }

    pub fn no_failure(function: &str, rv: CK_RV) {
        no_bug(function, rv);
        let failures = [CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_DEVICE_MEMORY, CKR_HOST_MEMORY];
        assert!(!failures.contains(&rv), "{function}: {}", name(rv));
    }
}

use std::path::Path;

use bytes::Bytes;
use common::prototypes::PROTOTYPES;
use scene::Scene;

/// The inputs of a target, each with its name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(!seeds.is_empty());
    seeds.sort();
    seeds
}

fn replay(target: &str, run: impl Fn(&[u8])) {
    for (name, input) in seeds(target) {
        println!("{target}/{name}");
        run(&input);
    }
    let full = std::env::var("HIERARKEY_TEST_SIZE").is_ok_and(|size| size == "full");
    for number in 0..if full { 10_000 } else { 10 } {
        println!("{target}, input {number}");
        run(&made_up(number));
    }
}

/// An input of nobody's, the same for the same number.
fn made_up(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(600).collect()
}

#[test]
fn any_calls_get_documented_answers() {
    let scene = Scene::new();
    replay("calls", |input| scene.run(|application| application.run(&mut Bytes::new(input))));
}

#[test]
fn any_templates_get_documented_answers() {
    let scene = Scene::new();
    replay("templates", |input| {
        let run = |application: &mut calls::Application<'_>| {
            application.run_some(&mut Bytes::new(input), &calls::ABOUT_OBJECTS);
        };
        scene.run(run);
    });
}

#[test]
fn a_damaged_store_brings_nobody_down() {
    let scene = Scene::new();
    replay("store", |input| damage::run(&scene, input));
}

#[test]
fn bent_answers_of_the_tpm_bring_nobody_down() {
    let scene = Scene::new();
    let proxy = scene.behind();
    replay("tpm_answers", |input| bus::run(&scene, &proxy, input));
}

/// Arguments that a function does not have would be no test of it.
#[test]
fn the_fuzzer_knows_what_each_function_takes() {
    for (at, (name, arguments)) in PROTOTYPES.iter().enumerate() {
        assert_eq!(calls::words(at), (*name, arguments.len()));
    }
}
