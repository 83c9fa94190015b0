//! Key derivation by a pseudorandom function (NIST SP 800-108): each block of it is made in the TPM,
//! by HMAC or CMAC with the base key.

use cryptoki_sys::{
    CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, CK_ULONG,
    CKK_AES, CKK_SHA_1_HMAC, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKM_AES_CMAC,
    CKM_SHA_1_HMAC, CKM_SHA256_HMAC, CKM_SHA384_HMAC, CKM_SHA512_HMAC, CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCOMPLETE,
};
use zeroize::Zeroizing;

use super::derivation::Keys;
use super::derivation_parameter::{KdfParameter, NumberFormat, PrfInput};
use super::mac::Prf;
use super::parameter::{Checked, invalid};
use super::task::{KeyInUse, Task};
use crate::error::{Error, Result};
use crate::tpm::{HashAlg, PrivateKey, SecretBytes};

/// Most blocks of one derivation, each a command to the TPM; far above what any keys take.
const MOST_BLOCKS: usize = 4096;

/// The mode: where the next iteration variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// Section 4.1: it counts.
    Counter,
    /// Section 4.2: the last block, an IV at first.
    Feedback,
    /// Section 4.3: the PRF of the last, first of the fixed input.
    DoublePipeline,
}

/// The parameter, its values known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kdf {
    chain: Chain,
    prf: Prf,
    inputs: Vec<PrfInput>,
    iv: Vec<u8>,
}

impl Kdf {
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for another PRF, inputs that the mode does not take or
    /// not so many of, and numbers of no bytes.
    pub(super) fn new(chain: Chain, given: &KdfParameter) -> Result<Self> {
        let prf = match given.prf {
            CKM_SHA_1_HMAC => Prf::Hmac(HashAlg::Sha1),
            CKM_SHA256_HMAC => Prf::Hmac(HashAlg::Sha256),
            CKM_SHA384_HMAC => Prf::Hmac(HashAlg::Sha384),
            CKM_SHA512_HMAC => Prf::Hmac(HashAlg::Sha512),
            CKM_AES_CMAC => Prf::Cmac,
            _ => return Err(invalid("pseudorandom function")),
        };
        let (mut iterations, mut counters, mut lengths) = (0, 0, 0);
        for input in &given.inputs {
            match input {
                PrfInput::Iteration(format) => {
                    if format.is_some() != (chain == Chain::Counter) {
                        return Err(invalid("iteration variable"));
                    }
                    format.map_or(Ok(()), check_format)?;
                    iterations += 1;
                }
                PrfInput::Counter(format) if chain != Chain::Counter => {
                    check_format(*format)?;
                    counters += 1;
                }
                PrfInput::Counter(_) => return Err(invalid("a second counter")),
                PrfInput::Length(method, format) => {
                    let known = [
                        CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS,
                        CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS,
                    ];
                    if !known.contains(method) {
                        return Err(invalid("method of the length"));
                    }
                    check_format(*format)?;
                    lengths += 1;
                }
                PrfInput::Bytes(bytes) if bytes.is_empty() => return Err(invalid("empty bytes")),
                PrfInput::Bytes(_) | PrfInput::Key(_) => {}
            }
        }
        if iterations != 1 || counters > 1 || lengths > 1 {
            return Err(invalid("a field is missing, or there more than once"));
        }
        Ok(Self { chain, prf, inputs: given.inputs.clone(), iv: given.iv.clone() })
    }

    /// The handles of the keys whose values are among the inputs.
    pub(super) fn keys(&self) -> impl Iterator<Item = cryptoki_sys::CK_OBJECT_HANDLE> + '_ {
        self.inputs.iter().filter_map(|input| match input {
            PrfInput::Key(handle) => Some(*handle),
            _ => None,
        })
    }

    /// The widest number that a counter of the parameter has.
    fn last_block(&self) -> u64 {
        let bits = self.inputs.iter().filter_map(|input| match input {
            PrfInput::Iteration(Some(format)) | PrfInput::Counter(format) => Some(format.bits),
            _ => None,
        });
        bits.map(|bits| u64::MAX >> 64u64.saturating_sub(bits)).min().unwrap_or(u64::MAX)
    }
}

/// A number of 1 to 8 whole bytes.
fn check_format(format: NumberFormat) -> Result<()> {
    if (8..=64).contains(&format.bits) && format.bits.is_multiple_of(8) {
        Ok(())
    } else {
        Err(invalid("width of a number"))
    }
}

/// The PRF goes with the key, and the TPM has it.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let KeyInUse::Secret { key_type, .. } = task.key else {
        return Err(Error::bug("a key pair for a pseudorandom function"));
    };
    let fits = match parameter(task)?.prf {
        Prf::Cmac => key_type == CKK_AES,
        Prf::Hmac(hash) => {
            if !task.tpm_hashes.contains(&hash) {
                return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the TPM has not this hash"));
            }
            match key_type {
                CKK_AES => false,
                CKK_SHA_1_HMAC => hash == HashAlg::Sha1,
                CKK_SHA256_HMAC => hash == HashAlg::Sha256,
                CKK_SHA384_HMAC => hash == HashAlg::Sha384,
                CKK_SHA512_HMAC => hash == HashAlg::Sha512,
                _ => true,
            }
        }
    };
    if fits {
        Ok(())
    } else {
        Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "a key for another pseudorandom function"))
    }
}

/// CKM_SP800_108_COUNTER_KDF and its like: a key of each length, of blocks of its own.
pub(super) fn derive(
    task: &Task,
    wanted: &[Option<usize>],
    keys: &mut Keys<'_>,
) -> Result<Vec<SecretBytes>> {
    let kdf = parameter(task)?;
    let missing = || Error::new(CKR_TEMPLATE_INCOMPLETE, "a KDF gives any number of bytes");
    let wanted: Vec<usize> = wanted.iter().copied().collect::<Option<_>>().ok_or_else(missing)?;
    let blocks = |len: usize| len.div_ceil(kdf.prf.len());
    let all = wanted.iter().fold(0usize, |all, len| all.saturating_add(blocks(*len)));
    if all > MOST_BLOCKS || all as u64 > kdf.last_block() {
        return Err(Error::new(CKR_KEY_SIZE_RANGE, "more blocks than the counter counts"));
    }
    let mut run = Run::new(task, kdf, &wanted, all, keys)?;
    let mut made = Vec::with_capacity(wanted.len());
    for len in wanted {
        let mut key = Zeroizing::new(Vec::with_capacity(len.saturating_add(64)));
        for _ in 0..blocks(len) {
            key.extend_from_slice(&run.block(keys.base)?);
        }
        key.truncate(len);
        made.push(key);
    }
    Ok(made)
}

/// One derivation, between two blocks.
struct Run<'a> {
    task: &'a Task,
    kdf: &'a Kdf,
    /// The inputs, with those that do not change as bytes.
    inputs: Vec<Input>,
    /// The last block, or the last of the pipeline.
    last: SecretBytes,
    count: u64,
}

enum Input {
    Iteration(Option<NumberFormat>),
    Counter(NumberFormat),
    Fixed(SecretBytes),
}

impl<'a> Run<'a> {
    fn new(
        task: &'a Task,
        kdf: &'a Kdf,
        wanted: &[usize],
        blocks: usize,
        keys: &mut Keys<'_>,
    ) -> Result<Self> {
        let mut others = keys.others.iter_mut();
        let mut inputs = Vec::with_capacity(kdf.inputs.len());
        for input in &kdf.inputs {
            inputs.push(match input {
                PrfInput::Iteration(format) => Input::Iteration(*format),
                PrfInput::Counter(format) => Input::Counter(*format),
                PrfInput::Bytes(bytes) => Input::Fixed(Zeroizing::new(bytes.clone())),
                PrfInput::Length(method, format) => {
                    Input::Fixed(number(dkm_bits(*method, kdf.prf, wanted, blocks), *format)?)
                }
                PrfInput::Key(_) => {
                    let key =
                        others.next().ok_or_else(|| Error::bug("an input without its key"))?;
                    Input::Fixed(key.value()?)
                }
            });
        }
        let mut last = Zeroizing::new(kdf.iv.clone());
        if kdf.chain == Chain::DoublePipeline {
            let fixed = inputs.iter().filter_map(|input| match input {
                Input::Fixed(bytes) => Some(bytes.as_slice()),
                _ => None,
            });
            last = Zeroizing::new(fixed.collect::<Vec<_>>().concat());
        }
        Ok(Self { task, kdf, inputs, last, count: 0 })
    }

    fn block(&mut self, key: &mut dyn PrivateKey) -> Result<SecretBytes> {
        self.count = self.count.saturating_add(1);
        if self.kdf.chain == Chain::DoublePipeline {
            self.last = self.kdf.prf.run(self.task, &self.last, key)?;
        }
        let mut parts = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            parts.push(match input {
                Input::Iteration(None) => self.last.clone(),
                Input::Iteration(Some(format)) | Input::Counter(format) => {
                    number(self.count, *format)?
                }
                Input::Fixed(bytes) => bytes.clone(),
            });
        }
        let parts: Vec<_> = parts.iter().map(|part| part.as_slice()).collect();
        let message = Zeroizing::new(parts.concat());
        let block = self.kdf.prf.run(self.task, &message, key)?;
        if self.kdf.chain == Chain::Feedback {
            self.last = block.clone();
        }
        Ok(block)
    }
}

/// How long the keying material is, in bits.
fn dkm_bits(method: CK_ULONG, prf: Prf, wanted: &[usize], blocks: usize) -> u64 {
    let bytes = if method == CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS {
        blocks.saturating_mul(prf.len())
    } else {
        wanted.iter().fold(0, |sum: usize, len| sum.saturating_add(*len))
    };
    (bytes as u64).saturating_mul(8)
}

/// `number` as `format` has it.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID` for a number that does not fit.
fn number(number: u64, format: NumberFormat) -> Result<SecretBytes> {
    let width = usize::try_from(format.bits / 8).unwrap_or_default();
    let bytes = number.to_le_bytes();
    let (low, high) = bytes.split_at_checked(width).ok_or_else(|| invalid("width of a number"))?;
    if high.iter().any(|byte| *byte != 0) {
        return Err(invalid("width of the length"));
    }
    let mut bytes = Zeroizing::new(low.to_vec());
    if !format.little_endian {
        bytes.reverse();
    }
    Ok(bytes)
}

fn parameter(task: &Task) -> Result<&Kdf> {
    match &task.parameter {
        Checked::Kdf(kdf) => Ok(kdf),
        _ => Err(Error::bug("a KDF without its parameter")),
    }
}
