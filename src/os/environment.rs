//! The environment of the process, as far as a library may trust it.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString, c_ulong};
use std::path::PathBuf;

/// <elf.h>: nonzero where the kernel gave the program rights that its caller does not have.
const AT_SECURE: c_ulong = 23;

unsafe extern "C" {
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// The variables that are read, and no others.
const READ: &[&str] = &[
    "HIERARKEY_CONF",
    "HIERARKEY_STORE",
    "HIERARKEY_TCTI",
    "HIERARKEY_LOG",
    "HOME",
    "XDG_DATA_HOME",
];

/// What the environment said at one moment.
///
/// In a process with more rights than its caller (setuid, setgid, file capabilities) the caller
/// wrote the environment, and nothing of it is believed.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    secure: bool,
    variables: BTreeMap<&'static str, OsString>,
}

impl Environment {
    /// The environment of this process, now.
    pub fn of_process() -> Self {
        Self::new(getauxval(AT_SECURE) != 0, |name| std::env::var_os(name))
    }

    /// An environment made up: `secure` is what AT_SECURE would say.
    pub fn new(secure: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variables = if secure {
            BTreeMap::new()
        } else {
            READ.iter().filter_map(|name| Some((*name, variable(name)?))).collect()
        };
        Self { secure, variables }
    }

    /// Whether the process has rights that its caller has not (getauxval(3), AT_SECURE).
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The value of a variable of ours; an empty one counts as unset.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Where the user's data lie: $XDG_DATA_HOME, else $HOME/.local/share.
    ///
    /// A relative path counts as unset (XDG Base Directory Specification, "Basics"): nothing is
    /// ever looked for in the current directory. `None` also in a process that trusts no variable.
    pub fn data_home(&self) -> Option<PathBuf> {
        let absolute =
            |name| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn environment(secure: bool, variables: &[(&str, &str)]) -> Environment {
        Environment::new(secure, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_setuid_process_believes_no_variable() {
        let variables = [("HIERARKEY_STORE", "/tmp/evil"), ("HOME", "/tmp")];
        let secure = environment(true, &variables);
        assert_eq!(secure.variable("HIERARKEY_STORE"), None);
        assert_eq!(secure.data_home(), None);
        let plain = environment(false, &variables);
        assert_eq!(plain.variable("HIERARKEY_STORE"), Some(OsStr::new("/tmp/evil")));
    }

    #[test]
    fn data_lie_where_xdg_says_and_never_at_a_relative_path() {
        let home = ("HOME", "/home/kim");
        let data_home = |variables: &[_]| environment(false, variables).data_home();
        assert_eq!(data_home(&[home]).as_deref(), Some(Path::new("/home/kim/.local/share")));
        assert_eq!(data_home(&[home, ("XDG_DATA_HOME", "/d")]).as_deref(), Some(Path::new("/d")));
        let relative = data_home(&[home, ("XDG_DATA_HOME", "d")]);
        assert_eq!(relative.as_deref(), Some(Path::new("/home/kim/.local/share")));
        assert_eq!(data_home(&[home, ("XDG_DATA_HOME", "")]), relative);
        assert_eq!(data_home(&[("HOME", ".")]), None);
        assert_eq!(data_home(&[]), None);
    }

    #[test]
    fn a_test_process_is_not_setuid() {
        assert!(!Environment::of_process().is_secure());
    }
}
