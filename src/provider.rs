//! The library's life in a process: from `C_Initialize` to `C_Finalize`, and what every call of an
//! application shares.
//!
//! Locks, in the order they are taken: a session's own, [`Table`] (short), a slot's attached token,
//! the TPM's turn, the store; handles and session objects are leaves. None but the session's own is
//! held while a caller's memory is read.

use std::collections::BTreeMap;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CKF_LIBRARY_CANT_CREATE_OS_THREADS, CKF_OS_LOCKING_OK,
    CKR_ARGUMENTS_BAD, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_SESSION_CLOSED, CKR_SESSION_READ_ONLY,
    CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_WRITE_PROTECTED,
};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::object::handle::Handles;
use crate::os::environment::Environment;
use crate::os::fork_lock::ForkLock;
use crate::os::lock::Lock;
pub use crate::session::Call;
use crate::session::object::SessionObject;
use crate::session::saved_state::StateKey;
use crate::session::table::Table;
use crate::store::{Store, TokenId};
use crate::token::Attached;
use crate::tpm::engine::{Engine, HierarchyAuths};
use crate::tpm::link::Link;
use crate::tpm::transport::{self, TpmAddress};
use crate::tpm::{Abilities, Auth, Hierarchy, Status};

static LIFE: ForkLock<Option<Arc<Provider>>> = ForkLock::new(None);

/// Everything between one `C_Initialize` and its `C_Finalize`.
pub struct Provider {
    pid: u32,
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) store: Lock<Store>,
    pub(crate) table: Lock<Table>,
    pub(crate) handles: Lock<Handles>,
    pub(crate) session_objects: Lock<BTreeMap<u64, SessionObject>>,
    pub(crate) slots: [Lock<SlotState>; 4],
    pub(crate) abilities: Lock<Option<Arc<Abilities>>>,
    pub(crate) last_status: Lock<Option<Status>>,
    pub(crate) last_session_object: AtomicU64,
    pub(crate) state_key: StateKey,
}

/// What this process knows of the token in a slot.
#[derive(Default)]
pub(crate) enum SlotState {
    /// Not looked at so far.
    #[default]
    Unknown,
    /// Genuine, as of its row.
    Attached(Arc<Attached>),
    /// The token with this id was made by another TPM, or by this one before it was cleared.
    Unrecognized(TokenId),
}

/// `CK_C_INITIALIZE_ARGS`, read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InitializeArguments {
    /// Whether `pReserved` is set.
    pub reserved_set: bool,
    /// `flags`.
    pub flags: CK_FLAGS,
    /// How many of the four mutex callbacks are given.
    pub callbacks: usize,
}

/// PKCS#11 v3.1, C_Initialize. Sends no TPM command and reads nothing but the configuration.
///
/// The caller's mutex callbacks are accepted and not needed: our own locks serve.
///
/// Errors: `CKR_ARGUMENTS_BAD`, `CKR_CRYPTOKI_ALREADY_INITIALIZED`.
pub fn initialize(arguments: InitializeArguments) -> Result<()> {
    if is_initialized() {
        return Err(already_initialized());
    }
    let provider = Provider::new();
    if arguments.reserved_set && !provider.config.compatibility.nss_reserved {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "pReserved is set"));
    }
    if arguments.flags & !(CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS) != 0 {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "unknown flags"));
    }
    if !matches!(arguments.callbacks, 0 | 4) {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "some of the four mutex callbacks are missing"));
    }
    let pid = provider.pid;
    LIFE.with(|life| match life {
        Some(other) if other.pid == pid => Err(already_initialized()),
        other => {
            // A parent's provider is forgotten, not dropped: its connection, handles and database
            // belong to the parent.
            mem::forget(other.replace(Arc::new(provider)));
            Ok(())
        }
    })
}

fn already_initialized() -> Error {
    Error::new(CKR_CRYPTOKI_ALREADY_INITIALIZED, "C_Initialize was called before")
}

/// PKCS#11 v3.1, C_Finalize: closes every session, logs out, lets go of the TPM.
///
/// Errors: `CKR_CRYPTOKI_NOT_INITIALIZED`.
pub fn finalize() -> Result<()> {
    current()?;
    let provider = LIFE.with(Option::take).ok_or_else(not_initialized)?;
    for hierarchy in Hierarchy::ALL {
        provider.close(hierarchy, |table| Ok(table.close_all(hierarchy)))?;
    }
    provider.engine.close();
    drop(provider);
    crate::os::log::uninstall();
    Ok(())
}

/// Whether this process called `C_Initialize`; its parent's call does not count.
pub fn is_initialized() -> bool {
    current().is_ok()
}

/// The provider of this process.
///
/// Errors: `CKR_CRYPTOKI_NOT_INITIALIZED`, also in the forked child of a process that is.
pub fn current() -> Result<Arc<Provider>> {
    let pid = crate::os::pid();
    LIFE.with(|life| life.as_ref().filter(|provider| provider.pid == pid).cloned())
        .ok_or_else(not_initialized)
}

fn not_initialized() -> Error {
    Error::new(CKR_CRYPTOKI_NOT_INITIALIZED, "C_Initialize was not called in this process")
}

/// Runs `body` in the session `handle`, which is locked for the time.
///
/// Errors: `CKR_CRYPTOKI_NOT_INITIALIZED`, `CKR_SESSION_HANDLE_INVALID`, `CKR_SESSION_CLOSED` when
/// another thread closed it meanwhile. Functions with a session know no token: one that is gone
/// is `CKR_DEVICE_REMOVED`, one that is not recognized `CKR_DEVICE_ERROR`.
pub fn with_session<T>(
    handle: CK_SESSION_HANDLE,
    body: impl FnOnce(&mut Call<'_>) -> Result<T>,
) -> Result<T> {
    let provider = current()?;
    let cell = Arc::clone(provider.table.lock().get(handle)?);
    let session = cell.state.lock();
    if cell.is_closed() {
        return Err(Error::new(CKR_SESSION_CLOSED, "another thread closed the session"));
    }
    let login = provider.table.lock().login(cell.hierarchy);
    let mut call = Call::new(&provider, &cell, session, login);
    body(&mut call).map_err(|error| {
        call.note(&error);
        match error.ck_rv() {
            CKR_TOKEN_NOT_PRESENT => error.told_as(CKR_DEVICE_REMOVED),
            CKR_TOKEN_NOT_RECOGNIZED => {
                provider.recheck(cell.hierarchy);
                error.told_as(CKR_DEVICE_ERROR)
            }
            // Of the two, a token that nobody may write comes first.
            CKR_SESSION_READ_ONLY if provider.check_writable().is_err() => {
                error.told_as(CKR_TOKEN_WRITE_PROTECTED)
            }
            _ => error,
        }
    })
}

impl Provider {
    fn new() -> Self {
        let environment = Environment::of_process();
        let (config, problem) = Config::load(&environment);
        crate::os::log::install(&config.log);
        let link = match &problem {
            Some(problem) => {
                log::error!("{problem}");
                None
            }
            None => tpm_link(&config),
        };
        let engine = Engine::new(link, hierarchy_auths(&config));
        let store = Store::new(config.store.clone());
        Self {
            pid: crate::os::pid(),
            config,
            engine,
            store: Lock::new(store),
            table: Lock::default(),
            handles: Lock::default(),
            session_objects: Lock::default(),
            slots: Default::default(),
            abilities: Lock::default(),
            last_status: Lock::default(),
            last_session_object: AtomicU64::new(0),
            state_key: StateKey::default(),
        }
    }
}

/// The way to the configured TPM; `None`, with a line in the log, where the configuration names none.
fn tpm_link(config: &Config) -> Option<Box<dyn Link>> {
    match config.tcti.as_deref().map_or(Ok(TpmAddress::default()), str::parse) {
        Ok(address) => Some(transport::link(&address)),
        Err(error) => {
            log::error!("the TPM's address: {error}");
            None
        }
    }
}

fn hierarchy_auths(config: &Config) -> HierarchyAuths {
    let read = |path: &Option<PathBuf>| {
        let path = path.as_ref()?;
        match crate::os::file::read_secret(path) {
            Ok(value) => Some(Auth::new(&value)),
            Err(error) => {
                log::error!("{}: {error}", path.display());
                None
            }
        }
    };
    let files = &config.hierarchy_auth_files;
    HierarchyAuths {
        owner: read(&files.owner),
        endorsement: read(&files.endorsement),
        platform: read(&files.platform),
        lockout: read(&files.lockout),
    }
}
