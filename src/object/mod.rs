//! LAYER 3: objects and their attributes: what they may hold, who may set it, how they are found.
//! Knows nothing of sessions and of the store.
//!
//! | file | what |
//! |---|---|
//! | `template.rs` | templates as the application gave them, read into values |
//! | `value.rs` | [`Value`] and [`AttributeSet`]: what an object holds |
//! | `encoding.rs` | the bytes of an [`AttributeSet`] at rest |
//! | `attribute.rs` | what is known of an attribute: who has it, who may give it, who may change it |
//! | `table.rs` | THE TABLE: one row per attribute and kind of object |
//! | `usage.rs` | `CKA_SIGN`, `CKA_DECRYPT` and their like: what a key is for |
//! | `creation.rs` | a template made into a new object |
//! | `key_pair.rs` | two templates and a public key made into a key pair |
//! | `secret_key.rs` | secret keys: requests for new ones, values, lengths, check values |
//! | `certificate.rs` | what an X.509 certificate says of itself |
//! | `public.rs` | public keys in attributes: `CKA_EC_PARAMS`, `CKA_EC_POINT`, `CKA_PUBLIC_KEY_INFO` |
//! | `change.rs` | `C_SetAttributeValue`, `C_CopyObject`, `C_DestroyObject`: what they allow |
//! | `reading.rs` | `C_GetAttributeValue`, `C_GetObjectSize`: what they answer |
//! | `revealed.rs` | secret attributes of keys that may leave, from what the TPM keeps |
//! | `search.rs` | which objects a search template matches |
//! | `profile.rs` | the objects of class `CKO_PROFILE` and `CKO_MECHANISM` |
//! | `nested.rs` | `CKA_WRAP_TEMPLATE` and its like: what they ask of other keys |
//! | `private_key.rs` | private keys made from their values: checked and taken apart |
//! | `private_key_info.rs` | private keys as PKCS#8, wrapped and unwrapped |
//! | `handle.rs` | the application's object handles |
//! | `markdown.rs` | docs/attributes.md, printed from the table |

// Where a CK_ULONG is narrower than the u64 of a `Value` these conversions are needed.
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)]

pub mod attribute;
pub mod certificate;
pub mod change;
pub mod creation;
mod encoding;
pub mod handle;
pub mod key_pair;
pub mod markdown;
pub mod nested;
pub mod private_key;
pub mod private_key_info;
pub mod profile;
pub mod public;
pub mod reading;
pub mod revealed;
pub mod search;
pub mod secret_key;
mod table;
pub mod template;
#[cfg(test)]
mod testing;
pub mod usage;
pub mod value;

pub use attribute::ATTRIBUTES;
pub use change::{copy, may_destroy, set};
pub use creation::{Actor, Path, Role, new_object};
pub use handle::{Handles, ObjectKey};
pub use key_pair::{KeyPairRequest, key_pair_request};
pub use public::public_key;
pub use reading::{answer, size};
pub use search::Search;
pub use secret_key::secret_key_request;
pub use template::template;
pub use value::{AttributeSet, Value};
