//! Random bytes from the TPM, and seeds for its generator.

use tss_esapi::constants::tss as tpm2;

use crate::error::Result;
use crate::tpm::Primary;
use crate::tpm::answer::first_sized;
use crate::tpm::auth_session::{DECRYPT, ENCRYPT};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Use};
use crate::tpm::loaded::KeptSession;
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::{Writer, malformed};

/// Most bytes of one TPM2_GetRandom: the largest digest.
const RANDOM: usize = 64;
/// Most bytes of one TPM2_StirRandom (TPM2B_SENSITIVE_DATA).
const SEED: usize = 128;

impl Turn<'_> {
    /// TPM 2.0 Part 3, TPM2_GetRandom.
    pub(super) fn random_bytes(
        &mut self,
        parent: Option<&Primary>,
        bytes: &mut [u8],
    ) -> Result<()> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let last = rest.len() <= RANDOM;
            let part = rest.get_mut(..rest.len().min(RANDOM)).unwrap_or_default();
            filled += self.attempt(Repeat::Safe, |turn| turn.random_part(parent, part, last))?;
        }
        Ok(())
    }

    /// TPM 2.0 Part 3, TPM2_StirRandom.
    pub(super) fn stir(&mut self, parent: Option<&Primary>, seed: &[u8]) -> Result<()> {
        let mut parts = seed.chunks(SEED).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            self.attempt(Repeat::Safe, |turn| {
                let kept = turn.random_session(parent)?;
                turn.in_session(kept, last, |turn, session, attributes| {
                    let command = Command::new(tpm2::TPM2_CC_StirRandom)?
                        .parameters(Writer::new().sized(part));
                    let used = Use { session, auth: &[], attributes: attributes | DECRYPT };
                    turn.send(command, Authorization::Sessions(vec![used])).map(drop)
                })
            })?;
        }
        Ok(())
    }

    /// The auth session that random bytes and seeds travel in.
    fn random_session(&mut self, parent: Option<&Primary>) -> Attempt<KeptSession> {
        match parent {
            Some(primary) => {
                let loaded = self.parent(primary)?;
                self.session(Some((&loaded, primary)))
            }
            None => self.session(None),
        }
    }

    /// One TPM2_GetRandom into `part`; how many bytes came.
    fn random_part(
        &mut self,
        parent: Option<&Primary>,
        part: &mut [u8],
        last: bool,
    ) -> Attempt<usize> {
        let wanted = u16::try_from(part.len()).unwrap_or(u16::MAX);
        let kept = self.random_session(parent)?;
        let answer = self.in_session(kept, last, |turn, session, attributes| {
            let command =
                Command::new(tpm2::TPM2_CC_GetRandom)?.parameters(Writer::new().u16(wanted));
            let used = Use { session, auth: &[], attributes: attributes | ENCRYPT };
            turn.send(command, Authorization::Sessions(vec![used]))
        })?;
        let bytes = first_sized(&answer.parameters)?;
        let came = bytes.len().min(part.len());
        match (part.get_mut(..came), bytes.get(..came)) {
            (Some(to), Some(from)) if came > 0 => to.copy_from_slice(from),
            _ => return Err(Failure::Altered(malformed())),
        }
        Ok(came)
    }
}
