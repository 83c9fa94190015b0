//! A TPM emulator, and a store with a token that has one object of each kind.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cryptoki_sys::*;

use super::calls::Application;
use super::common::swtpm::Swtpm;
use super::common::tpm_proxy::Proxy;
use super::memory::{self, Memory};
use super::script::{self, PIN, SO_PIN};
use super::{module, template};

/// All that a target needs; made once in a process.
pub struct Scene {
    pub list: &'static CK_FUNCTION_LIST_3_2,
    pub tpm: Swtpm,
    store: tempfile::TempDir,
    /// The database, as each input finds it.
    sound: Vec<u8>,
    /// The session that keeps the login.
    anchor: AtomicUsize,
}

impl Scene {
    pub fn new() -> Self {
        let store = ["/dev/shm", "/tmp"]
            .into_iter()
            .find_map(|place| tempfile::Builder::new().prefix("hk-fuzz-").tempdir_in(place).ok())
            .expect("a temporary directory");
        let configuration = store.path().join("hierarkey.toml");
        std::fs::write(&configuration, "").expect("a configuration");
        // The emulator ends with the fuzzer, however that ends: see bin/swtpm.
        let path = std::env::var("PATH").unwrap_or_default();
        set("PATH", &format!("{}/bin:{path}", env!("CARGO_MANIFEST_DIR")));
        let tpm = Swtpm::start();
        // Wrong PINs are inputs too, and the next input wants to log in.
        tpm.set_lockout(u32::MAX, 0);
        set("HIERARKEY_TCTI", &tpm.tcti());
        set("HIERARKEY_STORE", &store.path().display().to_string());
        set("HIERARKEY_CONF", &configuration.display().to_string());
        let mut scene = Self {
            list: module::load(),
            tpm,
            store,
            sound: Vec::new(),
            anchor: AtomicUsize::new(0),
        };
        scene.furnish();
        scene
    }

    /// From now on the module reaches the emulator through a proxy.
    pub fn behind(&self) -> Proxy {
        let proxy = Proxy::before(&self.tpm);
        set("HIERARKEY_TCTI", &proxy.tcti());
        proxy
    }

    pub fn database(&self) -> PathBuf {
        self.store.path().join("hierarkey.sqlite3")
    }

    fn furnish(&mut self) {
        let list = self.list;
        script::must(list, "C_Initialize", &[0]);
        let mut memory = Memory::new();
        let (pin, so_pin) = (memory.copy(PIN), memory.copy(SO_PIN));
        let label = memory.copy(&[b' '; 32]);
        script::must(list, "C_InitToken", &[0, so_pin, SO_PIN.len(), label]);
        let session = script::open(list).expect("a session");
        script::must(list, "C_Login", &[session, 0, so_pin, SO_PIN.len()]);
        script::must(list, "C_InitPIN", &[session, pin, PIN.len()]);
        script::must(list, "C_Logout", &[session]);
        script::must(list, "C_Login", &[session, 1, pin, PIN.len()]);
        for object in template::objects() {
            let on_token =
                template::Entry { kind: CKA_TOKEN, value: template::Value::Bytes(vec![1]) };
            let entries = [object, vec![on_token]].concat();
            let (start, count) = template::place(&mut memory, &entries);
            let handle = memory.zeros(8);
            script::must(list, "C_CreateObject", &[session, start, count, handle]);
        }
        script::must(list, "C_Finalize", &[0]);
        self.sound = std::fs::read(self.database()).expect("the database");
    }

    /// The library not initialized, and the store as it was.
    pub fn reset(&self) {
        script::raw(self.list, "C_Finalize", &[0]);
        self.put(&self.sound);
    }

    /// The store's database.
    pub fn sound(&self) -> &[u8] {
        &self.sound
    }

    /// Writes the database if it says something else.
    pub fn put(&self, bytes: &[u8]) {
        let file = self.database();
        for beside in ["-journal", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
        }
        if std::fs::read(&file).ok().as_deref() != Some(bytes) {
            std::fs::write(&file, bytes).expect("the database");
        }
    }

    /// An application with two sessions, the user logged in, and all objects' handles.
    ///
    /// Logging in takes the TPM longer than most calls: the login before is kept where the last
    /// input left it and the store as they were.
    pub fn application(&self) -> Application<'_> {
        if !self.is_ready() {
            self.reset();
            script::must(self.list, "C_Initialize", &[0]);
            let anchor = script::open(self.list).expect("a session");
            script::log_in(self.list, anchor);
            self.anchor.store(anchor, Ordering::SeqCst);
        }
        let sessions: Vec<u64> =
            (0..2).map(|_| script::open(self.list).expect("a session") as u64).collect();
        let handles = script::find(self.list, sessions[0] as usize);
        assert!(handles.len() >= template::objects().len(), "{} objects", handles.len());
        Application {
            list: self.list,
            sessions,
            handles,
            pool: Vec::new(),
            judge: module::no_failure,
        }
    }

    /// Runs what an input has for an application.
    pub fn run(&self, run: impl FnOnce(&mut Application<'_>)) {
        let mut application = self.application();
        run(&mut application);
        // With them go their objects and operations.
        for session in application.sessions {
            script::raw(self.list, "C_CloseSession", &[session as usize]);
        }
    }

    /// Whether the user is in and the store is as it was.
    fn is_ready(&self) -> bool {
        let mut memory = Memory::new();
        let info = memory.zeros(size_of::<CK_SESSION_INFO>());
        let anchor = self.anchor.load(Ordering::SeqCst);
        script::raw(self.list, "C_GetSessionInfo", &[anchor, info]) == CKR_OK
            && memory::number(info + 8) == CKS_RW_USER_FUNCTIONS
            && std::fs::read(self.database()).is_ok_and(|bytes| bytes == self.sound)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::disallowed_methods)] // A fuzzer's process is its own.
fn set(name: &str, value: &str) {
    // SAFETY: a target sets its scene before it starts a thread.
    unsafe { std::env::set_var(name, value) };
}
