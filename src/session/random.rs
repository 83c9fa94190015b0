//! Random number generation: the TPM's.

use cryptoki_sys::CKR_RANDOM_SEED_NOT_SUPPORTED;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::session::Call;
use crate::tpm::Tpm;

/// Most bytes asked for with the TPM in hand before others get their turn.
const CHUNK: usize = 65_536;

impl Call<'_> {
    /// Random bytes from the TPM, `len` of them, given to `sink` in pieces.
    /// PKCS#11 v3.1, C_GenerateRandom.
    pub fn generate_random(&mut self, mut len: usize, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        // With a token there is a recorded primary key, and nobody on the bus can answer for the TPM.
        let token = self.provider.token(self.cell.hierarchy).ok().flatten();
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

    /// The TPM's generator takes no seed from applications. PKCS#11 v3.1, C_SeedRandom.
    ///
    /// Errors: always `CKR_RANDOM_SEED_NOT_SUPPORTED`, which callers tolerate.
    pub fn seed_random(&mut self, _seed: &[u8]) -> Result<()> {
        Err(Error::new(CKR_RANDOM_SEED_NOT_SUPPORTED, "the TPM seeds itself"))
    }
}
