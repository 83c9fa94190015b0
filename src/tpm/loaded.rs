//! What is loaded in the TPM: keys by last use, primary keys, the kept auth session.

use std::mem;

use crate::tpm::auth_session::AuthSession;
use crate::tpm::exchange::Handle;
use crate::tpm::link::{Leftovers, Sharing};
use crate::tpm::{Blob, Hierarchy};

/// Most keys kept loaded on a TPM of our own, which has three transient slots at least and needs
/// two free ones to load under a persistent parent.
const KEYS_ALONE: usize = 2;
/// Behind a resource manager every resident object is swapped around every command of everybody.
const KEYS_SHARED: usize = 1;

/// A loaded key, known by its wrapped private area: that names the authValue as well.
struct LoadedKey {
    private: Vec<u8>,
    handle: Handle,
}

/// A primary key that can be used as a parent.
#[derive(Clone)]
pub struct LoadedPrimary {
    /// Its handle.
    pub handle: Handle,
    /// Whether it takes a transient slot.
    pub transient: bool,
}

/// The auth session that is kept from call to call on a TPM of our own.
pub struct KeptSession {
    /// The auth session.
    pub session: AuthSession,
    /// The Name of the primary key it is salted to.
    pub salted_to: Vec<u8>,
}

/// All of it.
#[derive(Default)]
pub struct Loaded {
    /// Least recently used first.
    keys: Vec<LoadedKey>,
    primaries: Vec<(Hierarchy, LoadedPrimary)>,
    /// Objects and sessions of this turn only: U, S, P, policy sessions.
    temporary: Vec<u32>,
    kept: Option<KeptSession>,
    /// The persistent handle holds another key than the recorded primary.
    pub persistent_unfit: bool,
}

impl Loaded {
    /// Whether nothing is in the TPM because of us.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.temporary.is_empty()
            && self.kept.is_none()
            && self.primaries.iter().all(|(_, primary)| !primary.transient)
    }

    /// Forgets everything without flushing: it is gone, or flushed by whoever knows better.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The handle of a loaded key, which is now the most recently used.
    pub fn key(&mut self, blob: &Blob) -> Option<Handle> {
        let at = self.keys.iter().position(|key| key.private == blob.private)?;
        let key = self.keys.remove(at);
        let handle = key.handle.clone();
        self.keys.push(key);
        Some(handle)
    }

    /// A key was loaded.
    pub fn add_key(&mut self, blob: &Blob, handle: Handle) {
        self.keys.push(LoadedKey { private: blob.private.clone(), handle });
    }

    /// Takes a key out, to be flushed.
    pub fn remove_key(&mut self, blob: &Blob) -> Option<u32> {
        let at = self.keys.iter().position(|key| key.private == blob.private)?;
        Some(self.keys.remove(at).handle.number)
    }

    /// The loaded primary key of a hierarchy, if it has this Name.
    pub fn primary(&self, hierarchy: Hierarchy, name: &[u8]) -> Option<LoadedPrimary> {
        self.primaries
            .iter()
            .find(|(of, primary)| *of == hierarchy && primary.handle.name == name)
            .map(|(_, primary)| primary.clone())
    }

    /// A primary key is at hand.
    pub fn add_primary(&mut self, hierarchy: Hierarchy, primary: LoadedPrimary) {
        self.primaries.push((hierarchy, primary));
    }

    /// An object or auth session that must not survive the turn.
    pub fn add_temporary(&mut self, handle: u32) {
        self.temporary.push(handle);
    }

    /// It was flushed, or ended by itself.
    pub fn drop_temporary(&mut self, handle: u32) {
        self.temporary.retain(|other| *other != handle);
    }

    /// Takes out what must not survive the turn, to be flushed.
    pub fn take_temporary(&mut self) -> Vec<u32> {
        mem::take(&mut self.temporary)
    }

    /// Takes the kept session out, to use it.
    pub fn take_kept(&mut self) -> Option<KeptSession> {
        self.kept.take()
    }

    /// Keeps an auth session.
    pub fn keep(&mut self, session: KeptSession) {
        self.kept = Some(session);
    }

    /// Takes out what makes room best, to be flushed: the key used longest ago, then a primary key
    /// that is not `needed`.
    pub fn evict(&mut self, needed: &[u32]) -> Option<u32> {
        if let Some(at) = self.keys.iter().position(|key| !needed.contains(&key.handle.number)) {
            return Some(self.keys.remove(at).handle.number);
        }
        let at = self.primaries.iter().position(|(_, primary)| {
            primary.transient && !needed.contains(&primary.handle.number)
        })?;
        Some(self.primaries.remove(at).1.handle.number)
    }

    /// At the end of a turn: takes out what must not stay, to be flushed.
    pub fn take_surplus(&mut self, sharing: Sharing) -> Vec<u32> {
        let mut surplus = mem::take(&mut self.temporary);
        let most = match sharing {
            Sharing::Alone => KEYS_ALONE,
            Sharing::ResourceManager => {
                surplus.extend(self.kept.take().map(|kept| kept.session.handle));
                let transient = self.primaries.extract_if(.., |(_, primary)| primary.transient);
                surplus.extend(transient.map(|(_, primary)| primary.handle.number));
                KEYS_SHARED
            }
        };
        let too_many = self.keys.len().saturating_sub(most);
        surplus.extend(self.keys.drain(..too_many).map(|key| key.handle.number));
        surplus
    }

    /// Takes out everything that takes room in the TPM, to be flushed.
    pub fn take_all(&mut self) -> Vec<u32> {
        let left = self.leftovers();
        self.forget();
        [left.transient, left.auth_sessions].concat()
    }

    /// What stays in the TPM, for whoever takes it next.
    pub fn leftovers(&self) -> Leftovers {
        let keys = self.keys.iter().map(|key| key.handle.number);
        let primaries = self
            .primaries
            .iter()
            .filter(|(_, primary)| primary.transient)
            .map(|(_, primary)| primary.handle.number);
        Leftovers {
            transient: keys.chain(primaries).chain(self.temporary.iter().copied()).collect(),
            auth_sessions: self.kept.iter().map(|kept| kept.session.handle).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(private: u8) -> Blob {
        Blob { public: vec![], private: vec![private] }
    }

    #[test]
    fn the_key_used_longest_ago_goes_first() {
        let mut loaded = Loaded::default();
        for number in 1..=3u8 {
            loaded.add_key(&blob(number), Handle::permanent(number.into()));
        }
        assert_eq!(loaded.key(&blob(1)).unwrap().number, 1);
        assert_eq!(loaded.evict(&[]), Some(2));
        assert_eq!(loaded.evict(&[3]), Some(1));
        assert_eq!(loaded.evict(&[3]), None);
        assert_eq!(loaded.leftovers().transient, [3]);
    }

    #[test]
    fn what_is_temporary_never_survives_the_turn() {
        let mut loaded = Loaded::default();
        loaded.add_temporary(7);
        assert!(!loaded.is_empty());
        assert_eq!(loaded.take_surplus(Sharing::Alone), [7]);
        assert!(loaded.is_empty());
    }

    #[test]
    fn behind_a_resource_manager_one_key_stays() {
        let mut loaded = Loaded::default();
        for number in 1..=3u8 {
            loaded.add_key(&blob(number), Handle::permanent(number.into()));
        }
        let handle = Handle::permanent(9);
        loaded.add_primary(Hierarchy::Null, LoadedPrimary { handle, transient: true });
        assert_eq!(loaded.take_surplus(Sharing::ResourceManager), [9, 1, 2]);
    }
}
