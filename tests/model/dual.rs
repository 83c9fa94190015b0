//! The model's rules about calls that go on with two operations at once.

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::operations::part_said;
use super::state::Model;
use super::step::{Answer, Given, Kind, Room};
use crate::common::secret::Part;

/// A pair of operations that one call goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dual {
    DigestEncrypt,
    DecryptDigest,
    SignEncrypt,
    DecryptVerify,
}

impl Dual {
    pub const ALL: [Self; 4] =
        [Self::DigestEncrypt, Self::DecryptDigest, Self::SignEncrypt, Self::DecryptVerify];

    /// The one with output, and the one without.
    pub fn kinds(self) -> (Kind, Kind) {
        match self {
            Self::DigestEncrypt => (Kind::Encrypt, Kind::Digest),
            Self::DecryptDigest => (Kind::Decrypt, Kind::Digest),
            Self::SignEncrypt => (Kind::Encrypt, Kind::Sign),
            Self::DecryptVerify => (Kind::Decrypt, Kind::Verify),
        }
    }

    pub fn part(self) -> Part {
        match self {
            Self::DigestEncrypt => Part::DigestEncrypt,
            Self::DecryptDigest => Part::DecryptDigest,
            Self::SignEncrypt => Part::SignEncrypt,
            Self::DecryptVerify => Part::DecryptVerify,
        }
    }
}

impl Model {
    pub(super) fn dual(
        &mut self,
        session: CK_SESSION_HANDLE,
        dual: Dual,
        data: &[u8],
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let (cipher_kind, other_kind) = dual.kinds();
        let mut take = |kind| self.here(session).operations.remove(&kind);
        let (cipher, other) = (take(cipher_kind), take(other_kind));
        let (Some(mut cipher), Some(mut other)) = (cipher.clone(), other.clone()) else {
            Rules::new().must(true, CKR_OPERATION_NOT_INITIALIZED).judge(answer.rv)?;
            // An error may have ended the one that there is.
            for (kind, there) in [(cipher_kind, cipher), (other_kind, other)] {
                if let Some(mut operation) = there {
                    operation.maybe = true;
                    self.here(session).operations.insert(kind, operation);
                }
            }
            return Ok(());
        };
        let mut rules = Rules::new();
        cipher.part_rules(&mut rules);
        other.part_rules(&mut rules);
        let part = self.part(&cipher, cipher_kind, data).unwrap_or_default();
        let small = room == Room::Small && part.len() > 1 && !rules.refuses();
        let ok = rules.must(small, CKR_BUFFER_TOO_SMALL).judge(answer.rv)?;
        if answer.rv == CKR_BUFFER_TOO_SMALL || (ok && room == Room::Query) {
            part_said(&part, data, answer)?;
            // Nothing was passed on, but both may be operations of several parts from here on.
            cipher.ask_part();
            other.ask_part();
        } else if ok {
            let Given::Output { bytes, .. } = &answer.given else { return Err("no part".into()) };
            check(*bytes == part, || format!("the part is {bytes:?}, expected {part:?}"))?;
            let plain = if cipher_kind == Kind::Encrypt { data } else { &part };
            other.take_in(plain, 0);
            cipher.take_in(data, part.len());
        } else {
            // The error ends the one that it came from; which one that was need not be told.
            for operation in [&mut cipher, &mut other] {
                operation.ask_part();
                (operation.maybe, operation.refused) = (true, true);
            }
            self.here(session).operations.extend([(cipher_kind, cipher), (other_kind, other)]);
            return Ok(());
        }
        self.put_back(session, cipher_kind, cipher);
        self.put_back(session, other_kind, other);
        Ok(())
    }
}
