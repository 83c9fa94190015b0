//! Hierarkey: a PKCS#11 module whose keys live in the machine's TPM 2.0.
//!
//! The map of the house is in docs/ARCHITECTURE.md; each folder's `mod.rs` has its own.

#![deny(unsafe_code)]

pub mod admin;
pub mod config;
pub mod error;
mod ffi;
pub mod mechanism;
pub mod object;
pub mod os;
pub mod provider;
pub mod session;
pub mod slot;
pub mod store;
pub mod token;
pub mod tpm;

/// PKCS#11's numbers and structures, for programs built on this crate.
pub use cryptoki_sys as cryptoki;
