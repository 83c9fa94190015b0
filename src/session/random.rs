//! Random number generation: the TPM's.

use cryptoki_sys::CKR_ARGUMENTS_BAD;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::session::Call;
use crate::tpm::Tpm;

/// Most bytes asked for with the TPM in hand before others get their turn.
const CHUNK: usize = 65_536;
/// Most bytes of one call.
const MOST: usize = 16 << 20;
/// Most bytes of a seed: more brings nothing.
const MOST_SEED: usize = 65_536;

impl Call<'_> {
    /// Random bytes from the TPM, `len` of them, given to `sink` in pieces.
    /// PKCS#11 v3.1, C_GenerateRandom.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for more than 16 MiB, which take a TPM half a minute.
    pub fn generate_random(&mut self, mut len: usize, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        if len > MOST {
            return Err(Error::new(
                CKR_ARGUMENTS_BAD,
                "more random bytes than a TPM gives in one call",
            ));
        }
        // With a token there is a recorded primary key, and nobody on the bus can answer for the TPM.
        // A token that somebody makes look like another TPM's is no reason to do without.
        let token = self.provider.token(self.cell.hierarchy)?;
        let primary = token.as_ref().map(|token| &token.primary);
        let mut chunk = Zeroizing::new(vec![0; len.min(CHUNK)]);
        while len > 0 {
            chunk.truncate(len);
            self.provider.engine.turn()?.random(primary, &mut chunk)?;
            sink(&chunk);
            len -= chunk.len();
        }
        Ok(())
    }

    /// Mixes `seed` into the TPM's generator, which it never makes worse. PKCS#11 v3.1, C_SeedRandom.
    ///
    /// Errors: `CKR_ARGUMENTS_BAD` for more than 64 KiB.
    pub fn seed_random(&mut self, seed: &[u8]) -> Result<()> {
        if seed.len() > MOST_SEED {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "a seed longer than any generator's state"));
        }
        let token = self.provider.token(self.cell.hierarchy)?;
        let primary = token.as_ref().map(|token| &token.primary);
        self.provider.engine.turn()?.stir_random(primary, seed)
    }
}
