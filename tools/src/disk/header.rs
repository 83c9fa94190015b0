//! What the header of a LUKS2 volume says of the tokens that systemd enrolled in it.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// What a LUKS2 volume says of itself.
pub struct Volume {
    pub uuid: String,
    pub enrolled: Vec<Enrolled>,
}

/// What systemd-cryptenroll leaves for a token: JSON of type "systemd-pkcs11".
pub struct Enrolled {
    /// The token, and perhaps the key on it.
    pub uri: String,
    /// For an RSA key the ciphertext, for an EC key the other side's point.
    pub key: Vec<u8>,
}

/// No header is larger (LUKS2 on-disk format, "JSON area").
const LARGEST_HEADER: u64 = 4 << 20;
/// Bytes of the binary header, before the JSON area.
const BINARY_HEADER: usize = 4096;

impl Volume {
    /// Reads a LUKS2 header: magic, version 2 and size in big-endian order, the UUID as 40 bytes of
    /// text at 168; then the JSON area.
    pub fn read(device: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::reading(device, &error);
        let mut header = Vec::new();
        let file = fs::File::open(device).map_err(failed)?;
        file.take(LARGEST_HEADER).read_to_end(&mut header).map_err(failed)?;
        if !header.starts_with(b"LUKS\xba\xbe\0\x02") || header.len() < BINARY_HEADER {
            return Err(Failure::input(format!(
                "{}: is no LUKS2 volume: cryptsetup luksFormat --type luks2 makes one, cryptsetup \
                 convert --type luks2 brings up a LUKS1 one",
                device.display()
            )));
        }
        let text = |from: usize, to: usize| {
            let field = header.get(from..to).unwrap_or_default();
            let field = field.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(field).into_owned()
        };
        let uuid = text(168, 208);
        if uuid.len() != 36 || !uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            let why = format!("{}: its LUKS2 header has no UUID", device.display());
            return Err(Failure::input(why));
        }
        let size =
            header.get(8..16).and_then(|size| Some(u64::from_be_bytes(size.try_into().ok()?)));
        let size = usize::try_from(size.unwrap_or_default()).unwrap_or(usize::MAX);
        // A volume whose JSON cannot be read has no token that we know of: cryptsetup will say more.
        let json = serde_json::from_str(&text(BINARY_HEADER, size.min(header.len())));
        Ok(Self { uuid, enrolled: enrolled(&json.unwrap_or(Value::Null)) })
    }
}

fn enrolled(json: &Value) -> Vec<Enrolled> {
    let tokens = json["tokens"].as_object().into_iter().flat_map(|tokens| tokens.values());
    tokens
        .filter(|token| token["type"] == "systemd-pkcs11")
        .filter_map(|token| {
            Some(Enrolled {
                uri: token["pkcs11-uri"].as_str()?.to_owned(),
                key: Base64::decode_vec(token["pkcs11-key"].as_str()?).ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_of_other_kinds_and_broken_ones_are_left_out() {
        let found = enrolled(&json!({"tokens": {
            "0": {"type": "systemd-recovery", "keyslots": ["1"]},
            "1": {"type": "systemd-pkcs11", "pkcs11-uri": "pkcs11:token=a", "pkcs11-key": "AAH/"},
            "2": {"type": "systemd-pkcs11", "pkcs11-uri": "pkcs11:token=b", "pkcs11-key": "?"},
            "3": {"type": "systemd-pkcs11", "pkcs11-key": "AAH/"},
        }}));
        let [one] = found.as_slice() else { panic!("{} were found", found.len()) };
        assert_eq!((one.uri.as_str(), one.key.as_slice()), ("pkcs11:token=a", &[0, 1, 255][..]));
        assert!(enrolled(&Value::Null).is_empty());
    }
}
