//! What is done about a failure before the caller hears of it.

use cryptoki_sys::CKR_DEVICE_ERROR;
use tss_esapi::constants::tss as tpm2;

use crate::error::{Error, Result};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure};
use crate::tpm::link::Sharing;
use crate::tpm::rc::{self, Class, classify};
use crate::tpm::wire::Writer;

/// Most objects let go of to make room for one command.
const MOST_EVICTIONS: usize = 8;

/// Whether a whole attempt may be made again after the TPM may have seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It leaves nothing behind that a second time would double.
    Safe,
    /// It authorizes with a PIN: what may have cost a try is not tried again, and what fails
    /// without the TPM having said so is never a wrong PIN. A connection that is lost before the PIN
    /// went out has cost none.
    Never,
}

impl Turn<'_> {
    /// Makes `attempt`, and makes it again where that mends what went wrong: an object or auth
    /// session that is gone, a TPM that is full, an auth session out of step, a lost connection; each once
    /// (a full TPM until nothing of ours is left to evict).
    pub(super) fn attempt<T>(
        &mut self,
        repeat: Repeat,
        mut attempt: impl FnMut(&mut Self) -> Attempt<T>,
    ) -> Result<T> {
        let mut mended = Mended::default();
        loop {
            self.pin_told = false;
            let failure = match attempt(self) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if !self.mend(&failure, repeat, &mut mended) {
                return Err(told(failure));
            }
            log::debug!("again after {failure:?}");
        }
    }

    fn mend(&mut self, failure: &Failure, repeat: Repeat, mended: &mut Mended) -> bool {
        match failure {
            Failure::Rc(_, code) | Failure::Tried(_, code) => match (classify(*code), failure) {
                (Class::Gone, _) => {
                    // One is gone, or somebody says so: the others may well be there.
                    self.begin_afresh();
                    first(&mut mended.gone)
                }
                (Class::Full, _) => self.make_room(mended),
                (Class::NotStarted, _) => first(&mut mended.started) && self.start_up(),
                (Class::WrongAuth, Failure::Rc(..)) | (Class::OutOfStep, _) => {
                    self.drop_kept_session();
                    first(&mut mended.session)
                }
                _ => false,
            },
            Failure::Altered(_) => {
                // It may have told of an object or auth session that nobody knows now.
                self.begin_afresh();
                repeat == Repeat::Safe && first(&mut mended.session)
            }
            Failure::Transport(_) => {
                // Whatever comes next begins with a connection and handles that are known.
                let reconnected = self.reconnect().is_ok();
                // The kernel's resource manager fails the first command after the TPM was reset in the machine's
                // sleep: that one is seldom the one with the PIN.
                let safe = repeat == Repeat::Safe || !self.pin_told;
                reconnected && safe && first(&mut mended.transport)
            }
            Failure::Refused(_) => false,
        }
    }

    fn make_room(&mut self, mended: &mut Mended) -> bool {
        mended.evicted += 1;
        if mended.evicted > MOST_EVICTIONS {
            return false;
        }
        for handle in self.state.loaded.take_temporary() {
            self.flush(handle);
        }
        match self.state.loaded.evict(&[]) {
            Some(handle) => {
                self.flush(handle);
                true
            }
            // Nothing of ours was in the way but what this attempt itself had loaded.
            None => mended.evicted == 1,
        }
    }

    fn drop_kept_session(&mut self) {
        if let Some(kept) = self.state.loaded.take_kept() {
            self.flush(kept.session.handle);
        }
    }

    /// TPM2_Startup(CLEAR) on a TPM of our own whose power was cut. A resource manager's business
    /// otherwise.
    fn start_up(&mut self) -> bool {
        if self.sharing == Sharing::ResourceManager {
            self.begin_afresh();
            return false;
        }
        let started = Command::new(tpm2::TPM2_CC_Startup)
            .map_err(Failure::from)
            .map(|command| command.parameters(Writer::new().u16(tpm2::TPM2_SU_CLEAR)))
            .and_then(|command| self.send(command, Authorization::None));
        // A TPM that runs already refuses, and is as good; what is loaded in it is still there.
        self.begin_afresh();
        matches!(started, Ok(_) | Err(Failure::Rc(..)))
    }

    /// Lets go of all objects and auth sessions, known or not.
    fn begin_afresh(&mut self) {
        match self.sharing {
            Sharing::Alone => self.begin_in_the_unknown(),
            Sharing::ResourceManager => {
                if let Err(error) = self.reconnect() {
                    log::debug!("no new connection: {error}");
                }
            }
        }
    }
}

/// What has been mended in this attempt already.
#[derive(Default)]
struct Mended {
    gone: bool,
    started: bool,
    session: bool,
    transport: bool,
    evicted: usize,
}

fn first(done: &mut bool) -> bool {
    !std::mem::replace(done, true)
}

/// What the caller hears of it.
fn told(failure: Failure) -> Error {
    match failure {
        Failure::Rc(name, code) => rc::error(name, code, false),
        Failure::Tried(name, code) => rc::error(name, code, true),
        Failure::Altered(error) | Failure::Transport(error) => error.told_as(CKR_DEVICE_ERROR),
        Failure::Refused(error) => error,
    }
}
