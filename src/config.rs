//! The configuration: what an administrator or a user may choose.
//!
//! None is needed. `/etc/hierarkey/hierarkey.toml` sets, HIERARKEY_CONF names another file, and
//! HIERARKEY_STORE, HIERARKEY_TCTI and HIERARKEY_LOG override what the file says; a setuid process
//! believes none of them. A wrong configuration is told once, by file and line, and the module then
//! does without a token: guessing would put keys where nobody looks for them.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use log::LevelFilter;
use serde::Deserialize;

use self::file::File;
use crate::os::directory::StoreLocation;
use crate::os::environment::{Environment, Variable};
use crate::os::log::{LogSettings, Target};

/// The file that is read where HIERARKEY_CONF names none.
pub const FILE: &str = "/etc/hierarkey/hierarkey.toml";

/// The machine's store, used where it exists and this user may read it.
pub const SYSTEM_STORE: &str = "/var/lib/hierarkey";

/// Everything that can be chosen, each with its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The TPM in the TSS's syntax ("device:/dev/tpm0"); `None` is the machine's own.
    pub tcti: Option<String>,
    /// Where the store lies.
    pub store: StoreLocation,
    /// Where log lines go.
    pub log: LogSettings,
    /// The files that hold the hierarchies' authorization values.
    pub hierarchy_auth_files: HierarchyAuthFiles,
    /// Which of slots 1 to 3 show a token before it is initialised.
    pub show_slots: ShowSlots,
    /// What is done against the letter of PKCS#11 for the sake of a client.
    pub compatibility: Compatibility,
    /// Whether an ECDSA signature is verified before it is handed out.
    pub check_ec_signatures: bool,
    /// Whether a secret key may both wrap keys and decrypt, or both unwrap and encrypt.
    pub mixed_wrapping_keys: bool,
}

/// Files with a hierarchy's authorization value each; one newline at the end does not count.
/// Absolute paths, for [`read_secret`](crate::os::file::read_secret).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HierarchyAuthFiles {
    /// TPM_RH_OWNER.
    #[serde(deserialize_with = "file::absolute")]
    pub owner: Option<PathBuf>,
    /// TPM_RH_ENDORSEMENT.
    #[serde(deserialize_with = "file::absolute")]
    pub endorsement: Option<PathBuf>,
    /// TPM_RH_PLATFORM.
    #[serde(deserialize_with = "file::absolute")]
    pub platform: Option<PathBuf>,
    /// TPM_RH_LOCKOUT.
    #[serde(deserialize_with = "file::absolute")]
    pub lockout: Option<PathBuf>,
}

/// Which of slots 1 to 3 show a token before it is initialised; slot 0 always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShowSlots {
    /// Slot 1.
    pub endorsement: bool,
    /// Slot 2.
    pub platform: bool,
    /// Slot 3.
    pub null: bool,
}

/// What is done against the letter of PKCS#11 for the sake of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compatibility {
    /// C_Initialize accepts the string that NSS passes in pReserved.
    pub nss_reserved: bool,
    /// A search may be active beside another operation.
    pub search_beside_operation: bool,
}

/// What is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// A file, or the name of a variable.
    place: String,
    /// The line in the file, counted from 1, where there is one.
    line: Option<usize>,
    message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigProblem {}

impl ConfigProblem {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), line: None, message: message.into() }
    }
}

impl Config {
    /// The configuration for a process with this environment.
    ///
    /// With a problem, the configuration is good for its log settings only: the slots then have
    /// no token. It never fails and never writes anything.
    pub fn load(environment: &Environment) -> (Self, Option<ConfigProblem>) {
        Self::load_from(environment, Path::new(FILE), Path::new(SYSTEM_STORE))
    }

    fn load_from(
        environment: &Environment,
        default_file: &Path,
        system_store: &Path,
    ) -> (Self, Option<ConfigProblem>) {
        let mut problem = None;
        let mut keep = |found: ConfigProblem| {
            problem.get_or_insert(found);
        };
        let file = File::read(environment, default_file).unwrap_or_else(|(log, found)| {
            keep(found);
            File::with_log(log)
        });
        let mut config = file.into_config(environment, system_store);
        config.override_by(environment).into_iter().for_each(keep);
        // Somebody has to hear of it, and the file may have been about to say where.
        if problem.is_some() && config.log.target == Target::Nowhere {
            config.log = LogSettings { target: Target::Syslog, level: LevelFilter::Error };
        }
        (config, problem)
    }

    fn override_by(&mut self, environment: &Environment) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if let Some(directory) = environment.variable(Variable::Store) {
            // The sharing that an administrator granted was for the store that the file names.
            self.store = StoreLocation::new(directory);
            if !self.store.directory.is_absolute() {
                problems
                    .push(ConfigProblem::new(Variable::Store.name(), "is not an absolute path"));
            }
        }
        if let Some(tcti) = environment.variable(Variable::Tcti) {
            match tcti.to_str() {
                Some(tcti) => self.tcti = Some(tcti.to_owned()),
                None => problems.push(ConfigProblem::new(Variable::Tcti.name(), "is not UTF-8")),
            }
        }
        if let Some(level) = environment.variable(Variable::Log) {
            let asked = level.to_str().and_then(|level| LevelFilter::from_str(level).ok());
            self.log = LogSettings {
                target: Target::Stderr,
                level: asked.unwrap_or(LogSettings::default().level),
            };
            if asked.is_none() {
                let message = "is none of off, error, warn, info, debug, trace";
                problems.push(ConfigProblem::new(Variable::Log.name(), message));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::directory::Sharing;

    /// A machine with a configuration file, a system store or not, and a user's home.
    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        fn new(file: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("conf"), file).unwrap();
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn load(&self, secure: bool, variables: &[(&str, &str)]) -> (Config, Option<String>) {
            let environment = Environment::new(secure, |name| {
                let set = variables.iter().find(|(key, _)| *key == name);
                set.map(|(_, value)| (*value).into())
                    .or_else(|| (name == "HOME").then(|| self.path("home").into_os_string()))
            });
            let (config, problem) =
                Config::load_from(&environment, &self.path("conf"), &self.path("system"));
            (config, problem.map(|problem| problem.to_string()))
        }
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let machine = Machine::new("");
        fs::remove_file(machine.path("conf")).unwrap();
        let (config, problem) = machine.load(false, &[]);
        assert_eq!(problem, None);
        let home_store = StoreLocation::new(machine.path("home/.local/share/hierarkey"));
        let expected = Config {
            tcti: None,
            store: home_store,
            log: LogSettings { target: Target::Nowhere, level: LevelFilter::Warn },
            hierarchy_auth_files: HierarchyAuthFiles::default(),
            show_slots: ShowSlots::default(),
            compatibility: Compatibility::default(),
            check_ec_signatures: true,
            mixed_wrapping_keys: false,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn the_system_store_comes_before_the_users_where_it_exists() {
        let machine = Machine::new("");
        fs::create_dir(machine.path("system")).unwrap();
        assert_eq!(machine.load(false, &[]).0.store, StoreLocation::new(machine.path("system")));
        // A setuid process believes no HOME.
        fs::remove_dir(machine.path("system")).unwrap();
        assert_eq!(machine.load(true, &[]).0.store, StoreLocation::new(machine.path("system")));
    }

    #[test]
    fn the_example_file_is_right_and_says_the_defaults() {
        let example = include_str!("../dist/hierarkey.toml");
        let (defaults, _) = Machine::new("").load(false, &[]);
        let active = Machine::new(example).load(false, &[]);
        assert_eq!(active.1, None);
        // Every commented setting is one: "# key = value" or "# [section]".
        let uncommented: String = example
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let machine = Machine::new(&uncommented);
        let (config, problem) = machine.load(false, &[]);
        assert_eq!(problem, None, "{uncommented}");
        assert_eq!(config.check_ec_signatures, defaults.check_ec_signatures);
        assert_eq!(config.mixed_wrapping_keys, defaults.mixed_wrapping_keys);
        assert_eq!(config.compatibility, defaults.compatibility);
        // The one setting that is active: the packages' directory is its group's.
        let shared =
            StoreLocation { sharing: Sharing::GroupWrite, ..StoreLocation::new(SYSTEM_STORE) };
        assert_eq!(config.store, shared);
        assert_eq!(config.log, LogSettings { target: Target::Syslog, ..defaults.log });
        assert_eq!(config.tcti.as_deref(), Some("device:/dev/tpmrm0"));
        for key in ["owner", "endorsement", "platform", "lockout", "sharing", "show_slots"] {
            assert!(uncommented.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    /// The names that may stand below `header`, as the reader of the file itself tells them when it
    /// meets one that may not.
    fn names_below(header: &str) -> Vec<String> {
        let problem = Machine::new(&format!("{header}\nno_such_name = 1\n")).load(false, &[]).1;
        let problem = problem.unwrap_or_else(|| panic!("{header} takes every name"));
        let (_, expected) = problem.split_once("expected").expect(&problem);
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_manual_names_each_option_of_the_file_and_no_other() {
        let manual = include_str!("../dist/man/hierarkey.toml.5");
        let mut known = Vec::new();
        for name in names_below("") {
            let header = format!("[{name}]");
            if !manual.contains(&format!(".SH SECTION {header}\n")) {
                known.push((String::new(), name));
                continue;
            }
            known.extend(names_below(&header).into_iter().map(|one| (header.clone(), one)));
        }
        let mut told = Vec::new();
        let mut section = None;
        let mut lines = manual.lines();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix(".SH ") {
                section = match title.strip_prefix("SECTION ") {
                    Some(header) => Some(header.to_owned()),
                    None => (title == "OPTIONS BEFORE ANY SECTION").then(String::new),
                };
            }
            if let (".TP", Some(header)) = (line, &section) {
                let name = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
                told.push((header.clone(), name.to_owned()));
            }
        }
        known.sort();
        told.sort();
        assert!(known.len() > 10, "{known:?}");
        assert_eq!(told, known);
    }

    #[test]
    fn a_file_says_everything() {
        let machine = Machine::new(
            r#"
            tcti = "swtpm:path=/run/tpm"
            show_slots = ["null", "platform"]
            check_ec_signatures = false
            mixed_wrapping_keys = true
            [store]
            directory = "/srv/keys"
            sharing = "group-write"
            read_only = true
            [log]
            file = "/var/log/hierarkey.log"
            level = "debug"
            [hierarchy_auth_files]
            owner = "/etc/hierarkey/owner"
            [compatibility]
            nss_reserved = true
            search_beside_operation = true
            "#,
        );
        let (config, problem) = machine.load(false, &[]);
        assert_eq!(problem, None);
        let expected = Config {
            tcti: Some("swtpm:path=/run/tpm".into()),
            store: StoreLocation {
                directory: "/srv/keys".into(),
                sharing: Sharing::GroupWrite,
                read_only: true,
            },
            log: LogSettings {
                target: Target::File("/var/log/hierarkey.log".into()),
                level: LevelFilter::Debug,
            },
            hierarchy_auth_files: HierarchyAuthFiles {
                owner: Some("/etc/hierarkey/owner".into()),
                ..HierarchyAuthFiles::default()
            },
            show_slots: ShowSlots { endorsement: false, platform: true, null: true },
            compatibility: Compatibility { nss_reserved: true, search_beside_operation: true },
            check_ec_signatures: false,
            mixed_wrapping_keys: true,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn variables_override_the_file_unless_the_process_is_setuid() {
        let machine = Machine::new("tcti = \"device\"\n[store]\ndirectory = \"/srv/keys\"\n");
        fs::write(machine.path("other"), "check_ec_signatures = false").unwrap();
        let other = machine.path("other");
        let variables = [
            ("HIERARKEY_STORE", "/mine"),
            ("HIERARKEY_TCTI", "swtpm"),
            ("HIERARKEY_LOG", "trace"),
            ("HIERARKEY_CONF", other.to_str().unwrap()),
        ];
        let (config, problem) = machine.load(false, &variables);
        assert_eq!(problem, None);
        assert_eq!(config.store, StoreLocation::new("/mine"));
        assert_eq!(config.tcti.as_deref(), Some("swtpm"));
        let stderr = LogSettings { target: Target::Stderr, level: LevelFilter::Trace };
        assert_eq!(config.log, stderr);
        assert!(!config.check_ec_signatures);
        assert_eq!(machine.load(true, &variables), machine.load(true, &[]));
    }

    #[test]
    fn a_mistake_is_told_by_file_and_line() {
        for (text, line, word) in [
            ("tcti = \"device\"\n\n[store]\ndirektory = \"/srv\"\n", ":4:", "direktory"),
            ("tcti = 5\n", ":1:", "string"),
            ("\n\n[store\n", ":3:", ""),
            ("show_slots = [\"owner\"]", ":1:", "owner"),
            ("[log]\nlevel = \"loud\"", ":2:", "loud"),
            ("[log]\ntarget = \"syslog\"\nfile = \"/l\"", ": ", "both"),
            ("[store]\ndirectory = \"here\"", ":2:", "here is not absolute"),
        ] {
            let machine = Machine::new(text);
            let (config, problem) = machine.load(false, &[]);
            let problem = problem.unwrap_or_else(|| panic!("{text:?} passed"));
            assert!(problem.contains(line) && problem.contains(word), "{text:?}: {problem}");
            assert!(!problem.contains('\n'), "{problem:?}");
            let syslog = LogSettings { target: Target::Syslog, level: LevelFilter::Error };
            assert_eq!(config.log, syslog, "{text:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_where_the_file_sends_its_log() {
        let machine = Machine::new("nonsense = 1\n[log]\nfile = \"/var/log/h\"\nlevel = \"info\"");
        let (config, problem) = machine.load(false, &[]);
        assert!(problem.is_some());
        let target = Target::File("/var/log/h".into());
        assert_eq!(config.log, LogSettings { target, level: LevelFilter::Info });
    }

    #[test]
    fn a_wrong_variable_is_told_by_its_name() {
        for (name, value) in [
            ("HIERARKEY_LOG", "loud"),
            ("HIERARKEY_STORE", "store"),
            ("HIERARKEY_CONF", "hierarkey.toml"),
            ("HIERARKEY_CONF", "/nonexistent/hierarkey.toml"),
        ] {
            let (_, problem) = Machine::new("").load(false, &[(name, value)]);
            let problem = problem.unwrap_or_else(|| panic!("{name}={value} passed"));
            assert!(problem.starts_with(name) || problem.starts_with(value), "{problem}");
        }
    }
}
