//! tpm2-pkcs11 makes AES keys by its own tool alone, not through PKCS#11.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::common::fixture::PIN;
use crate::job::{AES, LABEL};
use crate::module::Place;

const FLUSHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/flushing.sh");

/// Makes the AES key that the jobs look for; nothing where the tool is not installed.
pub fn make_aes_key(place: &Place) {
    let Some(tpm) = &place.tpm else { return };
    let tools = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir("/usr/bin").unwrap() {
        let name = entry.unwrap().file_name();
        if name.to_string_lossy().starts_with("tpm2_") && name != "tpm2_ptool" {
            symlink(FLUSHING, tools.path().join(name)).unwrap();
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let name = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let _ = Command::new("tpm2_ptool")
        .args(["addkey", "--algorithm", "aes256", "--label", LABEL])
        .args(["--key-label", &name(AES), "--userpin", &name(PIN)])
        .arg("--path")
        .arg(place.store())
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .env("TPM2TOOLS_TCTI", tpm.tcti())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    place.clean();
}
