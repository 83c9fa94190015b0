//! LAYER 1: the C ABI.
//!
//! ```text
//! function_list   THE TABLE: one row per C_ function; shells and the published lists come from it
//! entry           what every shell does: panic boundary, log, Result to CK_RV
//! interface       C_GetFunctionList, C_GetInterfaceList, C_GetInterface
//! input           bytes in                 output        bytes out, the two-call convention
//! scalar          one value out            list          arrays of handles and numbers out
//! attributes      templates in             answers       values out, into a template
//! mechanism       CK_MECHANISM in          structure     the structures that parameters are
//! aead            what GCM and CCM have for a parameter, and for messages
//! derivation      parameters that are lists
//! general, slot_and_token, session, object, encryption, decryption, digesting, signing, verifying,
//! message, message_encryption, dual, key_management, random
//!                 bodies of a few lines, by heading of the specification
//! ```
//!
//! A shell wraps each pointer in an argument type (`Input`, `Output`, ...), whose constructor is
//! the only promise about the caller's memory. A body is safe code: it asks the provider for the
//! session first, and reads its arguments inside, so that a bad session wins over a bad argument.
//! While it reads, the session's own lock is the only one held.
//!
//! Pointers need not be aligned. No reference to memory that is written to is ever made.

#![allow(unsafe_code)]

mod aead;
mod answers;
mod attributes;
mod decryption;
mod derivation;
mod digesting;
#[cfg(test)]
mod docs;
mod dual;
mod encryption;
mod entry;
mod function_list;
mod general;
mod input;
mod interface;
mod key_management;
mod list;
mod mechanism;
mod message;
mod message_encryption;
mod object;
mod output;
mod random;
mod scalar;
mod session;
mod signing;
mod slot_and_token;
mod structure;
mod verifying;
