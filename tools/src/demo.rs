//! `hierarkey demo`: this very program on a TPM emulator of its own. Nothing of it stays.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Kind, Result, plain};
use crate::output::{Output, Report, Style};
use crate::setup::StepReport;

/// What `demo` answers.
#[derive(Serialize, JsonSchema)]
pub struct DemoReport {
    pub steps: Vec<StepReport>,
}

impl Report for DemoReport {
    fn text(&self, style: Style) -> String {
        format!("{} {} steps; nothing of it stays.\n", style.good("Done:"), self.steps.len())
    }
}

/// What is shown: why, and the words of the command.
const STEPS: &[(&str, &[&str])] = &[
    (
        "A token in the owner hierarchy, with its two PINs",
        &["token", "init", "--label", "demo", "--so-pin-file", "so-pin", "--pin-file", "pin"],
    ),
    (
        "A P-256 and an RSA key, made inside the TPM",
        &["key", "generate", "tls", "--type", "ec-p256", "--pin-file", "pin"],
    ),
    (
        "",
        &["key", "generate", "disk", "--type", "rsa-2048", "--use", "decrypt", "--pin-file", "pin"],
    ),
    ("What is on the token", &["key", "list", "--pin-file", "pin"]),
    (
        "Each key does what it is for, and the result is checked",
        &["key", "test", "tls", "--pin-file", "pin"],
    ),
    ("", &["key", "test", "disk", "--pin-file", "pin"]),
    (
        "A request that a certificate authority signs",
        &[
            "key",
            "csr",
            "tls",
            "--subject",
            "CN=demo.example.org",
            "--out",
            "tls.csr",
            "--pin-file",
            "pin",
        ],
    ),
    ("How programs name the key", &["uri", "tls", "--for", "openssl"]),
    ("How it all fares", &["status"]),
];

/// The emulator, stopped with its value.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path) -> Result<Emulator> {
    let socket = folder.join("tpm.sock");
    fs::create_dir(folder.join("tpm")).map_err(|error| Failure::writing(folder, &error))?;
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
        .arg(format!("dir={}", folder.join("tpm").display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", socket.display()))
        .arg("--ctrl")
        .arg(format!("type=unixio,path={}.ctrl", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            Failure::new(
                Kind::NoTpm,
                format!("swtpm: {}: install the TPM emulator (package swtpm)", plain(&error)),
            )
        })?;
    let emulator = Emulator(child);
    let began = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        if began.elapsed() > Duration::from_secs(20) {
            return Err(Failure::new(Kind::NoTpm, "the TPM emulator does not start"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(emulator)
}

pub fn run(out: Output) -> Result<()> {
    let broken = |error: std::io::Error| Failure::new(Kind::Failed, plain(&error));
    // A socket's path has 107 bytes at most, so not under TMPDIR.
    let folder =
        tempfile::Builder::new().prefix("hierarkey-demo-").tempdir_in("/tmp").map_err(broken)?;
    let path = folder.path();
    let write = |name: &str, text: &str| {
        fs::write(path.join(name), text).map_err(|error| Failure::writing(path, &error))
    };
    write("pin", "123456\n")?;
    write("so-pin", "87654321\n")?;
    write("hierarkey.toml", "")?;
    let _emulator = start(path)?;
    let program = std::env::current_exe().map_err(broken)?;
    let style = out.stdout_style();
    let mut steps = Vec::new();
    for (why, words) in STEPS {
        let shown = format!("hierarkey {}", words.join(" "));
        if !out.json {
            let heading =
                if why.is_empty() { String::new() } else { format!("{}\n", style.bold(why)) };
            out.bytes(format!("{heading}  {}\n", style.dim(&format!("$ {shown}"))).as_bytes())?;
        }
        let done = Command::new(&program)
            .args(*words)
            .current_dir(path)
            .env("HIERARKEY_TCTI", format!("swtpm:path={}", path.join("tpm.sock").display()))
            .env("HIERARKEY_STORE", path.join("store"))
            .env("HIERARKEY_CONF", path.join("hierarkey.toml"))
            .stdin(Stdio::null())
            .output()
            .map_err(broken)?;
        let said = String::from_utf8_lossy(&done.stdout);
        if !out.json {
            let lines: String = said.lines().map(|line| format!("    {line}\n")).collect();
            out.bytes(lines.as_bytes())?;
        }
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            return Err(Failure::new(Kind::Failed, format!("`{shown}` failed: {why}")));
        }
        steps.push(StepReport { why: (*why).to_owned(), what: shown, done: true });
    }
    out.show(&DemoReport { steps })
}
