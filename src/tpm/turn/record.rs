//! What a lock file says: who took the last turn, whether it ended well, what stayed loaded.

use sha2::{Digest, Sha256};

use crate::tpm::link::Leftovers;

/// Bytes of a record, always.
pub(super) const RECORD_LEN: usize = MAGIC.len() + TAKER_LEN + 3 + 4 * HANDLES_MAX + CHECK_LEN;

/// Most handles a record holds: TPMs have room for 64 auth sessions at most, and few objects.
const HANDLES_MAX: usize = 80;

/// Names the format and its version.
const MAGIC: [u8; 8] = *b"HKTURN\0\x01";
const TAKER_LEN: usize = 16;
const CHECK_LEN: usize = 8;

/// Who took a turn: a number drawn at random by each link, so that no two are ever the same.
pub(super) type Taker = [u8; TAKER_LEN];

/// The taker before the first one.
pub(super) const NOBODY: Taker = [0; TAKER_LEN];

/// One lock file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) taker: Taker,
    /// What stayed loaded when the turn ended in good order; none while it lasts.
    pub(super) ended: Option<Leftovers>,
}

impl Record {
    /// The bytes: magic, taker, state (1: in turn, 2: ended), number of transient handles, number of
    /// auth sessions, the handles (big-endian, rest zero), and the start of a SHA-256 over all that.
    ///
    /// More leftovers than it holds are written as a turn that has not ended: whoever comes next
    /// then looks for itself.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let none = Leftovers::default();
        let fits =
            |l: &&Leftovers| l.transient.len().saturating_add(l.auth_sessions.len()) <= HANDLES_MAX;
        let ended = self.ended.as_ref().filter(fits);
        let (state, leftovers) = ended.map_or((1, &none), |leftovers| (2, leftovers));
        let count = |handles: &[u32]| u8::try_from(handles.len()).unwrap_or(u8::MAX);
        let mut bytes = Vec::with_capacity(RECORD_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.taker);
        bytes.extend_from_slice(&[
            state,
            count(&leftovers.transient),
            count(&leftovers.auth_sessions),
        ]);
        for handle in leftovers.transient.iter().chain(&leftovers.auth_sessions) {
            bytes.extend_from_slice(&handle.to_be_bytes());
        }
        bytes.resize(RECORD_LEN - CHECK_LEN, 0);
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// None for anything that [`to_bytes`](Self::to_bytes) would not have written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (said, written) = bytes.split_last_chunk::<CHECK_LEN>()?;
        if bytes.len() != RECORD_LEN || check(said) != *written {
            return None;
        }
        let rest = said.strip_prefix(&MAGIC)?;
        let (taker, rest) = rest.split_first_chunk::<TAKER_LEN>()?;
        let ([state, transient, auth_sessions], rest) = rest.split_first_chunk::<3>()?;
        let mut handles =
            rest.chunks_exact(4).filter_map(|h| Some(u32::from_be_bytes(h.try_into().ok()?)));
        let mut take = |n: u8| -> Option<Vec<u32>> {
            let taken: Vec<u32> = handles.by_ref().take(n.into()).collect();
            (taken.len() == usize::from(n)).then_some(taken)
        };
        let leftovers =
            Leftovers { transient: take(*transient)?, auth_sessions: take(*auth_sessions)? };
        // The file may be writable for others: nothing but what a turn can leave is ever flushed.
        let plausible = leftovers.transient.iter().all(|h| h >> 24 == 0x80)
            && leftovers.auth_sessions.iter().all(|h| matches!(h >> 24, 0x02 | 0x03));
        let ended = match state {
            1 => None,
            2 if plausible => Some(leftovers),
            _ => return None,
        };
        Some(Self { taker: *taker, ended })
    }
}

/// Against a torn or foreign file, not against an adversary.
fn check(bytes: &[u8]) -> [u8; CHECK_LEN] {
    Sha256::digest(bytes).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(transient: Vec<u32>, auth_sessions: Vec<u32>) -> Record {
        Record { taker: [7; 16], ended: Some(Leftovers { transient, auth_sessions }) }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for record in [
            ended(vec![], vec![]),
            ended(vec![0x8000_0000, 0x8000_0002], vec![0x0200_0001]),
            ended(vec![], (0..64).map(|n| 0x0300_0000 + n).collect()),
            Record { taker: [1; 16], ended: None },
        ] {
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
    }

    #[test]
    fn every_damaged_byte_makes_a_record_unreadable() {
        let bytes = ended(vec![0x8000_0000], vec![0x0200_0001]).to_bytes();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                assert_eq!(Record::from_bytes(&damaged), None, "byte {at}");
            }
        }
    }

    #[test]
    fn a_record_of_another_length_is_unreadable() {
        let bytes = ended(vec![], vec![]).to_bytes();
        assert_eq!(bytes.len(), RECORD_LEN);
        for len in 0..bytes.len() {
            assert_eq!(Record::from_bytes(&bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(Record::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn a_record_never_makes_anybody_flush_what_a_turn_cannot_leave() {
        for record in [
            ended(vec![0x8100_0001], vec![]),
            ended(vec![0x4000_0001], vec![]),
            ended(vec![0x0200_0000], vec![]),
            ended(vec![], vec![0x8000_0000]),
        ] {
            assert_eq!(Record::from_bytes(&record.to_bytes()), None, "{record:?}");
        }
    }

    #[test]
    fn more_leftovers_than_fit_read_as_a_turn_without_end() {
        let many = ended(vec![0x8000_0000; HANDLES_MAX + 1], vec![]);
        let read = Record::from_bytes(&many.to_bytes());
        assert_eq!(read, Some(Record { taker: [7; 16], ended: None }));
    }
}
