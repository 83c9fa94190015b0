//! What the fuzz targets share. fuzz/README.md says what each target is for.
//!
//! | file | what |
//! |---|---|
//! | `module.rs` | the module under test, and what ends the process when it is wrong |
//! | `scene.rs` | a TPM emulator, and a token with one object of each kind |
//! | `calls.rs` | C_ functions called as an input says |
//! | `template.rs`, `mechanisms.rs`, `parameter.rs` | what they are called with |
//! | `script.rs` | calls that are the same each time, for inputs that are about something else |
//! | `bus.rs`, `damage.rs` | answers of the TPM, bent as an input says; the store, damaged |
//! | `common.rs` | the emulator, the proxy and the tables of the module's own tests |
//! | `bytes.rs`, `memory.rs` | the input; the caller's memory |

// Each unsafe block calls the C ABI, or reads what it wrote.
#![allow(clippy::undocumented_unsafe_blocks)]
// Fields are called what PKCS#11 calls them.
#![allow(non_snake_case)]

pub mod bus;
pub mod bytes;
pub mod calls;
pub mod common;
pub mod damage;
pub mod mechanisms;
pub mod memory;
pub mod module;
pub mod parameter;
pub mod scene;
pub mod script;
pub mod template;
