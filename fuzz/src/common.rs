//! The emulator, the proxy and the tables of the module's own tests.

#![allow(dead_code)]

#[path = "../../tests/common/prototypes.rs"]
pub mod prototypes;
#[path = "../../tests/common/return_values.rs"]
pub mod return_values;
#[path = "../../tests/common/swtpm.rs"]
pub mod swtpm;
#[path = "../../tests/common/tpm_proxy.rs"]
pub mod tpm_proxy;
