//! What happens around every entry point: the panic boundary, the log, `Result` to `CK_RV`.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR, CKR_OK};

use crate::error::Result;

/// Runs the body of the entry point `name` for an application.
///
/// The first call takes over this library's panic messages (the library has a standard library of
/// its own, the host's Rust code is not touched): they go to the log, never to the host's stderr.
pub(super) fn call(name: &'static str, body: impl FnOnce() -> Result<()>) -> CK_RV {
    static HOOK: Once = Once::new();
    HOOK.call_once(crate::os::panic::install);
    guard(name, body)
}

/// Runs `body` and turns whatever happens into a `CK_RV`.
///
/// A panic must not unwind into the application's C frames: it becomes `CKR_GENERAL_ERROR`. The
/// session that it happened in was broken further down; other sessions and tokens go on.
fn guard(name: &'static str, body: impl FnOnce() -> Result<()>) -> CK_RV {
    // The log runs inside the boundary too: a logger is code that can panic.
    let told = panic::catch_unwind(AssertUnwindSafe(|| match body() {
        Ok(()) => CKR_OK,
        Err(error) => {
            log::debug!("{name}: {error}");
            error.ck_rv()
        }
    }));
    told.unwrap_or_else(|payload| {
        dispose(payload);
        let logged = panic::catch_unwind(|| log::error!("{name}: panicked"));
        if let Err(payload) = logged {
            dispose(payload);
        }
        CKR_GENERAL_ERROR
    })
}

/// Frees what a panic carried. Its destructor may panic in turn; what that one carries is given up.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
}

/// Makes the shells and the lists of a table of entry points.
///
/// A row is a C prototype and, behind the arrow, the body's call. Each group of rows holds what an
/// edition added; the list named by a group has its rows and those of the groups above it. The
/// lists are structures of `cryptoki_sys`, so that a missing row or a wrong prototype does not
/// compile.
macro_rules! entry_points {
    (
        $list_a:ident: $type_a:ident = $version_a:ident {
            $( $name_a:ident($($arg_a:ident: $ty_a:ty),* $(,)?) => $body_a:expr; )*
        }
        $list_b:ident: $type_b:ident = $version_b:ident {
            $( $name_b:ident($($arg_b:ident: $ty_b:ty),* $(,)?) => $body_b:expr; )*
        }
        $list_c:ident: $type_c:ident = $version_c:ident {
            $( $name_c:ident($($arg_c:ident: $ty_c:ty),* $(,)?) => $body_c:expr; )*
        }
    ) => {
        $( entry_points!(@shell $name_a($($arg_a: $ty_a),*) => $body_a); )*
        $( entry_points!(@shell $name_b($($arg_b: $ty_b),*) => $body_b); )*
        $( entry_points!(@shell $name_c($($arg_c: $ty_c),*) => $body_c); )*

        const $list_a: $type_a = $type_a { version: $version_a, $( $name_a: Some($name_a), )* };
        const $list_b: $type_b = $type_b {
            version: $version_b,
            $( $name_a: Some($name_a), )*
            $( $name_b: Some($name_b), )*
        };
        const $list_c: $type_c = $type_c {
            version: $version_c,
            $( $name_a: Some($name_a), )*
            $( $name_b: Some($name_b), )*
            $( $name_c: Some($name_c), )*
        };

        /// Every row: its name, the edition it came with, its body. For docs/functions.md.
        #[cfg(test)]
        pub(super) const ROWS: &[(&str, cryptoki_sys::CK_VERSION, &str)] = &[
            $( (stringify!($name_a), $version_a, stringify!($body_a)), )*
            $( (stringify!($name_b), $version_b, stringify!($body_b)), )*
            $( (stringify!($name_c), $version_c, stringify!($body_c)), )*
        ];
    };
    (@shell $name:ident($($arg:ident: $ty:ty),*) => $body:expr) => {
        #[unsafe(no_mangle)]
        #[allow(unused_unsafe, unused_variables, reason = "not every body looks at its arguments")]
        unsafe extern "C" fn $name($($arg: $ty),*) -> cryptoki_sys::CK_RV {
            $crate::ffi::entry::call(stringify!($name), || {
                // SAFETY: PKCS#11 obliges the application to pass pointers that are NULL or hold
                // for this call what the prototype says: the contract of each argument type.
                unsafe { $body }
            })
        }
    };
}
pub(super) use entry_points;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cryptoki_sys::CKR_PIN_LOCKED;

    use super::*;
    use crate::error::Error;

    #[test]
    fn success_is_ckr_ok() {
        assert_eq!(guard("C_Test", || Ok(())), CKR_OK);
    }

    #[test]
    fn an_error_tells_its_own_return_value() {
        assert_eq!(guard("C_Test", || Err(Error::new(CKR_PIN_LOCKED, "test"))), CKR_PIN_LOCKED);
    }

    #[test]
    fn a_panic_is_a_general_error() {
        assert_eq!(guard("C_Test", || panic!("on purpose")), CKR_GENERAL_ERROR);
    }

    #[test]
    fn a_panic_frees_what_the_call_held_and_what_it_carried() {
        let held = Arc::new(());
        let (in_the_call, carried) = (Arc::clone(&held), Arc::clone(&held));
        let rv = guard("C_Test", move || {
            let _in_the_call = in_the_call;
            panic::panic_any(carried)
        });
        assert_eq!(rv, CKR_GENERAL_ERROR);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_panic_whose_payload_panics_again_stays_inside() {
        struct Twice;
        impl Drop for Twice {
            fn drop(&mut self) {
                panic!("again, on purpose");
            }
        }
        assert_eq!(guard("C_Test", || panic::panic_any(Twice)), CKR_GENERAL_ERROR);
    }
}
