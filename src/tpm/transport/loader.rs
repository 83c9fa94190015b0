//! The access broker and resource manager daemon (tpm2-abrmd), through its own TCTI library.
//!
//! The library is opened only when the configuration says `tabrmd`, under a name that is fixed here:
//! nothing in the environment or the configuration names a library. (The dynamic linker's own
//! LD_LIBRARY_PATH aside, which it ignores in a setuid process.)
//!
//! What comes along is not ours to change: GLib with a thread of its own, which may write warnings
//! to stderr; D-Bus, whose own time limits hold while connecting. The library is never unloaded,
//! because GLib cannot be.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::mem::{align_of, size_of};
use std::ptr;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use tss_esapi::tss2_esys::{
    TSS2_RC, TSS2_TCTI_CONTEXT, TSS2_TCTI_CONTEXT_COMMON_V1, TSS2_TCTI_INFO, TSS2_TCTI_INIT_FUNC,
    size_t,
};

use super::address::Bus;
use super::deadline::Deadline;
use super::{Exchanged, Failure, MESSAGE_MAX, Pipe};
use crate::error::{Error, Result};

/// The library, by the name of its ABI version 0.
const LIBRARY: &str = "libtss2-tcti-tabrmd.so.0";

/// TSS2_RC_SUCCESS.
const SUCCESS: TSS2_RC = 0;
/// TSS2_BASE_RC_TRY_AGAIN in the TCTI's layer: nothing there within the time limit.
const TRY_AGAIN: TSS2_RC = (10 << 16) | 9;

/// Most bytes a TCTI may ask for as its context; the daemon's takes some hundred.
const CONTEXT_MAX: usize = 64 * 1024;

/// The pipe to the daemon.
pub(super) struct Tabrmd {
    /// The TCTI's own configuration text.
    configuration: String,
    context: Option<Context>,
}

impl Tabrmd {
    pub(super) fn new(bus: Bus, bus_name: &str) -> Self {
        Self { configuration: format!("bus_name={bus_name},bus_type={bus}"), context: None }
    }
}

impl Pipe for Tabrmd {
    fn connected(&self) -> bool {
        self.context.is_some()
    }

    /// The daemon's library connects in its own time: `deadline` cannot shorten it.
    fn connect(&mut self, _deadline: Deadline) -> Result<()> {
        self.context = Some(Context::new(&self.configuration)?);
        Ok(())
    }

    fn exchange(&mut self, command: &[u8], deadline: Deadline) -> Exchanged<Vec<u8>> {
        let context = self.context.as_mut().ok_or(Failure::not_connected())?;
        context.transmit(command)?;
        context.receive(deadline)
    }

    fn disconnect(&mut self) {
        self.context = None;
    }
}

/// An initialised TCTI context: memory that the library laid out, beginning with its functions.
struct Context {
    /// u64: the layout begins with one, and pointers need no more.
    memory: Box<[u64]>,
}

const _: () = assert!(
    align_of::<TSS2_TCTI_CONTEXT_COMMON_V1>() <= align_of::<u64>(),
    "a TCTI context must fit into memory of u64"
);

impl Context {
    /// Errors: `CKR_TOKEN_NOT_PRESENT` without the library or the daemon.
    fn new(configuration: &str) -> Result<Self> {
        let init = initialiser()?;
        let configuration = CString::new(configuration).map_err(|error| {
            Error::because(CKR_DEVICE_ERROR, "the TPM daemon's bus name", error)
        })?;
        let mut size = 0;
        // SAFETY: TCTI specification, "TSS2_TCTI_INIT_FUNC": without a context the function only
        // writes the size it needs; `size` and the NUL-terminated text live through the call.
        let rc = unsafe { init(ptr::null_mut(), &mut size, configuration.as_ptr()) };
        let bytes = usize::try_from(size).unwrap_or(usize::MAX);
        if rc != SUCCESS
            || !(size_of::<TSS2_TCTI_CONTEXT_COMMON_V1>()..=CONTEXT_MAX).contains(&bytes)
        {
            return Err(told(CKR_DEVICE_ERROR, "the TPM daemon's library offers no context", rc));
        }
        let mut memory = vec![0; bytes.div_ceil(size_of::<u64>())].into_boxed_slice();
        // SAFETY: `memory` has `size` bytes, aligned for the context's first field and its
        // pointers; it is on the heap and stays where it is until it was finalized.
        let rc = unsafe { init(memory.as_mut_ptr().cast(), &mut size, configuration.as_ptr()) };
        if rc != SUCCESS {
            return Err(told(CKR_TOKEN_NOT_PRESENT, "connecting to the TPM daemon", rc));
        }
        Ok(Self { memory })
    }

    fn raw(&mut self) -> *mut TSS2_TCTI_CONTEXT {
        self.memory.as_mut_ptr().cast()
    }

    /// The context's functions, which the library wrote there.
    fn common(&mut self) -> TSS2_TCTI_CONTEXT_COMMON_V1 {
        // SAFETY: `new` made the memory at least that long and aligned, and the library filled in
        // what every TCTI context begins with; all zero (no functions) is a valid value too.
        unsafe { ptr::read(self.memory.as_ptr().cast()) }
    }

    fn transmit(&mut self, command: &[u8]) -> Exchanged<()> {
        let transmit =
            self.common().transmit.ok_or_else(|| Failure::because("the TCTI cannot transmit"))?;
        let size = command.len() as size_t;
        // SAFETY: an initialised context, and as many readable bytes as announced.
        let rc = unsafe { transmit(self.raw(), size, command.as_ptr()) };
        if rc == SUCCESS {
            return Ok(());
        }
        Err(Failure::Broken(told(CKR_DEVICE_ERROR, "sending a command to the TPM daemon", rc)))
    }

    fn receive(&mut self, deadline: Deadline) -> Exchanged<Vec<u8>> {
        let receive =
            self.common().receive.ok_or_else(|| Failure::because("the TCTI cannot receive"))?;
        let mut response = vec![0; MESSAGE_MAX];
        loop {
            let remaining = deadline.remaining();
            // Rounded up: a fraction of a millisecond would be a poll that does not wait.
            let wait = i32::try_from(remaining.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
            let mut size = response.len() as size_t;
            // SAFETY: an initialised context, and as many writable bytes as announced.
            let rc = unsafe { receive(self.raw(), &mut size, response.as_mut_ptr(), wait) };
            match rc {
                SUCCESS => {
                    response.truncate(usize::try_from(size).unwrap_or_default());
                    return Ok(response);
                }
                TRY_AGAIN if remaining.is_zero() => return Err(Failure::Late),
                TRY_AGAIN => {}
                rc => {
                    let why = "receiving a response from the TPM daemon";
                    return Err(Failure::Broken(told(CKR_DEVICE_ERROR, why, rc)));
                }
            }
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(finalize) = self.common().finalize {
            // SAFETY: an initialised context, finalized once and not used again.
            unsafe { finalize(self.raw()) };
        }
    }
}

fn told(rv: cryptoki_sys::CK_RV, why: &'static str, rc: TSS2_RC) -> Error {
    Error::new(rv, format!("{why}: TSS2_RC 0x{rc:x}"))
}

type Init =
    unsafe extern "C" fn(*mut TSS2_TCTI_CONTEXT, *mut size_t, *const std::ffi::c_char) -> TSS2_RC;

/// Opens the library (again: the linker counts) and finds how a context is made.
fn initialiser() -> Result<Init> {
    let missing = |error| {
        Error::because(CKR_TOKEN_NOT_PRESENT, "the TPM daemon's library cannot be used", error)
    };
    // SAFETY: the library runs constructors of GLib's, which any thread may run at any time.
    let library =
        unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL) }.map_err(missing)?;
    // SAFETY: the TCTI specification gives this symbol this type.
    let info: Symbol<unsafe extern "C" fn() -> *const TSS2_TCTI_INFO> =
        unsafe { library.get(b"Tss2_Tcti_Info\0") }.map_err(missing)?;
    // SAFETY: as above; it takes nothing.
    let info = unsafe { info() };
    // SAFETY: it gives NULL or a static of the library.
    let init: TSS2_TCTI_INIT_FUNC = unsafe { info.as_ref() }.and_then(|info| info.init);
    // GLib's types and its thread refer to the library for ever.
    std::mem::forget(library);
    init.ok_or_else(|| Error::new(CKR_TOKEN_NOT_PRESENT, "the TPM daemon's library is no TCTI"))
}
