//! What an X.509 certificate says of itself: the attributes that its value implies.
//!
//! Cut out of the value as they stand there, byte for byte, so that a search by the subject, issuer
//! or serial number that another program read from the same certificate finds it. Nothing else of
//! the certificate is judged: a token stores what it is given.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_CHECK_VALUE, CKA_HASH_OF_ISSUER_PUBLIC_KEY,
    CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_ISSUER, CKA_PUBLIC_KEY_INFO, CKA_SERIAL_NUMBER,
    CKA_SUBJECT, CKA_URL, CKA_VALUE, CKR_ATTRIBUTE_VALUE_INVALID,
};
use der::asn1::AnyRef;
use der::{Decode, Header, Reader, SliceReader, Tag, TagNumber};
use sha1::{Digest, Sha1};

use super::attribute;
use super::creation::{check_public_key_info, incomplete, inconsistent, settle_check_value};
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

/// Bytes of CKA_CHECK_VALUE.
const CHECK_VALUE_LEN: usize = 3;

/// Fills in what the new certificate `object` leaves out: CKA_SUBJECT, CKA_ISSUER,
/// CKA_SERIAL_NUMBER and CKA_PUBLIC_KEY_INFO from CKA_VALUE, CKA_CHECK_VALUE over it.
///
/// A subject, issuer or serial number that is given has to be the value's. The serial number may
/// come without its tag and length, as Java gives it, and stays as it was given. That the standard
/// lets issuer and serial number be changed to anything afterwards is the changer's business.
///
/// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for a value that is no X.509 certificate, a
/// CKA_PUBLIC_KEY_INFO or CKA_CHECK_VALUE that is not this certificate's;
/// `CKR_TEMPLATE_INCONSISTENT` for a subject, issuer or serial number of another certificate;
/// `CKR_TEMPLATE_INCOMPLETE` for an empty value without CKA_URL, CKA_SUBJECT and both key hashes.
///
/// PKCS#11 v3.1, "X.509 public key certificate objects".
pub(super) fn complete(object: &mut AttributeSet) -> Result<()> {
    let Some(value) = object.filled(CKA_VALUE) else {
        return complete_reference(object);
    };
    let own = implied(value)?;
    let digest = Sha1::digest(value);
    settle_check_value(object, digest.get(..CHECK_VALUE_LEN))?;
    check_public_key_info(object, &own)?;
    for (cka, value) in own.iter() {
        match object.filled(cka) {
            None => drop(object.insert(cka, value.clone())),
            Some(given) if says(cka, value, given) => {}
            Some(_) => {
                let why = format!("{} is of another certificate", attribute::name(cka));
                return Err(inconsistent(why));
            }
        }
    }
    Ok(())
}

/// Whether `given` is what the certificate says, `own`.
fn says(cka: CK_ATTRIBUTE_TYPE, own: &Value, given: &[u8]) -> bool {
    let Value::Bytes(own) = own else { return false };
    let bare = || AnyRef::from_der(own).is_ok_and(|number| number.value() == given);
    own.as_slice() == given || (cka == CKA_SERIAL_NUMBER && bare())
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

/// The tag of the version: context-specific 0, explicit.
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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use cryptoki_sys::*;
    use proptest::prelude::*;

    const SUBJECT: &str = "302b3115301306035504030c0c676174652e6578616d706c65\
                           31123010060355040a0c094869657261726b6579";
    const ISSUER: &str = "300f310d300b06035504030c04526f6f74";
    const SERIAL_NUMBER: &str = "020500f1e2d3c4";

    #[test]
    fn c116_subject_issuer_and_serial_number_come_from_the_value_where_they_are_missing() {
        let object = create(&certificate(), USER).unwrap();
        for (cka, value) in [
            (CKA_SUBJECT, SUBJECT),
            (CKA_ISSUER, ISSUER),
            (CKA_SERIAL_NUMBER, SERIAL_NUMBER),
            (CKA_PUBLIC_KEY_INFO, P256_INFO),
            (CKA_CHECK_VALUE, CERTIFICATE_CHECK_VALUE),
            (CKA_VALUE, CERTIFICATE),
        ] {
            assert_eq!(hex::encode(object.bytes(cka).unwrap()), value, "0x{cka:x}");
        }
        assert_eq!(object.ulong(CKA_CERTIFICATE_CATEGORY), Some(0));
        assert_eq!(object.get(CKA_START_DATE), Some(&Value::Date(None)));
        assert!(!object.is_private() && !object.is_token() && !object.is_true(CKA_TRUSTED));
    }

    #[test]
    fn c116_a_certificate_of_version_1_says_the_same() {
        let of = |certificate| implied(&bytes(certificate)).unwrap();
        assert_eq!(of(CERTIFICATE_V1), of(CERTIFICATE));
    }

    #[test]
    fn c116_a_subject_issuer_or_serial_number_that_is_given_is_the_certificates() {
        let own = implied(&bytes(CERTIFICATE)).unwrap();
        for cka in [CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER] {
            let with = |value: &[u8]| create(&certificate().with(cka, Value::bytes(value)), USER);
            let value = own.bytes(cka).unwrap();
            assert_eq!(with(value).unwrap().bytes(cka), Some(value));
            assert_eq!(with(b"mine"), Err(CKR_TEMPLATE_INCONSISTENT));
            // A number without its tag and length is still the number.
            let bare = with(&value[2..]).map(|object| object.bytes(cka) == Some(&value[2..]));
            let expected =
                if cka == CKA_SERIAL_NUMBER { Ok(true) } else { Err(CKR_TEMPLATE_INCONSISTENT) };
            assert_eq!(bare, expected);
        }
        let object = create(&certificate().with(CKA_SUBJECT, Value::bytes([])), USER).unwrap();
        assert_eq!(hex::encode(object.bytes(CKA_SUBJECT).unwrap()), SUBJECT);
    }

    #[test]
    fn c108_a_public_key_info_of_another_key_is_refused() {
        let with = |info| certificate().with(CKA_PUBLIC_KEY_INFO, Value::bytes(bytes(info)));
        assert!(create(&with(P256_INFO), USER).is_ok());
        assert_eq!(create(&with(P384_INFO), USER), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }

    #[test]
    fn c109_a_check_value_is_the_right_one_or_none() {
        let with = |value: Vec<u8>| certificate().with(CKA_CHECK_VALUE, Value::bytes(value));
        let right = bytes(CERTIFICATE_CHECK_VALUE);
        assert!(create(&with(right), USER).unwrap().has(CKA_CHECK_VALUE));
        assert!(!create(&with(vec![]), USER).unwrap().has(CKA_CHECK_VALUE));
        assert_eq!(create(&with(vec![1, 2, 3]), USER), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }

    #[test]
    fn a_value_that_is_no_certificate_is_refused() {
        let whole = bytes(CERTIFICATE);
        let mut trailing = whole.clone();
        trailing.push(0);
        for value in [b"hello".to_vec(), whole[..100].to_vec(), trailing, bytes(P256_INFO)] {
            let template = certificate().with(CKA_VALUE, Value::bytes(value));
            assert_eq!(create(&template, USER), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        }
        let mut without = certificate();
        without.remove(CKA_VALUE);
        assert_eq!(create(&without, USER), Err(CKR_TEMPLATE_INCOMPLETE));
        let empty = certificate().with(CKA_VALUE, Value::bytes([]));
        assert_eq!(create(&empty, USER), Err(CKR_TEMPLATE_INCOMPLETE));
    }

    #[test]
    fn a_certificate_may_be_elsewhere_if_it_can_still_be_found() {
        let filled = || Value::bytes(*b"x");
        let elsewhere = certificate()
            .with(CKA_VALUE, Value::bytes([]))
            .with(CKA_URL, filled())
            .with(CKA_SUBJECT, filled())
            .with(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, filled())
            .with(CKA_HASH_OF_ISSUER_PUBLIC_KEY, filled());
        assert!(create(&elsewhere, USER).is_ok());
        for needed in [CKA_SUBJECT, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_HASH_OF_ISSUER_PUBLIC_KEY] {
            let mut template = elsewhere.clone();
            template.remove(needed);
            assert_eq!(create(&template, USER), Err(CKR_TEMPLATE_INCOMPLETE), "0x{needed:x}");
        }
    }

    proptest! {
        #[test]
        fn damaged_certificates_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), keep in any::<prop::sample::Index>()) {
            let mut value = bytes(CERTIFICATE);
            let at = at.index(value.len());
            value[at] = byte;
            if let Ok(own) = implied(&value) {
                prop_assert_eq!(own.len(), 4);
            }
            prop_assert!(implied(&value[..keep.index(value.len())]).is_err());
        }
    }
}
