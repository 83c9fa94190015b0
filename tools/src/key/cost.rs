//! How much work a file wants done with a passphrase before anybody knows whether it is the right one.
//! A file that was damaged, or made to do harm, can want years of it, or all of the memory.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use crate::failure::{Failure, Result};

/// Rounds of PBKDF2 and of PKCS#12's own derivation, all of a file's together: seconds of work.
/// OpenSSL makes 2048 for each part.
const ROUNDS: u64 = 8_000_000;
/// scrypt's N times r times p, each a block of 128 bytes: 1 GiB. OpenSSL makes 2 to the 17th.
const BLOCKS: u64 = 1 << 23;
/// Rounds of bcrypt: about a minute of work. ssh-keygen makes 16 to 24.
const BCRYPT_ROUNDS: u32 = 4096;
/// No file nests deeper.
const DEPTH: usize = 24;

/// PKCS#8: the numbers that follow a salt, wherever they stand in the clear.
pub fn check_der(file: &[u8]) -> Result<()> {
    Work::default().add(file)
}

/// What a file wants in all, in rounds.
#[derive(Default)]
pub struct Work(u64);

impl Work {
    /// Adds what a part of it wants, as it stands there in the clear.
    pub fn add(&mut self, part: &[u8]) -> Result<()> {
        self.0 = self.0.saturating_add(rounds(part, DEPTH));
        if self.0 > ROUNDS { Err(too_dear()) } else { Ok(()) }
    }
}

/// OpenSSH's files.
pub fn check_bcrypt(kdf: &ssh_key::Kdf) -> Result<()> {
    match kdf {
        ssh_key::Kdf::Bcrypt { rounds, .. } if *rounds > BCRYPT_ROUNDS => Err(too_dear()),
        _ => Ok(()),
    }
}

fn too_dear() -> Failure {
    Failure::input(
        "wants more work for its passphrase than any program makes it: encrypt it anew where it \
         comes from",
    )
}

fn rounds(der: &[u8], depth: usize) -> u64 {
    let (Ok(mut reader), Some(depth)) = (SliceReader::new(der), depth.checked_sub(1)) else {
        return 0;
    };
    let mut all = 0_u64;
    let mut after_salt: Option<Vec<u64>> = None;
    while !reader.is_finished() {
        let Ok(item) = AnyRef::decode(&mut reader) else { break };
        match item.tag() {
            Tag::Integer => {
                if let (Some(numbers), Ok(number)) = (&mut after_salt, item.decode_as::<u64>()) {
                    numbers.push(number);
                }
            }
            tag => {
                all = all.saturating_add(asked(after_salt.take().as_deref()));
                // What is encrypted in an OCTET STRING ends the walk there, the rest is DER again.
                if tag == Tag::OctetString || tag.is_constructed() {
                    all = all.saturating_add(rounds(item.value(), depth));
                }
                after_salt = (tag == Tag::OctetString).then(Vec::new);
            }
        }
    }
    all.saturating_add(asked(after_salt.as_deref()))
}

/// What the numbers after a salt ask for: RFC 8018, PBKDF2-params; RFC 7292, MacData and
/// pkcs-12PbeParams; RFC 7914, scrypt-params.
fn asked(after_salt: Option<&[u64]>) -> u64 {
    match after_salt {
        Some([rounds] | [rounds, _]) => *rounds,
        Some([n, r, p, ..]) => {
            let blocks = n.saturating_mul(*r).saturating_mul(*p);
            blocks.saturating_mul(ROUNDS) / BLOCKS
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEQUENCE { OCTET STRING, INTEGER... }, inside of an OCTET STRING, in [0], in a SEQUENCE.
    fn nested(numbers: &[&[u8]]) -> Vec<u8> {
        let wrap =
            |tag: u8, inner: &[u8]| [&[tag, inner.len().try_into().unwrap()], inner].concat();
        let mut inner = wrap(0x04, b"salt");
        for number in numbers {
            inner.extend(wrap(0x02, number));
        }
        wrap(0x30, &wrap(0xa0, &wrap(0x04, &wrap(0x30, &inner))))
    }

    #[test]
    fn what_programs_make_is_not_too_much_and_what_none_makes_is() {
        for fine in [
            &[&[0x08, 0x00][..]][..],
            &[&[0x0f, 0x42, 0x40], &[0x20]],
            &[&[0x40, 0x00], &[0x08], &[0x01]],
            &[&[0x10, 0x00, 0x00], &[0x08], &[0x01], &[0x20]],
        ] {
            assert!(check_der(&nested(fine)).is_ok(), "{fine:?}");
        }
        for wrong in [
            &[&[0x7f, 0xff, 0xff][..]][..],
            &[&[0x7f, 0xff, 0xff, 0xff], &[0x20]],
            &[&[0x40, 0x00], &[0x7f], &[0x7f]],
        ] {
            assert!(check_der(&nested(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bcrypt_has_its_own_measure() {
        let bcrypt = |rounds| ssh_key::Kdf::Bcrypt { salt: vec![0; 16], rounds };
        assert!(check_bcrypt(&ssh_key::Kdf::None).is_ok());
        assert!(check_bcrypt(&bcrypt(100)).is_ok());
        assert!(check_bcrypt(&bcrypt(u32::MAX)).is_err());
    }

    #[test]
    fn rubbish_and_deep_nesting_are_no_cost() {
        assert!(check_der(b"\x30\x80\x00").is_ok());
        assert!(check_der(&[0x30, 0x82, 0xff]).is_ok());
        let mut deep = Vec::new();
        for _ in 0..40 {
            deep = [&[0x30, u8::try_from(deep.len()).unwrap()][..], &deep].concat();
        }
        assert!(check_der(&deep).is_ok());
    }
}
