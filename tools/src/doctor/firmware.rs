//! Firmware with published weaknesses: THE TABLE, each row with its source.

use hierarkey::tpm::Firmware;

use super::{Finding, Severity, finding};
use crate::status::firmware_version;

/// A published weakness of some firmware.
struct Weakness {
    /// TPM_PT_MANUFACTURER.
    manufacturer: &'static str,
    /// Whether this firmware has it.
    has: fn(major: u16, minor: u16) -> bool,
    what: &'static str,
    remedy: &'static str,
    source: &'static str,
}

const WEAKNESSES: &[Weakness] = &[
    Weakness {
        manufacturer: "IFX",
        has: |major, minor| {
            matches!((major, minor), (5, ..=61) | (6, ..=42) | (7, ..=61) | (133, ..=32))
        },
        what: "RSA keys that it makes can be factored (ROCA)",
        remedy: "use EC keys, or RSA keys that were imported, until the machine's maker's firmware \
                 update is in; make RSA keys anew after it",
        source: "CVE-2017-15361, Infineon's TPM update page",
    },
    Weakness {
        manufacturer: "STM",
        has: |major, minor| {
            matches!(
                (major, minor),
                (71, 0 | 4 | 12) | (73, 0 | 4 | 5 | 8 | 9) | (74, 0 | 4 | 5 | 8 | 9 | 16)
            )
        },
        what: "the time that ECDSA signatures take tells the key (TPM-FAIL)",
        remedy: "use RSA keys until the machine's maker's firmware update is in; make EC keys anew \
                 after it",
        source: "CVE-2019-16863, STMicroelectronics' page \"TPM firmware update - ECDSA signature \
                 generation\"",
    },
];

/// What was published about this firmware.
pub fn weaknesses(firmware: &Firmware) -> Vec<Finding> {
    let (major, minor) = firmware_version(firmware);
    WEAKNESSES
        .iter()
        .filter(|row| row.manufacturer == firmware.manufacturer && (row.has)(major, minor))
        .map(|row| {
            let text = format!("firmware {major}.{minor}: {}", row.what);
            let mut found = finding(Severity::Problem, text, row.remedy);
            found.source = Some(row.source.to_owned());
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_firmware_that_was_named_is_accused() {
        let found = |manufacturer: &str, major: u64, minor: u64| {
            let version = major << 48 | minor << 32;
            let (manufacturer, model) = (manufacturer.to_owned(), String::new());
            weaknesses(&Firmware { manufacturer, model, version }).len()
        };
        assert_eq!(found("IFX", 7, 61), 1);
        assert_eq!(found("IFX", 7, 62), 0);
        assert_eq!(found("IFX", 5, 61), 1);
        assert_eq!(found("IFX", 15, 21), 0);
        assert_eq!(found("STM", 73, 4), 1);
        assert_eq!(found("STM", 73, 20), 0);
        assert_eq!(found("IBM", 7, 61), 0);
    }
}
