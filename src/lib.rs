//! Hierarkey: a PKCS#11 module whose keys live in the machine's TPM 2.0.
//!
//! The map of the house is in docs/ARCHITECTURE.md; each folder's `mod.rs` has its own.

#![deny(unsafe_code)]

pub mod config;
pub mod error;
pub mod mechanism;
pub mod object;
pub mod os;
pub mod session;
pub mod store;
pub mod tpm;
