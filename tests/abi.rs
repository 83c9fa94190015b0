//! The module as a shared library: what it exports, what it needs, what its lists hold, and that no
//! argument of an application's makes it crash.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;
use std::{fs, mem, ptr, slice};

use cryptoki_sys::*;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

#[path = "common/guarded.rs"]
mod guarded;
#[path = "common/module.rs"]
mod module;
#[path = "common/prototypes.rs"]
mod prototypes;
#[allow(dead_code, reason = "each test program uses a part")]
#[path = "common/swtpm.rs"]
mod swtpm;

use guarded::Guarded;
use module::{Module, in_own_process, in_own_process_with, rv};
use prototypes::{Any, PROTOTYPES};
use swtpm::Swtpm;

/// Another module whose C_ functions can come before ours in a process's global scope.
const OTHER_MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

const NULL: *mut c_void = ptr::null_mut();

/// The file that is mapped at `address`.
fn mapped_from(address: *const c_void) -> String {
    let address = address as usize;
    let maps = fs::read_to_string("/proc/self/maps").expect("this process's mappings");
    let line = maps.lines().find(|line| {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let parse = |hex| usize::from_str_radix(hex, 16).expect("a hexadecimal address");
        (parse(from)..parse(to)).contains(&address)
    });
    line.and_then(|line| line.split_whitespace().nth(5)).unwrap_or_default().to_owned()
}

fn assert_ours(functions: &[*const c_void]) {
    let ours = Module::path().canonicalize().expect("the module's path");
    for (function, (name, _)) in functions.iter().zip(PROTOTYPES) {
        assert!(!function.is_null(), "{name} is NULL");
        assert_eq!(Path::new(&mapped_from(*function)), ours, "{name}");
    }
}

fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(Module::path()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn only_the_functions_of_the_specification_are_exported() {
    let symbols = tool("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<&str> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(exported, PROTOTYPES.iter().map(|(name, _)| *name).collect());
}

#[test]
fn no_library_is_needed_that_a_host_might_bring_in_another_version() {
    const ALLOWED: [&str; 5] = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libtss2-mu.so"];
    let dynamic = tool("readelf", &["-d", "-W"]);
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<&str> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{dynamic}");
    let strange = |name: &&str| !ALLOWED.iter().any(|allowed| name.starts_with(allowed));
    assert_eq!(needed.into_iter().filter(strange).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_module_can_be_unloaded_and_is_known_by_its_plain_name() {
    let dynamic = tool("readelf", &["-d", "-W"]);
    assert!(dynamic.contains("[libhierarkey.so]"), "{dynamic}");
    assert!(!dynamic.contains("NODELETE"), "{dynamic}");
    assert!(dynamic.contains("NOW"), "{dynamic}");
}

#[test]
fn c014_every_list_is_complete_and_says_its_version() {
    let module = Module::load();
    let version = |version: CK_VERSION| (version.major, version.minor);
    assert_eq!(version(module.list_2_40().version), (2, 40));
    assert_eq!(version(module.list_3_0().version), (3, 0));
    assert_eq!(version(module.list().version), (3, 2));
    let functions = [
        Module::functions(module.list_2_40()),
        Module::functions(module.list_3_0()),
        Module::functions(module.list()),
    ];
    assert_eq!(functions.each_ref().map(Vec::len), [68, 92, 104]);
    for functions in functions {
        assert_ours(&functions);
        for (function, (name, _)) in functions.iter().zip(PROTOTYPES) {
            // Each list has its own C_GetInfo, which tells the list's version.
            if name != "C_GetInfo" {
                assert_eq!(*function, module.symbol::<*const c_void>(name), "{name}");
            }
        }
    }
}

#[test]
fn c014_the_lists_hold_our_own_functions_after_another_module_was_loaded_globally() {
    in_own_process(
        "c014_the_lists_hold_our_own_functions_after_another_module_was_loaded_globally",
        || {
            assert!(Path::new(OTHER_MODULE).exists(), "this test needs {OTHER_MODULE}");
            // SAFETY: a library made to be loaded.
            let other = unsafe { Library::open(Some(OTHER_MODULE), RTLD_NOW | RTLD_GLOBAL) };
            let other = other.expect("the other module");
            let module = Module::load();
            assert_ours(&Module::functions(module.list_2_40()));
            assert_ours(&Module::functions(module.list_3_0()));
            assert_ours(&Module::functions(module.list()));
            module.close();
            other.close().expect("dlclose");
        },
    );
}

#[test]
fn c014_interfaces_are_found_by_name_and_version() {
    let module = Module::load();
    let version_of = |interface: Result<CK_INTERFACE, CK_RV>| {
        let interface = interface?;
        // SAFETY: the name and the list of an interface that the library gave.
        unsafe {
            assert_eq!(slice::from_raw_parts(interface.pInterfaceName, 8), b"PKCS 11\0");
            let version = *interface.pFunctionList.cast::<CK_VERSION>();
            Ok((version.major, version.minor))
        }
    };
    let find = |name, version, flags| version_of(module.interface_named(name, version, flags));
    let name = Some(&b"PKCS 11\0"[..]);
    for version in [(2, 40), (3, 0), (3, 2)] {
        assert_eq!(find(name, Some(version), 0), Ok(version));
        assert_eq!(find(None, Some(version), 0), Ok(version));
    }
    assert_eq!(find(None, None, 0), Ok((3, 2)));
    assert_eq!(find(name, None, 0), Ok((3, 2)));
    assert_eq!(find(name, None, CKF_INTERFACE_FORK_SAFE), Ok((3, 2)));
    for other in [&b"\0"[..], b"PKCS 1\0", b"PKCS 11 \0", b"PKCS\0", b"pkcs 11\0", b"Vendor\0"] {
        assert_eq!(find(Some(other), None, 0), Err(CKR_ARGUMENTS_BAD), "{other:?}");
    }
    for version in [(2, 0), (2, 39), (3, 1), (3, 3), (0, 0), (4, 0)] {
        assert_eq!(find(name, Some(version), 0), Err(CKR_ARGUMENTS_BAD), "{version:?}");
    }
    assert_eq!(find(name, None, 2), Err(CKR_ARGUMENTS_BAD), "an unknown flag");
}

#[test]
fn c014_the_interface_list_follows_the_two_call_convention() {
    let module = Module::load();
    let mut count = 77;
    assert_eq!(rv!(module, C_GetInterfaceList(ptr::null_mut(), &raw mut count)), CKR_OK);
    assert_eq!(count, 3);
    let absent = CK_INTERFACE { pInterfaceName: ptr::null_mut(), pFunctionList: NULL, flags: 0xA5 };
    let mut list = [absent; 4];
    count = 2;
    let told = rv!(module, C_GetInterfaceList(list.as_mut_ptr(), &raw mut count));
    assert_eq!((told, count), (CKR_BUFFER_TOO_SMALL, 3));
    assert!(list[0].pFunctionList.is_null(), "a short list was written");
    assert_eq!(rv!(module, C_GetInterfaceList(list.as_mut_ptr(), &raw mut count)), CKR_OK);
    assert_eq!(list.map(|interface| interface.flags), [1, 1, 1, 0xA5]);
    let newest = list[0].pFunctionList.cast_const();
    assert_eq!(newest, ptr::from_ref(module.list()).cast(), "the newest comes first");
    let told = rv!(module, C_GetInterfaceList(list.as_mut_ptr(), ptr::null_mut()));
    assert_eq!(told, CKR_ARGUMENTS_BAD);
}

#[test]
fn c013_each_list_tells_its_own_version() {
    in_own_process("c013_each_list_tells_its_own_version", || {
        let module = Module::load();
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        let functions = [
            (module.list_2_40().C_GetInfo, (2, 40)),
            (module.list_3_0().C_GetInfo, (3, 0)),
            (module.list().C_GetInfo, (3, 2)),
        ];
        for (function, version) in functions {
            let mut info = CK_INFO::default();
            // SAFETY: as C_GetInfo is declared.
            assert_eq!(unsafe { function.expect("C_GetInfo")(&raw mut info) }, CKR_OK);
            assert_eq!((info.cryptokiVersion.major, info.cryptokiVersion.minor), version);
            assert_eq!(&info.manufacturerID, b"Hierarkey                       ");
            assert!(!info.libraryDescription.contains(&0), "the description holds a NUL");
        }
    });
}

/// Calls `name` with NULL for each pointer, `session` for the session, `number` for the others.
fn with_null(module: &Module, name: &str, session: usize, number: usize) -> CK_RV {
    let at = PROTOTYPES.iter().position(|(other, _)| *other == name).expect("a known function");
    let arguments = PROTOTYPES[at].1.chars().map(|kind| match kind {
        's' => session,
        'n' => number,
        _ => 0,
    });
    let mut a: Vec<usize> = arguments.collect();
    a.resize(10, 0);
    // SAFETY: integers and NULLs go where the C calling convention has them for any prototype of
    // at most ten such arguments.
    unsafe {
        let function: Any = mem::transmute(Module::functions(module.list())[at]);
        function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9])
    }
}

const NUMBERS: [usize; 6] = [0, 1, 3, 1 << 31, usize::MAX >> 1, usize::MAX];

/// Usable at any time.
const ALWAYS: [&str; 3] = ["C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];
/// These change which calls are valid at all.
const LIFE_CYCLE: [&str; 2] = ["C_Initialize", "C_Finalize"];

#[test]
fn c001_nothing_but_the_lists_works_before_initialize_and_null_does_no_harm() {
    in_own_process(
        "c001_nothing_but_the_lists_works_before_initialize_and_null_does_no_harm",
        || {
            let module = Module::load();
            for (name, _) in PROTOTYPES {
                for number in NUMBERS {
                    let expected = match name {
                        "C_Initialize" => continue,
                        name if ALWAYS.contains(&name) => CKR_ARGUMENTS_BAD,
                        _ => CKR_CRYPTOKI_NOT_INITIALIZED,
                    };
                    let told = with_null(&module, name, number, number);
                    assert_eq!(told, expected, "{name} with {number:#x}");
                }
            }
        },
    );
}

#[test]
fn c068_a_bad_session_wins_over_every_other_bad_argument() {
    in_own_process("c068_a_bad_session_wins_over_every_other_bad_argument", || {
        let module = Module::load();
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        for (name, _) in PROTOTYPES.iter().filter(|(_, arguments)| arguments.contains('s')) {
            for number in NUMBERS {
                for session in [0, usize::MAX, 1 << 40] {
                    let told = with_null(&module, name, session, number);
                    assert_eq!(told, CKR_SESSION_HANDLE_INVALID, "{name} with {number:#x}");
                }
            }
        }
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
    });
}

#[test]
fn null_and_any_number_in_every_function_do_no_harm_after_initialize() {
    with_tpm("null_and_any_number_in_every_function_do_no_harm_after_initialize", || {
        let module = Module::load();
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        for (name, _) in PROTOTYPES.iter().filter(|(name, _)| !LIFE_CYCLE.contains(name)) {
            for number in NUMBERS {
                let session = open_session(&module);
                let told = with_null(&module, name, session as usize, number);
                assert_ne!(told, CKR_GENERAL_ERROR, "{name} with {number:#x}");
                if ALWAYS.contains(name) {
                    assert_eq!(told, CKR_ARGUMENTS_BAD, "{name} with {number:#x}");
                }
            }
        }
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
    });
}

#[test]
fn c008_finalize_with_an_argument_leaves_the_library_initialized() {
    in_own_process("c008_finalize_with_an_argument_leaves_the_library_initialized", || {
        let module = Module::load();
        let mut something = 0u8;
        let something = (&raw mut something).cast();
        assert_eq!(rv!(module, C_Finalize(something)), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        assert_eq!(rv!(module, C_Finalize(something)), CKR_ARGUMENTS_BAD);
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_CRYPTOKI_ALREADY_INITIALIZED);
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_CRYPTOKI_NOT_INITIALIZED);
    });
}

unsafe extern "C" fn some_mutex(_: CK_VOID_PTR) -> CK_RV {
    CKR_OK
}
unsafe extern "C" fn some_new_mutex(_: CK_VOID_PTR_PTR) -> CK_RV {
    CKR_OK
}

#[test]
fn c003_to_c006_the_arguments_of_initialize_are_read() {
    in_own_process("c003_to_c006_the_arguments_of_initialize_are_read", || {
        let module = Module::load();
        let mut something = 0u8;
        let none = CK_C_INITIALIZE_ARGS::default();
        let all = CK_C_INITIALIZE_ARGS {
            CreateMutex: Some(some_new_mutex),
            DestroyMutex: Some(some_mutex),
            LockMutex: Some(some_mutex),
            UnlockMutex: Some(some_mutex),
            ..none
        };
        let cases = [
            (none, CKR_OK),
            (all, CKR_OK),
            (CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..none }, CKR_OK),
            (CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..all }, CKR_OK),
            (CK_C_INITIALIZE_ARGS { flags: CKF_LIBRARY_CANT_CREATE_OS_THREADS, ..none }, CKR_OK),
            (CK_C_INITIALIZE_ARGS { CreateMutex: None, ..all }, CKR_ARGUMENTS_BAD),
            (CK_C_INITIALIZE_ARGS { UnlockMutex: None, ..all }, CKR_ARGUMENTS_BAD),
            (CK_C_INITIALIZE_ARGS { LockMutex: Some(some_mutex), ..none }, CKR_ARGUMENTS_BAD),
            (
                CK_C_INITIALIZE_ARGS { pReserved: (&raw mut something).cast(), ..none },
                CKR_ARGUMENTS_BAD,
            ),
        ];
        for (mut arguments, expected) in cases {
            let told = rv!(module, C_Initialize((&raw mut arguments).cast()));
            assert_eq!(told, expected, "{arguments:?}");
            let initialized =
                if expected == CKR_OK { CKR_OK } else { CKR_CRYPTOKI_NOT_INITIALIZED };
            assert_eq!(rv!(module, C_Finalize(NULL)), initialized, "{arguments:?}");
        }
    });
}

/// A session on the owner slot.
fn open_session(module: &Module) -> CK_SESSION_HANDLE {
    let mut session = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    assert_eq!(rv!(module, C_OpenSession(0, flags, NULL, None, &raw mut session)), CKR_OK);
    session
}

/// Runs `body` as [`in_own_process`] does, with a TPM and an empty store.
fn with_tpm(test: &str, body: impl FnOnce()) {
    let mut kept = None;
    let prepare = |command: &mut Command| {
        let tpm = Swtpm::start();
        let configuration = tpm.directory().join("empty.toml");
        fs::write(&configuration, "").expect("a configuration");
        command.env("HIERARKEY_CONF", configuration);
        command.env("HIERARKEY_TCTI", tpm.tcti());
        command.env("HIERARKEY_STORE", tpm.directory().join("store"));
        kept = Some(tpm);
    };
    in_own_process_with(test, prepare, body);
}

#[test]
fn outputs_stay_within_their_memory_at_any_alignment() {
    with_tpm("outputs_stay_within_their_memory_at_any_alignment", || {
        let module = Module::load();
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        let session = open_session(&module);
        for odd in [false, true] {
            macro_rules! one {
                ($out:ident: $type:ty => $function:ident($($argument:expr),*)) => {{
                    let memory = Guarded::new();
                    let size = size_of::<$type>();
                    let $out = memory.last::<$type>(size, odd);
                    let told = rv!(module, $function($($argument),*));
                    assert_ne!(told, CKR_GENERAL_ERROR, stringify!($function));
                    memory.assert_untouched(size, odd, stringify!($function));
                    told
                }};
            }
            assert_eq!(one!(out: CK_INFO => C_GetInfo(out)), CKR_OK);
            assert_eq!(one!(out: CK_FUNCTION_LIST_PTR => C_GetFunctionList(out)), CKR_OK);
            let any = ptr::null_mut();
            let told = one!(out: CK_INTERFACE_PTR => C_GetInterface(any, any.cast(), out, 0));
            assert_eq!(told, CKR_OK);
            let count = one!(out: CK_ULONG => C_GetInterfaceList(any.cast(), out));
            assert_eq!(count, CKR_OK);
            let count = one!(out: CK_ULONG => C_GetSlotList(CK_FALSE, any.cast(), out));
            assert_eq!(count, CKR_OK);
            assert_eq!(one!(out: CK_SLOT_INFO => C_GetSlotInfo(0, out)), CKR_OK);
            one!(out: CK_TOKEN_INFO => C_GetTokenInfo(0, out));
            one!(out: CK_ULONG => C_GetMechanismList(0, any.cast(), out));
            one!(out: CK_MECHANISM_INFO => C_GetMechanismInfo(0, CKM_ECDSA, out));
            let serial = CKF_SERIAL_SESSION;
            one!(out: CK_SESSION_HANDLE => C_OpenSession(0, serial, NULL, None, out));
            one!(out: CK_SESSION_INFO => C_GetSessionInfo(session, out));
            one!(out: CK_SLOT_ID => C_WaitForSlotEvent(CKF_DONT_BLOCK, out, NULL));
            one!(out: CK_ULONG => C_GetObjectSize(session, 1, out));
            one!(out: CK_ULONG => C_FindObjects(session, any.cast(), 0, out));
            one!(out: CK_ULONG => C_DigestFinal(session, any, out));
            one!(out: CK_OBJECT_HANDLE => C_CreateObject(session, any.cast(), 0, out));
            one!(out: CK_OBJECT_HANDLE => C_CopyObject(session, 1, any.cast(), 0, out));
            one!(out: [u8; 33] => C_GenerateRandom(session, out.cast(), 33));

            let mut count = 4;
            let told =
                one!(out: [CK_SLOT_ID; 4] => C_GetSlotList(CK_FALSE, out.cast(), &raw mut count));
            assert_eq!(told, CKR_OK);
            let mut count = 3;
            let told =
                one!(out: [CK_INTERFACE; 3] => C_GetInterfaceList(out.cast(), &raw mut count));
            assert_eq!(told, CKR_OK);
            for room in [0, 1, 3] {
                let mut count = room;
                let told = one!(out: [CK_SLOT_ID; 0] =>
                    C_GetSlotList(CK_FALSE, out.cast(), &raw mut count));
                assert_eq!((told, count), (CKR_BUFFER_TOO_SMALL, 4));
            }

            let memory = Guarded::new();
            let size = 2 * size_of::<CK_ATTRIBUTE>();
            let template = memory.last::<CK_ATTRIBUTE>(size, odd);
            let entry = |type_| CK_ATTRIBUTE { type_, pValue: NULL, ulValueLen: 7 };
            // SAFETY: room for two entries.
            unsafe {
                template.write_unaligned(entry(CKA_CLASS));
                template.add(1).write_unaligned(entry(CKA_ID));
            }
            let told = rv!(module, C_GetAttributeValue(session, 1, template, 2));
            assert_ne!(told, CKR_GENERAL_ERROR);
            memory.assert_untouched(size, odd, "C_GetAttributeValue");
        }
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
    });
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("this process's threads").count()
}

#[test]
fn c006_no_thread_is_made() {
    with_tpm("c006_no_thread_is_made", || {
        let before = threads();
        let module = Module::load();
        assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
        let mut count = 0;
        assert_eq!(rv!(module, C_GetSlotList(CK_TRUE, ptr::null_mut(), &raw mut count)), CKR_OK);
        let session = open_session(&module);
        assert_eq!(threads(), before);
        assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
        assert_eq!(threads(), before, "with session {session}");
    });
}

#[test]
fn the_module_is_gone_when_unloaded_and_new_when_loaded_again() {
    with_tpm("the_module_is_gone_when_unloaded_and_new_when_loaded_again", || {
        let own = Module::path().canonicalize().expect("the module's path");
        let own = own.to_str().expect("a path in UTF-8");
        let loaded = || fs::read_to_string("/proc/self/maps").expect("mappings").contains(own);
        let open_files = || fs::read_dir("/proc/self/fd").expect("descriptors").count();
        let files = open_files();
        for round in 0..100 {
            let module = Module::load();
            assert!(loaded());
            let mut info = CK_INFO::default();
            let told = rv!(module, C_GetInfo(&raw mut info));
            assert_eq!(told, CKR_CRYPTOKI_NOT_INITIALIZED, "round {round} has an older life");
            assert_eq!(rv!(module, C_Initialize(NULL)), CKR_OK);
            assert_eq!(rv!(module, C_GetInfo(&raw mut info)), CKR_OK);
            open_session(&module);
            assert_eq!(rv!(module, C_Finalize(NULL)), CKR_OK);
            module.close();
            assert!(!loaded(), "something kept the module in round {round}");
        }
        assert_eq!(open_files(), files, "descriptors were left open");
    });
}
