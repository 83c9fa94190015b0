//! A private swtpm: own state, own unix socket, gone with its value.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything about an emulator may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

const RH_LOCKOUT: u32 = 0x4000_000A;
const RH_PLATFORM: u32 = 0x4000_000C;
const RS_PW: u32 = 0x4000_0009;

/// A TPM emulator that serves one connection at a time. Its state outlives `kill` and `restart`.
///
/// Clones are handles on the same emulator; the last one stops it.
#[derive(Clone)]
pub struct Swtpm {
    server: Arc<Server>,
}

struct Server {
    dir: tempfile::TempDir,
    child: Mutex<Option<Child>>,
}

impl Swtpm {
    /// A new TPM, manufactured and started.
    pub fn start() -> Self {
        // In /tmp whatever TMPDIR says: a socket's path has 107 bytes at most.
        let dir = tempfile::Builder::new().prefix("hk-swtpm-").tempdir_in("/tmp").unwrap();
        let tpm = Self { server: Arc::new(Server { dir, child: Mutex::new(None) }) };
        tpm.start_again();
        tpm
    }

    /// The address for the module's configuration.
    pub fn tcti(&self) -> String {
        format!("swtpm:path={}", self.socket().display())
    }

    /// The socket that takes commands; libtss2 finds the control socket beside it.
    pub fn socket(&self) -> PathBuf {
        self.server.dir.path().join("tpm")
    }

    /// The directory of the TPM's state and sockets, private to this test.
    pub fn directory(&self) -> &Path {
        self.server.dir.path()
    }

    /// Stops the TPM in good order and starts it on the same state: a TPM Reset.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// TPM2_Shutdown(STATE), as a machine does that goes to sleep; then `kill`.
    pub fn save_state(&self) {
        let rc = response_code(&self.transmit(&plain_command(0x0000_0145, &[0, 1])));
        assert_eq!(rc, 0, "TPM2_Shutdown failed with 0x{rc:x}");
    }

    /// Starts the TPM on its state after `stop` or `kill`.
    pub fn start_again(&self) {
        self.start_by("startup-clear");
    }

    /// Starts it where `save_state` left off: a TPM Resume.
    pub fn resume(&self) {
        self.start_by("startup-state");
    }

    fn start_by(&self, startup: &str) {
        let mut child = self.server.child();
        assert!(child.is_none(), "the emulator runs already");
        let dir = self.directory();
        let socket = self.socket();
        let control = dir.join("tpm.ctrl");
        // A killed emulator leaves them behind.
        for path in [&socket, &control] {
            let _ = std::fs::remove_file(path);
        }
        let mut started = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags"])
            .arg(format!("not-need-init,{startup}"))
            .arg("--tpmstate")
            .arg(format!("dir={}", dir.display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", control.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It tells each end of a connection.
            .stderr(File::create(dir.join("log")).unwrap())
            .spawn()
            .expect("swtpm (Debian package swtpm) must be installed");
        let began = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = started.try_wait().unwrap() {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                panic!("swtpm ended while starting: {status}\n{log}");
            }
            if began.elapsed() > PATIENCE {
                let _ = started.kill();
                panic!("swtpm does not listen");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        *child = Some(started);
    }

    /// TPM2_Shutdown(CLEAR), so that no dictionary-attack try is counted, then the end of the
    /// process. Nothing happens if it does not run.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// The end without a warning, as a power cut. Nothing happens if it does not run.
    pub fn kill(&self) {
        if let Some(mut child) = self.server.child().take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Sends one command over a connection of its own and gives the response. It waits for whoever
    /// else is connected, and fails the test after 30 s.
    pub fn transmit(&self, command: &[u8]) -> Vec<u8> {
        self.server.transmit(command, PATIENCE).expect("the emulator answers")
    }

    /// TPM2_DictionaryAttackParameters: `max_tries` wrong authorizations lock the TPM, and one is
    /// given back every `recovery` seconds (0: at once, so nothing ever locks).
    pub fn set_lockout(&self, max_tries: u32, recovery: u32) {
        let numbers = [max_tries, recovery, 0].map(u32::to_be_bytes).concat();
        self.succeed(0x0000_013A, RH_LOCKOUT, &numbers);
    }

    /// TPM2_DictionaryAttackLockReset: no tries counted.
    pub fn reset_lockout(&self) {
        self.succeed(0x0000_0139, RH_LOCKOUT, &[]);
    }

    /// TPM2_Clear by the platform: new storage seed, everything under it gone.
    pub fn clear(&self) {
        self.succeed(0x0000_0126, RH_PLATFORM, &[]);
    }

    /// A command with one handle that is authorized with an empty password.
    fn succeed(&self, code: u32, handle: u32, parameters: &[u8]) {
        let response = self.transmit(&authorized_command(code, handle, parameters));
        let rc = response_code(&response);
        assert_eq!(rc, 0, "command 0x{code:x} failed with 0x{rc:x}");
    }
}

impl Server {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transmit(&self, command: &[u8], patience: Duration) -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(self.dir.path().join("tpm"))?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(command)?;
        read_message(&mut stream)
    }

    fn stop(&self) {
        let Some(mut child) = self.child().take() else { return };
        // In vain where a client is still connected; it must not keep a test from its end.
        let shutdown = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0];
        let _ = self.transmit(&shutdown, Duration::from_secs(2));
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One whole message, by the size in its header.
pub fn read_message(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message)?;
    let size = u32::from_be_bytes([message[2], message[3], message[4], message[5]]);
    assert!((10..=1 << 16).contains(&size), "a message of {size} bytes");
    message.resize(size as usize, 0);
    stream.read_exact(&mut message[10..])?;
    Ok(message)
}

/// The response code of a response, or the command code of a command.
pub fn response_code(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[6..10].try_into().unwrap())
}

/// A command without auth sessions.
pub fn plain_command(code: u32, parameters: &[u8]) -> Vec<u8> {
    message(0x8001, code, parameters)
}

/// A command with one handle, authorized with an empty password.
pub fn authorized_command(code: u32, handle: u32, parameters: &[u8]) -> Vec<u8> {
    let mut body = handle.to_be_bytes().to_vec();
    body.extend_from_slice(&9u32.to_be_bytes());
    body.extend_from_slice(&RS_PW.to_be_bytes());
    body.extend_from_slice(&[0, 0, 0, 0, 0]); // nonce, attributes, password: all empty
    body.extend_from_slice(parameters);
    message(0x8002, code, &body)
}

fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(10 + body.len()).unwrap();
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}
