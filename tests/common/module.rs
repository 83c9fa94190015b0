//! The built module, as an application sees it: loaded from its file, called by its lists.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::{env, ptr};

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CK_RV, CK_ULONG,
    CK_VERSION, CKR_OK,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// The module, loaded. Every `Module` of a process is the same library: tests that initialize it
/// run in processes of their own (see [`in_own_process`]), or take turns.
///
/// The lists are its own C structures; `rv!` calls a function of the newest.
pub struct Module {
    library: Library,
    list: *const CK_FUNCTION_LIST_3_2,
}

impl Module {
    /// Where it is: beside the test program. (The copy a directory above can be stale.)
    pub fn path() -> PathBuf {
        let program = env::current_exe().expect("the test program's own path");
        let path = program.with_file_name("libhierarkey.so");
        assert!(path.is_file(), "no module at {}", path.display());
        path
    }

    /// Loads it, as `dlopen(RTLD_NOW | RTLD_LOCAL)`.
    pub fn load() -> Self {
        // SAFETY: our own library; its initializers are the C runtime's.
        let library = unsafe { Library::open(Some(Self::path()), RTLD_NOW | RTLD_LOCAL) };
        let mut module = Self { library: library.expect("a loadable module"), list: ptr::null() };
        let newest = module.interface(None).expect("a default interface");
        module.list = newest.pFunctionList.cast();
        module
    }

    /// The newest list.
    pub fn list(&self) -> &CK_FUNCTION_LIST_3_2 {
        // SAFETY: it lives in the library, which is loaded as long as `self` lives.
        unsafe { &*self.list }
    }

    /// The list of `C_GetFunctionList`.
    pub fn list_2_40(&self) -> &CK_FUNCTION_LIST {
        type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;
        let get: GetFunctionList = self.symbol("C_GetFunctionList");
        let mut list = ptr::null_mut();
        // SAFETY: as C_GetFunctionList is declared; the list lives in the library.
        unsafe {
            assert_eq!(get(&raw mut list), CKR_OK);
            &*list
        }
    }

    /// The list of the interface of version 3.0.
    pub fn list_3_0(&self) -> &CK_FUNCTION_LIST_3_0 {
        let interface = self.interface(Some((3, 0))).expect("an interface of version 3.0");
        // SAFETY: the interface's version says what its list is; it lives in the library.
        unsafe { &*interface.pFunctionList.cast() }
    }

    /// The interface "PKCS 11" of a version, or the default one; what refused it otherwise.
    pub fn interface(&self, version: Option<(u8, u8)>) -> Result<CK_INTERFACE, CK_RV> {
        self.interface_named(None, version, 0)
    }

    /// `C_GetInterface`. `name` ends with a NUL.
    pub fn interface_named(
        &self,
        name: Option<&[u8]>,
        version: Option<(u8, u8)>,
        flags: CK_ULONG,
    ) -> Result<CK_INTERFACE, CK_RV> {
        type GetInterface = unsafe extern "C" fn(
            *const u8,
            *const CK_VERSION,
            *mut *const CK_INTERFACE,
            CK_ULONG,
        ) -> CK_RV;
        let get: GetInterface = self.symbol("C_GetInterface");
        let version = version.map(|(major, minor)| CK_VERSION { major, minor });
        let version = version.as_ref().map_or(ptr::null(), ptr::from_ref);
        let name = name.map_or(ptr::null(), <[u8]>::as_ptr);
        let mut interface = ptr::null();
        // SAFETY: as C_GetInterface is declared; the interface lives in the library.
        unsafe {
            match get(name, version, &raw mut interface, flags) {
                CKR_OK => Ok(*interface),
                rv => Err(rv),
            }
        }
    }

    /// An exported function, as a function pointer of type `T`.
    pub fn symbol<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the caller names the type that the specification gives the function.
        let symbol = unsafe { self.library.get::<T>(name.as_bytes()) };
        *symbol.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The functions of a list, as the array of pointers behind its version.
    ///
    /// `L` is one of the three list structures.
    pub fn functions<L>(list: &L) -> Vec<*const c_void> {
        let count = (size_of::<L>() - size_of::<usize>()) / size_of::<usize>();
        // SAFETY: each list is a version, padded to a pointer's size, and `count` pointers.
        unsafe {
            let first = ptr::from_ref(list).cast::<*const c_void>().add(1);
            (0..count).map(|index| *first.add(index)).collect()
        }
    }

    /// Unloads it.
    pub fn close(self) {
        self.library.close().expect("dlclose");
    }
}

/// Calls a function of the module's newest list and gives its `CK_RV`:
/// `rv!(module, C_Sign(session, data, len, signature, &raw mut signature_len))`.
macro_rules! rv {
    ($module:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let function = $module.list().$function.expect(stringify!($function));
        // SAFETY: the test hands over what the function's prototype asks for, or what it has to
        // refuse unread.
        #[allow(unused_unsafe)]
        unsafe { function($($argument),*) }
    }};
}
#[allow(unused_imports, reason = "each test program uses a part")]
pub(crate) use rv;

/// Settings that keep a test off the TPM and the store of the machine it runs on.
const NOTHING_OF_THIS_MACHINE: [(&str, &str); 3] = [
    ("HIERARKEY_CONF", "/dev/null"),
    ("HIERARKEY_STORE", "/nonexistent/hierarkey"),
    ("HIERARKEY_TCTI", "device:/nonexistent/tpm"),
];

/// Runs `body` in a process of its own: the module in it is fresh, and a crash of it is this
/// test's failure, not the end of all. `test` is the calling test's own name. There is no TPM and
/// no store unless [`in_own_process_with`] gives one.
pub fn in_own_process(test: &str, body: impl FnOnce()) {
    in_own_process_with(test, |_| {}, body);
}

/// As [`in_own_process`]; `prepare` sets the process's environment.
pub fn in_own_process_with(test: &str, prepare: impl FnOnce(&mut Command), body: impl FnOnce()) {
    const ONLY: &str = "HIERARKEY_TEST_IN_OWN_PROCESS";
    if env::var_os(ONLY).is_some_and(|only| only == test) {
        return body();
    }
    let mut command = Command::new(env::current_exe().expect("the test program's own path"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ONLY, test);
    for (name, value) in NOTHING_OF_THIS_MACHINE {
        command.env(name, value);
    }
    prepare(&mut command);
    let output = command.output().expect("the test program, run again");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{}:\n{said}", output.status);
    assert!(said.contains("1 passed"), "{test} is not this test's name:\n{said}");
}
