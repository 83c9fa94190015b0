//! The TPM: whether it answers, and how it guards PINs.

use std::path::Path;

use hierarkey::admin::Admin;
use hierarkey::error::Error;
use hierarkey::tpm::{Firmware, Hierarchy, Status};
use rustix::fs::Access;

use super::{Examination, Finding, firmware, note, problem, system, warning};
use crate::lockout::LOCKOUT_AUTH_SET;
use crate::status::device_of;

/// More tries than this let a short PIN be guessed.
const MANY_TRIES: u32 = 100;
/// Fewer seconds than this for a try let one be guessed in time.
const SHORT_RECOVERY: u32 = 60;

pub fn examine(examination: &mut Examination, admin: &Admin) {
    let address = admin.tpm_address();
    let (firmware, status) = match admin.tpm() {
        Ok(answer) => answer,
        Err(error) => {
            examination.check("tpm", silent(&address, &error));
            return;
        }
    };
    examination.check("tpm", Vec::new());
    if let Some(device) = device_of(&address) {
        examination.check("group", system::group_of(&device, Access::READ_OK | Access::WRITE_OK));
    }
    examination.check("firmware", firmware::weaknesses(&firmware));
    examination.check("software-tpm", software(&firmware));
    examination.check("lockout", locked(&status));
    examination.check("lockout-authorization", authorization(&status));
    examination.check("dictionary-attack", settings(&status));
    examination.check("hierarchies", disabled(&status));
}

fn silent(address: &str, error: &Error) -> Vec<Finding> {
    let told = format!("{address} does not answer: {error}");
    let Some(device) = device_of(address) else {
        return problem(
            told,
            "start the program that serves it, or correct tcti in the configuration",
        );
    };
    if !device.exists() {
        let other = Path::new("/dev/tpm0").exists();
        return problem(
            told,
            if other {
                "there is a TPM at /dev/tpm0: the kernel lacks its resource manager, or tcti in the \
                 configuration is wrong"
            } else {
                "this machine shows no TPM: switch it on in the firmware's setup (PTT, fTPM, Security \
                 Device), or load its driver (modprobe tpm_crb, tpm_tis)"
            },
        );
    }
    let group = system::group_of(&device, Access::READ_OK | Access::WRITE_OK);
    if group.is_empty() {
        return problem(
            told,
            "see who has it open with `hierarkey status`, or restart the machine",
        );
    }
    group
}

fn software(firmware: &Firmware) -> Vec<Finding> {
    if firmware.model.contains("SW") && firmware.manufacturer == "IBM" {
        return note(
            "this is a TPM emulator: its keys are as safe as the host that it runs on",
            "for keys that no program can copy use a machine's own TPM",
        );
    }
    Vec::new()
}

fn locked(status: &Status) -> Vec<Finding> {
    if status.locked_out() {
        return problem(
            "the TPM is locked out: it accepts no PIN now",
            format!(
                "`hierarkey lockout reset`, or wait {} s for each try",
                status.lockout_interval
            ),
        );
    }
    if status.lockout_counter > 0 {
        return note(
            format!("{} of {} tries are used up", status.lockout_counter, status.max_auth_fail),
            "if those were not your own mistakes, find out who guesses PINs",
        );
    }
    Vec::new()
}

fn authorization(status: &Status) -> Vec<Finding> {
    if status.permanent & LOCKOUT_AUTH_SET != 0 {
        return Vec::new();
    }
    warning(
        "the lockout authorization is empty: everybody who may use the TPM can give himself new \
         tries, or clear it",
        "put one into a file without a line's end, set it with tpm2_changeauth -c lockout file:FILE, \
         and name the file in the configuration ([hierarchy_auth_files] lockout)",
    )
}

fn settings(status: &Status) -> Vec<Finding> {
    let remedy = "tpm2_dictionarylockout -s -n 32 -t 600 -l 86400 (32 tries, one back every ten \
                  minutes)";
    if status.max_auth_fail == 0 {
        return problem("the TPM takes no wrong PIN at all before it locks", remedy);
    }
    if status.lockout_interval == 0 {
        return problem("wrong PINs never lock the TPM: tries are given back at once", remedy);
    }
    let mut found = Vec::new();
    if status.max_auth_fail > MANY_TRIES {
        let text = format!("the TPM allows {} wrong PINs before it locks", status.max_auth_fail);
        found.extend(warning(text, remedy));
    }
    if status.lockout_interval < SHORT_RECOVERY {
        let text = format!("a try is given back every {} s already", status.lockout_interval);
        found.extend(warning(text, remedy));
    }
    found
}

fn disabled(status: &Status) -> Vec<Finding> {
    if status.enabled(Hierarchy::Owner) {
        return Vec::new();
    }
    problem(
        "the owner hierarchy is disabled: slot 0 shows no token",
        "restart the machine; if it stays so, enable it in the firmware's setup",
    )
}
