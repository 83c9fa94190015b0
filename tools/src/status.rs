//! `hierarkey status`: the TPM, its hierarchies with their tokens, the store, and who has them open.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hierarkey::admin::Admin;
use hierarkey::cryptoki::{
    CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT, CKF_USER_PIN_INITIALIZED, CKR_TOKEN_NOT_RECOGNIZED,
};
use hierarkey::slot::slot_of;
use hierarkey::tpm::{Curve, Firmware, Hierarchy};
use schemars::JsonSchema;
use serde::Serialize;

use crate::doctor;
use crate::failure::Result;
use crate::lockout::LockoutReport;
use crate::output::{Output, Report, Style, visible};

/// What `status` answers.
#[derive(Serialize, JsonSchema)]
pub struct StatusReport {
    /// What is wrong with the configuration; null where nothing is. No slot has a token until it is
    /// corrected.
    pub configuration: Option<String>,
    pub tpm: TpmStatus,
    /// Null where no TPM answers.
    pub lockout: Option<LockoutReport>,
    pub slots: Vec<SlotStatus>,
    pub store: StoreStatus,
    /// Other processes that have the TPM or the store open, as far as this user may see them.
    pub open_by: Vec<Opener>,
}

#[derive(Serialize, JsonSchema)]
pub struct TpmStatus {
    /// In the TSS's syntax.
    pub address: String,
    pub answers: bool,
    /// Why it does not answer.
    pub problem: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    /// Major and minor number.
    pub firmware: Option<String>,
    pub rsa_bits: Vec<u16>,
    pub curves: Vec<String>,
    pub aes_bits: Vec<u16>,
}

#[derive(Serialize, JsonSchema)]
pub struct SlotStatus {
    /// The PKCS#11 slot.
    pub slot: u64,
    /// "owner", "endorsement", "platform" or "null".
    pub hierarchy: String,
    /// "token", "uninitialised", "none", "unrecognized" or "error".
    pub state: String,
    pub label: Option<String>,
    pub serial: Option<String>,
    /// Whether the user's PIN was set.
    pub user_pin: Option<bool>,
    /// What is wrong, where something is.
    pub problem: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct StoreStatus {
    pub directory: String,
    /// The version of its tables; null where there is no store yet.
    pub version: Option<u32>,
    /// Whether this user may change it.
    pub writable: bool,
    /// Why it is not used.
    pub problem: Option<String>,
}

#[derive(Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opener {
    pub pid: u32,
    pub program: String,
    /// "tpm" or "store".
    pub what: String,
}

/// "7.85" of TPM_PT_FIRMWARE_VERSION_1.
fn firmware_version(firmware: &Firmware) -> (u16, u16) {
    let [a, b, c, d, ..] = firmware.version.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

fn tpm(admin: &Admin, misconfigured: Option<&str>) -> (TpmStatus, Option<LockoutReport>) {
    let mut status = TpmStatus {
        address: admin.tpm_address(),
        answers: false,
        problem: None,
        manufacturer: None,
        model: None,
        firmware: None,
        rsa_bits: Vec::new(),
        curves: Vec::new(),
        aes_bits: Vec::new(),
    };
    let (firmware, numbers) = match admin.tpm() {
        Ok(both) => both,
        Err(error) => {
            status.problem = Some(misconfigured.map_or_else(|| error.to_string(), str::to_owned));
            return (status, None);
        }
    };
    status.answers = true;
    let (major, minor) = firmware_version(&firmware);
    status.firmware = Some(format!("{major}.{minor}"));
    status.manufacturer = Some(firmware.manufacturer);
    status.model = Some(firmware.model);
    if let Ok(abilities) = admin.abilities() {
        status.rsa_bits = abilities.rsa_bits.iter().copied().collect();
        status.aes_bits = abilities.aes_bits.iter().copied().collect();
        let curves = [(Curve::P256, "P-256"), (Curve::P384, "P-384"), (Curve::P521, "P-521")];
        status.curves = curves
            .into_iter()
            .filter(|(curve, _)| abilities.has_curve(*curve))
            .map(|(_, name)| name.to_owned())
            .collect();
    }
    (status, Some(LockoutReport::of(&numbers)))
}

fn slot(admin: &Admin, hierarchy: Hierarchy) -> SlotStatus {
    let provider = admin.provider();
    let id = slot_of(hierarchy);
    let mut status = SlotStatus {
        slot: id.into(),
        hierarchy: hierarchy.name().to_owned(),
        state: "none".to_owned(),
        label: None,
        serial: None,
        user_pin: None,
        problem: None,
    };
    // A token's first use finds out whether it is this TPM's; without one nobody would know.
    let genuine = admin.check_token(hierarchy);
    if let Err(error) = &genuine
        && error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED
        && admin.store_readable().is_ok()
    {
        "unrecognized".clone_into(&mut status.state);
        status.problem = Some(error.to_string());
        return status;
    }
    match provider.slot_info(id) {
        Ok(info) if info.flags & CKF_TOKEN_PRESENT == 0 => return status,
        Ok(_) => {}
        Err(error) => status.problem = Some(error.to_string()),
    }
    match provider.token_info(id) {
        Ok(info) if info.flags & CKF_TOKEN_INITIALIZED == 0 => {
            "uninitialised".clone_into(&mut status.state);
        }
        Ok(info) => {
            "token".clone_into(&mut status.state);
            status.label = Some(String::from_utf8_lossy(&info.label).trim_end().to_owned());
            status.serial = Some(String::from_utf8_lossy(&info.serialNumber).trim_end().to_owned());
            status.user_pin = Some(info.flags & CKF_USER_PIN_INITIALIZED != 0);
        }
        Err(error) => {
            "error".clone_into(&mut status.state);
            status.problem = Some(error.to_string());
        }
    }
    status
}

fn store(admin: &Admin) -> StoreStatus {
    let version = admin.store_version();
    StoreStatus {
        directory: admin.store_directory().display().to_string(),
        writable: admin.store_writable().unwrap_or(false),
        problem: version.as_ref().err().map(ToString::to_string),
        version: version.unwrap_or(None),
    }
}

/// The device of a TPM address, where it is one.
pub fn device_of(address: &str) -> Option<PathBuf> {
    match address.split_once(':') {
        Some(("device", path)) => Some(path.into()),
        None if address == "device" => Some("/dev/tpmrm0".into()),
        _ => None,
    }
}

/// Who has one of these files open, this process aside.
fn open_by(files: &[(PathBuf, &str)]) -> BTreeSet<Opener> {
    let mut openers = BTreeSet::new();
    let Ok(processes) = fs::read_dir("/proc") else { return openers };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for target in descriptors.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()) {
            let Some((_, what)) = files.iter().find(|(file, _)| *file == target) else { continue };
            let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let program = program.trim().to_owned();
            openers.insert(Opener { pid, program, what: (*what).to_owned() });
        }
    }
    openers
}

pub fn run(out: Output, admin: &Admin) -> Result<()> {
    let configuration = doctor::must_be_configured().err().map(|wrong| wrong.message);
    let (tpm, lockout) = tpm(admin, configuration.as_deref());
    let (location, file) = admin.store_location();
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut files = vec![(real(&location.directory.join(file)), "store")];
    files.extend(device_of(&tpm.address).map(|device| (real(&device), "tpm")));
    out.show(&StatusReport {
        slots: Hierarchy::ALL.into_iter().map(|one| slot(admin, one)).collect(),
        store: store(admin),
        open_by: open_by(&files).into_iter().collect(),
        configuration,
        tpm,
        lockout,
    })
}

impl Report for StatusReport {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let tpm = &self.tpm;
        let or_unknown = |text: &Option<String>| visible(text.as_deref().unwrap_or_default());
        if let Some(wrong) = &self.configuration {
            let wrong = style.bad(&visible(wrong));
            let _ = writeln!(text, "{}  {wrong}", style.bold("configuration"));
        }
        let _ = if tpm.answers {
            writeln!(
                text,
                "{}  {} {}, firmware {}, at {}",
                style.bold("TPM"),
                or_unknown(&tpm.manufacturer),
                or_unknown(&tpm.model),
                or_unknown(&tpm.firmware),
                tpm.address
            )
        } else if self.configuration.is_some() {
            writeln!(text, "{}  {} is not asked", style.bold("TPM"), tpm.address)
        } else {
            let problem = or_unknown(&tpm.problem);
            let dead = style.bad("does not answer");
            writeln!(text, "{}  {} {dead}: {problem}", style.bold("TPM"), tpm.address)
        };
        if tpm.answers {
            let numbers = |numbers: &[u16]| {
                numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            };
            let (rsa, aes) = (numbers(&tpm.rsa_bits), numbers(&tpm.aes_bits));
            let _ = writeln!(text, " │   makes RSA {rsa}, {}, AES {aes}", tpm.curves.join(" "));
        }
        if let Some(lockout) = &self.lockout {
            let left = format!("{} of {} PIN tries left", lockout.tries_left, lockout.tries);
            let left =
                if lockout.locked { style.bad("locked out: no PIN is accepted now") } else { left };
            let _ = writeln!(text, " │   {left}");
        }
        for (number, slot) in self.slots.iter().enumerate() {
            let branch = if number + 1 == self.slots.len() { "└──" } else { "├──" };
            let what = match slot.state.as_str() {
                "token" => {
                    let label = style.bold(&format!("\"{}\"", or_unknown(&slot.label)));
                    let serial = or_unknown(&slot.serial);
                    let pin = if slot.user_pin == Some(false) { "  no user PIN yet" } else { "" };
                    format!("{label}  serial {serial}{pin}")
                }
                "uninitialised" => style.dim("not initialised"),
                "unrecognized" => style.bad(&format!(
                    "made by another TPM, or this one was cleared: hierarkey token remove --slot {} \
                     --destroy-keys",
                    slot.hierarchy
                )),
                "none" => style.dim("no token"),
                _ => style.bad(&or_unknown(&slot.problem)),
            };
            let _ = writeln!(text, " {branch} slot {} {:<12} {what}", slot.slot, slot.hierarchy);
        }
        let store = &self.store;
        let how = match (&store.problem, store.version, store.writable) {
            (Some(problem), ..) => style.bad(problem),
            (None, None, true) => "not there yet".into(),
            (None, None, false) => "not there, and this user cannot make it".into(),
            (None, Some(version), true) => format!("version {version}"),
            (None, Some(version), false) => format!("version {version}, read-only for this user"),
        };
        let _ = writeln!(text, "{}  {}, {how}", style.bold("store"), store.directory);
        for one in &self.open_by {
            let what = if one.what == "tpm" { "the TPM" } else { "the store" };
            let _ = writeln!(text, "{what} is open in {} (pid {})", visible(&one.program), one.pid);
        }
        text
    }
}
