//! A proxy between the module and an emulator: it watches the bus, and breaks it on demand.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::swtpm::{Swtpm, read_message, response_code};

/// Where a command got no answer, in the place of its response code.
pub const NO_ANSWER: u32 = u32::MAX;

/// What becomes of one command.
pub enum Action {
    /// It goes to the TPM and the answer comes back.
    Pass,
    /// The TPM never sees it; these bytes are the answer.
    Answer(Vec<u8>),
    /// The TPM never sees it; these bytes are the answer, and the connection ends.
    AnswerAndDrop(Vec<u8>),
    /// The TPM never sees it, and the connection ends.
    DropConnection,
    /// The TPM runs it; the answer is lost, and the connection ends.
    DropAnswer,
    /// The TPM never sees it, and no answer comes on this connection.
    Hang,
    /// The TPM runs it, and no answer comes on this connection.
    HangAfter,
    /// The TPM runs it, and what this function makes of the answer comes back.
    AlterResponse(Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send>),
    /// The TPM runs what this function makes of the command.
    AlterCommand(Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send>),
    /// The TPM is killed before it sees the command, and the connection ends.
    KillTpm,
    /// The TPM is killed when it has run the command, and the connection ends.
    KillTpmAfter,
}

/// One command and what was answered; empty if nothing was.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub command: Vec<u8>,
    pub response: Vec<u8>,
}

type Hook = Box<dyn FnMut(&[u8]) -> Action + Send>;

#[derive(Default)]
struct Shared {
    exchanges: Mutex<Vec<Exchange>>,
    hook: Mutex<Option<Hook>>,
    connections: Mutex<usize>,
    stop: AtomicBool,
}

/// A unix socket in front of a [`Swtpm`], one client at a time as the emulator itself, on a thread
/// of the test's process. What a client was answered is recorded before it gets the answer.
pub struct Proxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens beside the emulator's own socket.
    pub fn before(tpm: &Swtpm) -> Self {
        let socket = tpm.directory().join("proxy");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let tpm = tpm.clone();
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if serving.stop.load(Ordering::SeqCst) {
                    break;
                }
                *lock(&serving.connections) += 1;
                // A connection's end, of whichever side, is nothing to tell.
                let _ = client.and_then(|client| serving.serve(client, &tpm));
            }
        });
        Self { socket, shared, thread: Some(thread) }
    }

    /// The address for the module's configuration.
    pub fn tcti(&self) -> String {
        format!("swtpm:path={}", self.socket.display())
    }

    /// Command code and response code of every command so far, [`NO_ANSWER`] where none was given.
    pub fn commands(&self) -> Vec<(u32, u32)> {
        let code = |m: &[u8]| if m.len() < 10 { NO_ANSWER } else { response_code(m) };
        self.exchanges().iter().map(|e| (code(&e.command), code(&e.response))).collect()
    }

    /// Every command so far with its answer.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }

    /// All bytes that went over the bus so far, both ways, in order.
    pub fn tap(&self) -> Vec<u8> {
        self.exchanges().into_iter().flat_map(|e| [e.command, e.response].concat()).collect()
    }

    /// How often a client connected.
    pub fn connections(&self) -> usize {
        *lock(&self.shared.connections)
    }

    /// Forgets what was recorded. The hook stays.
    pub fn reset(&self) {
        lock(&self.shared.exchanges).clear();
        *lock(&self.shared.connections) = 0;
    }

    /// From now on `hook` decides about every command, which it is given whole.
    pub fn set_hook(&self, hook: impl FnMut(&[u8]) -> Action + Send + 'static) {
        *lock(&self.shared.hook) = Some(Box::new(hook));
    }

    /// From now on everything passes.
    pub fn clear_hook(&self) {
        *lock(&self.shared.hook) = None;
    }

    /// The `n`th command from now, counted from 0, meets `action`; all others pass.
    pub fn fault_at(&self, n: usize, action: Action) {
        let (mut left, mut action) = (n, Some(action));
        self.set_hook(move |_| {
            if left > 0 {
                left -= 1;
                return Action::Pass;
            }
            action.take().unwrap_or(Action::Pass)
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread where it waits for a client; one that it serves is looked after by its
        // read time limit.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Shared {
    fn serve(&self, mut client: UnixStream, tpm: &Swtpm) -> std::io::Result<()> {
        client.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut upstream: Option<UnixStream> = None;
        while let Some(command) = self.next_command(&mut client)? {
            let action = match &mut *lock(&self.hook) {
                Some(hook) => hook(&command),
                None => Action::Pass,
            };
            let mut run = |command: &[u8]| -> std::io::Result<Vec<u8>> {
                let stream = match &mut upstream {
                    Some(stream) => stream,
                    none => none.insert(UnixStream::connect(tpm.socket())?),
                };
                stream.write_all(command)?;
                read_message(stream)
            };
            // Recorded even if the TPM dies of it: the command was sent.
            let record = |response: &[u8]| {
                let response = response.to_vec();
                lock(&self.exchanges).push(Exchange { command: command.clone(), response });
            };
            let answer = match action {
                Action::Pass => run(&command),
                Action::AlterCommand(alter) => run(&alter(command.clone())),
                Action::AlterResponse(alter) => run(&command).map(alter),
                Action::Answer(answer) => Ok(answer),
                Action::AnswerAndDrop(answer) => {
                    record(&answer);
                    return client.write_all(&answer);
                }
                Action::DropConnection => {
                    record(&[]);
                    return Ok(());
                }
                Action::DropAnswer => {
                    let outcome = run(&command);
                    record(&[]);
                    return outcome.map(drop);
                }
                Action::Hang => {
                    record(&[]);
                    return self.until_gone(client);
                }
                Action::HangAfter => {
                    let outcome = run(&command);
                    record(&[]);
                    outcome?;
                    return self.until_gone(client);
                }
                Action::KillTpm => {
                    tpm.kill();
                    record(&[]);
                    return Ok(());
                }
                Action::KillTpmAfter => {
                    let outcome = run(&command);
                    tpm.kill();
                    record(&[]);
                    return outcome.map(drop);
                }
            };
            record(answer.as_deref().unwrap_or_default());
            client.write_all(&answer?)?;
        }
        if let Some(upstream) = upstream {
            upstream.shutdown(Shutdown::Both)?;
        }
        Ok(())
    }

    /// The client's next command; none when it went away or the proxy ends.
    fn next_command(&self, client: &mut UnixStream) -> std::io::Result<Option<Vec<u8>>> {
        let mut received = Vec::new();
        let mut byte = [0; 4096];
        loop {
            if received.len() >= 10 {
                let size = u32::from_be_bytes(received[2..6].try_into().unwrap());
                if received.len() >= size as usize {
                    return Ok(Some(received));
                }
            }
            match client.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(n) => received.extend_from_slice(&byte[..n]),
                Err(error) if is_time_out(&error) => {
                    if self.stop.load(Ordering::SeqCst) {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says nothing until the client gives up or the proxy ends.
    fn until_gone(&self, mut client: UnixStream) -> std::io::Result<()> {
        loop {
            match client.read(&mut [0; 256]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_time_out(&error) && !self.stop.load(Ordering::SeqCst) => {}
                Err(_) => return Ok(()),
            }
        }
    }
}

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
