//! General-purpose functions, and the answers that many functions share.

use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_INFO, CK_SESSION_HANDLE, CK_VERSION, CK_VOID_PTR, CKR_ARGUMENTS_BAD,
    CKR_FUNCTION_NOT_PARALLEL, CKR_FUNCTION_NOT_SUPPORTED,
};

use super::scalar::Out;
use crate::error::{Error, Result};
use crate::provider::{self, InitializeArguments};
use crate::slot::{MANUFACTURER, blank_padded};

/// What this library is, as `C_GetInfo` says it.
const DESCRIPTION: &str = "PKCS#11 keys in a TPM 2.0";

/// The pointer to the arguments of `C_Initialize`.
pub(super) struct Initialization(CK_VOID_PTR);

impl Initialization {
    /// Takes down the caller's pointer; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `arguments` is not NULL it points to a readable `CK_C_INITIALIZE_ARGS`.
    pub(super) unsafe fn new(arguments: CK_VOID_PTR) -> Self {
        Self(arguments)
    }

    fn read(&self) -> InitializeArguments {
        if self.0.is_null() {
            return InitializeArguments::default();
        }
        // SAFETY: not NULL, so it points to the structure by `new`'s contract.
        let given = unsafe { self.0.cast::<CK_C_INITIALIZE_ARGS>().read_unaligned() };
        let callbacks = [
            given.CreateMutex.is_some(),
            given.DestroyMutex.is_some(),
            given.LockMutex.is_some(),
            given.UnlockMutex.is_some(),
        ];
        InitializeArguments {
            reserved_set: !given.pReserved.is_null(),
            flags: given.flags,
            callbacks: callbacks.into_iter().filter(|set| *set).count(),
        }
    }
}

/// `C_Initialize`.
pub(super) fn initialize(arguments: Initialization) -> Result<()> {
    provider::initialize(arguments.read())
}

/// `C_Finalize`.
pub(super) fn finalize(reserved: CK_VOID_PTR) -> Result<()> {
    provider::current()?;
    expect_null(reserved)?;
    provider::finalize()
}

/// `C_GetInfo`, as the function list of `version` answers it.
pub(super) fn info(version: CK_VERSION, info: Out<'_, CK_INFO>) -> Result<()> {
    provider::current()?;
    info.fill(|| {
        Ok(CK_INFO {
            cryptokiVersion: version,
            manufacturerID: blank_padded(MANUFACTURER),
            flags: 0,
            libraryDescription: blank_padded(DESCRIPTION),
            libraryVersion: LIBRARY_VERSION,
        })
    })
}

/// A function that this module does not offer; a bad session is told first.
///
/// Errors: what the session gets; `CKR_FUNCTION_NOT_SUPPORTED`.
pub(super) fn not_offered(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |_| {
        Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "this function is not offered"))
    })
}

/// `C_GetFunctionStatus` and `C_CancelFunction`, which have had no meaning since version 2.0.
pub(super) fn not_parallel(session: CK_SESSION_HANDLE) -> Result<()> {
    provider::with_session(session, |_| {
        Err(Error::new(CKR_FUNCTION_NOT_PARALLEL, "no function runs in parallel"))
    })
}

/// A pointer that the specification keeps for later editions. Errors: `CKR_ARGUMENTS_BAD`.
pub(super) fn expect_null(reserved: CK_VOID_PTR) -> Result<()> {
    if !reserved.is_null() {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "a reserved pointer is not NULL"));
    }
    Ok(())
}

/// The version in Cargo.toml.
const LIBRARY_VERSION: CK_VERSION = CK_VERSION {
    major: number(env!("CARGO_PKG_VERSION_MAJOR")),
    minor: number(env!("CARGO_PKG_VERSION_MINOR")),
};

/// A decimal number as a version's byte.
const fn number(digits: &str) -> u8 {
    match u8::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_information_hold_their_whole_text() {
        assert_eq!(&blank_padded::<32>(MANUFACTURER), b"Hierarkey                       ");
        assert!(DESCRIPTION.len() <= 32 && DESCRIPTION.is_ascii());
    }

    #[test]
    fn the_library_version_is_the_packages() {
        let text = format!("{}.{}.", LIBRARY_VERSION.major, LIBRARY_VERSION.minor);
        assert!(env!("CARGO_PKG_VERSION").starts_with(&text), "{text}");
    }
}
