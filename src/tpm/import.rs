//! A key that was made outside, brought into the TPM.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::tpm::auth_session::{CONTINUE, HASH_LEN, Salt, hmac_sha256, kdfa};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Authorization, Command, Failure, Use};
use crate::tpm::public::{object_name, outside_template, public_key};
use crate::tpm::rc::{self, Class, classify};
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::Writer;
use crate::tpm::{Auth, Blob, KeyTemplate, OutsideKey, Primary, PublicKey, SecretBytes};

/// Bytes of the symmetric key that a storage key wraps with, and of a block.
const CIPHER: usize = 16;

impl Turn<'_> {
    /// TPM 2.0 Part 3, TPM2_Import with the outer wrapping alone: it is made under a seed that only
    /// the parent can read, for one attempt each.
    pub(super) fn import(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        key: &OutsideKey,
        auth: &Auth,
    ) -> Result<Blob> {
        let public = Writer::new().sized(&outside_template(template, &key.public)?).finish();
        let name = object_name(&public)?;
        let sensitive = sensitive(key, auth);
        let parent_key = public_key(&parent.public)?;
        self.attempt(Repeat::Safe, |turn| {
            let loaded = turn.parent(parent)?;
            let seed = Salt::of_wrapping(&parent_key)?;
            let command =
                Command::new(tpm2::TPM2_CC_Import)?.handle(loaded.handle.clone()).parameters(
                    Writer::new()
                        // No inner wrapping, and so no key for it.
                        .sized(&[])
                        .bytes(&public)
                        .sized(&wrapped(&seed.value, &name, &sensitive)?)
                        .sized(&seed.encrypted)
                        .u16(tpm2::TPM2_ALG_NULL),
                );
            let kept = turn.session(Some((&loaded, parent)))?;
            turn.in_session(kept, false, |turn, session, _| {
                let used = Use { session: &mut *session, auth: &[], attributes: CONTINUE };
                let response =
                    turn.send(command, Authorization::Sessions(vec![used])).map_err(refused)?;
                let private = response.read(|reader| {
                    let private = reader.whole_sized()?.to_vec();
                    reader.clone().end().map(|()| private)
                })?;
                let blob = Blob { public: public.clone(), private };
                let handle = turn.load_temporary(&loaded, &blob, session).map_err(refused)?;
                turn.flush_temporary(handle.number);
                Ok(blob)
            })
        })
    }
}

/// TPMT_SENSITIVE. A key pair has no seed of its own.
fn sensitive(key: &OutsideKey, auth: &Auth) -> SecretBytes {
    let algorithm = match key.public {
        PublicKey::Rsa { .. } => tpm2::TPM2_ALG_RSA,
        PublicKey::Ec { .. } => tpm2::TPM2_ALG_ECC,
    };
    let area = Writer::new().u16(algorithm).sized(auth.bytes()).sized(&[]).sized(&key.secret);
    Zeroizing::new(area.finish())
}

/// The contents of the TPM2B_PRIVATE: the sensitive area encrypted, and an HMAC over it and the
/// object's Name. TPM 2.0 Part 1, "Outer Duplication Wrapper".
fn wrapped(seed: &[u8], name: &[u8], sensitive: &[u8]) -> Result<Vec<u8>> {
    let cipher_key = kdfa(seed, b"STORAGE", name, &[], CIPHER)?;
    let hmac_key = kdfa(seed, b"INTEGRITY", &[], &[], HASH_LEN)?;
    // The seed is good for one wrapping, and so is the IV of zeros.
    let cipher = cfb_mode::Encryptor::<Aes128>::new_from_slices(&cipher_key, &[0; CIPHER])
        .map_err(|_| Error::bug("a wrapping key of another length"))?;
    let mut encrypted = Writer::new().sized(sensitive).finish();
    cipher.encrypt(&mut encrypted);
    let hmac = hmac_sha256(&hmac_key, &[&encrypted, name])?;
    Ok(Writer::new().sized(&hmac).bytes(&encrypted).finish())
}

/// A TPM that does not take the key says so in several ways.
fn refused(failure: Failure) -> Failure {
    match failure {
        Failure::Rc(name, rc) if matches!(classify(rc), Class::Curve | Class::Unsupported) => {
            Failure::Refused(rc::creation_error(name, rc))
        }
        other => other,
    }
}
