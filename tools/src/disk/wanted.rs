//! Which token and which key a pkcs11: URI means (RFC 7512).

use hierarkey::cryptoki::*;
use hierarkey::object::template::RawAttribute;

use crate::token_session::{TokenFacts, bytes};

/// What a URI asks for; what it does not name may be anything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    token: Option<Vec<u8>>,
    serial: Option<Vec<u8>>,
    manufacturer: Option<Vec<u8>>,
    model: Option<Vec<u8>>,
    object: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
}

impl Wanted {
    /// Reads a URI; `None` for one that asks for what is not known here, and so for nothing here.
    pub fn parse(uri: &str) -> Option<Self> {
        let mut wanted = Self::default();
        // After the question mark stands how to reach the token: where the module is, where the PIN.
        let path = uri.strip_prefix("pkcs11:")?.split('?').next()?;
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=')?;
            let field = match name {
                "token" => &mut wanted.token,
                "serial" => &mut wanted.serial,
                "manufacturer" => &mut wanted.manufacturer,
                "model" => &mut wanted.model,
                "object" => &mut wanted.object,
                "id" => &mut wanted.id,
                // Of whom it is the private key.
                "type" if matches!(value, "private" | "public" | "cert") => continue,
                // Names of the module and its slots: it is this one that is asked.
                _ if name.starts_with("library-") || name.starts_with("slot-") => continue,
                _ => return None,
            };
            *field = Some(unescape(value)?);
        }
        Some(wanted)
    }

    /// Whether it is this token.
    pub fn is(&self, facts: &TokenFacts) -> bool {
        [
            (&self.token, &facts.label),
            (&self.serial, &facts.serial),
            (&self.manufacturer, &facts.manufacturer),
            (&self.model, &facts.model),
        ]
        .iter()
        .all(|(wanted, has)| wanted.as_ref().is_none_or(|wanted| wanted == has.as_bytes()))
    }

    /// What the key's objects have, if the URI says.
    pub fn attributes(&self) -> Vec<RawAttribute> {
        let label = self.object.as_ref().map(|label| bytes(CKA_LABEL, label.as_slice()));
        let id = self.id.as_ref().map(|id| bytes(CKA_ID, id.as_slice()));
        label.into_iter().chain(id).collect()
    }
}

fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            plain.extend(hex::decode(digits).ok()?);
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::{self, tests::facts};

    fn is(uri: &str) -> bool {
        Wanted::parse(uri).is_some_and(|wanted| wanted.is(&facts()))
    }

    #[test]
    fn a_token_is_known_by_what_the_uri_names() {
        assert!(is(&uri::of_token(&facts())));
        assert!(is("pkcs11:"));
        assert!(is("pkcs11:token=my%20token;type=private?pin-value=1;module-name=x"));
        assert!(is("pkcs11:serial=0123abcd;slot-id=3;library-version=1"));
        for other in [
            "pkcs11:token=my%20toke",
            "pkcs11:token=my%20token;serial=0123abce",
            "pkcs11:manufacturer=",
            "pkcs11:model=SW",
        ] {
            assert!(!is(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_such_uri_is_nobody() {
        for none in [
            "",
            "token=x",
            "pkcs11:token",
            "pkcs11:token=%4",
            "pkcs11:token=%zz",
            "pkcs11:colour=red",
            "pkcs11:type=secret-key",
        ] {
            assert_eq!(Wanted::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_label_and_id() {
        let wanted = Wanted::parse("pkcs11:object=a%2Fb;id=%01%AB").unwrap();
        assert_eq!(wanted.object.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(wanted.id.as_deref(), Some(&[1, 0xab][..]));
        assert_eq!(wanted.attributes().len(), 2);
        assert!(Wanted::parse("pkcs11:token=x").unwrap().attributes().is_empty());
    }
}
