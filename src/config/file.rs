//! The configuration file as it is written, and what becomes of it.

use std::io;
use std::path::{Path, PathBuf};

use log::LevelFilter;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Compatibility, Config, ConfigProblem, HierarchyAuthFiles, ShowSlots};
use crate::os::directory::{Sharing, StoreLocation};
use crate::os::environment::{Environment, Variable};
use crate::os::file;
use crate::os::log::{LogSettings, Target};

/// All that the file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    tcti: Option<String>,
    show_slots: Vec<ShownSlot>,
    check_ec_signatures: Option<bool>,
    mixed_wrapping_keys: bool,
    store: StoreSection,
    log: LogSection,
    hierarchy_auth_files: HierarchyAuthFiles,
    compatibility: Compatibility,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ShownSlot {
    Endorsement,
    Platform,
    Null,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    #[serde(deserialize_with = "absolute")]
    directory: Option<PathBuf>,
    sharing: SharingName,
    read_only: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SharingName {
    #[default]
    Private,
    GroupRead,
    GroupWrite,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSection {
    target: Option<TargetName>,
    #[serde(deserialize_with = "absolute")]
    file: Option<PathBuf>,
    level: Option<LevelName>,
}

/// A path that does not depend on the current directory.
pub(super) fn absolute<'de, D: Deserializer<'de>>(input: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(input)?;
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        let text = path.display();
        Err(D::Error::custom(format_args!("the path {text} is not absolute")))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TargetName {
    None,
    Syslog,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LevelName {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Only where to complain, in a file that is wrong elsewhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OnlyLog {
    log: LogSection,
}

impl File {
    /// A file that speaks of the log only.
    pub(super) fn with_log(log: LogSection) -> Self {
        Self { log, ..Self::default() }
    }

    /// Reads the file that the environment names, or `default`, which need not exist.
    ///
    /// Where it is wrong: what it says about the log all the same, if that can be read.
    pub(super) fn read(
        environment: &Environment,
        default: &Path,
    ) -> Result<Self, (LogSection, ConfigProblem)> {
        let named = environment.variable(Variable::Conf).map(Path::new);
        let path = named.unwrap_or(default);
        if !path.is_absolute() {
            let problem = ConfigProblem::new(Variable::Conf.name(), "is not an absolute path");
            return Err((LogSection::default(), problem));
        }
        let place = path.display().to_string();
        let text = match file::read_settings(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                let problem = ConfigProblem::new(place, error.to_string());
                return Err((LogSection::default(), problem));
            }
        };
        Self::parse(&text).map_err(|(log, problem)| (log, ConfigProblem { place, ..problem }))
    }

    fn parse(text: &str) -> Result<Self, (LogSection, ConfigProblem)> {
        let wrong = match toml::from_str::<Self>(text) {
            Ok(file) if file.log.target.is_some() && file.log.file.is_some() => {
                let problem = ConfigProblem::new("", "[log] names both a target and a file");
                return Err((LogSection::default(), problem));
            }
            Ok(file) => return Ok(file),
            Err(wrong) => wrong,
        };
        let line = wrong.span().map(|span| {
            let before = text.as_bytes().get(..span.start).unwrap_or_default();
            1 + before.iter().filter(|byte| **byte == b'\n').count()
        });
        let log = toml::from_str::<OnlyLog>(text).unwrap_or_default().log;
        Err((
            log,
            ConfigProblem { place: String::new(), line, message: wrong.message().to_owned() },
        ))
    }

    pub(super) fn into_config(self, environment: &Environment, system_store: &Path) -> Config {
        let shown = |slot| self.show_slots.contains(&slot);
        Config {
            show_slots: ShowSlots {
                endorsement: shown(ShownSlot::Endorsement),
                platform: shown(ShownSlot::Platform),
                null: shown(ShownSlot::Null),
            },
            tcti: self.tcti,
            store: self.store.into_location(environment, system_store),
            log: self.log.into_settings(),
            hierarchy_auth_files: self.hierarchy_auth_files,
            compatibility: self.compatibility,
            check_ec_signatures: self.check_ec_signatures.unwrap_or(true),
            mixed_wrapping_keys: self.mixed_wrapping_keys,
        }
    }
}

impl StoreSection {
    fn into_location(self, environment: &Environment, system_store: &Path) -> StoreLocation {
        let sharing = match self.sharing {
            SharingName::Private => Sharing::Private,
            SharingName::GroupRead => Sharing::GroupRead,
            SharingName::GroupWrite => Sharing::GroupWrite,
        };
        let at = |directory: PathBuf| StoreLocation {
            sharing,
            read_only: self.read_only,
            ..StoreLocation::new(directory)
        };
        if let Some(directory) = self.directory {
            return at(directory);
        }
        let system = at(system_store.to_owned());
        if system.is_readable() {
            return system;
        }
        // The machine's store may be shared; a user's own is the user's.
        environment.data_home().map_or(system, |data| StoreLocation {
            read_only: self.read_only,
            ..StoreLocation::new(data.join("hierarkey"))
        })
    }
}

impl LogSection {
    fn into_settings(self) -> LogSettings {
        let default = LogSettings::default();
        LogSettings {
            target: match (self.target, self.file) {
                (_, Some(path)) => Target::File(path),
                (Some(TargetName::Syslog), None) => Target::Syslog,
                (Some(TargetName::None) | None, None) => default.target,
            },
            level: match self.level {
                None => default.level,
                Some(LevelName::Off) => LevelFilter::Off,
                Some(LevelName::Error) => LevelFilter::Error,
                Some(LevelName::Warn) => LevelFilter::Warn,
                Some(LevelName::Info) => LevelFilter::Info,
                Some(LevelName::Debug) => LevelFilter::Debug,
                Some(LevelName::Trace) => LevelFilter::Trace,
            },
        }
    }
}
