//! How an application gets at the function lists.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::{
    CK_FLAGS, CK_FUNCTION_LIST_PTR, CK_INTERFACE, CK_INTERFACE_PTR, CK_VERSION,
    CKF_INTERFACE_FORK_SAFE, CKR_ARGUMENTS_BAD,
};

use super::function_list::{
    FUNCTION_LIST_2_40, FUNCTION_LIST_3_0, FUNCTION_LIST_3_2, VERSION_2_40, VERSION_3_0,
    VERSION_3_2,
};
use super::list::List;
use super::scalar::Out;
use crate::error::{Error, Result};

/// The name of the standard's interfaces, with its NUL.
const NAME: &[u8; 8] = b"PKCS 11\0";

/// A published interface and the version of its list.
struct Interface {
    version: CK_VERSION,
    published: CK_INTERFACE,
}

// SAFETY: the pointers in it lead to statics that nobody writes to.
unsafe impl Sync for Interface {}

impl Interface {
    /// The interface of the function list at `list`. A child of fork finds a library that it can
    /// initialize, whatever the parent was doing: that is what the flag promises.
    const fn new(version: CK_VERSION, list: *const c_void) -> Self {
        Self {
            version,
            published: CK_INTERFACE {
                pInterfaceName: NAME.as_ptr().cast_mut(),
                pFunctionList: list.cast_mut(),
                flags: CKF_INTERFACE_FORK_SAFE,
            },
        }
    }
}

/// What this library publishes, newest first: the first is the default.
static INTERFACES: [Interface; 3] = [
    Interface::new(VERSION_3_2, (&raw const FUNCTION_LIST_3_2).cast()),
    Interface::new(VERSION_3_0, (&raw const FUNCTION_LIST_3_0).cast()),
    Interface::new(VERSION_2_40, (&raw const FUNCTION_LIST_2_40).cast()),
];

/// `C_GetFunctionList`: the list that programs of version 2 know.
pub(super) fn function_list(list: Out<'_, CK_FUNCTION_LIST_PTR>) -> Result<()> {
    list.fill(|| Ok((&raw const FUNCTION_LIST_2_40).cast_mut()))
}

/// `C_GetInterfaceList`.
pub(super) fn interface_list(list: List<'_, CK_INTERFACE>) -> Result<()> {
    list.fill(|| Ok(INTERFACES.iter().map(|interface| interface.published).collect()))
}

/// What an application looks for.
pub(super) struct Wanted {
    name: *const u8,
    version: *const CK_VERSION,
    flags: CK_FLAGS,
}

impl Wanted {
    /// Takes down the caller's pointers; looks at nothing yet.
    ///
    /// # Safety
    ///
    /// If `name` is not NULL it points to a string with a NUL at its end. If `version` is not NULL
    /// it points to a `CK_VERSION`.
    pub(super) unsafe fn new(name: *const u8, version: *const CK_VERSION, flags: CK_FLAGS) -> Self {
        Self { name, version, flags }
    }

    fn is(&self, interface: &Interface) -> bool {
        self.names_ours()
            && self.version().is_none_or(|version| {
                (version.major, version.minor) == (interface.version.major, interface.version.minor)
            })
            && interface.published.flags & self.flags == self.flags
    }

    fn names_ours(&self) -> bool {
        // SAFETY: `all` stops at the first difference, so that nothing behind the string's NUL is
        // read: NAME has no NUL but at its end.
        self.name.is_null()
            || NAME.iter().enumerate().all(|(at, byte)| unsafe { *self.name.add(at) == *byte })
    }

    fn version(&self) -> Option<CK_VERSION> {
        // SAFETY: a pointer that is not NULL points to a CK_VERSION by `new`'s contract.
        (!self.version.is_null()).then(|| unsafe { self.version.read_unaligned() })
    }
}

/// `C_GetInterface`. Errors: `CKR_ARGUMENTS_BAD` if there is none such, and for NULL.
pub(super) fn interface(wanted: Wanted, found: Out<'_, CK_INTERFACE_PTR>) -> Result<()> {
    found.fill(|| {
        let interface = INTERFACES.iter().find(|interface| wanted.is(interface));
        let interface =
            interface.ok_or_else(|| Error::new(CKR_ARGUMENTS_BAD, "no such interface"))?;
        Ok(ptr::from_ref(&interface.published).cast_mut())
    })
}
