//! The engine: one TPM, one turn at a time, and what is loaded in it between turns.

use std::sync::{Arc, MutexGuard as Guard};

use cryptoki_sys::CKR_TOKEN_NOT_PRESENT;

use crate::error::{Error, Result};
use crate::os::lock::Lock;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Response};
use crate::tpm::link::{Leftovers, Link, Sharing, Taken};
use crate::tpm::loaded::Loaded;
use crate::tpm::rc::{Class, classify};
use crate::tpm::wire::Writer;
use crate::tpm::{Abilities, Approver, Auth, Firmware, Hierarchy, capability};
use tss_esapi::constants::tss as tpm2;

/// How often the flush of one handle is tried.
const FLUSHES: usize = 2;

/// Authorization values of the hierarchies, for TPMs that have them set.
#[derive(Clone, Default)]
pub struct HierarchyAuths {
    /// TPM_RH_OWNER.
    pub owner: Option<Auth>,
    /// TPM_RH_ENDORSEMENT.
    pub endorsement: Option<Auth>,
    /// TPM_RH_PLATFORM.
    pub platform: Option<Auth>,
    /// TPM_RH_LOCKOUT.
    pub lockout: Option<Auth>,
}

impl HierarchyAuths {
    /// The authorization value of `hierarchy`; the null one has none.
    pub fn of(&self, hierarchy: Hierarchy) -> Option<&Auth> {
        match hierarchy {
            Hierarchy::Owner => self.owner.as_ref(),
            Hierarchy::Endorsement => self.endorsement.as_ref(),
            Hierarchy::Platform => self.platform.as_ref(),
            Hierarchy::Null => None,
        }
    }

    fn set(&mut self, hierarchy: Hierarchy, auth: Auth) {
        match hierarchy {
            Hierarchy::Owner => self.owner = Some(auth),
            Hierarchy::Endorsement => self.endorsement = Some(auth),
            Hierarchy::Platform => self.platform = Some(auth),
            Hierarchy::Null => {}
        }
    }
}

/// The way to the TPM, for all threads of the process.
pub struct Engine {
    state: Lock<State>,
}

/// What the engine knows between turns.
pub(super) struct State {
    link: Option<Box<dyn Link>>,
    pub(super) auths: HierarchyAuths,
    pub(super) loaded: Loaded,
    pub(super) firmware: Option<Firmware>,
    pub(super) abilities: Option<Arc<Abilities>>,
}

/// The TPM for the time of one PKCS#11 call.
pub struct Turn<'a> {
    pub(super) state: Guard<'a, State>,
    pub(super) sharing: Sharing,
    pub(super) approver: Option<Arc<Approver>>,
    /// In this attempt the TPM may have been told a PIN.
    pub(super) pin_told: bool,
}

impl Engine {
    /// An engine that reaches its TPM through `link`; without one there is no TPM. No I/O.
    pub fn new(link: Option<Box<dyn Link>>, auths: HierarchyAuths) -> Self {
        Self {
            state: Lock::new(State {
                link,
                auths,
                loaded: Loaded::default(),
                firmware: None,
                abilities: None,
            }),
        }
    }

    /// Authorizes with `auth` wherever `hierarchy` asks for it from now on.
    pub fn authorize(&self, hierarchy: Hierarchy, auth: Auth) {
        self.state.lock().auths.set(hierarchy, auth);
    }

    /// Takes the TPM until the [`Turn`] is dropped.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT`, `CKR_DEVICE_ERROR`.
    pub fn turn(&self) -> Result<Turn<'_>> {
        let mut state = self.state.lock();
        let link = state.link.as_mut().ok_or_else(|| {
            Error::new(CKR_TOKEN_NOT_PRESENT, "no TPM is configured that could be used")
        })?;
        let sharing = link.sharing();
        let taken = link.take()?;
        let mut turn = Turn { state, sharing, approver: None, pin_told: false };
        match taken {
            Taken::StillMine => {}
            Taken::Others(leftovers) => turn.begin_after_others(&leftovers),
            Taken::Unknown => turn.begin_in_the_unknown(),
        }
        Ok(turn)
    }

    /// Flushes whatever is ours in the TPM: the library's life in this process ends.
    pub fn close(&self) {
        if self.state.lock().loaded.is_empty() {
            return;
        }
        match self.turn() {
            Ok(mut turn) => turn.flush_everything(),
            Err(error) => log::debug!("nothing could be flushed at the end: {error}"),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Turn<'_> {
    /// Sends a command.
    pub(super) fn send(
        &mut self,
        command: Command,
        authorization: Authorization<'_>,
    ) -> Attempt<Response> {
        match self.state.link.as_mut() {
            Some(link) => command.send(link.as_mut(), authorization),
            None => Err(Failure::Refused(Error::bug("a turn without a link"))),
        }
    }

    /// A new connection after a transport error, within this turn.
    pub(super) fn reconnect(&mut self) -> Result<()> {
        let done = match self.state.link.as_mut() {
            Some(link) => link.reconnect(),
            None => Err(Error::bug("a turn without a link")),
        };
        // Unshared, the objects are still there, and flushed as far as they can be told; a command
        // whose answer was lost may have made one more.
        match self.sharing {
            Sharing::ResourceManager => self.state.loaded.forget(),
            Sharing::Alone if done.is_ok() => self.begin_in_the_unknown(),
            Sharing::Alone => self.state.loaded.forget(),
        }
        done
    }

    /// Flushes a transient object or an auth session. One that is not there any more is as good; one
    /// that cannot be flushed is left for the next turn, which then has to look.
    pub(super) fn flush(&mut self, handle: u32) {
        let outcome = (0..FLUSHES).find_map(|_| match self.flush_once(handle) {
            Ok(_) => Some(Ok(())),
            Err(Failure::Rc(_, rc)) if is_gone(rc) => Some(Ok(())),
            Err(Failure::Transport(error) | Failure::Refused(error)) => Some(Err(error)),
            Err(_) => None,
        });
        match outcome {
            Some(Ok(())) => {}
            Some(Err(error)) => log::debug!("0x{handle:08x} was not flushed: {error}"),
            None => self.doubt("an object or auth session could not be flushed"),
        }
    }

    fn flush_once(&mut self, handle: u32) -> Attempt<Response> {
        let command = Command::new(tpm2::TPM2_CC_FlushContext)?;
        self.send(command.parameters(Writer::new().u32(handle)), Authorization::None)
    }

    fn doubt(&mut self, why: &str) {
        log::debug!("the next turn has to look what is loaded: {why}");
        if let Some(link) = self.state.link.as_mut() {
            link.doubt();
        }
    }

    fn begin_after_others(&mut self, leftovers: &Leftovers) {
        self.state.loaded.forget();
        for handle in leftovers.transient.iter().chain(&leftovers.auth_sessions) {
            self.flush(*handle);
        }
    }

    /// Flushes every transient object and loaded auth session that the TPM names: on an unshared TPM
    /// they were left by somebody who died in its turn.
    pub(super) fn begin_in_the_unknown(&mut self) {
        self.state.loaded.forget();
        if self.sharing == Sharing::ResourceManager {
            return;
        }
        for range in [tpm2::TPM2_TRANSIENT_FIRST, tpm2::TPM2_LOADED_SESSION_FIRST] {
            let handles =
                capability::handles(self, range).or_else(|_| capability::handles(self, range));
            match handles {
                Ok(handles) => handles.into_iter().for_each(|handle| self.flush(handle)),
                Err(_) => self.doubt("the TPM did not tell its handles"),
            }
        }
    }

    fn flush_everything(&mut self) {
        for handle in self.state.loaded.take_all() {
            self.flush(handle);
        }
    }
}

/// Whether a handle's flush was refused because there is nothing under it.
fn is_gone(rc: u32) -> bool {
    // TPM_RC_HANDLE, with the number of the parameter; a warning about a reference is another's.
    classify(rc) == Class::Gone && rc & 0x080 != 0
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Half a command may have gone out, and nothing more may fail while this unwinds: the
            // next turn looks what is loaded.
            self.state.loaded.forget();
            self.doubt("a panic ended this one");
        }
        for handle in self.state.loaded.take_surplus(self.sharing) {
            self.flush(handle);
        }
        let leftovers = match self.sharing {
            Sharing::Alone => self.state.loaded.leftovers(),
            Sharing::ResourceManager => Leftovers::default(),
        };
        if let Some(link) = self.state.link.as_mut() {
            link.give_back(&leftovers);
        }
    }
}
