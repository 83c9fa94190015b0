//! What this TPM can do and how it fares. TPM 2.0 Part 2, "TPM_PT" and "TPM_CAP"; Part 3,
//! TPM2_GetCapability, TPM2_TestParms, TPM2_ReadClock.

use cryptoki_sys::CKR_DEVICE_ERROR;
use std::collections::BTreeSet;
use tss_esapi::constants::tss as tpm2;

use crate::error::{Error, Result};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure};
use crate::tpm::wire::{Reader, Writer};
use crate::tpm::{Abilities, Clock, Firmware, Status};

/// Properties asked for in one go: every answer fits a TPM's buffer with them.
const MANY: u32 = 127;
/// RSA sizes a TPM may have.
const RSA_SIZES: [u16; 4] = [1024, 2048, 3072, 4096];
/// AES sizes a TPM may have.
const AES_SIZES: [u16; 3] = [128, 192, 256];
/// The variable properties that change while the TPM runs: TPM_PT_PERMANENT up to and with
/// TPM_PT_LOCKOUT_RECOVERY.
const VARIABLE: u32 = tpm2::TPM2_PT_LOCKOUT_RECOVERY - tpm2::TPM2_PT_PERMANENT + 1;
/// First byte of serialized abilities: the version of their form.
const FORM: u8 = 2;

/// One TPM2_GetCapability: whether there is more, and the list after its count.
fn ask(
    turn: &mut Turn<'_>,
    capability: u32,
    property: u32,
    count: u32,
) -> Attempt<(bool, u32, Vec<u8>)> {
    let command = Command::new(tpm2::TPM2_CC_GetCapability)?
        .parameters(Writer::new().u32(capability).u32(property).u32(count));
    turn.send(command, Authorization::None)?.read(|reader| {
        let more = reader.u8()? != 0;
        if reader.u32()? != capability {
            return Err(Error::new(CKR_DEVICE_ERROR, "another capability than asked for"));
        }
        let count = reader.u32()?;
        Ok((more, count, reader.rest().to_vec()))
    })
}

/// A whole list, however many commands it takes. `entry` reads one entry and tells the number to go
/// on after.
fn list<T>(
    turn: &mut Turn<'_>,
    capability: u32,
    first: u32,
    entry: impl Fn(&mut Reader<'_>) -> Result<(u32, T)>,
) -> Attempt<Vec<T>> {
    let mut entries = Vec::new();
    let mut next = first;
    loop {
        let (more, count, bytes) = ask(turn, capability, next, MANY)?;
        let mut reader = Reader::new(&bytes);
        for _ in 0..count {
            let (number, value) = entry(&mut reader).map_err(Failure::Altered)?;
            entries.push(value);
            next = number.saturating_add(1);
        }
        reader.end().map_err(Failure::Altered)?;
        if !more || count == 0 {
            return Ok(entries);
        }
    }
}

fn properties(turn: &mut Turn<'_>, first: u32, count: u32) -> Attempt<Vec<(u32, u32)>> {
    let (_, count, bytes) = ask(turn, tpm2::TPM2_CAP_TPM_PROPERTIES, first, count)?;
    let read = || -> Result<_> {
        let mut reader = Reader::new(&bytes);
        let entries =
            (0..count).map(|_| Ok((reader.u32()?, reader.u32()?))).collect::<Result<Vec<_>>>()?;
        reader.end()?;
        Ok(entries)
    };
    read().map_err(Failure::Altered)
}

/// Handles of a range that the TPM has: transient objects, loaded auth sessions.
pub(super) fn handles(turn: &mut Turn<'_>, first: u32) -> Attempt<Vec<u32>> {
    let mut handles = list(turn, tpm2::TPM2_CAP_HANDLES, first, |reader| {
        let handle = reader.u32()?;
        Ok((handle, handle))
    })?;
    // Asked for loaded auth sessions, the TPM lists policy sessions among them, under the handles of
    // their own type.
    let auth_sessions = first >> 24 == u32::from(tpm2::TPM2_HT_LOADED_SESSION);
    handles.retain(|handle| {
        let kind = handle >> 24;
        kind == first >> 24 || auth_sessions && kind == u32::from(tpm2::TPM2_HT_POLICY_SESSION)
    });
    Ok(handles)
}

pub(super) fn status(turn: &mut Turn<'_>) -> Attempt<Status> {
    let mut status = Status::default();
    for (property, value) in properties(turn, tpm2::TPM2_PT_PERMANENT, VARIABLE)? {
        match property {
            tpm2::TPM2_PT_PERMANENT => status.permanent = value,
            tpm2::TPM2_PT_STARTUP_CLEAR => status.startup_clear = value,
            tpm2::TPM2_PT_LOCKOUT_COUNTER => status.lockout_counter = value,
            tpm2::TPM2_PT_MAX_AUTH_FAIL => status.max_auth_fail = value,
            tpm2::TPM2_PT_LOCKOUT_INTERVAL => status.lockout_interval = value,
            tpm2::TPM2_PT_LOCKOUT_RECOVERY => status.lockout_recovery = value,
            _ => {}
        }
    }
    Ok(status)
}

pub(super) fn clock(turn: &mut Turn<'_>) -> Attempt<Clock> {
    let command = Command::new(tpm2::TPM2_CC_ReadClock)?;
    turn.send(command, Authorization::None)?.read(|reader| {
        let _time = reader.u64()?;
        let clock = Clock {
            clock: reader.u64()?,
            reset_count: reader.u32()?,
            restart_count: reader.u32()?,
        };
        let _safe = reader.u8()?;
        reader.clone().end()?;
        Ok(clock)
    })
}

pub(super) fn firmware(turn: &mut Turn<'_>) -> Attempt<Firmware> {
    let properties = properties(turn, tpm2::TPM2_PT_FIXED, MANY)?;
    Ok(firmware_of(&properties))
}

fn firmware_of(properties: &[(u32, u32)]) -> Firmware {
    let value = |wanted| {
        properties.iter().find(|(property, _)| *property == wanted).map_or(0, |(_, value)| *value)
    };
    let text = |values: &[u32]| {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .map(|byte| if byte.is_ascii_graphic() { byte } else { b' ' })
            .collect();
        String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    Firmware {
        manufacturer: text(&[value(tpm2::TPM2_PT_MANUFACTURER)]),
        model: text(&[
            value(tpm2::TPM2_PT_VENDOR_STRING_1),
            value(tpm2::TPM2_PT_VENDOR_STRING_2),
            value(tpm2::TPM2_PT_VENDOR_STRING_3),
            value(tpm2::TPM2_PT_VENDOR_STRING_4),
        ]),
        version: u64::from(value(tpm2::TPM2_PT_FIRMWARE_VERSION_1)) << 32
            | u64::from(value(tpm2::TPM2_PT_FIRMWARE_VERSION_2)),
    }
}

/// Asks for everything: some ten commands, once for each firmware.
pub(super) fn abilities(turn: &mut Turn<'_>, firmware: Firmware) -> Attempt<Abilities> {
    let algorithms = list(turn, tpm2::TPM2_CAP_ALGS, 0, |reader| {
        let algorithm = reader.u16()?;
        reader.u32()?;
        Ok((algorithm.into(), algorithm))
    })?;
    let commands = list(turn, tpm2::TPM2_CAP_COMMANDS, 0, |reader| {
        // TPMA_CC: the command's index, and whether it is the vendor's.
        let attributes = reader.u32()?;
        let code = attributes & 0x2000_ffff;
        Ok((code, code))
    })?;
    let curves = list(turn, tpm2::TPM2_CAP_ECC_CURVES, 0, |reader| {
        let curve = reader.u16()?;
        Ok((curve.into(), curve))
    })?;
    let mut rsa_bits = BTreeSet::new();
    for bits in RSA_SIZES {
        if has_rsa(turn, bits)? {
            rsa_bits.insert(bits);
        }
    }
    // A TPM that does not cipher for others has AES for itself only.
    let ciphers = commands.contains(&tpm2::TPM2_CC_EncryptDecrypt2);
    let mut aes_bits = BTreeSet::new();
    for bits in AES_SIZES.into_iter().filter(|_| ciphers) {
        if has_aes(turn, bits)? {
            aes_bits.insert(bits);
        }
    }
    let input_buffer = properties(turn, tpm2::TPM2_PT_INPUT_BUFFER, 1)?
        .first()
        .filter(|(property, _)| *property == tpm2::TPM2_PT_INPUT_BUFFER)
        .map_or(1024, |(_, value)| usize::try_from(*value).unwrap_or(1024));
    Ok(Abilities {
        firmware,
        algorithms: algorithms.into_iter().collect(),
        commands: commands.into_iter().collect(),
        curves: curves.into_iter().collect(),
        rsa_bits,
        aes_bits,
        input_buffer,
    })
}

/// TPM2_TestParms of an RSA key with scheme NULL and the default exponent.
fn has_rsa(turn: &mut Turn<'_>, bits: u16) -> Attempt<bool> {
    has(
        turn,
        Writer::new()
            .u16(tpm2::TPM2_ALG_RSA)
            .u16(tpm2::TPM2_ALG_NULL)
            .u16(tpm2::TPM2_ALG_NULL)
            .u16(bits)
            .u32(0),
    )
}

/// TPM2_TestParms of an AES key for any mode.
fn has_aes(turn: &mut Turn<'_>, bits: u16) -> Attempt<bool> {
    has(
        turn,
        Writer::new()
            .u16(tpm2::TPM2_ALG_SYMCIPHER)
            .u16(tpm2::TPM2_ALG_AES)
            .u16(bits)
            .u16(tpm2::TPM2_ALG_NULL),
    )
}

fn has(turn: &mut Turn<'_>, parameters: Writer) -> Attempt<bool> {
    let command = Command::new(tpm2::TPM2_CC_TestParms)?.parameters(parameters);
    match turn.send(command, Authorization::None) {
        Ok(_) => Ok(true),
        Err(Failure::Rc(..)) => Ok(false),
        Err(failure) => Err(failure),
    }
}

impl Abilities {
    /// As the store keeps them: opaque to everybody else.
    pub fn to_bytes(&self) -> Vec<u8> {
        let short = |numbers: &BTreeSet<u16>| {
            numbers.iter().fold(Writer::new(), |writer, number| writer.u16(*number)).finish()
        };
        let commands =
            self.commands.iter().fold(Writer::new(), |writer, code| writer.u32(*code)).finish();
        Writer::new()
            .u8(FORM)
            .sized(self.firmware.manufacturer.as_bytes())
            .sized(self.firmware.model.as_bytes())
            .bytes(&self.firmware.version.to_be_bytes())
            .sized(&short(&self.algorithms))
            .sized(&commands)
            .sized(&short(&self.curves))
            .sized(&short(&self.rsa_bits))
            .sized(&short(&self.aes_bits))
            .u32(u32::try_from(self.input_buffer).unwrap_or(u32::MAX))
            .finish()
    }

    /// What [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// Errors: `CKR_DEVICE_ERROR` for anything else: the TPM is asked again then.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORM {
            return Err(Error::new(CKR_DEVICE_ERROR, "abilities in another form"));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let short = |bytes: &[u8]| -> Result<BTreeSet<u16>> {
            let mut reader = Reader::new(bytes);
            (0..bytes.len() / 2).map(|_| reader.u16()).collect()
        };
        let firmware = Firmware {
            manufacturer: text(reader.sized()?),
            model: text(reader.sized()?),
            version: reader.u64()?,
        };
        let algorithms = short(reader.sized()?)?;
        let commands = reader.sized()?;
        let mut codes = Reader::new(commands);
        let commands = (0..commands.len() / 4).map(|_| codes.u32()).collect::<Result<_>>()?;
        let abilities = Self {
            firmware,
            algorithms,
            commands,
            curves: short(reader.sized()?)?,
            rsa_bits: short(reader.sized()?)?,
            aes_bits: short(reader.sized()?)?,
            input_buffer: usize::try_from(reader.u32()?).unwrap_or(1024),
        };
        reader.end()?;
        Ok(abilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_survive_the_store() {
        let abilities = Abilities {
            firmware: Firmware {
                manufacturer: "IBM".into(),
                model: "SW TPM".into(),
                version: 0x2019_1023_0016_3636,
            },
            algorithms: [1, 4, 11].into(),
            commands: [0x11f, 0x197].into(),
            curves: [3, 4].into(),
            rsa_bits: [2048].into(),
            aes_bits: [128, 256].into(),
            input_buffer: 1024,
        };
        let bytes = abilities.to_bytes();
        assert_eq!(Abilities::from_bytes(&bytes).unwrap(), abilities);
        for cut in 0..bytes.len() {
            assert!(Abilities::from_bytes(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn vendor_strings_are_text_without_nul() {
        let word = |text: &[u8; 4]| u32::from_be_bytes(*text);
        let firmware = firmware_of(&[
            (tpm2::TPM2_PT_MANUFACTURER, word(b"IBM\0")),
            (tpm2::TPM2_PT_VENDOR_STRING_1, word(b"SW  ")),
            (tpm2::TPM2_PT_VENDOR_STRING_2, word(b" TPM")),
        ]);
        assert_eq!((firmware.manufacturer.as_str(), firmware.model.as_str()), ("IBM", "SW TPM"));
    }
}
