//! What the machine has to say: the configuration, groups, p11-kit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hierarkey::config::{Config, FILE};
use hierarkey::os::environment::{Environment, Variable};
use hierarkey::os::file::read_secret;
use hierarkey::tpm::transport::TpmAddress;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{Examination, Finding, problem, warning};
use crate::failure::{Failure, Result, plain};
use crate::setup::module::p11_kit_files;

/// The configuration, and what is wrong with it, by file and line or by the variable's name.
fn load() -> (Config, Option<String>) {
    let environment = Environment::of_process();
    let (config, wrong) = Config::load(&environment);
    let wrong = wrong.map(|wrong| wrong.to_string()).or_else(|| {
        // The file's reader knows nothing of what addresses a TPM can have.
        let error = config.tcti.as_deref()?.parse::<TpmAddress>().err()?;
        let place = match environment.variable(Variable::Tcti) {
            Some(_) => Variable::Tcti.name().to_owned(),
            None => {
                let named = environment.variable(Variable::Conf).map(Path::new);
                format!("{}: tcti", named.unwrap_or(Path::new(FILE)).display())
            }
        };
        Some(format!("{place}: {error}"))
    });
    (config, wrong)
}

/// Fails where the configuration has a mistake.
pub fn must_be_configured() -> Result<()> {
    match load() {
        (_, None) => Ok(()),
        (_, Some(wrong)) => Err(Failure::input(format!(
            "{wrong}: correct it, until then no slot has a token (hierarkey.toml(5))"
        ))),
    }
}

pub fn configuration(examination: &mut Examination) {
    let (config, wrong) = load();
    let mut found = match wrong {
        Some(wrong) => problem(
            wrong,
            "correct it: until then no slot has a token (hierarkey.toml(5) has what may stand there)",
        ),
        None => Vec::new(),
    };
    let files = &config.hierarchy_auth_files;
    for path in [&files.owner, &files.endorsement, &files.platform, &files.lockout] {
        let Some(path) = path else { continue };
        if let Err(error) = read_secret(path) {
            found.extend(warning(
                format!("{}: {}", path.display(), plain(&error)),
                "the file must be there, root's or yours, mode 0600 or 0640",
            ));
        }
    }
    examination.check("configuration", found);
}

pub fn p11_kit(examination: &mut Examination) {
    let files = p11_kit_files();
    let mut found = Vec::new();
    if files.is_empty() {
        found = warning(
            "p11-kit does not know the module: systemd, GnuTLS and others do not find it",
            "install the package, or write /etc/pkcs11/modules/hierarkey.module with the line \
             module: /path/of/libhierarkey.so",
        );
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let named = text.lines().find_map(|line| line.trim().strip_prefix("module:"));
        let module = PathBuf::from(named.unwrap_or_default().trim());
        if module.is_absolute() && !module.exists() {
            found.extend(problem(
                format!("{} names {}, which is not there", file.display(), module.display()),
                "correct the line, or install the module there",
            ));
        }
    }
    examination.check("p11-kit", found);
}

/// Whether this user is in the group that a file is for, where it needs that for `access`: an access
/// control list may let it in all the same.
pub fn group_of(file: &Path, access: Access) -> Vec<Finding> {
    if accessat(CWD, file, access, AtFlags::EACCESS).is_ok() {
        return Vec::new();
    }
    let Ok(status) = fs::metadata(file) else { return Vec::new() };
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 || uid == status.uid() {
        return Vec::new();
    }
    let mut groups: Vec<u32> =
        rustix::process::getgroups().unwrap_or_default().iter().map(|one| one.as_raw()).collect();
    groups.push(rustix::process::getegid().as_raw());
    if groups.contains(&status.gid()) {
        return Vec::new();
    }
    let group = named(Path::new("/etc/group"), status.gid());
    let user = named(Path::new("/etc/passwd"), uid);
    let listed = fs::read_to_string("/etc/group").is_ok_and(|text| {
        text.lines().any(|line| {
            let fields: Vec<_> = line.split(':').collect();
            fields.first() == Some(&group.as_str())
                && fields.get(3).is_some_and(|users| users.split(',').any(|one| one == user))
        })
    });
    let what = format!("{} is for group {group}, and this process is not in it", file.display());
    if listed {
        return problem(what, format!("{user} is in the group since this login: log in again"));
    }
    problem(what, format!("usermod -aG {group} {user}, then log in again"))
}

/// The name of a number in /etc/group or /etc/passwd, or the number.
fn named(table: &Path, number: u32) -> String {
    let text = fs::read_to_string(table).unwrap_or_default();
    let wanted = number.to_string();
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&wanted.as_str()))
        .and_then(|fields| fields.first().map(ToString::to_string))
        .unwrap_or(wanted)
}
