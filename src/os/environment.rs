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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// HIERARKEY_CONF: another configuration file.
    Conf,
    /// HIERARKEY_STORE: another directory of the store.
    Store,
    /// HIERARKEY_TCTI: another TPM.
    Tcti,
    /// HIERARKEY_LOG: log lines to stderr, down to this level.
    Log,
    /// HOME.
    Home,
    /// XDG_DATA_HOME.
    DataHome,
}

impl Variable {
    const ALL: [Self; 6] =
        [Self::Conf, Self::Store, Self::Tcti, Self::Log, Self::Home, Self::DataHome];

    /// Its name in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conf => "HIERARKEY_CONF",
            Self::Store => "HIERARKEY_STORE",
            Self::Tcti => "HIERARKEY_TCTI",
            Self::Log => "HIERARKEY_LOG",
            Self::Home => "HOME",
            Self::DataHome => "XDG_DATA_HOME",
        }
    }
}

/// What the environment said at one moment.
///
/// In a process with more rights than its caller (setuid, setgid, file capabilities) the caller
/// wrote the environment, and nothing of it is believed.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    secure: bool,
    variables: BTreeMap<Variable, OsString>,
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
            Variable::ALL.into_iter().filter_map(|one| Some((one, variable(one.name())?))).collect()
        };
        Self { secure, variables }
    }

    /// Whether the process has rights that its caller has not (getauxval(3), AT_SECURE).
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn variable(&self, which: Variable) -> Option<&OsStr> {
        self.variables.get(&which).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Where the user's data lie: $XDG_DATA_HOME, else $HOME/.local/share.
    ///
    /// A relative path counts as unset (XDG Base Directory Specification, "Basics"): nothing is
    /// ever looked for in the current directory. `None` also in a process that trusts no variable.
    pub fn data_home(&self) -> Option<PathBuf> {
        self.absolute(Variable::DataHome)
            .or_else(|| Some(self.absolute(Variable::Home)?.join(".local/share")))
    }

    fn absolute(&self, which: Variable) -> Option<PathBuf> {
        self.variable(which).map(PathBuf::from).filter(|path| path.is_absolute())
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
        assert_eq!(secure.variable(Variable::Store), None);
        assert_eq!(secure.data_home(), None);
        let plain = environment(false, &variables);
        assert_eq!(plain.variable(Variable::Store), Some(OsStr::new("/tmp/evil")));
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
