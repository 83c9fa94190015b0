//! Random number generation functions.

use cryptoki_sys::CK_SESSION_HANDLE;

use super::input::Input;
use super::output::Room;
use crate::error::Result;
use crate::provider;

/// `C_SeedRandom`.
pub(super) fn seed_random(session: CK_SESSION_HANDLE, seed: Input<'_>) -> Result<()> {
    provider::with_session(session, |call| call.seed_random(seed.bytes()?))
}

/// `C_GenerateRandom`.
pub(super) fn generate_random(session: CK_SESSION_HANDLE, bytes: Room<'_>) -> Result<()> {
    provider::with_session(session, |call| bytes.fill(|len, sink| call.generate_random(len, sink)))
}
