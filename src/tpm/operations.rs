//! The operations of [`Tpm`]: each is one or a few commands, begun anew as a whole when the TPM was
//! restarted or full in between.

use cryptoki_sys::CKR_TOKEN_NOT_RECOGNIZED;
use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::tpm::answer::{changed, first_sized, padded, signature};
use crate::tpm::approval::repeat;
use crate::tpm::auth_session::{AuthSession, DECRYPT, ENCRYPT};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Handle, Use};
use crate::tpm::link::Sharing;
use crate::tpm::loaded::{KeptSession, LoadedPrimary};
use crate::tpm::public::{is_counted, key_template, needs_approval, public_key, seal_template};
use crate::tpm::rc::{self, Class, classify};
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::{Reader, Writer};
use crate::tpm::{
    Abilities, Auth, Blob, CipherMode, Clock, Direction, Firmware, HashAlg, Hierarchy, Key,
    KeyKind, KeyTemplate, OutsideKey, Primary, PublicKey, Scheme, SealTemplate, SecretBytes,
    Status, Tpm, capability,
};

impl Tpm for Turn<'_> {
    fn status(&mut self) -> Result<Status> {
        self.attempt(Repeat::Safe, capability::status)
    }

    fn clock(&mut self) -> Result<Clock> {
        self.attempt(Repeat::Safe, capability::clock)
    }

    fn firmware(&mut self) -> Result<Firmware> {
        if let Some(firmware) = &self.state.firmware {
            return Ok(firmware.clone());
        }
        let firmware = self.attempt(Repeat::Safe, capability::firmware)?;
        self.state.firmware = Some(firmware.clone());
        Ok(firmware)
    }

    fn abilities(&mut self) -> Result<Abilities> {
        let firmware = self.firmware()?;
        if let Some(known) =
            self.state.abilities.as_ref().filter(|known| known.firmware == firmware)
        {
            return Ok(known.as_ref().clone());
        }
        let abilities =
            self.attempt(Repeat::Safe, |turn| capability::abilities(turn, firmware.clone()))?;
        self.state.abilities = Some(abilities.clone().into());
        Ok(abilities)
    }

    fn set_abilities(&mut self, abilities: Abilities) {
        self.state.abilities = Some(abilities.into());
    }

    fn random(&mut self, parent: Option<&Primary>, bytes: &mut [u8]) -> Result<()> {
        self.random_bytes(parent, bytes)
    }

    fn stir_random(&mut self, parent: Option<&Primary>, seed: &[u8]) -> Result<()> {
        self.stir(parent, seed)
    }

    fn create_primary(&mut self, hierarchy: Hierarchy) -> Result<Primary> {
        self.attempt(Repeat::Safe, |turn| {
            let (made, public) = turn.make_primary(hierarchy)?;
            let loaded =
                if hierarchy == Hierarchy::Owner { turn.persist(made.clone())? } else { made };
            if turn.state.loaded.primary(hierarchy, &loaded.handle.name).is_none() {
                turn.state.loaded.add_primary(hierarchy, loaded);
            } else if loaded.transient {
                turn.flush(loaded.handle.number);
            }
            Ok(Primary { hierarchy, public })
        })
    }

    fn seal(
        &mut self,
        parent: &Primary,
        template: &SealTemplate,
        data: &[u8],
        auth: &Auth,
    ) -> Result<Blob> {
        let area = seal_template(template)?;
        self.attempt(Repeat::Safe, |turn| turn.create(parent, &area, data, auth))
    }

    fn unseal(&mut self, key: &Key<'_>) -> Result<SecretBytes> {
        self.attempt(Repeat::Never, |turn| {
            let parameters =
                turn.with_sealed(key, tpm2::TPM2_CC_Unseal, ENCRYPT, |command, _| command)?;
            first_sized(&parameters).map(|data| Zeroizing::new(data.to_vec()))
        })
    }

    fn change_auth(&mut self, key: &Key<'_>, new: &Auth) -> Result<Blob> {
        self.change_auth_of_all(key, new)
    }

    fn change_auth_by_officer(
        &mut self,
        key: &Key<'_>,
        officer: &Key<'_>,
        new: &Auth,
    ) -> Result<Blob> {
        self.attempt(Repeat::Never, |turn| {
            let parent = turn.parent(key.parent)?;
            let kept = turn.session(Some((&parent, key.parent)))?;
            let parameters = turn.in_session(kept, true, |turn, session, attributes| {
                let object = turn.load_temporary(&parent, key.blob, session)?;
                let authority = turn.load_temporary(&parent, officer.blob, session)?;
                let mut policy = turn.policy_session()?;
                turn.policy_secret(&authority, officer.auth, &policy, session)?;
                turn.flush_temporary(authority.number);
                turn.policy_command_code(&policy, tpm2::TPM2_CC_ObjectChangeAuth)?;
                let change = Command::new(tpm2::TPM2_CC_ObjectChangeAuth)?
                    .handle(object.clone())
                    .handle(parent.handle.clone())
                    .parameters(Writer::new().sized(new.bytes()));
                // The policy session authorizes; a second one, salted, encrypts the new authValue. A
                // policy session that encrypted would take the object's authValue into its key,
                // which the officer does not know, and the TPM would accept garbage as the new one.
                let authorization = Authorization::Sessions(vec![
                    Use { session: &mut policy, auth: &[], attributes: 0 },
                    Use { session, auth: &[], attributes: attributes | DECRYPT },
                ]);
                let response = turn.send(change, authorization)?;
                turn.state.loaded.drop_temporary(policy.handle);
                turn.flush_temporary(object.number);
                Ok(response.parameters)
            })?;
            changed(key, &parameters)
        })
    }

    fn loads(&mut self, parent: &Primary, blob: &Blob) -> Result<bool> {
        self.attempt(Repeat::Safe, |turn| {
            let loaded = turn.parent(parent)?;
            match turn.load(&loaded, blob, None) {
                Ok(handle) => {
                    turn.flush(handle.number);
                    Ok(true)
                }
                Err(Failure::Rc(_, rc)) if classify(rc) == Class::Integrity => Ok(false),
                Err(Failure::Refused(error)) if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED => {
                    Ok(false)
                }
                Err(failure) => Err(failure),
            }
        })
    }

    fn create_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        auth: &Auth,
    ) -> Result<Blob> {
        self.create_any(parent, &key_template(template, true)?, &[], auth)
    }

    fn create_secret_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        secret: &[u8],
        auth: &Auth,
    ) -> Result<Blob> {
        match template.kind {
            KeyKind::LongHmac { only } => {
                self.create_long_key(parent, template, only, secret, auth)
            }
            _ => self.create_any(parent, &key_template(template, false)?, secret, auth),
        }
    }

    fn import_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        key: &OutsideKey,
        auth: &Auth,
    ) -> Result<Blob> {
        self.import(parent, template, key, auth)
    }

    fn cipher(
        &mut self,
        key: &Key<'_>,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes> {
        self.encrypt_decrypt(key, mode, direction, iv, data)
    }

    fn hmac(
        &mut self,
        key: &Key<'_>,
        hash: HashAlg,
        message: &[u8],
        buffer: usize,
    ) -> Result<SecretBytes> {
        let object = self.hmac_object(key, hash)?;
        self.hmac_of(&Key { blob: &object, ..*key }, hash, message, buffer)
    }

    fn rsa_decrypt(&mut self, key: &Key<'_>, block: &[u8]) -> Result<SecretBytes> {
        let parameters = Writer::new().sized(block).u16(tpm2::TPM2_ALG_NULL).sized(&[]);
        self.attempt(repeat(key)?, |turn| {
            let answer = turn.with_key(key, tpm2::TPM2_CC_RSA_Decrypt, ENCRYPT, &parameters)?;
            padded(first_sized(&answer)?, block.len())
        })
    }

    fn sign(&mut self, key: &Key<'_>, digest: &[u8], scheme: Scheme) -> Result<Vec<u8>> {
        let (algorithm, hash) = match scheme {
            Scheme::Ecdsa(hash) => (tpm2::TPM2_ALG_ECDSA, hash),
            Scheme::RsaSsa(hash) => (tpm2::TPM2_ALG_RSASSA, hash),
        };
        let parameters = Writer::new()
            .sized(digest)
            .u16(algorithm)
            .u16(hash.alg_id())
            // A null TPMT_TK_HASHCHECK: the digest was not made by the TPM.
            .u16(tpm2::TPM2_ST_HASHCHECK)
            .u32(tpm2::TPM2_RH_NULL)
            .sized(&[]);
        let width = match public_key(&key.blob.public)? {
            PublicKey::Ec { curve, .. } => curve.field_len(),
            PublicKey::Rsa { modulus, .. } => modulus.len(),
        };
        self.attempt(repeat(key)?, |turn| {
            let answer = turn.with_key(key, tpm2::TPM2_CC_Sign, 0, &parameters)?;
            signature(&answer, algorithm, width).map_err(Failure::Altered)
        })
    }

    fn ecdh(&mut self, key: &Key<'_>, x: &[u8], y: &[u8]) -> Result<SecretBytes> {
        let point = Writer::new().sized(x).sized(y).finish();
        let parameters = Writer::new().sized(&point);
        self.attempt(repeat(key)?, |turn| {
            let answer = turn.with_key(key, tpm2::TPM2_CC_ECDH_ZGen, ENCRYPT, &parameters)?;
            let point = first_sized(&answer)?;
            padded(Reader::new(point).sized().map_err(Failure::Altered)?, x.len())
        })
    }

    fn export(&mut self, key: &Key<'_>) -> Result<SecretBytes> {
        self.export_any(key)
    }

    fn forget(&mut self, blob: &Blob) {
        for object in blob.objects().unwrap_or_default() {
            if let Some(handle) = self.state.loaded.remove_key(&object) {
                self.flush(handle);
            }
        }
    }

    fn reset_lockout(&mut self, auth: Option<&Auth>) -> Result<()> {
        let auth = auth.cloned().or_else(|| self.state.auths.lockout.clone());
        self.attempt(Repeat::Never, |turn| {
            let command = Command::new(tpm2::TPM2_CC_DictionaryAttackLockReset)?
                .handle(Handle::permanent(tpm2::TPM2_RH_LOCKOUT));
            turn.pin_told = true;
            turn.send_as_hierarchy(command, auth.clone()).map(|_| ()).map_err(|failure| {
                match failure {
                    Failure::Rc(_, rc) if classify(rc) == Class::Locked => failure.tried(),
                    other => other,
                }
            })
        })
    }
}

impl Turn<'_> {
    pub(super) fn create_any(
        &mut self,
        parent: &Primary,
        area: &[u8],
        secret: &[u8],
        auth: &Auth,
    ) -> Result<Blob> {
        self.attempt(Repeat::Safe, |turn| {
            turn.create(parent, area, secret, auth).map_err(|failure| match failure {
                Failure::Rc(name, rc)
                    if matches!(classify(rc), Class::Curve | Class::Unsupported) =>
                {
                    Failure::Refused(rc::creation_error(name, rc))
                }
                other => other,
            })
        })
    }

    /// TPM 2.0 Part 3, TPM2_ObjectChangeAuth.
    pub(super) fn change_auth_of(&mut self, key: &Key<'_>, new: &Auth) -> Result<Blob> {
        self.attempt(Repeat::Never, |turn| {
            let parameters = turn.with_sealed(
                key,
                tpm2::TPM2_CC_ObjectChangeAuth,
                DECRYPT,
                |command, parent| {
                    command.handle(parent).parameters(Writer::new().sized(new.bytes()))
                },
            )?;
            changed(key, &parameters)
        })
    }

    /// TPM2_Create under `parent`.
    fn create(&mut self, parent: &Primary, area: &[u8], data: &[u8], auth: &Auth) -> Attempt<Blob> {
        let loaded = self.parent(parent)?;
        let kept = self.session(Some((&loaded, parent)))?;
        let response = self.in_session(kept, true, |turn, session, attributes| {
            let sensitive = Zeroizing::new(Writer::new().sized(auth.bytes()).sized(data).finish());
            let command = Command::new(tpm2::TPM2_CC_Create)?
                .handle(loaded.handle.clone())
                .parameters(Writer::new().sized(&sensitive).sized(area).sized(&[]).u32(0));
            let used = Use { session, auth: &[], attributes: attributes | DECRYPT };
            turn.send(command, Authorization::Sessions(vec![used]))
        })?;
        response.read(|reader| {
            let private = reader.whole_sized()?.to_vec();
            let public = reader.whole_sized()?.to_vec();
            Ok(Blob { public, private })
        })
    }

    /// Loads U, S, P or a key to be copied in a salted session, sends one command that its authValue
    /// authorizes, and flushes it.
    fn with_sealed(
        &mut self,
        key: &Key<'_>,
        code: u32,
        secret: u8,
        complete: impl FnOnce(Command, Handle) -> Command,
    ) -> Attempt<SecretBytes> {
        let counted = is_counted(&key.blob.public)?;
        let parent = self.parent(key.parent)?;
        let kept = self.session(Some((&parent, key.parent)))?;
        self.in_session(kept, true, |turn, session, attributes| {
            let object = turn.load_temporary(&parent, key.blob, session)?;
            let command =
                complete(Command::new(code)?.handle(object.clone()), parent.handle.clone());
            let used = Use { session, auth: key.auth.bytes(), attributes: attributes | secret };
            turn.pin_told |= counted;
            let result = turn.send(command, Authorization::Sessions(vec![used]));
            if !matches!(result, Err(Failure::Transport(_))) {
                turn.flush_temporary(object.number);
            }
            result
                .map(|response| response.parameters)
                .map_err(|failure| if counted { failure.tried() } else { failure })
        })
    }

    /// Sends one command with a key that stays loaded, unless its policy asks for approval.
    ///
    /// Alone, the kept salted auth session authorizes; behind a resource manager a new unsalted one,
    /// which a key's authValue of 32 random bytes makes as strong.
    pub(super) fn with_key(
        &mut self,
        key: &Key<'_>,
        code: u32,
        secret: u8,
        parameters: &Writer,
    ) -> Attempt<SecretBytes> {
        if needs_approval(&key.blob.public)? {
            return self.with_approved_key(key, code, secret, parameters);
        }
        let (kept, handle) = self.key_in_session(key)?;
        self.in_session(kept, true, |turn, session, attributes| {
            let command = Command::new(code)?.handle(handle).parameters(parameters.clone());
            let used = Use { session, auth: key.auth.bytes(), attributes: attributes | secret };
            turn.send(command, Authorization::Sessions(vec![used]))
                .map(|response| response.parameters)
        })
    }

    /// A key that stays loaded, and the auth session to use it in.
    pub(super) fn key_in_session(&mut self, key: &Key<'_>) -> Attempt<(KeptSession, Handle)> {
        match self.sharing {
            Sharing::Alone => {
                let parent = self.parent(key.parent)?;
                let mut kept = self.session(Some((&parent, key.parent)))?;
                match self.load_kept(&parent, key.blob, Some(&mut kept.session)) {
                    Ok(handle) => Ok((kept, handle)),
                    Err(failure) => self.in_session(kept, false, |_, _, _| Err(failure)),
                }
            }
            Sharing::ResourceManager => {
                let handle = match self.state.loaded.key(key.blob) {
                    Some(handle) => handle,
                    None => {
                        let parent = self.parent(key.parent)?;
                        self.load_kept(&parent, key.blob, None)?
                    }
                };
                Ok((self.unsalted_session()?, handle))
            }
        }
    }

    /// The handle of a key that stays loaded, which it may be already.
    fn load_kept(
        &mut self,
        parent: &LoadedPrimary,
        blob: &Blob,
        session: Option<&mut AuthSession>,
    ) -> Attempt<Handle> {
        if let Some(handle) = self.state.loaded.key(blob) {
            return Ok(handle);
        }
        let handle = self.load(parent, blob, session)?;
        self.state.loaded.add_key(blob, handle.clone());
        Ok(handle)
    }
}
