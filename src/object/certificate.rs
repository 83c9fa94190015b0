//! What an X.509 certificate says of itself: the attributes that its value implies.
//!
//! Cut out of the value as they stand there, byte for byte, so that a search by the subject, issuer
//! or serial number that another program read from the same certificate finds it. Nothing else of
//! the certificate is judged: a token stores what it is given.

use cryptoki_sys::{
    CKA_CHECK_VALUE, CKA_HASH_OF_ISSUER_PUBLIC_KEY, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_ISSUER,
    CKA_PUBLIC_KEY_INFO, CKA_SERIAL_NUMBER, CKA_SUBJECT, CKA_URL, CKA_VALUE,
    CKR_ATTRIBUTE_VALUE_INVALID,
};
use der::{Header, Reader, SliceReader, Tag, TagNumber};
use sha1::{Digest, Sha1};

use super::creation::{check_public_key_info, incomplete};
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

/// Bytes of CKA_CHECK_VALUE.
const CHECK_VALUE_LEN: usize = 3;

/// Fills in what the new certificate `object` leaves out: CKA_SUBJECT, CKA_ISSUER,
/// CKA_SERIAL_NUMBER and CKA_PUBLIC_KEY_INFO from CKA_VALUE, CKA_CHECK_VALUE over it.
///
/// A subject, issuer or serial number that is given is stored as given, even where the value says
/// otherwise: the standard lets the latter two be changed to anything afterwards.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for a value that is no X.509 certificate, a
/// CKA_PUBLIC_KEY_INFO or CKA_CHECK_VALUE that is not this certificate's;
/// `CKR_TEMPLATE_INCOMPLETE` for an empty value without CKA_URL, CKA_SUBJECT and both key hashes.
///
/// PKCS#11 v3.1, "X.509 public key certificate objects".
pub(super) fn complete(object: &mut AttributeSet) -> Result<()> {
    let Some(value) = object.filled(CKA_VALUE) else {
        return complete_reference(object);
    };
    let own = implied(value)?;
    let digest = Sha1::digest(value);
    let check_value = digest.get(..CHECK_VALUE_LEN).unwrap_or_default();
    match object.bytes(CKA_CHECK_VALUE) {
        None => {
            object.insert(CKA_CHECK_VALUE, Value::bytes(check_value));
        }
        // An empty one means: none.
        Some([]) => {
            object.remove(CKA_CHECK_VALUE);
        }
        Some(given) if given == check_value => {}
        Some(_) => {
            let why = "CKA_CHECK_VALUE is of another certificate";
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        }
    }
    check_public_key_info(object, &own)?;
    for (cka, value) in own.iter() {
        if object.filled(cka).is_none() {
            object.insert(cka, value.clone());
        }
    }
    Ok(())
}

/// A certificate that is kept elsewhere, at CKA_URL.
fn complete_reference(object: &mut AttributeSet) -> Result<()> {
    if object.filled(CKA_URL).is_none() {
        return Err(incomplete(CKA_VALUE));
    }
    let needed = [CKA_SUBJECT, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_HASH_OF_ISSUER_PUBLIC_KEY];
    if let Some(missing) = needed.into_iter().find(|cka| object.filled(*cka).is_none()) {
        return Err(incomplete(missing));
    }
    // There is nothing to compute or to check it from.
    object.remove(CKA_CHECK_VALUE);
    Ok(())
}

/// CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER and CKA_PUBLIC_KEY_INFO of the certificate `value`.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` where `value` is not shaped like a Certificate.
///
/// RFC 5280, section 4.1.
pub fn implied(value: &[u8]) -> Result<AttributeSet> {
    read(value).map_err(|cause| {
        let why = "CKA_VALUE is no X.509 certificate";
        Error::because(CKR_ATTRIBUTE_VALUE_INVALID, why, cause)
    })
}

fn read(value: &[u8]) -> der::Result<AttributeSet> {
    let mut outer = SliceReader::new(value)?;
    let mut certificate = enter(&mut outer)?;
    outer.finish(())?;
    let mut tbs = enter(&mut certificate)?;
    if tbs.peek_tag()? == VERSION {
        tbs.tlv_bytes()?;
    }
    let serial_number = field(&mut tbs, Tag::Integer)?;
    field(&mut tbs, Tag::Sequence)?; // signature
    let issuer = field(&mut tbs, Tag::Sequence)?;
    field(&mut tbs, Tag::Sequence)?; // validity
    let subject = field(&mut tbs, Tag::Sequence)?;
    let public_key_info = field(&mut tbs, Tag::Sequence)?;
    field(&mut certificate, Tag::Sequence)?; // signatureAlgorithm
    field(&mut certificate, Tag::BitString)?; // signatureValue
    certificate.finish(())?;
    Ok(AttributeSet::new()
        .with(CKA_SERIAL_NUMBER, Value::bytes(serial_number))
        .with(CKA_ISSUER, Value::bytes(issuer))
        .with(CKA_SUBJECT, Value::bytes(subject))
        .with(CKA_PUBLIC_KEY_INFO, Value::bytes(public_key_info)))
}

/// [0] EXPLICIT Version.
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };

/// A reader of what is in the next SEQUENCE.
fn enter<'a>(reader: &mut SliceReader<'a>) -> der::Result<SliceReader<'a>> {
    let header: Header = reader.decode()?;
    header.tag.assert_eq(Tag::Sequence)?;
    SliceReader::new(reader.read_slice(header.length)?)
}

/// The next value with its tag and length.
fn field<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    reader.peek_tag()?.assert_eq(tag)?;
    reader.tlv_bytes()
}
