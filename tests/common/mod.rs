//! What the tests share. Each test file uses a part of it.

#![allow(dead_code)]

pub mod aead;
pub mod argument;
pub mod calls;
pub mod cases;
pub mod certificate;
pub mod derivations;
pub mod derive;
pub mod encapsulation;
pub mod fixture;
pub mod known;
pub mod mechanisms;
pub mod message_encryption;
pub mod openssl;
pub mod operation;
pub mod p11;
pub mod peer;
pub mod prototypes;
pub mod raw;
pub mod return_values;
pub mod secret;
pub mod swtpm;
pub mod tpm_proxy;
pub mod whole;
pub mod wrapping;
