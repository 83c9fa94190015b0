//! The byte pipes: how a command reaches the TPM and its response comes back.
//!
//! | file | what |
//! |---|---|
//! | `address.rs` | where a TPM is: the TCTI syntax |
//! | `device.rs` | the kernel's devices |
//! | `socket.rs` | swtpm, over a unix socket or TCP |
//! | `loader.rs` | the access broker daemon, through its own library |
//! | `deadline.rs` | waiting, but not for ever |
//!
//! [`link`] joins a pipe with the turn (`tpm/turn.rs`) where nobody else keeps the users of the TPM
//! apart. What all pipes share is here: time limits, the check of a response's size, what happens
//! after a failure.
//!
//! | | shared by | connection | turn |
//! |---|---|---|---|
//! | /dev/tpmrm0, tabrmd | a resource manager | kept between turns | none needed |
//! | /dev/tpm0, swtpm | us | made and closed with each turn | a lock file |
//!
//! # Time limits
//!
//! Connecting takes 2 s at most, an answer as long as the engine allows for the command. After an
//! answer that did not come in time the link remembers that the TPM hangs: the next `take` or
//! `reconnect` then sends TPM2_GetCapability for one property, which any TPM answers at once, and
//! fails if connecting, waiting for the turn and that answer take more than 2 s together. As soon as
//! it is answered, however late, the old limits hold again.
//!
//! None of this starts a thread, raises a signal or blocks one; the exception is the daemon's
//! library (see `loader.rs`).

mod address;
pub(in crate::tpm) mod deadline;
mod device;
mod loader;
mod socket;

use std::time::Duration;

use cryptoki_sys::CKR_DEVICE_ERROR;

use address::MANAGED_DEVICE;
pub use address::{Bus, TpmAddress};
use deadline::Deadline;

use crate::error::{Error, Result};
use crate::tpm::link::{Leftovers, Link, Sharing, Taken};
use crate::tpm::turn::{Places, Turnstile};

/// How long connecting may take, and everything before the first command of a TPM that hung.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long another process may keep its turn: it may be behind a key generation.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// Most bytes of a message: TPMs and the kernel take 4096, this leaves room for others.
const MESSAGE_MAX: usize = 16 * 1024;

/// Bytes of a header: tag, size, code.
const HEADER_LEN: usize = 10;

/// TPM2_GetCapability(TPM_CAP_TPM_PROPERTIES, TPM_PT_MANUFACTURER, 1), without auth sessions.
const PROBE: [u8; 22] =
    [0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7A, 0, 0, 0, 6, 0, 0, 0x01, 0x05, 0, 0, 0, 1];

/// A link to the TPM at `address`. It reaches for the TPM when the first turn is taken.
pub fn link(address: &TpmAddress) -> Box<dyn Link> {
    let address = address.resolved();
    let sharing = address.sharing();
    let turnstile = match sharing {
        Sharing::ResourceManager => None,
        Sharing::Alone => Some(Turnstile::new(address.clone(), Places::of_this_host())),
    };
    let pipe: Box<dyn Pipe> = match address {
        TpmAddress::SwtpmUnix(path) => Box::new(socket::Socket::new(socket::Server::Unix(path))),
        TpmAddress::SwtpmTcp { host, port } => {
            Box::new(socket::Socket::new(socket::Server::Tcp(host, port)))
        }
        TpmAddress::Device(path) => Box::new(device::Device::new(path)),
        // Resolved above: named here so that a new kind of address is not forgotten.
        TpmAddress::DefaultDevice => Box::new(device::Device::new(MANAGED_DEVICE.into())),
        TpmAddress::Tabrmd { bus, bus_name } => Box::new(loader::Tabrmd::new(bus, &bus_name)),
    };
    Box::new(Pipeline { pipe, sharing, turnstile, hangs: false, astray: false })
}

/// What a pipe does, and no more: it knows nothing of turns.
trait Pipe: Send {
    /// Whether there is a connection to exchange over.
    fn connected(&self) -> bool;

    /// Makes a connection. Errors: `CKR_TOKEN_NOT_PRESENT`, `CKR_DEVICE_ERROR`.
    fn connect(&mut self, deadline: Deadline) -> Result<()>;

    /// Sends `command` and gives whatever came back. After a failure the connection is of no use.
    fn exchange(&mut self, command: &[u8], deadline: Deadline) -> Exchanged<Vec<u8>>;

    /// Closes the connection, if there is one.
    fn disconnect(&mut self);
}

/// What an exchange gives.
type Exchanged<T> = std::result::Result<T, Failure>;

/// Why no response came.
enum Failure {
    /// The time was up.
    Late,
    /// Anything else; `CKR_DEVICE_ERROR`.
    Broken(Error),
}

impl Failure {
    fn because(why: &'static str) -> Self {
        Self::Broken(Error::new(CKR_DEVICE_ERROR, why))
    }

    fn broken(why: &'static str, errno: rustix::io::Errno) -> Self {
        Self::Broken(Error::because(CKR_DEVICE_ERROR, why, errno))
    }

    fn not_connected() -> Self {
        Self::because("there is no connection to the TPM")
    }
}

/// The size that a message's header announces; none while the header is incomplete.
fn announced_size(message: &[u8]) -> Option<usize> {
    message.get(..HEADER_LEN)?;
    let size: [u8; 4] = message.get(2..6)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(size)).ok()
}

/// A pipe, the turn where one is needed, and what went wrong last.
struct Pipeline {
    pipe: Box<dyn Pipe>,
    sharing: Sharing,
    /// None behind a resource manager.
    turnstile: Option<Turnstile>,
    /// An answer did not come in time, and none has come since.
    hangs: bool,
    /// An answer was lost in this turn and nobody could look at what its command left behind.
    astray: bool,
}

impl Pipeline {
    /// Connects if need be, and sees a TPM that hung answer again.
    fn connect(&mut self, deadline: Deadline) -> Result<()> {
        if !self.pipe.connected() {
            self.pipe.connect(deadline)?;
        }
        if self.hangs {
            self.exchange(&PROBE, deadline)?;
            log::info!("the TPM answers again");
        }
        Ok(())
    }

    /// One command, one whole response; after a failure no connection.
    fn exchange(&mut self, command: &[u8], deadline: Deadline) -> Result<Vec<u8>> {
        let outcome = match self.pipe.exchange(command, deadline) {
            Ok(response) if response.len() > MESSAGE_MAX => Err("the response is too long"),
            Ok(response) => match announced_size(&response) {
                None => Err("the response is shorter than its header"),
                Some(size) if size != response.len() => {
                    Err("the response is not as long as its header says")
                }
                Some(_) => {
                    self.hangs = false;
                    return Ok(response);
                }
            },
            Err(Failure::Late) => {
                if !self.hangs {
                    log::warn!("the TPM does not answer");
                }
                self.hangs = true;
                Err("the TPM did not answer in time")
            }
            Err(Failure::Broken(error)) => {
                self.pipe.disconnect();
                return Err(error);
            }
        };
        self.pipe.disconnect();
        outcome.map_err(|why| Error::new(CKR_DEVICE_ERROR, why))
    }
}

impl Link for Pipeline {
    fn sharing(&self) -> Sharing {
        self.sharing
    }

    fn take(&mut self) -> Result<Taken> {
        // A TPM that hung makes all waiting short, also that for others who wait for it.
        let hung = Deadline::after(CONNECT_LIMIT);
        let Some(turnstile) = &mut self.turnstile else {
            let kept = self.pipe.connected();
            self.connect(hung)?;
            return Ok(if kept { Taken::StillMine } else { Taken::Others(Leftovers::default()) });
        };
        let patience = if self.hangs { hung } else { Deadline::after(TURN_LIMIT) };
        let taken = turnstile.enter(patience)?;
        self.astray = false;
        let deadline = if self.hangs { hung } else { Deadline::after(CONNECT_LIMIT) };
        if let Err(error) = self.connect(deadline) {
            if let Some(turnstile) = &mut self.turnstile {
                turnstile.withdraw();
            }
            return Err(error);
        }
        Ok(taken)
    }

    fn transmit(&mut self, command: &[u8], limit: Duration) -> Result<Vec<u8>> {
        if announced_size(command) != Some(command.len()) || command.len() > MESSAGE_MAX {
            return Err(Error::bug("a TPM command is not as long as its header says"));
        }
        self.exchange(command, Deadline::after(limit)).inspect_err(|_| self.astray = true)
    }

    fn reconnect(&mut self) -> Result<()> {
        if self.turnstile.as_ref().is_some_and(|turnstile| !turnstile.inside()) {
            return Err(Error::bug("a TPM may be reached within a turn only"));
        }
        self.pipe.disconnect();
        self.connect(Deadline::after(CONNECT_LIMIT))?;
        self.astray = false;
        Ok(())
    }

    fn doubt(&mut self) {
        match self.turnstile {
            Some(_) => self.astray = true,
            None => self.pipe.disconnect(),
        }
    }

    fn give_back(&mut self, leftovers: &Leftovers) {
        let Some(turnstile) = &mut self.turnstile else { return };
        self.pipe.disconnect();
        if self.astray {
            turnstile.leave_in_disorder();
        } else {
            turnstile.leave(leftovers);
        }
    }
}
