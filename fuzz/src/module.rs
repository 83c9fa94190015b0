//! The module under test, linked in as a Rust library so that the fuzzer sees into it, and called
//! by its C functions only. What it must not do ends the process, which is what a fuzzer looks for.

use std::collections::VecDeque;
use std::sync::{Mutex, Once, PoisonError};

use cryptoki_sys::*;
// Its C functions come with it.
use hierarkey as _;

use super::common::return_values::{checked, name};

unsafe extern "C" {
    fn C_GetInterface(
        name: *mut CK_UTF8CHAR,
        version: *mut CK_VERSION,
        interface: *mut *mut CK_INTERFACE,
        flags: CK_FLAGS,
    ) -> CK_RV;
}

/// The newest list of functions. Each ends the process where it returns a value that the standard
/// does not give it; so does a panic anywhere, though the module would catch it.
pub fn load() -> &'static CK_FUNCTION_LIST_3_2 {
    let _ = log::set_logger(&LAST_LINES);
    let mut interface = std::ptr::null_mut();
    // SAFETY: as the function is declared; the lists are static.
    let list = unsafe {
        let rv = C_GetInterface(std::ptr::null_mut(), std::ptr::null_mut(), &raw mut interface, 0);
        assert_eq!(rv, CKR_OK);
        &*(*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_2>()
    };
    // The module has set its own with its first call.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            fail("panicked");
        }));
    });
    log::set_max_level(log::LevelFilter::Trace);
    checked(list)
}

/// Ends the process, with what the module logged last.
pub fn fail(why: &str) -> ! {
    for line in LAST_LINES.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        eprintln!("  {line}");
    }
    eprintln!("FAILED: {why}");
    std::process::abort();
}

/// A bug that the module noticed itself is one.
pub fn no_bug(function: &str, rv: CK_RV) {
    if rv == CKR_GENERAL_ERROR {
        fail(&format!("{function}: CKR_GENERAL_ERROR"));
    }
}

/// With a TPM and a store that work, nothing but the arguments is to blame.
pub fn no_failure(function: &str, rv: CK_RV) {
    no_bug(function, rv);
    if [CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_DEVICE_MEMORY, CKR_HOST_MEMORY].contains(&rv) {
        fail(&format!("{function}: {}", name(rv)));
    }
}

/// Formats every line that the module logs, and keeps the last.
struct LastLines(Mutex<VecDeque<String>>);

static LAST_LINES: LastLines = LastLines(Mutex::new(VecDeque::new()));

impl log::Log for LastLines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == 24 {
            lines.pop_front();
        }
        lines.push_back(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}
