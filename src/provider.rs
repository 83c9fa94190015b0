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
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{
    CK_FLAGS, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG,
    CKF_ASYNC_SESSION, CKF_DONT_BLOCK, CKF_LIBRARY_CANT_CREATE_OS_THREADS, CKF_OS_LOCKING_OK,
    CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR_ARGUMENTS_BAD, CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_FUNCTION_NOT_SUPPORTED,
    CKR_NO_EVENT, CKR_SESSION_ASYNC_NOT_SUPPORTED, CKR_SESSION_CLOSED,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED, CKR_SESSION_READ_ONLY, CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_WRITE_PROTECTED,
};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::mechanism;
use crate::object::handle::{Handles, ObjectKey};
use crate::os::environment::Environment;
use crate::os::fork_lock::ForkLock;
use crate::os::lock::Lock;
pub use crate::session::Call;
use crate::session::object::SessionObject;
use crate::session::saved_state::StateKey;
use crate::session::table::{Closed, Table};
use crate::slot::{hierarchy_of, slot_of};
use crate::store::{Store, TokenId, TokenRow};
use crate::token::Attached;
use crate::tpm::engine::{Engine, HierarchyAuths};
use crate::tpm::link::Link;
use crate::tpm::transport::{self, TpmAddress};
use crate::tpm::{Abilities, Auth, Blob, Hierarchy, Status, Tpm};

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
    last_session_object: AtomicU64,
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
            None => tpm_link(&config, &environment),
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

    /// PKCS#11 v3.1, C_OpenSession. Sends no TPM command.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_SESSION_PARALLEL_NOT_SUPPORTED` (no CKF_SERIAL_SESSION),
    /// `CKR_SESSION_ASYNC_NOT_SUPPORTED`, `CKR_ARGUMENTS_BAD` (unknown flags), `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`,
    /// `CKR_SESSION_COUNT`, `CKR_SESSION_READ_WRITE_SO_EXISTS`.
    pub fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
        let hierarchy = hierarchy_of(slot)?;
        if flags & CKF_SERIAL_SESSION == 0 {
            let why = "CKF_SERIAL_SESSION is not set";
            return Err(Error::new(CKR_SESSION_PARALLEL_NOT_SUPPORTED, why));
        }
        if flags & CKF_ASYNC_SESSION != 0 {
            return Err(Error::new(CKR_SESSION_ASYNC_NOT_SUPPORTED, "calls are synchronous here"));
        }
        if flags & !(CKF_SERIAL_SESSION | CKF_RW_SESSION) != 0 {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "unknown session flags"));
        }
        self.check_present(hierarchy)?;
        self.table.lock().open(hierarchy, flags & CKF_RW_SESSION != 0)
    }

    /// PKCS#11 v3.1, C_WaitForSlotEvent: slots here never change but by this application's own calls.
    ///
    /// Errors: `CKR_NO_EVENT` with CKF_DONT_BLOCK; otherwise `CKR_FUNCTION_NOT_SUPPORTED`, because a
    /// host that cancels a thread waiting in here would leave it undefined.
    pub fn wait_for_slot_event(&self, flags: CK_FLAGS) -> Result<CK_SLOT_ID> {
        if flags & CKF_DONT_BLOCK != 0 {
            return Err(Error::new(CKR_NO_EVENT, "slots have no events"));
        }
        Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "waiting for a slot is not offered"))
    }

    /// PKCS#11 v3.1, C_CloseSession.
    ///
    /// Errors: `CKR_SESSION_HANDLE_INVALID`.
    pub fn close_session(&self, handle: CK_SESSION_HANDLE) -> Result<()> {
        let hierarchy = self.table.lock().get(handle)?.hierarchy;
        self.close(hierarchy, |table| table.close(handle))
    }

    /// PKCS#11 v3.1, C_CloseAllSessions.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`.
    pub fn close_all_sessions(&self, slot: CK_SLOT_ID) -> Result<()> {
        let hierarchy = hierarchy_of(slot)?;
        self.close(hierarchy, |table| Ok(table.close_all(hierarchy)))
    }

    /// Closes the sessions that `take` takes out, and destroys what dies with them, once the calls
    /// still running in them are done: what such a call makes dies as well.
    fn close(
        &self,
        hierarchy: Hierarchy,
        take: impl FnOnce(&mut Table) -> Result<Closed>,
    ) -> Result<()> {
        let (cells, private) = {
            let mut table = self.table.lock();
            let Closed { cells, logged_out } = take(&mut table)?;
            (cells, if logged_out { self.drop_private(hierarchy) } else { Vec::new() })
        };
        self.forget_keys(&private);
        for cell in &cells {
            *cell.state.lock() = Default::default();
        }
        let owners: Vec<_> = cells.iter().map(|cell| cell.handle).collect();
        let own = self.drop_session_objects(hierarchy, |object| owners.contains(&object.owner));
        self.forget_keys(&own);
        Ok(())
    }

    /// PKCS#11 v3.1, C_Logout, for all sessions of the application on a slot; whether somebody was
    /// in.
    pub(crate) fn log_out(&self, hierarchy: Hierarchy) -> bool {
        let private = {
            let mut table = self.table.lock();
            if !table.log_out(hierarchy) {
                return false;
            }
            self.drop_private(hierarchy)
        };
        self.forget_keys(&private);
        true
    }

    /// ulSessionCount and ulRwSessionCount of a slot.
    pub(crate) fn session_counts(&self, hierarchy: Hierarchy) -> (CK_ULONG, CK_ULONG) {
        let table = self.table.lock();
        table.on(hierarchy).fold((0, 0), |(all, read_write), cell| {
            (all + 1, read_write + CK_ULONG::from(cell.read_write))
        })
    }

    /// PKCS#11 v3.1, C_GetMechanismList.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`.
    pub fn mechanism_list(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>> {
        let hierarchy = hierarchy_of(slot)?;
        self.check_present(hierarchy)?;
        let abilities = self.abilities(hierarchy)?;
        Ok(mechanism::offered(&abilities).map(|row| row.ckm).collect())
    }

    /// PKCS#11 v3.1, C_GetMechanismInfo.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`, `CKR_MECHANISM_INVALID`.
    pub fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        ckm: CK_MECHANISM_TYPE,
    ) -> Result<CK_MECHANISM_INFO> {
        let hierarchy = hierarchy_of(slot)?;
        self.check_present(hierarchy)?;
        let abilities = self.abilities(hierarchy)?;
        Ok(mechanism::find(ckm, &abilities)?.info(&abilities))
    }

    /// What the TPM can do: asked once in a process, or known from the token's row, if the TPM
    /// still has the firmware that it was written under.
    pub(crate) fn abilities(&self, hierarchy: Hierarchy) -> Result<Arc<Abilities>> {
        if let Some(abilities) = &*self.abilities.lock() {
            return Ok(Arc::clone(abilities));
        }
        // A row is believed only once the TPM has vouched for it.
        let token = self.token(hierarchy).ok().flatten();
        let kept =
            token.as_ref().and_then(|token| Abilities::from_bytes(&token.row.abilities).ok());
        let abilities = {
            let mut turn = self.engine.turn()?;
            if let Some(kept) = kept.clone() {
                turn.set_abilities(kept);
            }
            Arc::new(turn.abilities()?)
        };
        if let Some(token) = token.filter(|_| kept.as_ref() != Some(&*abilities)) {
            let changed = TokenRow {
                firmware: abilities.firmware.version,
                abilities: abilities.to_bytes(),
                ..token.row.clone()
            };
            if let Err(error) = self.update_token(hierarchy, &token, changed) {
                log::debug!("the TPM's new abilities are not kept: {error}");
            }
        }
        *self.abilities.lock() = Some(Arc::clone(&abilities));
        Ok(abilities)
    }

    /// Adds an object of a session; its id among session objects.
    pub(crate) fn add_session_object(&self, object: SessionObject) -> u64 {
        let id = self.last_session_object.fetch_add(1, Ordering::Relaxed);
        self.session_objects.lock().insert(id, object);
        id
    }

    /// A logout: private handles become invalid for good, private session objects are destroyed.
    /// Gives the keys that went. The caller has the table still locked: whoever logs in next loses
    /// nothing of their own.
    fn drop_private(&self, hierarchy: Hierarchy) -> Vec<Blob> {
        self.handles.lock().drop_private(slot_of(hierarchy));
        self.drop_session_objects(hierarchy, |object| object.attributes.is_private())
    }

    fn drop_session_objects(
        &self,
        hierarchy: Hierarchy,
        mut goes: impl FnMut(&SessionObject) -> bool,
    ) -> Vec<Blob> {
        let mut blobs = Vec::new();
        let mut gone = Vec::new();
        self.session_objects.lock().retain(|id, object| {
            let stays = object.hierarchy != hierarchy || !goes(object);
            if !stays {
                gone.push(*id);
                blobs.extend(object.key.take().map(|key| key.blob));
            }
            stays
        });
        let mut handles = self.handles.lock();
        for id in gone {
            handles.drop_object(slot_of(hierarchy), ObjectKey::Session(id));
        }
        blobs
    }

    /// Lets go of keys that may still be loaded in the TPM.
    pub(crate) fn forget_keys(&self, blobs: &[Blob]) {
        if blobs.is_empty() {
            return;
        }
        match self.engine.turn() {
            Ok(mut turn) => blobs.iter().for_each(|blob| turn.forget(blob)),
            Err(error) => log::debug!("keys stay loaded: {error}"),
        }
    }
}

/// The way to the configured TPM; `None`, with a line in the log, where the configuration names none.
fn tpm_link(config: &Config, environment: &Environment) -> Option<Box<dyn Link>> {
    match config.tcti.as_deref().map_or(Ok(TpmAddress::default()), str::parse) {
        Ok(address) => Some(transport::link(&address, environment.runtime_directory())),
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
