//! Where a TPM is: the TCTI configuration syntax of the TPM software stack.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cryptoki_sys::CKR_ARGUMENTS_BAD;
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::error::{Error, Result};
use crate::tpm::link::Sharing;

/// The kernel's device behind its own resource manager, and the bare one.
pub(super) const MANAGED_DEVICE: &str = "/dev/tpmrm0";
const BARE_DEVICE: &str = "/dev/tpm0";

/// Most bytes of the path of a unix socket: sun_path holds 108 with its NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Where a TPM is.
///
/// | text | what |
/// |---|---|
/// | `device` | /dev/tpmrm0; /dev/tpm0 where only that exists |
/// | `device:/dev/tpm0` | a device of the kernel |
/// | `swtpm:path=/run/swtpm.sock` | a TPM emulator's unix socket |
/// | `swtpm:host=127.0.0.1,port=2321` | a TPM emulator's TCP port; these are the defaults, but for `localhost` |
/// | `tabrmd:bus_type=session,bus_name=...` | the access broker daemon; by default its usual name on the system bus |
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum TpmAddress {
    /// The machine's own TPM, behind the kernel's resource manager if there is one.
    #[default]
    DefaultDevice,
    /// A character device of the kernel.
    Device(PathBuf),
    /// A unix socket that speaks plain TPM commands, one connection at a time.
    SwtpmUnix(PathBuf),
    /// A TCP port that speaks plain TPM commands, one connection at a time.
    SwtpmTcp {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// The access broker and resource manager daemon, over D-Bus.
    Tabrmd {
        /// Which bus it is on.
        bus: Bus,
        /// Its name there.
        bus_name: String,
    },
}

/// A D-Bus message bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bus {
    /// The machine's.
    System,
    /// The user's.
    Session,
}

impl TpmAddress {
    /// The same TPM with the default device replaced by the one this machine has now.
    pub fn resolved(&self) -> Self {
        match self {
            // Where neither exists (yet), any kernel of this decade will make the managed one.
            Self::DefaultDevice
                if !Path::new(MANAGED_DEVICE).exists() && Path::new(BARE_DEVICE).exists() =>
            {
                Self::Device(BARE_DEVICE.into())
            }
            Self::DefaultDevice => Self::Device(MANAGED_DEVICE.into()),
            other => other.clone(),
        }
    }

    /// How a TPM at this address is shared.
    pub fn sharing(&self) -> Sharing {
        match self.resolved() {
            Self::Tabrmd { .. } => Sharing::ResourceManager,
            // The kernel's name tells, also where udev made a link with another one.
            Self::Device(path) if device_name(&path).starts_with(b"tpmrm") => {
                Sharing::ResourceManager
            }
            _ => Sharing::Alone,
        }
    }
}

fn device_name(path: &Path) -> Vec<u8> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    path.file_name().map(OsStr::as_bytes).unwrap_or_default().to_vec()
}

impl FromStr for TpmAddress {
    type Err = Error;

    /// Errors: `CKR_ARGUMENTS_BAD`, with what is wrong in one sentence.
    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(k, r)| (k, Some(r)));
        match (kind, rest) {
            ("device", None) => Ok(Self::DefaultDevice),
            ("device", Some(path)) => absolute(text, path).map(Self::Device),
            ("swtpm", Some(rest)) if rest.starts_with("path=") => {
                let path = absolute(text, rest.strip_prefix("path=").unwrap_or_default())?;
                if path.as_os_str().len() > SOCKET_PATH_MAX {
                    return Err(bad(text, "a socket's path has 107 bytes at most"));
                }
                Ok(Self::SwtpmUnix(path))
            }
            ("swtpm", _) => {
                let [host, port] = checked_pairs(text, rest, ["host", "port"])?;
                let port = port.parse().map_err(|_| bad(text, "that is not a port"))?;
                Ok(Self::SwtpmTcp { host, port })
            }
            ("tabrmd", _) => {
                let [bus_name, bus] = checked_pairs(text, rest, ["bus_name", "bus_type"])?;
                let bus = if bus == "session" { Bus::Session } else { Bus::System };
                Ok(Self::Tabrmd { bus, bus_name })
            }
            _ => Err(bad(text, "it must begin with device, swtpm or tabrmd")),
        }
    }
}

fn bad(text: &str, why: &str) -> Error {
    Error::new(CKR_ARGUMENTS_BAD, format!("the TPM address {text:?} is not understood: {why}"))
}

/// A path that means the same wherever the host's working directory is.
fn absolute(text: &str, path: &str) -> Result<PathBuf> {
    if !path.starts_with('/') {
        return Err(bad(text, "the path must be absolute"));
    }
    if path.contains('\0') {
        return Err(bad(text, "a path has no NUL in it"));
    }
    Ok(path.into())
}

/// The values of the two `keys` that a kind of address knows, with the stack's own defaults.
///
/// tss-esapi checks the values and fills in what is missing, but passes over keys it does not know
/// and tells its findings only as a string again: the keys are looked at here, before and after.
fn checked_pairs(text: &str, rest: Option<&str>, keys: [&str; 2]) -> Result<[String; 2]> {
    let mut seen = [false; 2];
    let given = rest.filter(|rest| !rest.is_empty());
    for pair in given.into_iter().flat_map(|rest| rest.split(',')) {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        let known = keys.iter().zip(&mut seen).find(|(known, _)| **known == key);
        match known {
            Some((_, seen)) if !*seen => *seen = true,
            Some(_) => return Err(bad(text, &format!("{key} is given twice"))),
            None => {
                let [first, second] = keys;
                return Err(bad(text, &format!("it takes {first}= and {second}=, not {key:?}")));
            }
        }
    }
    let [first, second] = keys;
    let wrong = || bad(text, &format!("{first} or {second} has a value that cannot be"));
    let canonical: CString =
        TctiNameConf::from_str(text).and_then(TryInto::try_into).map_err(|_| wrong())?;
    let canonical = canonical.into_string().map_err(|_| wrong())?;
    let pairs = canonical.split_once(':').map(|(_, pairs)| pairs).ok_or_else(wrong)?;
    let value = |key: &str| {
        let mut found = pairs.split(',').filter_map(|pair| pair.split_once('='));
        found.find(|(k, _)| *k == key).map(|(_, v)| v.to_owned()).ok_or_else(wrong)
    };
    Ok([value(first)?, value(second)?])
}

impl fmt::Display for TpmAddress {
    /// The canonical text, which parses to the same address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultDevice => f.write_str("device"),
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::SwtpmUnix(path) => write!(f, "swtpm:path={}", path.display()),
            Self::SwtpmTcp { host, port } => write!(f, "swtpm:host={host},port={port}"),
            Self::Tabrmd { bus, bus_name } => {
                write!(f, "tabrmd:bus_name={bus_name},bus_type={bus}")
            }
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Session => "session",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_parses_to_what_it_says_and_prints_as_itself() {
        let tabrmd = |bus, bus_name: &str| TpmAddress::Tabrmd { bus, bus_name: bus_name.into() };
        let tcp = |host: &str, port| TpmAddress::SwtpmTcp { host: host.into(), port };
        let usual = "com.intel.tss2.Tabrmd";
        for (text, address) in [
            ("device", TpmAddress::DefaultDevice),
            ("device:/dev/tpmrm0", TpmAddress::Device("/dev/tpmrm0".into())),
            ("device:/dev/a,b=c:d", TpmAddress::Device("/dev/a,b=c:d".into())),
            ("swtpm:path=/run/a b.sock", TpmAddress::SwtpmUnix("/run/a b.sock".into())),
            ("swtpm:host=127.0.0.1,port=2400", tcp("127.0.0.1", 2400)),
            ("swtpm:port=2400,host=::1", tcp("::1", 2400)),
            ("swtpm:port=2400", tcp("localhost", 2400)),
            ("swtpm:", tcp("localhost", 2321)),
            ("swtpm", tcp("localhost", 2321)),
            ("tabrmd", tabrmd(Bus::System, usual)),
            ("tabrmd:bus_type=session", tabrmd(Bus::Session, usual)),
            ("tabrmd:bus_name=a.b,bus_type=system", tabrmd(Bus::System, "a.b")),
        ] {
            let parsed: TpmAddress = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parsed, address, "{text}");
            assert_eq!(parsed.to_string().parse::<TpmAddress>().unwrap(), address, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (text, said) in [
            ("", "must begin with"),
            ("mssim:host=localhost", "must begin with"),
            ("libtss2-tcti-cmd.so:sh -c true", "must begin with"),
            ("cmd:sh -c true", "must begin with"),
            ("device:", "absolute"),
            ("device:tpm0", "absolute"),
            ("device:/dev/\0", "NUL"),
            ("swtpm:path=swtpm.sock", "absolute"),
            ("swtpm:path=", "absolute"),
            ("swtpm:port=65536", "cannot be"),
            ("swtpm:port=", "cannot be"),
            ("swtpm:host=a b", "cannot be"),
            ("swtpm:host=", "cannot be"),
            ("swtpm:hots=localhost", "not \"hots\""),
            ("swtpm:port=1,port=2", "port is given twice"),
            ("swtpm:host=localhost,", "not \"\""),
            ("tabrmd:bus_type=sesion", "cannot be"),
            ("tabrmd:bus_name=x", "cannot be"),
            ("tabrmd:bus=session", "not \"bus\""),
        ] {
            let error = text.parse::<TpmAddress>().unwrap_err();
            assert_eq!(error.ck_rv(), CKR_ARGUMENTS_BAD, "{text}");
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
        let long = format!("swtpm:path=/{}", "x".repeat(SOCKET_PATH_MAX));
        assert!(long.parse::<TpmAddress>().unwrap_err().to_string().contains("107 bytes"));
    }

    #[test]
    fn only_the_managed_device_and_the_daemon_are_shared() {
        for (text, sharing) in [
            ("device:/dev/tpmrm7", Sharing::ResourceManager),
            ("device:/dev/tpm0", Sharing::Alone),
            ("swtpm:path=/x", Sharing::Alone),
            ("swtpm", Sharing::Alone),
            ("tabrmd", Sharing::ResourceManager),
        ] {
            assert_eq!(text.parse::<TpmAddress>().unwrap().sharing(), sharing, "{text}");
        }
    }

    #[test]
    fn a_link_to_the_managed_device_is_shared_too() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tpmrm3"), "").unwrap();
        let link = dir.path().join("tpm0");
        std::os::unix::fs::symlink("tpmrm3", &link).unwrap();
        assert_eq!(TpmAddress::Device(link).sharing(), Sharing::ResourceManager);
    }
}
