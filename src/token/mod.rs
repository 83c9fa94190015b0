//! LAYER 2: a token is what the store holds for one hierarchy, opened by that hierarchy's seed.
//!
//! | file | what |
//! |---|---|
//! | `secrets.rs` | what U, S and P seal; PIN and key authValues |
//! | `access.rs` | from a slot to its token; `C_InitToken` |
//! | `attached.rs` | a token this process has read and found genuine |
//! | `login.rs` | PIN -> TPM authorization; who is in |
//! | `init.rs` | `C_InitToken`, `C_InitPIN`, `C_SetPIN` |
//!
//! Three sealed objects hold a token together: U (opened by the user's PIN) seals the user secret
//! and the public secret, S (opened by the security officer's) seals the public secret and the
//! officer's, P (opened by anybody who may use the TPM) seals the public secret alone.

pub(crate) mod access;
pub mod attached;
pub mod init;
pub mod login;
pub mod secrets;

pub use attached::Attached;
pub use login::{Login, OfficerLogin, UserLogin};
