//! How people name an object: by its label, by "id:01ab", or by "uid:…", which is one object's
//! alone.

use std::str::FromStr;

use hierarkey::cryptoki::*;
use hierarkey::object::template::RawAttribute;

use crate::failure::{Failure, Result};
use crate::token_session::{Handle, Session, bytes, ulong};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Label(String),
    Id(Vec<u8>),
    Unique(String),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(digits) = text.strip_prefix("id:") {
            return id(digits).map(Self::Id);
        }
        Ok(match text.strip_prefix("uid:") {
            Some(unique) => Self::Unique(unique.to_owned()),
            None => Self::Label(text.to_owned()),
        })
    }
}

/// A CKA_ID as an option's value.
#[derive(Clone, Debug)]
pub struct Id(pub Vec<u8>);

/// [`id`] for an option.
pub fn parse_id(digits: &str) -> std::result::Result<Id, String> {
    id(digits).map(Id)
}

/// A CKA_ID in hexadecimal.
pub fn id(digits: &str) -> std::result::Result<Vec<u8>, String> {
    match hex::decode(digits.replace(':', "")) {
        Ok(id) if !id.is_empty() && id.len() <= 64 => Ok(id),
        _ => Err("an id is 1 to 64 bytes in hexadecimal".into()),
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "\"{label}\""),
            Self::Id(id) => write!(f, "id:{}", hex::encode(id)),
            Self::Unique(unique) => write!(f, "uid:{unique}"),
        }
    }
}

impl Name {
    fn attribute(&self) -> RawAttribute {
        match self {
            Self::Label(label) => bytes(CKA_LABEL, label.as_bytes()),
            Self::Id(id) => bytes(CKA_ID, id.as_slice()),
            Self::Unique(unique) => bytes(CKA_UNIQUE_ID, unique.as_bytes()),
        }
    }

    /// Every object of the token with this name and one of these classes.
    pub fn all(&self, session: &Session<'_>, classes: &[CK_OBJECT_CLASS]) -> Result<Vec<Handle>> {
        let mut found = Vec::new();
        for class in classes {
            let template = vec![ulong(CKA_CLASS, *class), bytes(CKA_TOKEN, [1]), self.attribute()];
            found.extend(session.find(template)?);
        }
        Ok(found)
    }

    /// The one object with this name; `what` is what it was looked for as.
    pub fn one(
        &self,
        session: &Session<'_>,
        classes: &[CK_OBJECT_CLASS],
        what: &str,
    ) -> Result<Handle> {
        match self.all(session, classes)?.as_slice() {
            [one] => Ok(*one),
            [] => Err(Failure::not_found(format!("there is no {what} {self} on the token"))),
            several => Err(Failure::not_found(format!(
                "{} objects are called {self}: name one of them by its id: or uid: \
                 (`hierarkey object list` has them)",
                several.len()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_unless_they_say_otherwise() {
        assert_eq!("vpn".parse(), Ok(Name::Label("vpn".into())));
        assert_eq!("id:01aB".parse(), Ok(Name::Id(vec![1, 0xab])));
        assert_eq!("id:01:ab".parse(), Ok(Name::Id(vec![1, 0xab])));
        assert_eq!("uid:x".parse(), Ok(Name::Unique("x".into())));
        for wrong in ["id:", "id:1", "id:zz"] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }
}
