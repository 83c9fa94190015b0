//! Primary keys, auth sessions, and what is loaded under them: what every operation begins with.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_RECOGNIZED};
use tss_esapi::constants::tss as tpm2;

use crate::error::Error;
use crate::tpm::auth_session::{AuthSession, CONTINUE, Salt, nonce};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Handle, Response, Use};
use crate::tpm::link::Sharing;
use crate::tpm::loaded::{KeptSession, LoadedPrimary};
use crate::tpm::public::{object_name, primary_template, public_key};
use crate::tpm::wire::Writer;
use crate::tpm::{Auth, Blob, Hierarchy, Primary};

/// Where the owner hierarchy's storage primary key is kept by convention (TCG TPM v2.0
/// Provisioning Guidance, "Handle Values").
const PERSISTENT: u32 = 0x8100_0001;

/// The permanent handle of a hierarchy.
pub(super) fn hierarchy_handle(hierarchy: Hierarchy) -> u32 {
    match hierarchy {
        Hierarchy::Owner => tpm2::TPM2_RH_OWNER,
        Hierarchy::Endorsement => tpm2::TPM2_RH_ENDORSEMENT,
        Hierarchy::Platform => tpm2::TPM2_RH_PLATFORM,
        Hierarchy::Null => tpm2::TPM2_RH_NULL,
    }
}

impl Turn<'_> {
    /// The recorded primary key, ready to be a parent: the persistent one where it is that key, or
    /// made on demand.
    ///
    /// `CKR_TOKEN_NOT_RECOGNIZED`: this TPM's seed gives another key.
    pub(super) fn parent(&mut self, primary: &Primary) -> Attempt<LoadedPrimary> {
        let name = object_name(&primary.public)?;
        if let Some(loaded) = self.state.loaded.primary(primary.hierarchy, &name) {
            return Ok(loaded);
        }
        if primary.hierarchy == Hierarchy::Owner
            && !self.state.loaded.persistent_unfit
            && self.persistent_name()?.as_ref() == Some(&name)
        {
            let handle = Handle { number: PERSISTENT, name };
            let loaded = LoadedPrimary { handle, transient: false };
            self.state.loaded.add_primary(primary.hierarchy, loaded.clone());
            return Ok(loaded);
        }
        self.state.loaded.persistent_unfit = primary.hierarchy == Hierarchy::Owner;
        let (loaded, _) = self.make_primary(primary.hierarchy)?;
        if loaded.handle.name != name {
            self.flush(loaded.handle.number);
            return Err(Failure::Refused(Error::new(
                CKR_TOKEN_NOT_RECOGNIZED,
                "the hierarchy's primary key is not the recorded one",
            )));
        }
        self.state.loaded.add_primary(primary.hierarchy, loaded.clone());
        Ok(loaded)
    }

    /// The Name of what is at the persistent handle, if anything is.
    fn persistent_name(&mut self) -> Attempt<Option<Vec<u8>>> {
        let command = Command::new(tpm2::TPM2_CC_ReadPublic)?.handle(Handle::permanent(PERSISTENT));
        match self.send(command, Authorization::None) {
            Ok(response) => {
                let public = response.read(|reader| reader.whole_sized())?;
                Ok(object_name(public).ok())
            }
            Err(Failure::Rc(..)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// TPM2_CreatePrimary with the storage template: a transient object and its TPM2B_PUBLIC.
    pub(super) fn make_primary(
        &mut self,
        hierarchy: Hierarchy,
    ) -> Attempt<(LoadedPrimary, Vec<u8>)> {
        let command = Command::new(tpm2::TPM2_CC_CreatePrimary)?
            .handle(Handle::permanent(hierarchy_handle(hierarchy)))
            .parameters(
                Writer::new()
                    // TPM2B_SENSITIVE_CREATE: empty authValue, no data.
                    .sized(&Writer::new().sized(&[]).sized(&[]).finish())
                    .sized(&primary_template()?)
                    .sized(&[])
                    .u32(0),
            )
            .returns_handle();
        let auth = self.state.auths.of(hierarchy).cloned();
        let response = self.send_as_hierarchy(command, auth)?;
        let public = response.read(|reader| reader.whole_sized())?.to_vec();
        let name = object_name(&public).map_err(Failure::Altered)?;
        let handle = Handle { number: response.handle, name };
        Ok((LoadedPrimary { handle, transient: true }, public))
    }

    /// Puts the owner hierarchy's primary key at the persistent handle, where that is free and the
    /// owner authorization allows; else it stays transient, and is made again on demand.
    pub(super) fn persist(&mut self, made: LoadedPrimary) -> Attempt<LoadedPrimary> {
        let transient = made.handle.number;
        match self.persistent_name()? {
            Some(name) if name == made.handle.name => {}
            Some(_) => {
                log::info!("persistent handle 0x{PERSISTENT:08x} holds another key: left alone");
                return Ok(made);
            }
            None => {
                let command = Command::new(tpm2::TPM2_CC_EvictControl)?
                    .handle(Handle::permanent(tpm2::TPM2_RH_OWNER))
                    .handle(made.handle.clone())
                    .parameters(Writer::new().u32(PERSISTENT));
                let auth = self.state.auths.owner.clone();
                if let Err(failure) = self.send_as_hierarchy(command, auth) {
                    log::info!("the primary key was not made persistent: {failure:?}");
                    return Ok(made);
                }
            }
        }
        self.flush(transient);
        let handle = Handle { number: PERSISTENT, name: made.handle.name };
        Ok(LoadedPrimary { handle, transient: false })
    }

    /// Sends a command that a hierarchy authorizes. A non-empty authorization value never travels:
    /// it is proved in an auth session salted to a primary key of the null hierarchy.
    pub(super) fn send_as_hierarchy(
        &mut self,
        command: Command,
        auth: Option<Auth>,
    ) -> Attempt<Response> {
        let Some(auth) = auth.filter(|auth| !auth.bytes().is_empty()) else {
            return self.send(command, Authorization::Empty);
        };
        let kept = self.session(None)?;
        self.in_session(kept, false, |turn, session, attributes| {
            let used = Use { session, auth: auth.bytes(), attributes };
            turn.send(command, Authorization::Sessions(vec![used]))
        })
    }

    /// An auth session salted to `parent`, or to whatever primary key is at hand where there is
    /// none: the kept one if it is, else a new one.
    pub(super) fn session(
        &mut self,
        parent: Option<(&LoadedPrimary, &Primary)>,
    ) -> Attempt<KeptSession> {
        if let Some(kept) = self.state.loaded.take_kept() {
            let fits = parent.is_none_or(|(loaded, _)| kept.salted_to == loaded.handle.name);
            if fits {
                return Ok(kept);
            }
            self.flush(kept.session.handle);
        }
        match parent {
            Some((loaded, primary)) => self.salted_session(loaded, &primary.public),
            None => {
                let (loaded, public) = self.make_primary(Hierarchy::Null)?;
                let session = self.salted_session(&loaded, &public);
                self.flush(loaded.handle.number);
                session
            }
        }
    }

    fn salted_session(&mut self, to: &LoadedPrimary, public: &[u8]) -> Attempt<KeptSession> {
        let salt = Salt::to(&public_key(public)?)?;
        let session = self.start(to.handle.number, Some(&salt), tpm2::TPM2_SE_HMAC)?;
        Ok(KeptSession { session, salted_to: to.handle.name.clone() })
    }

    /// An unsalted HMAC session, good for authValues of 32 random bytes only.
    pub(super) fn unsalted_session(&mut self) -> Attempt<KeptSession> {
        let session = self.start(tpm2::TPM2_RH_NULL, None, tpm2::TPM2_SE_HMAC)?;
        Ok(KeptSession { session, salted_to: Vec::new() })
    }

    /// TPM2_StartAuthSession, of this kind (TPM_SE), salted to the loaded key `key` or to none.
    pub(super) fn start(
        &mut self,
        key: u32,
        salt: Option<&Salt>,
        kind: u8,
    ) -> Attempt<AuthSession> {
        let nonce = nonce()?;
        let salt_bytes = salt.map(|salt| salt.encrypted.clone()).unwrap_or_default();
        let command = Command::new(tpm2::TPM2_CC_StartAuthSession)?
            .handle(Handle::permanent(key))
            .handle(Handle::permanent(tpm2::TPM2_RH_NULL))
            .parameters(
                Writer::new()
                    .sized(&nonce)
                    .sized(&salt_bytes)
                    .u8(kind)
                    .u16(tpm2::TPM2_ALG_AES)
                    .u16(128)
                    .u16(tpm2::TPM2_ALG_CFB)
                    .u16(tpm2::TPM2_ALG_SHA256),
            )
            .returns_handle();
        let response = self.send(command, Authorization::None)?;
        let nonce_tpm = response.read(|reader| {
            let nonce_tpm = reader.sized()?;
            reader.clone().end().map(|()| nonce_tpm)
        })?;
        let policy = kind == tpm2::TPM2_SE_POLICY;
        Ok(AuthSession::opened(response.handle, salt, &nonce, nonce_tpm, policy)?)
    }

    /// Runs `body` with an auth session and the attributes it is to be used with, then keeps it.
    /// Behind a resource manager the `last` command ends it.
    pub(super) fn in_session<T>(
        &mut self,
        mut kept: KeptSession,
        last: bool,
        body: impl FnOnce(&mut Self, &mut AuthSession, u8) -> Attempt<T>,
    ) -> Attempt<T> {
        let ends = last && self.sharing == Sharing::ResourceManager;
        let attributes = if ends { 0 } else { CONTINUE };
        let result = body(self, &mut kept.session, attributes);
        match &result {
            Ok(_) if ends => {}
            // An error answer changes no nonce: the auth session is in step.
            Ok(_) | Err(Failure::Rc(..) | Failure::Tried(..) | Failure::Refused(_)) => {
                self.state.loaded.keep(kept);
            }
            Err(Failure::Altered(_)) => self.flush(kept.session.handle),
            // The reconnection that follows finds out what is left.
            Err(Failure::Transport(_)) => {}
        }
        result
    }

    /// TPM2_Load. The answer's Name must be the blob's: an altered public area would show here.
    pub(super) fn load(
        &mut self,
        parent: &LoadedPrimary,
        blob: &Blob,
        session: Option<&mut AuthSession>,
    ) -> Attempt<Handle> {
        let name = object_name(&blob.public).map_err(unloadable)?;
        let command = Command::new(tpm2::TPM2_CC_Load)?
            .handle(parent.handle.clone())
            .parameters(Writer::new().bytes(&blob.private).bytes(&blob.public))
            .returns_handle();
        let authorization = match session {
            Some(session) => {
                Authorization::Sessions(vec![Use { session, auth: &[], attributes: CONTINUE }])
            }
            None => Authorization::Empty,
        };
        let response = self.send(command, authorization)?;
        if response.read(|reader| reader.sized())? != name {
            self.flush(response.handle);
            return Err(Failure::Altered(Error::new(
                CKR_DEVICE_ERROR,
                "a loaded object has another Name than its blob",
            )));
        }
        Ok(Handle { number: response.handle, name })
    }

    /// Loads an object that is flushed at the end of the turn at the latest.
    pub(super) fn load_temporary(
        &mut self,
        parent: &LoadedPrimary,
        blob: &Blob,
        session: &mut AuthSession,
    ) -> Attempt<Handle> {
        let handle = self.load(parent, blob, Some(session))?;
        self.state.loaded.add_temporary(handle.number);
        Ok(handle)
    }

    /// Flushes such an object now.
    pub(super) fn flush_temporary(&mut self, handle: u32) {
        self.state.loaded.drop_temporary(handle);
        self.flush(handle);
    }
}

/// A blob that is not even a public area is as bad as one that the TPM refuses.
fn unloadable(error: Error) -> Failure {
    Failure::Refused(error.told_as(CKR_TOKEN_NOT_RECOGNIZED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_have_their_permanent_handles() {
        let handles = Hierarchy::ALL.map(hierarchy_handle);
        assert_eq!(handles, [0x4000_0001, 0x4000_000b, 0x4000_000c, 0x4000_0007]);
    }
}
