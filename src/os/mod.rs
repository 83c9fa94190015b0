//! The process we live in: somebody else's. Knows nothing of PKCS#11, of the TPM, or of SQL.
//!
//! | file | what |
//! |---|---|
//! | `environment.rs` | the environment as a library may trust it, setuid hosts included |
//! | `directory.rs` | where the store lies, and whether others could have changed it |
//! | `descriptor.rs` | descriptors that we were started with |
//! | `file.rs` | small files of an administrator: the configuration, authorization values |
//! | `log.rs` | where log lines go: nowhere, a file, syslog, stderr when asked |
//! | `panic.rs` | a panic's text goes to the log, never to the host's stderr |
//! | `secret.rs` | memory for secrets that live long: locked, not dumped, wiped |
//! | `fork_lock.rs` | the one lock that a forked child may take whoever held it |
//! | `lock.rs` | a mutex that a panic does not poison |
//!
//! Errors here are `std::io::Error` and this folder's own; the layers above name a `CKR_` for them.

pub mod descriptor;
pub mod directory;
pub mod environment;
pub mod file;
pub mod fork_lock;
pub mod lock;
pub mod log;
pub mod panic;
pub mod secret;

/// The number of this process, asked anew each time: a forked child has another one.
pub fn pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().cast_unsigned()
}
