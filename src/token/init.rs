//! Making a token and changing its PINs: what the TPM is asked for, before anything is stored.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_LEN_RANGE};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::slot::slot_number;
use crate::store::{StoredBlob, TokenId, TokenRow};
use crate::token::attached::Attached;
use crate::token::login::{OfficerLogin, pin_object};
use crate::token::secrets::{self, MAX_PIN_LEN, MIN_PIN_LEN, PIN_SCHEME, Role, random_secret};
use crate::tpm::{Auth, Blob, Hierarchy, Key, Primary, SealTemplate, Tpm, object_name};

/// Refuses a new PIN of another length than 4 to 255 bytes.
///
/// Errors: `CKR_PIN_LEN_RANGE`, which `C_InitToken` tells as another.
pub fn check_new_pin(pin: &[u8]) -> Result<()> {
    if (MIN_PIN_LEN..=MAX_PIN_LEN).contains(&pin.len()) {
        return Ok(());
    }
    Err(Error::new(CKR_PIN_LEN_RANGE, "a PIN has 4 to 255 bytes"))
}

/// Makes a new token under `hierarchy` with no user PIN; the public secret comes along.
///
/// The row is complete but not stored. Errors: `CKR_PIN_LEN_RANGE`, and the TPM's.
pub fn make_token(
    tpm: &mut dyn Tpm,
    hierarchy: Hierarchy,
    officer_pin: &[u8],
    label: [u8; 32],
) -> Result<(TokenRow, Zeroizing<[u8; 32]>)> {
    check_new_pin(officer_pin)?;
    let firmware = tpm.firmware()?;
    let abilities = tpm.abilities()?;
    let parent = tpm.create_primary(hierarchy)?;
    let reset_count = match hierarchy {
        Hierarchy::Null => Some(tpm.clock()?.reset_count),
        _ => None,
    };

    let public_secret = random_secret()?;
    let officer_secret = random_secret()?;
    let sealed = Zeroizing::new([&public_secret[..], &officer_secret[..]].concat());
    let officer = seal_under_pin(
        tpm,
        &parent,
        &SealTemplate { dictionary_attack_protected: true, officer: None },
        &sealed,
        (Role::SecurityOfficer, officer_pin),
    )?;
    let key = tpm.seal(&parent, &SealTemplate::default(), &public_secret[..], &Auth::empty())?;

    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    let row = TokenRow {
        slot: slot_number(hierarchy),
        id: TokenId(id),
        label,
        serial: serial(hierarchy, &parent)?,
        manufacturer: firmware.manufacturer,
        model: firmware.model,
        firmware: firmware.version,
        primary_public: parent.public,
        so: officer.into(),
        user: None,
        key: key.into(),
        pin_scheme: PIN_SCHEME,
        reset_count,
        abilities: abilities.to_bytes(),
        created: now(),
        generation: 0,
        mac: Vec::new(),
    };
    Ok((row, public_secret))
}

/// U under a new PIN, by the security officer's authority: made where there is none, else its
/// authValue replaced, so that every private key stays usable.
pub fn set_user_pin(
    tpm: &mut dyn Tpm,
    token: &Attached,
    officer: &OfficerLogin,
    new_pin: &[u8],
) -> Result<StoredBlob> {
    check_new_pin(new_pin)?;
    let parent = &token.primary;
    let officer_blob = pin_object(&token.row, Role::SecurityOfficer)?;
    if token.row.user.is_none() {
        let secret = random_secret()?;
        let sealed = Zeroizing::new([&secret[..], token.public_secret.expose()].concat());
        let template =
            SealTemplate { dictionary_attack_protected: true, officer: Some(officer_blob.public) };
        return seal_under_pin(tpm, parent, &template, &sealed, (Role::User, new_pin))
            .map(Into::into);
    }
    let blob = pin_object(&token.row, Role::User)?;
    let new = secrets::pin_auth(Role::User, &blob.public, new_pin)?;
    let nobody = Auth::empty();
    let changed = tpm.change_auth_by_officer(
        &Key { parent, blob: &blob, auth: &nobody },
        &Key { parent, blob: &officer_blob, auth: &officer.auth },
        &new,
    )?;
    tpm.unseal(&Key { parent, blob: &changed, auth: &new }).map_err(unproven)?;
    Ok(changed.into())
}

/// U or S under a new PIN, by the old one. The new authValue comes along.
///
/// Errors: `CKR_PIN_INCORRECT`, `CKR_PIN_LOCKED`, `CKR_PIN_LEN_RANGE`,
/// `CKR_USER_PIN_NOT_INITIALIZED`.
pub fn change_pin(
    tpm: &mut dyn Tpm,
    token: &Attached,
    role: Role,
    old_pin: &[u8],
    new_pin: &[u8],
) -> Result<(StoredBlob, Auth)> {
    check_new_pin(new_pin)?;
    let parent = &token.primary;
    let blob = pin_object(&token.row, role)?;
    let old = secrets::pin_auth(role, &blob.public, old_pin)?;
    let new = secrets::pin_auth(role, &blob.public, new_pin)?;
    let changed = tpm.change_auth(&Key { parent, blob: &blob, auth: &old }, &new)?;
    tpm.unseal(&Key { parent, blob: &changed, auth: &new }).map_err(unproven)?;
    Ok((changed.into(), new))
}

/// Seals `data` with a random authValue, then changes it to the PIN's: the PIN is salted with the
/// object's own Name, which is known only once the object exists.
fn seal_under_pin(
    tpm: &mut dyn Tpm,
    parent: &Primary,
    template: &SealTemplate,
    data: &[u8],
    (role, pin): (Role, &[u8]),
) -> Result<Blob> {
    let first = Auth::new(&random_secret()?[..]);
    let blob = tpm.seal(parent, template, data, &first)?;
    let auth = secrets::pin_auth(role, &blob.public, pin)?;
    let blob = tpm.change_auth(&Key { parent, blob: &blob, auth: &first }, &auth)?;
    let opened = tpm.unseal(&Key { parent, blob: &blob, auth: &auth }).map_err(unproven)?;
    if opened.as_slice() != data {
        return Err(Error::new(CKR_DEVICE_ERROR, "a sealed object opened to something else"));
    }
    Ok(blob)
}

/// A new blob that does not open is the TPM's failure (or an interposer's), never a wrong PIN.
fn unproven(error: Error) -> Error {
    error.told_as(CKR_DEVICE_ERROR)
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// 16 characters, unique for TPM and slot and the same whenever the token is made anew, because
/// the primary key's Name is: it lands in URIs and in OpenVPN's serialized ids.
fn serial(hierarchy: Hierarchy, primary: &Primary) -> Result<[u8; 16]> {
    let digest = Sha256::new()
        .chain_update(b"hierarkey serial 1|")
        .chain_update(hierarchy.name())
        .chain_update(object_name(&primary.public)?)
        .finalize();
    let mut serial = [b'0'; 16];
    hex::encode_to_slice(digest.get(..8).unwrap_or_default(), &mut serial)
        .map_err(|_| Error::bug("8 bytes have 16 digits"))?;
    Ok(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pin_has_4_to_255_bytes() {
        assert!(check_new_pin(b"123").is_err());
        assert!(check_new_pin(b"1234").is_ok());
        assert!(check_new_pin(&[0; 255]).is_ok());
        assert_eq!(check_new_pin(&[0; 256]).unwrap_err().ck_rv(), CKR_PIN_LEN_RANGE);
    }
}
