//! The seam between the engine and the byte pipes: one TPM, one turn at a time.
//!
//! The engine sends commands and knows handles; whoever implements [`Link`] knows how to reach the
//! TPM and who else uses it. `transport::link` makes the real ones.

use std::time::Duration;

use crate::error::Result;

/// How the TPM is shared, which decides how long handles and auth sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody stands between us and the TPM: handles and auth sessions outlive a turn and a
    /// connection, and who comes next sees them.
    Alone,
    /// A resource manager keeps the connections apart: handles and auth sessions belong to the
    /// connection and die with it.
    ResourceManager,
}

/// What the last taker of an unshared TPM left loaded.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Leftovers {
    /// Handles of transient objects (0x80......).
    pub transient: Vec<u32>,
    /// Handles of auth sessions (0x02...... and 0x03......).
    pub auth_sessions: Vec<u32>,
}

/// What a turn begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody else used the TPM since this link's last turn: its handles and auth sessions are
    /// good.
    StillMine,
    /// Others did, or this is the first turn: forget own handles, and flush these, which the last
    /// taker left behind in good order.
    Others(Leftovers),
    /// The last taker died in its turn: what is loaded is unknown. Enumerate transient objects and
    /// loaded auth sessions and flush them all.
    Unknown,
}

/// A way to one TPM, taken for the time of one PKCS#11 call.
///
/// `take`, any number of `transmit` and `reconnect`, `give_back`. A link never outlives a fork: the
/// child forgets its copy without dropping it.
pub trait Link: Send {
    /// How the TPM is shared.
    fn sharing(&self) -> Sharing;

    /// Connects if need be and takes the turn.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT` where there is no TPM (or none that we may use);
    /// `CKR_DEVICE_ERROR` when it does not answer, or the turn does not come. No turn is taken then.
    fn take(&mut self) -> Result<Taken>;

    /// Sends one command and gives the whole response, header included; the size in the header is
    /// the number of bytes received. `limit`: how long the answer may take.
    ///
    /// Errors: `CKR_DEVICE_ERROR`. The connection is gone then, whether the TPM ran the command is
    /// unknown, and [`reconnect`](Link::reconnect) is needed before the next one.
    fn transmit(&mut self, command: &[u8], limit: Duration) -> Result<Vec<u8>>;

    /// After a transport error, within a turn: a new connection. The handles and auth sessions of a
    /// resource manager are gone with the old one; those of an unshared TPM are still there, and
    /// with them what a command whose answer was lost may have made.
    ///
    /// Errors: as [`take`](Link::take).
    fn reconnect(&mut self) -> Result<()>;

    /// Within a turn: something is loaded that nobody knows. [`give_back`](Link::give_back) says so,
    /// and the next taker begins with [`Taken::Unknown`]; behind a resource manager the connection
    /// ends, and what was loaded with it.
    fn doubt(&mut self);

    /// Ends the turn and records what stays loaded. Never fails; problems are logged, and the next
    /// taker then begins with [`Taken::Unknown`].
    fn give_back(&mut self, leftovers: &Leftovers);
}
