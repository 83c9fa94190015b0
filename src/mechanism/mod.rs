//! LAYER 3: mechanisms. One table says what there is; one file each holds the arithmetic. Knows
//! nothing of sessions and of the store.
//!
//! | file | what |
//! |---|---|
//! | `table.rs` | THE TABLE: one row per mechanism |
//! | `kinds.rs` | what the rows of one kind have in common |
//! | `row.rs` | what a row says, and what follows from it: flags, sizes, whether this TPM offers it |
//! | `parameter.rs` | parameters by shape, and their values checked |
//! | `task.rs` | a row, a parameter and a public key that go together: what a row's functions get |
//! | `signing.rs` `verifying.rs` `recovery.rs` `encryption.rs` `decryption.rs` `digesting.rs` `derivation.rs` `encapsulation.rs` | the operations |
//! | `key_pair.rs` `secret_key.rs` | which key a generation asks for; which scheme a key is bound to |
//! | `rsa.rs` | the RSA public key, the private operation with its check, lengths |
//! | `rsa_pkcs1.rs` `rsa_pss.rs` `rsa_oaep.rs` `rsa_raw.rs` | the paddings |
//! | `implicit_rejection.rs` | what stands in for a plaintext whose padding is bad |
//! | `cipher.rs` | AES in its modes, in parts |
//! | `aead.rs` `ghash.rs` | AES in GCM and CCM |
//! | `messages.rs` `nonce.rs` | the same message by message, and the nonces it makes for them |
//! | `chain.rs` | blocks that are chained without being heard |
//! | `key_wrap.rs` `rsa_aes.rs` | AES key wrapping; the same with an AES key of one use under an RSA key |
//! | `mac.rs` `gmac.rs` | HMAC and CMAC; GMAC |
//! | `derivation_parameter.rs` | parameters that name other keys |
//! | `hkdf.rs` `sp800_108.rs` | derivations by HMAC and CMAC with the key in the TPM |
//! | `ecdh.rs` `simple_derivation.rs` | ECDH and its KDF; keys cut and joined, or encrypted from others |
//! | `ecdsa.rs` | ECDSA and the digests it takes |
//! | `hash.rs` `mgf1.rs` | hashes and the mask they make |
//! | `docs.rs` | docs/mechanisms.md |
//!
//! A new mechanism is a row, a function where the arithmetic is new, and a vector test.

mod aead;
mod chain;
mod cipher;
mod decryption;
mod derivation;
pub mod derivation_parameter;
mod digesting;
mod docs;
mod ecdh;
mod ecdsa;
mod encapsulation;
mod encryption;
mod ghash;
mod gmac;
pub mod hash;
mod hkdf;
mod implicit_rejection;
mod key_pair;
mod key_wrap;
mod kinds;
mod mac;
mod messages;
mod mgf1;
mod nonce;
pub mod parameter;
mod recovery;
mod row;
mod rsa;
mod rsa_aes;
mod rsa_oaep;
mod rsa_pkcs1;
mod rsa_pss;
mod rsa_raw;
mod secret_key;
mod signing;
mod simple_derivation;
mod sp800_108;
mod table;
mod task;
mod verifying;

#[cfg(test)]
mod lacking_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod soft_key;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use aead::AeadMode;
pub use decryption::Decrypting;
pub use derivation::{Deriving, Inherits, Keys, OtherKey};
pub use digesting::Digesting;
pub use docs::mechanisms_markdown;
pub use encapsulation::{Encapsulated, Encapsulating, opens_by_deriving, with_ciphertext};
pub use encryption::Encrypting;
pub use key_pair::{check_key_pair, restricted_scheme};
pub use messages::{DecryptingMessages, EncryptingMessages, Sealed, tag_len, with_nonce};
pub use recovery::Recovering;
pub use row::{BaseValue, Mechanism, RunsIn, Unwrapped, find, offered, parameter_shape};
pub use secret_key::secret_key;
pub use signing::Signing;
pub use task::KeyFacts;
pub use verifying::Verifying;
