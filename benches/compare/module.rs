//! Which modules are compared, and where each finds its TPM and its store.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::p11::module_path;
use crate::common::swtpm::{Swtpm, plain_command};
use crate::common::tpm_proxy::Proxy;

const GET_CAPABILITY: u32 = 0x17a;
const FLUSH_CONTEXT: u32 = 0x165;
const CAP_HANDLES: u32 = 1;
/// Objects and auth sessions that a process may have left in a TPM: transient, loaded, saved.
const LEFTOVERS: [u32; 3] = [0x8000_0000, 0x0200_0000, 0x0300_0000];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hierarkey,
    Tpm2Pkcs11,
    SoftHsm,
    Kryoptic,
}

pub struct Module {
    /// As the table's head has it.
    pub name: &'static str,
    pub path: PathBuf,
    /// What it is and of which version, for the line above the table.
    pub version: String,
    kind: Kind,
}

/// The modules of this machine.
pub fn found() -> Vec<Module> {
    let ours = std::env::var_os("MODULE").map_or_else(module_path, PathBuf::from);
    let commit = said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]);
    let mut modules = vec![Module {
        name: "Hierarkey",
        path: ours,
        version: format!("Hierarkey {} ({})", env!("CARGO_PKG_VERSION"), commit),
        kind: Kind::Hierarkey,
    }];
    let installed = [
        ("tpm2-pkcs11", "libtpm2-pkcs11-1", "libtpm2_pkcs11.so.1", Kind::Tpm2Pkcs11),
        ("SoftHSM2", "libsofthsm2", "softhsm/libsofthsm2.so", Kind::SoftHsm),
    ];
    for (name, package, file, kind) in installed {
        match in_library_folders(file) {
            Some(path) => {
                let version = format!("{name} {}", package_version(package));
                modules.push(Module { name, path, version, kind });
            }
            None => eprintln!("{package} is not installed: nothing to compare with"),
        }
    }
    if let Some(path) = std::env::var_os("KRYOPTIC") {
        let version = std::env::var("KRYOPTIC_VERSION").unwrap_or_default();
        modules.push(Module {
            name: "kryoptic",
            path: path.into(),
            version: format!("kryoptic {version}"),
            kind: Kind::Kryoptic,
        });
    }
    modules
}

fn in_library_folders(file: &str) -> Option<PathBuf> {
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [triplet.as_str(), "/usr/lib", "/usr/lib64"]
        .map(|folder| Path::new(folder).join(file))
        .into_iter()
        .find(|path| path.exists())
}

/// The version of a Debian package.
pub fn package_version(package: &str) -> String {
    said("dpkg-query", &["-W", "-f", "${Version}", package])
}

/// What a command says, on one line; empty where it fails.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let stdout = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    String::from_utf8_lossy(&stdout.unwrap_or_default()).trim().to_owned()
}

/// A module with a store of its own, and a TPM of its own where it is one for TPMs.
pub struct Place<'a> {
    pub module: &'a Module,
    pub tpm: Option<Swtpm>,
    store: TempDir,
}

impl<'a> Place<'a> {
    pub fn new(module: &'a Module) -> Self {
        let for_tpms = matches!(module.kind, Kind::Hierarkey | Kind::Tpm2Pkcs11);
        let store = TempDir::new().unwrap();
        let place = Self { module, tpm: for_tpms.then(Swtpm::start), store };
        std::fs::write(place.configuration(), place.settings()).unwrap();
        place
    }

    /// A command in whose environment the module finds store and TPM; the TPM behind `proxy` if one is given.
    pub fn command(&self, proxy: Option<&Proxy>) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let tcti = match (proxy, &self.tpm) {
            (Some(proxy), _) => proxy.tcti(),
            (None, Some(tpm)) => tpm.tcti(),
            (None, None) => String::new(),
        };
        match self.module.kind {
            Kind::Hierarkey => command
                .env("HIERARKEY_CONF", self.configuration())
                .env("HIERARKEY_STORE", self.store.path())
                .env("HIERARKEY_TCTI", tcti)
                .env_remove("HIERARKEY_LOG"),
            Kind::Tpm2Pkcs11 => command
                .env("TPM2_PKCS11_STORE", self.store.path())
                .env("TPM2_PKCS11_TCTI", tcti)
                .env("TPM2_PKCS11_LOG_LEVEL", "0")
                .env("TSS2_LOG", "all+NONE"),
            Kind::SoftHsm => command.env("SOFTHSM2_CONF", self.configuration()),
            Kind::Kryoptic => command.env("KRYOPTIC_CONF", self.configuration()),
        };
        command
    }

    /// The folder of its store.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    fn configuration(&self) -> PathBuf {
        self.store.path().join("configuration")
    }

    fn settings(&self) -> String {
        let store = self.store.path().display();
        match self.module.kind {
            Kind::Hierarkey | Kind::Tpm2Pkcs11 => String::new(),
            Kind::SoftHsm => {
                format!(
                    "directories.tokendir = {store}\nobjectstore.backend = file\nlog.level = ERROR\n"
                )
            }
            Kind::Kryoptic => {
                format!(
                    "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{store}/token.sql\"\n"
                )
            }
        }
    }

    /// Drops what the last process left in the TPM, as a resource manager would.
    pub fn clean(&self) {
        let Some(tpm) = &self.tpm else { return };
        for first in LEFTOVERS {
            let parameters = [CAP_HANDLES, first, 64].map(u32::to_be_bytes).concat();
            let answer = tpm.transmit(&plain_command(GET_CAPABILITY, &parameters));
            // Behind the header: more data, the capability, the number of handles, the handles.
            for handle in answer.get(19..).unwrap_or_default().chunks_exact(4) {
                // A saved auth session is flushed by the handle that it had when it was loaded.
                let handle = match handle {
                    [3, a, b, c] => [2, *a, *b, *c],
                    [a, b, c, d] => [*a, *b, *c, *d],
                    _ => continue,
                };
                tpm.transmit(&plain_command(FLUSH_CONTEXT, &handle));
            }
        }
    }
}
