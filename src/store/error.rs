//! What goes wrong below, as PKCS#11 names it. The one place where SQLite's and the file system's
//! errors become a `CKR_`.

use std::error::Error as StdError;
use std::io::ErrorKind;

use cryptoki_sys::{
    CK_RV, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_DEVICE_REMOVED, CKR_FUNCTION_FAILED,
    CKR_GENERAL_ERROR, CKR_HOST_MEMORY, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED,
    CKR_TOKEN_WRITE_PROTECTED,
};
use rusqlite::{ErrorCode, ffi};

use crate::error::{About, Error};
use crate::os::directory::Distrust;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let failed = error.sqlite_error();
        let rv = failed.map_or(CKR_TOKEN_NOT_RECOGNIZED, ck_rv);
        let (why, about) = match failed.map(|failed| (failed.code, failed.extended_code)) {
            // Not damage, though SQLite's words sound of it.
            Some((_, ffi::SQLITE_READONLY_ROLLBACK)) => (
                "the store has a change that was interrupted, until a user opens it who may write it",
                About::InterruptedStore,
            ),
            Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => {
                ("the store is held by another program", About::BusyStore)
            }
            _ => ("the store", About::Store),
        };
        Self::because(rv, why, error).concerning(about)
    }
}

/// Every SQLite error, SQLITE_ERROR and a column of a wrong type included, that a sound file cannot
/// give with our fixed statements is `CKR_TOKEN_NOT_RECOGNIZED`: the file is damaged or not ours.
fn ck_rv(error: &ffi::Error) -> CK_RV {
    match error.extended_code {
        // Another process died in a transaction and only who may write can roll it back, or the
        // file was moved away from under us: this call failed, the next may find all well.
        ffi::SQLITE_READONLY_ROLLBACK
        | ffi::SQLITE_READONLY_RECOVERY
        | ffi::SQLITE_READONLY_DBMOVED => return CKR_FUNCTION_FAILED,
        ffi::SQLITE_IOERR_NOMEM => return CKR_HOST_MEMORY,
        // The token of this row is not there: another process initialised it anew.
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return CKR_DEVICE_REMOVED,
        _ => {}
    }
    match error.code {
        ErrorCode::DiskFull | ErrorCode::TooBig => CKR_DEVICE_MEMORY,
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => CKR_DEVICE_ERROR,
        ErrorCode::OutOfMemory => CKR_HOST_MEMORY,
        ErrorCode::ReadOnly => CKR_TOKEN_WRITE_PROTECTED,
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            CKR_TOKEN_NOT_PRESENT
        }
        // Ten seconds of waiting for others were not enough. Nothing was changed.
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => CKR_FUNCTION_FAILED,
        ErrorCode::ConstraintViolation
        | ErrorCode::ApiMisuse
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::InternalMalfunction
        | ErrorCode::OperationAborted
        | ErrorCode::OperationInterrupted => CKR_GENERAL_ERROR,
        _ => CKR_TOKEN_NOT_RECOGNIZED,
    }
}

/// Whether SQLite found the file damaged, rather than unreachable.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// A store that cannot be opened is a token that is not there: the application goes on without.
pub(super) fn unreachable(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => absent("the store cannot be opened", error),
        _ => error.into(),
    }
}

/// A place that is not to be trusted or cannot be read holds no token.
pub(super) fn distrusted(distrust: Distrust) -> Error {
    absent("the store is not used", distrust)
}

/// Without a store there is no token.
fn absent(why: &'static str, cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::because(CKR_TOKEN_NOT_PRESENT, why, cause).concerning(About::Store)
}

/// A place where nothing can be made.
pub(super) fn not_created(distrust: Distrust) -> Error {
    let rv = match distrust.io_error().map(std::io::Error::kind) {
        Some(
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory,
        ) => CKR_TOKEN_WRITE_PROTECTED,
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => CKR_DEVICE_MEMORY,
        Some(_) => CKR_DEVICE_ERROR,
        None => CKR_TOKEN_NOT_PRESENT,
    };
    Error::because(rv, "the store cannot be created", distrust).concerning(About::Store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_do_to_the_store_is_told_from_damage() {
        for (code, said, rv) in [
            (ffi::SQLITE_READONLY_ROLLBACK, "was interrupted", CKR_FUNCTION_FAILED),
            (ffi::SQLITE_BUSY, "held by another program", CKR_FUNCTION_FAILED),
            (ffi::SQLITE_CORRUPT, "the store (", CKR_TOKEN_NOT_RECOGNIZED),
        ] {
            let error = Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!(error.ck_rv(), rv);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
