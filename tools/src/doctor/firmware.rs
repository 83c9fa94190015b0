//! Firmware with published weaknesses: THE TABLE, each row with its source.

use hierarkey::tpm::Firmware;

use super::{Finding, Severity, finding};

/// TPM_PT_FIRMWARE_VERSION_1 and _2 as four numbers. Infineon's and ST's versions are the first two,
/// Nuvoton's are all four.
type Version = [u16; 4];

/// A published weakness of some firmware.
struct Weakness {
    /// TPM_PT_MANUFACTURER.
    manufacturer: &'static str,
    /// Whether this firmware has it.
    has: fn(Version) -> bool,
    /// What can be done from afar or by programs is a problem; what takes the machine in hand and
    /// instruments, or stops the TPM until it is switched off, is a warning.
    severity: Severity,
    what: &'static str,
    remedy: &'static str,
    source: &'static str,
}

const WEAKNESSES: &[Weakness] = &[
    Weakness {
        manufacturer: "IFX",
        has: |version| {
            matches!(version, [5, ..=61, ..] | [6, ..=42, ..] | [7, ..=61, ..] | [133, ..=32, ..])
        },
        severity: Severity::Problem,
        what: "RSA keys that it makes can be factored (ROCA)",
        remedy: "use EC keys, or RSA keys that were imported, until the machine's maker's firmware \
                 update is in; make RSA keys anew after it",
        source: "CVE-2017-15361, Infineon's TPM update page",
    },
    Weakness {
        manufacturer: "STM",
        has: |version| {
            matches!(
                version,
                [71, 0 | 4 | 12, ..]
                    | [73, 0 | 4 | 5 | 8 | 9, ..]
                    | [74, 0 | 4 | 5 | 8 | 9 | 16, ..]
            )
        },
        severity: Severity::Problem,
        what: "the time that ECDSA signatures take tells the key (TPM-FAIL)",
        remedy: "use RSA keys until the machine's maker's firmware update is in; make EC keys anew \
                 after it",
        source: "CVE-2019-16863, STMicroelectronics' page \"TPM firmware update - ECDSA signature \
                 generation\"",
    },
    Weakness {
        manufacturer: "NTC",
        has: |version| matches!(version, [7, 2, 0, 1 | 2] | [7, 2, 1, 0]),
        severity: Severity::Warning,
        what: "the time that EC signatures take tells the key to who has the machine in hand",
        remedy: "use RSA keys until the machine's maker's firmware update (7.2.2.0) is in; make EC \
                 keys anew after it",
        source: "CVE-2020-25082, Nuvoton's security advisory SA-002",
    },
    Weakness {
        manufacturer: "NTC",
        has: |version| matches!(version, [7, 2, ..=3, _]),
        severity: Severity::Warning,
        what: "measured while it derives by ECDH, it tells the key to who has the machine in hand",
        remedy: "use RSA keys for disks until the machine's maker's firmware update (7.2.4.0 or \
                 later) is in; make EC keys that derive anew after it",
        source: "CVE-2026-6923, Nuvoton",
    },
    Weakness {
        manufacturer: "NTC",
        has: |version| matches!(version, [1, 3, 0, 1] | [1, 3, 1, 0] | [1, 3, 2, 8]),
        severity: Severity::Warning,
        what: "who may use the TPM can stop it until the machine is switched off",
        remedy: "let nobody use /dev/tpmrm0 who needs not; ask the machine's maker for firmware \
                 1.3.2.20",
        source: "CVE-2023-1017, Nuvoton's security advisory SA-003",
    },
];

/// What was published about this firmware.
pub fn weaknesses(firmware: &Firmware) -> Vec<Finding> {
    let version: Version =
        [48, 32, 16, 0].map(|shift| u16::try_from(firmware.version >> shift & 0xffff).unwrap_or(0));
    let parts = if firmware.manufacturer == "NTC" { 4 } else { 2 };
    let shown: Vec<_> = version.iter().take(parts).map(ToString::to_string).collect();
    WEAKNESSES
        .iter()
        .filter(|row| row.manufacturer == firmware.manufacturer && (row.has)(version))
        .map(|row| {
            let text = format!("firmware {}: {}", shown.join("."), row.what);
            let mut found = finding(row.severity, text, row.remedy);
            found.source = Some(row.source.to_owned());
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources that accuse a firmware, by the number of their CVE.
    fn accused(manufacturer: &str, version: Version) -> Vec<String> {
        let version = version.into_iter().fold(0, |all, part| all << 16 | u64::from(part));
        let (manufacturer, model) = (manufacturer.to_owned(), String::new());
        let found = weaknesses(&Firmware { manufacturer, model, version });
        let sources = found.iter().map(|one| one.source.clone().unwrap());
        sources.map(|source| source.split(',').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn only_the_firmware_that_was_named_is_accused() {
        for (manufacturer, version, expected) in [
            ("IFX", [7, 61, 0xae0, 0], &["CVE-2017-15361"][..]),
            ("IFX", [7, 62, 0, 0], &[]),
            ("IFX", [5, 61, 0, 0], &["CVE-2017-15361"]),
            ("IFX", [15, 21, 0, 0], &[]),
            ("STM", [73, 4, 0, 0], &["CVE-2019-16863"]),
            ("STM", [73, 20, 0, 0], &[]),
            ("IBM", [7, 61, 0, 0], &[]),
            ("NTC", [7, 2, 0, 1], &["CVE-2020-25082", "CVE-2026-6923"]),
            ("NTC", [7, 2, 1, 0], &["CVE-2020-25082", "CVE-2026-6923"]),
            ("NTC", [7, 2, 2, 0], &["CVE-2026-6923"]),
            ("NTC", [7, 2, 3, 1], &["CVE-2026-6923"]),
            ("NTC", [7, 2, 4, 0], &[]),
            ("NTC", [1, 3, 2, 8], &["CVE-2023-1017"]),
            ("NTC", [1, 3, 2, 20], &[]),
            ("IFX", [7, 2, 0, 1], &["CVE-2017-15361"]),
        ] {
            assert_eq!(accused(manufacturer, version), expected, "{manufacturer} {version:?}");
        }
    }
}
