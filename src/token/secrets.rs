//! What the sealed objects hold and what is derived from it.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::os::secret::LockedSecret;
use crate::store::{RowKey, Rows, TokenId};
use crate::tpm::{self, Auth, SecretBytes};

/// Bytes of each secret of a token, and of each authValue.
pub const SECRET_LEN: usize = 32;

/// Rounds of PBKDF2 between a PIN and an authValue. The TPM limits the tries, so the rounds only
/// slow down whoever stole the database *and* can ask the TPM.
const PIN_ROUNDS: u32 = 10_000;

/// The way authValues are derived from PINs, written into the token's row so that it can change.
pub const PIN_SCHEME: u32 = 1;

/// Fewest bytes of a new PIN.
pub const MIN_PIN_LEN: usize = 4;
/// Most bytes of a new PIN.
pub const MAX_PIN_LEN: usize = 255;

/// Whose PIN it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// CKU_USER.
    User,
    /// CKU_SO.
    SecurityOfficer,
}

impl Role {
    fn label(self) -> &'static [u8] {
        match self {
            Self::User => b"hierarkey PIN 1 user|",
            Self::SecurityOfficer => b"hierarkey PIN 1 officer|",
        }
    }
}

/// The authValue of U or S under `pin`: PBKDF2-HMAC-SHA256 salted with the role and the object's
/// own Name, which no PIN change alters and which a damaged row does not have.
///
/// HMAC pads its key with zeros, so a PIN and the same with a NUL after it would be one: a byte that
/// is not zero ends every PIN.
pub fn pin_auth(role: Role, public: &[u8], pin: &[u8]) -> Result<Auth> {
    let salt = [role.label(), &tpm::object_name(public)?].concat();
    let pin = Zeroizing::new([pin, &[0x80]].concat());
    let mut value = Zeroizing::new([0; SECRET_LEN]);
    pbkdf2::pbkdf2_hmac::<Sha256>(&pin, &salt, PIN_ROUNDS, &mut *value);
    Ok(Auth::new(&*value))
}

/// The authValue of the key whose row says `auth_id`, derived from the secret that guards it: the
/// user secret for a private object, the public secret for another.
pub fn key_auth(secret: &LockedSecret, auth_id: &[u8]) -> Result<Auth> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose())
        .map_err(|cause| Error::because(cryptoki_sys::CKR_GENERAL_ERROR, "HMAC key", cause))?;
    mac.update(b"hierarkey key authorization 1|");
    mac.update(auth_id);
    let value = Zeroizing::new(<[u8; SECRET_LEN]>::from(mac.finalize().into_bytes()));
    Ok(Auth::new(&*value))
}

/// The key of a token's public or private rows, derived from the secret that guards them.
pub fn row_key(secret: &LockedSecret, token: TokenId, rows: Rows) -> Result<RowKey> {
    let secret: &[u8; SECRET_LEN] = secret.expose().try_into().map_err(|_| unexpected())?;
    RowKey::derive(secret, token, rows)
}

/// A new random secret.
pub fn random_secret() -> Result<Zeroizing<[u8; SECRET_LEN]>> {
    let mut bytes = Zeroizing::new([0; SECRET_LEN]);
    getrandom::fill(&mut *bytes)?;
    Ok(bytes)
}

/// Takes what P sealed apart.
pub fn open_public(sealed: &SecretBytes) -> Result<LockedSecret> {
    locked(sealed)
}

/// Takes what U or S sealed apart: two secrets of [`SECRET_LEN`] bytes.
pub fn open_pair(sealed: &SecretBytes) -> Result<(LockedSecret, LockedSecret)> {
    let (first, second) = sealed.split_at_checked(SECRET_LEN).ok_or_else(unexpected)?;
    Ok((locked(first)?, locked(second)?))
}

fn locked(bytes: &[u8]) -> Result<LockedSecret> {
    let bytes: &[u8; SECRET_LEN] = bytes.try_into().map_err(|_| unexpected())?;
    Ok(LockedSecret::new(bytes))
}

fn unexpected() -> Error {
    Error::new(cryptoki_sys::CKR_DEVICE_ERROR, "a sealed object holds something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(unique: u8) -> Vec<u8> {
        // A keyedHash public area: type, nameAlg, attributes, policy, scheme, unique.
        let mut area = vec![0, 8, 0, 11, 0, 0, 0, 0x40, 0, 0, 0, 0x10, 0, 32];
        area.extend([unique; 32]);
        [&(area.len() as u16).to_be_bytes()[..], &area].concat()
    }

    #[test]
    fn a_pin_gives_another_value_for_another_role_object_or_byte() {
        let value = |role, unique, pin: &[u8]| {
            pin_auth(role, &public(unique), pin).unwrap().bytes().to_vec()
        };
        let base = value(Role::User, 1, b"1234");
        assert_eq!(base.len(), SECRET_LEN);
        assert_eq!(base, value(Role::User, 1, b"1234"));
        assert_ne!(base, value(Role::SecurityOfficer, 1, b"1234"));
        assert_ne!(base, value(Role::User, 2, b"1234"));
        assert_ne!(base, value(Role::User, 1, b"1234\0"));
        assert_ne!(value(Role::User, 1, &[b'x'; 32]), value(Role::User, 1, &[b'x'; 33]));
    }

    #[test]
    fn what_is_sealed_has_one_length() {
        assert!(open_public(&Zeroizing::new(vec![0; 31])).is_err());
        assert!(open_pair(&Zeroizing::new(vec![0; 65])).is_err());
        let (first, second) = open_pair(&Zeroizing::new([[1; 32], [2; 32]].concat())).unwrap();
        assert_eq!((first.expose(), second.expose()), (&[1; 32][..], &[2; 32][..]));
    }
}
