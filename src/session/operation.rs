//! An operation's life, the same for every kind: who may begin, what ends it, where results go.

use std::mem;

use cryptoki_sys::{CKR_BUFFER_TOO_SMALL, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::session::key::BoundKey;

/// What became of a call's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The caller asked for the length and got it; it comes back with a buffer.
    LengthOnly,
    /// The bytes are in the caller's buffer.
    Written,
}

/// Whether the caller comes back for the result of a call that gave this: it asked for the length, or
/// had too little room.
pub(super) fn comes_back(delivery: &Result<Delivery>) -> bool {
    match delivery {
        Ok(delivery) => *delivery == Delivery::LengthOnly,
        Err(error) => error.ck_rv() == CKR_BUFFER_TOO_SMALL,
    }
}

/// Where a call's variable-length output goes: the caller's buffer and its length.
///
/// PKCS#11 v3.1, "Conventions for functions returning output in a variable-length buffer".
pub trait Destination {
    /// Delivers what `produce` makes. `needed` is its exact length or an upper bound; `produce`
    /// runs only if the caller gave that much room.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` without a length pointer; `CKR_BUFFER_TOO_SMALL`, with the
    /// length set to `needed`, if the room is short; whatever `produce` fails with.
    fn fill(self, needed: usize, produce: impl FnOnce() -> Result<Vec<u8>>) -> Result<Delivery>;

    /// Delivers a result whose length only the result tells (RSA decryption, padding).
    ///
    /// A length query answers `bound` without producing, and so does a buffer that has not room for
    /// `least` bytes. With a buffer, `produce` runs once and its
    /// result waits in `made` until the caller has room for it, so that no retry costs a second
    /// private-key operation.
    fn fill_once(
        self,
        made: &mut Option<Zeroizing<Vec<u8>>>,
        bound: usize,
        least: usize,
        produce: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>,
    ) -> Result<Delivery>;
}

/// How far a cryptographic operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Begun; no data yet.
    Ready,
    /// A one-shot call asked for its length or had too little room: only the one-shot call may go on.
    OneShot,
    /// Data came by `C_…Update`: only the multi-part calls may go on.
    MultiPart,
}

/// At most one active operation of kind `O` in a session.
///
/// PKCS#11 v3.1, "Conventions for functions returning output in a variable-length buffer" and each
/// function's own section say what ends an operation; it is said here once.
pub struct Active<O>(Option<(Phase, O)>);

impl<O> Default for Active<O> {
    fn default() -> Self {
        Self(None)
    }
}

impl<O> Active<O> {
    /// Whether there is one.
    pub fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// The active operation, to look at.
    pub fn get(&self) -> Option<&O> {
        self.0.as_ref().map(|(_, operation)| operation)
    }

    /// Begins `operation`. The caller has checked that nothing stands in its way.
    pub fn begin(&mut self, operation: O) {
        self.0 = Some((Phase::Ready, operation));
    }

    /// Begins `operation` as one that takes parts: no one-shot call can end it.
    pub fn begin_parts(&mut self, operation: O) {
        self.0 = Some((Phase::MultiPart, operation));
    }

    /// How far the active operation has come.
    pub fn phase(&self) -> Option<Phase> {
        self.0.as_ref().map(|(phase, _)| *phase)
    }

    /// Ends it without a result; whether there was one.
    pub fn cancel(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// A one-shot call (`C_Sign`): ends the operation unless the caller comes back for the result.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`; `CKR_OPERATION_ACTIVE` after an update, which ends
    /// it too.
    pub fn one_shot(&mut self, call: impl FnOnce(&mut O) -> Result<Delivery>) -> Result<()> {
        self.deliver(Phase::OneShot, |phase| phase != Phase::MultiPart, call)
    }

    /// `C_…Final`: ends the operation unless the caller comes back for the result.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED`; `CKR_OPERATION_ACTIVE` after a one-shot length
    /// query, which ends it too.
    pub fn finish(&mut self, call: impl FnOnce(&mut O) -> Result<Delivery>) -> Result<()> {
        self.deliver(Phase::MultiPart, |phase| phase != Phase::OneShot, call)
    }

    /// `C_…Update` without output: any error ends the operation.
    pub fn update(&mut self, call: impl FnOnce(&mut O) -> Result<()>) -> Result<()> {
        self.update_into(|operation| call(operation).map(|()| Delivery::Written)).map(drop)
    }

    /// `C_…Update` with output: any error but `CKR_BUFFER_TOO_SMALL` ends the operation.
    pub fn update_into(
        &mut self,
        call: impl FnOnce(&mut O) -> Result<Delivery>,
    ) -> Result<Delivery> {
        let Some((phase, mut operation)) = mem::take(&mut self.0) else {
            return Err(not_initialized());
        };
        if phase == Phase::OneShot {
            return Err(wrong_phase());
        }
        let delivery = call(&mut operation);
        if delivery.is_ok() || comes_back(&delivery) {
            self.0 = Some((Phase::MultiPart, operation));
        }
        delivery
    }

    fn deliver(
        &mut self,
        kept_as: Phase,
        allowed: impl FnOnce(Phase) -> bool,
        call: impl FnOnce(&mut O) -> Result<Delivery>,
    ) -> Result<()> {
        // The operation is out of the session while it runs: a panic or an early return ends it.
        let Some((phase, mut operation)) = mem::take(&mut self.0) else {
            return Err(not_initialized());
        };
        if !allowed(phase) {
            return Err(wrong_phase());
        }
        let delivery = call(&mut operation);
        if comes_back(&delivery) {
            self.0 = Some((kept_as, operation));
        }
        delivery.map(|_| ())
    }
}

/// What an operation is to its session, whatever its kind.
pub(super) trait Operation {
    /// Its private or secret key, where it has one.
    fn key(&mut self) -> Option<&mut BoundKey> {
        None
    }
}

/// A session's place for operations of one kind.
pub(super) trait Place {
    /// Whether there is an operation.
    fn is_active(&self) -> bool;

    /// Ends the operation without a result; whether there was one.
    fn cancel(&mut self) -> bool;

    /// The private or secret key of the operation, where it has one.
    fn key(&mut self) -> Option<&mut BoundKey>;

    /// The same, where the operation waits for its next message.
    fn waiting_key(&mut self) -> Option<&mut BoundKey> {
        None
    }
}

impl<O: Operation> Place for Active<O> {
    fn is_active(&self) -> bool {
        Active::is_active(self)
    }

    fn cancel(&mut self) -> bool {
        Active::cancel(self)
    }

    fn key(&mut self) -> Option<&mut BoundKey> {
        self.0.as_mut().and_then(|(_, operation)| operation.key())
    }
}

pub(super) fn not_initialized() -> Error {
    Error::new(CKR_OPERATION_NOT_INITIALIZED, "no operation of this kind is active")
}

fn wrong_phase() -> Error {
    Error::new(CKR_OPERATION_ACTIVE, "a one-shot call cannot end a multi-part operation")
}
