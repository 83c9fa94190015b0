//! `hierarkey status`.

use hierarkey::admin::Admin;
use hierarkey::cryptoki::{
    CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT, CKF_USER_PIN_INITIALIZED, CKR_TOKEN_NOT_RECOGNIZED,
};
use hierarkey::slot::slot_of;
use hierarkey::tpm::Hierarchy;

pub fn show(admin: &Admin) -> Result<(), String> {
    println!("TPM    {}", admin.tpm_address());
    match admin.tpm() {
        Ok((firmware, status)) => {
            println!(
                "       {} {}, firmware {}.{}",
                firmware.manufacturer,
                firmware.model,
                firmware.version >> 48,
                (firmware.version >> 32) & 0xffff,
            );
            let left = status.max_auth_fail.saturating_sub(status.lockout_counter);
            println!("       {left} of {} PIN tries left", status.max_auth_fail);
        }
        Err(error) => println!("       does not answer: {error}"),
    }
    println!("store  {}", admin.store_directory().display());
    for hierarchy in Hierarchy::ALL {
        println!(
            "slot {} {:<12} {}",
            slot_of(hierarchy),
            hierarchy.name(),
            token(admin, hierarchy)
        );
    }
    Ok(())
}

fn token(admin: &Admin, hierarchy: Hierarchy) -> String {
    let provider = admin.provider();
    let slot = slot_of(hierarchy);
    match provider.slot_info(slot) {
        Ok(info) if info.flags & CKF_TOKEN_PRESENT == 0 => return "no token".into(),
        Ok(_) => {}
        Err(error) => return error.to_string(),
    }
    match provider.token_info(slot) {
        Ok(info) if info.flags & CKF_TOKEN_INITIALIZED == 0 => "not initialised".into(),
        Ok(info) => format!(
            "\"{}\"  serial {}{}",
            String::from_utf8_lossy(&info.label).trim_end(),
            String::from_utf8_lossy(&info.serialNumber),
            if info.flags & CKF_USER_PIN_INITIALIZED == 0 { "  no user PIN yet" } else { "" },
        ),
        Err(error) if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED => format!(
            "made by another TPM, or this one was cleared: \
             hierarkey token remove --slot {} --destroy-keys",
            hierarchy.name()
        ),
        Err(error) => error.to_string(),
    }
}
