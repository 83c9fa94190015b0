//! Nonces that are made here: PKCS#11 v3.1, "AES-GCM Authenticated Encryption / Decryption", the
//! generator functions. What is fixed stays, the bits after it are made.

use cryptoki_sys::{
    CK_ULONG, CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR, CKG_GENERATE_RANDOM,
    CKG_NO_GENERATE,
};

use super::parameter::{AeadParameter, invalid};
use crate::error::Result;

/// Fewest bits that are made by chance. Without fixed bits there are as many as there are.
const LEAST_RANDOM: usize = 64;
/// As many has the shortest nonce of CCM: fewer come again too soon, fixed bits or not.
const LEAST: usize = 56;

/// The nonces of one process, or of one key that is wrapped.
#[derive(Default)]
pub(super) struct Nonces {
    /// How many were made.
    made: u128,
    /// Where `CKG_GENERATE` began to count: by chance, lest another process' nonces come again.
    start: Vec<u8>,
    /// What `CKG_GENERATE_COUNTER_XOR` counts into: the nonce that was given first. The caller's is
    /// written over with what was made of it, and may come back so.
    base: Vec<u8>,
    /// Which of the two that count from zero was asked for. The one's nonces may be the other's.
    counter: Option<CK_ULONG>,
}

impl Nonces {
    /// Whether [`next`](Self::next) would make a nonce.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for a generator that is not known, one counter after
    /// another, what leaves too few bits to chance, and when all nonces were made.
    pub(super) fn check(&self, given: &AeadParameter) -> Result<()> {
        if given.generator == CKG_NO_GENERATE {
            return Ok(());
        }
        let bits = given.nonce.len().saturating_mul(8);
        let fixed = usize::try_from(given.fixed_bits).unwrap_or(usize::MAX);
        let free = bits.checked_sub(fixed).filter(|free| *free > 0);
        let free = free.ok_or_else(|| invalid("fixed bits of the nonce"))?;
        let by_chance = match given.generator {
            CKG_GENERATE | CKG_GENERATE_RANDOM => true,
            CKG_GENERATE_COUNTER | CKG_GENERATE_COUNTER_XOR => false,
            _ => return Err(invalid("generator of the nonce")),
        };
        let least = if fixed > 0 { LEAST_RANDOM } else { LEAST };
        if by_chance && free < least {
            return Err(invalid("fixed bits of the nonce"));
        }
        if !by_chance && self.counter.is_some_and(|counter| counter != given.generator) {
            return Err(invalid("another counter than the nonces before were made by"));
        }
        let counts = given.generator != CKG_GENERATE_RANDOM;
        if counts && self.made.checked_shr(free as u32).is_some_and(|beyond| beyond > 0) {
            return Err(invalid("there are no more nonces with so many fixed bits"));
        }
        Ok(())
    }

    /// The nonce for the next message; `None` where it is the caller's own.
    ///
    /// Errors: as [`check`](Self::check)'s; `CKR_FUNCTION_FAILED` without random bytes.
    pub(super) fn next(&mut self, given: &AeadParameter) -> Result<Option<Vec<u8>>> {
        self.check(given)?;
        let len = given.nonce.len();
        let mut nonce = match given.generator {
            CKG_NO_GENERATE => return Ok(None),
            CKG_GENERATE_COUNTER => counted(vec![0; len], self.made, u128::wrapping_add),
            CKG_GENERATE_COUNTER_XOR => {
                if self.base.len() != len {
                    self.base.clone_from(&given.nonce);
                }
                counted(self.base.clone(), self.made, |a, b| a ^ b)
            }
            CKG_GENERATE => {
                if self.start.len() != len {
                    self.start = vec![0; len];
                    getrandom::fill(&mut self.start)?;
                }
                counted(self.start.clone(), self.made, u128::wrapping_add)
            }
            _ => {
                let mut nonce = vec![0; len];
                getrandom::fill(&mut nonce)?;
                nonce
            }
        };
        if matches!(given.generator, CKG_GENERATE_COUNTER | CKG_GENERATE_COUNTER_XOR) {
            self.counter = Some(given.generator);
        }
        let mut fixed = usize::try_from(given.fixed_bits).unwrap_or(usize::MAX);
        for (byte, own) in nonce.iter_mut().zip(&given.nonce) {
            let bits = fixed.min(8);
            let free = u8::MAX.checked_shr(bits as u32).unwrap_or(0);
            *byte = (own & !free) | (*byte & free);
            fixed = fixed.saturating_sub(bits);
        }
        self.made = self.made.saturating_add(1);
        Ok(Some(nonce))
    }
}

/// The last bytes of `nonce`, a number, and another number, made into one.
fn counted(mut nonce: Vec<u8>, number: u128, by: fn(u128, u128) -> u128) -> Vec<u8> {
    let last = nonce.iter().rev().take(size_of::<u128>()).rev();
    let last = last.fold(0, |all: u128, byte| (all << 8) | u128::from(*byte));
    let made = by(last, number).to_le_bytes();
    for (byte, new) in nonce.iter_mut().rev().zip(made) {
        *byte = new;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn given(generator: u64, nonce: &[u8], fixed_bits: u64) -> AeadParameter {
        AeadParameter { nonce: nonce.to_vec(), generator, fixed_bits, ..AeadParameter::default() }
    }

    #[test]
    fn a_counter_begins_with_zero_behind_the_fixed_bits_and_ends_when_they_are_used_up() {
        let mut nonces = Nonces::default();
        let given = given(CKG_GENERATE_COUNTER, &[0xff; 12], 92);
        for number in 0..16 {
            let mut expected = [0xff; 12];
            expected[11] = 0xf0 | number;
            assert_eq!(nonces.next(&given).unwrap(), Some(expected.to_vec()));
        }
        assert!(nonces.next(&given).is_err());
    }

    #[test]
    fn a_counter_is_mixed_into_the_callers_bits() {
        let mut nonces = Nonces::default();
        let given = given(CKG_GENERATE_COUNTER_XOR, &[0xaa; 12], 32);
        for number in 0..300u16 {
            let mut expected = [0xaa; 12];
            expected[10] ^= number.to_be_bytes()[0];
            expected[11] ^= number.to_be_bytes()[1];
            assert_eq!(nonces.next(&given).unwrap(), Some(expected.to_vec()));
        }
    }

    #[test]
    fn what_a_counter_was_mixed_into_may_come_back_and_makes_no_nonce_twice() {
        let (mut nonces, mut seen) = (Nonces::default(), BTreeSet::new());
        let mut given = given(CKG_GENERATE_COUNTER_XOR, &[0xaa; 12], 32);
        for number in 0..300 {
            let nonce = nonces.next(&given).unwrap().unwrap();
            assert!(seen.insert(nonce.clone()), "twice, at {number}");
            // The structure that the caller has, as it was written to.
            given.nonce = nonce;
        }
    }

    #[test]
    fn one_counter_does_not_follow_another() {
        for (first, second) in [
            (CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR),
            (CKG_GENERATE_COUNTER_XOR, CKG_GENERATE_COUNTER),
        ] {
            let mut nonces = Nonces::default();
            nonces.next(&given(first, &[3; 12], 32)).unwrap();
            assert!(nonces.next(&given(second, &[3; 12], 32)).is_err());
            nonces.next(&given(first, &[3; 12], 32)).unwrap();
            nonces.next(&given(CKG_GENERATE, &[3; 12], 32)).unwrap();
        }
    }

    #[test]
    fn what_is_made_by_chance_keeps_the_fixed_bits_and_never_comes_again() {
        for generator in [CKG_GENERATE, CKG_GENERATE_RANDOM] {
            for (len, fixed) in [(12, 0), (12, 29), (12, 32), (7, 0), (60, 3), (8, 0)] {
                let (mut nonces, mut seen) = (Nonces::default(), BTreeSet::new());
                let given = given(generator, &vec![0x5a; len], fixed);
                for _ in 0..100 {
                    let nonce = nonces.next(&given).unwrap().unwrap();
                    assert_eq!(nonce.len(), len);
                    for bit in 0..fixed as usize {
                        let mask = 0x80 >> (bit % 8);
                        assert_eq!(nonce[bit / 8] & mask, 0x5a & mask, "bit {bit}");
                    }
                    assert!(seen.insert(nonce), "twice");
                }
            }
        }
    }

    #[test]
    fn the_callers_own_nonce_is_left_alone_whatever_is_fixed() {
        assert_eq!(Nonces::default().next(&given(CKG_NO_GENERATE, &[1; 12], 999)).unwrap(), None);
    }

    #[test]
    fn what_leaves_too_little_is_refused() {
        for (generator, fixed) in [
            (CKG_GENERATE, 96),
            (CKG_GENERATE, 97),
            (CKG_GENERATE, u64::MAX),
            (CKG_GENERATE, 33),
            (CKG_GENERATE_RANDOM, 33),
            (CKG_GENERATE_COUNTER, 96),
            (CKG_GENERATE_COUNTER_XOR, 96),
            (5, 0),
            (u64::MAX, 0),
        ] {
            let refused = Nonces::default().next(&given(generator, &[0; 12], fixed));
            assert!(refused.is_err(), "{generator}, {fixed}");
        }
        for len in 1..7 {
            for generator in [CKG_GENERATE, CKG_GENERATE_RANDOM] {
                assert!(Nonces::default().next(&given(generator, &vec![0; len], 0)).is_err());
            }
        }
    }
}
