//! The session state, derived on demand and never stored.

use cryptoki_sys::{
    CK_STATE, CKS_RO_PUBLIC_SESSION, CKS_RO_USER_FUNCTIONS, CKS_RW_PUBLIC_SESSION,
    CKS_RW_SO_FUNCTIONS, CKS_RW_USER_FUNCTIONS,
};

use crate::token::Login;

/// The state of a session (PKCS#11 v3.1, "Session states"): a login changes every session of the
/// token by changing the one `Login`.
pub fn state(login: &Login, read_write: bool) -> CK_STATE {
    match (login, read_write) {
        (Login::Public, false) => CKS_RO_PUBLIC_SESSION,
        (Login::Public, true) => CKS_RW_PUBLIC_SESSION,
        (Login::User(_), false) => CKS_RO_USER_FUNCTIONS,
        (Login::User(_), true) => CKS_RW_USER_FUNCTIONS,
        // The SO never has read-only sessions.
        (Login::SecurityOfficer(_), _) => CKS_RW_SO_FUNCTIONS,
    }
}
