//! Certificates: conformance statement 116, and what others say of certificates.

mod common;

use common::certificate::CERTIFICATE;
use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const SUBJECT: &str = "302b3115301306035504030c0c676174652e6578616d706c65\
                       31123010060355040a0c094869657261726b6579";
const ISSUER: &str = "300f310d300b06035504030c04526f6f74";
const SERIAL_NUMBER: &str = "020500f1e2d3c4";
const PUBLIC_KEY_INFO: &str = "\
    3059301306072a8648ce3d020106082a8648ce3d030107034200045c662947ba3d38cd545123b65f3f295fb4f913\
    623472de96814ab36a9da34e18f17f846b81dc6e3b03dbd43fe4d6475e601efa5fadb75ecd13162890a1100c37\
";
/// The first three bytes of `sha1sum`.
const CHECK_VALUE: &str = "0b4b09";

fn hex(kind: CK_ATTRIBUTE_TYPE, text: &str) -> Attr {
    bytes(kind, &hex::decode(text).unwrap())
}

/// A template with the value `value`, and `more`.
fn with_value(value: &[u8], more: &[Attr]) -> Vec<Attr> {
    let class = [ulong(CKA_CLASS, CKO_CERTIFICATE), ulong(CKA_CERTIFICATE_TYPE, CKC_X_509)];
    [&class[..], &[bytes(CKA_VALUE, value)], more].concat()
}

fn certificate(more: &[Attr]) -> Vec<Attr> {
    with_value(&hex::decode(CERTIFICATE).unwrap(), more)
}

#[test]
fn c116_a_certificate_says_what_its_value_says() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    for token in [false, true] {
        let object = t.p.create(session, &certificate(&[flag(CKA_TOKEN, token)])).unwrap();
        for expected in [
            hex(CKA_VALUE, CERTIFICATE),
            hex(CKA_SUBJECT, SUBJECT),
            hex(CKA_ISSUER, ISSUER),
            hex(CKA_SERIAL_NUMBER, SERIAL_NUMBER),
            hex(CKA_PUBLIC_KEY_INFO, PUBLIC_KEY_INFO),
            hex(CKA_CHECK_VALUE, CHECK_VALUE),
            ulong(CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_UNSPECIFIED),
            ulong(CKA_JAVA_MIDP_SECURITY_DOMAIN, CK_SECURITY_DOMAIN_UNSPECIFIED),
            ulong(CKA_NAME_HASH_ALGORITHM, CKM_SHA_1),
            flag(CKA_TRUSTED, false),
            flag(CKA_PRIVATE, false),
            bytes(CKA_ID, b""),
            bytes(CKA_LABEL, b""),
            bytes(CKA_URL, b""),
            bytes(CKA_START_DATE, b""),
            bytes(CKA_END_DATE, b""),
            bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, b""),
            bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, b""),
        ] {
            let Attr(kind, value) = &expected;
            assert_eq!(t.p.get(session, object, *kind).as_ref(), Ok(value), "{kind:#x}");
            assert_eq!(t.p.find(session, &[expected.clone(), flag(CKA_TOKEN, token)]), [object]);
        }
    }
}

#[test]
fn c116_names_and_numbers_that_are_given_are_the_certificates_own() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let given = [
        hex(CKA_SUBJECT, SUBJECT),
        hex(CKA_ISSUER, ISSUER),
        // Without tag and length, as Java gives it: found again as it was given.
        hex(CKA_SERIAL_NUMBER, &SERIAL_NUMBER[4..]),
        bytes(CKA_ID, b"id"),
        ulong(CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_AUTHORITY),
        bytes(CKA_START_DATE, b"20260131"),
        bytes(CKA_URL, b"http://gate.example/"),
    ];
    let object = t.p.create(session, &certificate(&given)).unwrap();
    for Attr(kind, value) in &given {
        assert_eq!(t.p.get(session, object, *kind).as_ref(), Ok(value), "{kind:#x}");
    }
    assert_eq!(t.p.find(session, &given), [object]);
    for (attribute, rv) in [
        (bytes(CKA_SUBJECT, b"no DER at all"), CKR_TEMPLATE_INCONSISTENT),
        (hex(CKA_SUBJECT, ISSUER), CKR_TEMPLATE_INCONSISTENT),
        (bytes(CKA_ISSUER, b"\x30\x00"), CKR_TEMPLATE_INCONSISTENT),
        (bytes(CKA_SERIAL_NUMBER, b"\x02\x01\x07"), CKR_TEMPLATE_INCONSISTENT),
        (ulong(CKA_CERTIFICATE_CATEGORY, 4), CKR_ATTRIBUTE_VALUE_INVALID),
        (ulong(CKA_JAVA_MIDP_SECURITY_DOMAIN, 4), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_PUBLIC_KEY_INFO, b"of another"), CKR_ATTRIBUTE_VALUE_INVALID),
        (bytes(CKA_END_DATE, b"20260100"), CKR_ATTRIBUTE_VALUE_INVALID),
        (flag(CKA_SENSITIVE, true), CKR_TEMPLATE_INCONSISTENT),
        (ulong(CKA_CERTIFICATE_TYPE, CKC_WTLS), CKR_TEMPLATE_INCONSISTENT),
    ] {
        let refused = t.p.create(session, &certificate(std::slice::from_ref(&attribute)));
        assert_eq!(refused, Err(rv), "{attribute:?}");
    }
}

#[test]
fn c116_a_value_that_is_no_certificate_is_refused() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let value = hex::decode(CERTIFICATE).unwrap();
    let create = |template: &[Attr]| t.p.create(session, template).map(|_| ());
    for bad in [
        b"hello".to_vec(),
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        value[..value.len() - 1].to_vec(),
        [&value[..], b"\0"].concat(),
        hex::decode(PUBLIC_KEY_INFO).unwrap(),
    ] {
        let subject = [hex(CKA_SUBJECT, SUBJECT)];
        assert_eq!(create(&with_value(&bad, &subject)), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }
    let all = certificate(&[]);
    for missing in [CKA_CLASS, CKA_CERTIFICATE_TYPE, CKA_VALUE] {
        let rest: Vec<_> = all.iter().filter(|given| given.0 != missing).cloned().collect();
        assert_eq!(create(&rest), Err(CKR_TEMPLATE_INCOMPLETE), "{missing:#x}");
    }
    assert_eq!(create(&with_value(b"", &[])), Err(CKR_TEMPLATE_INCOMPLETE));
    for kind in [CKC_X_509_ATTR_CERT, CKC_WTLS, CKC_VENDOR_DEFINED] {
        let template = [ulong(CKA_CLASS, CKO_CERTIFICATE), ulong(CKA_CERTIFICATE_TYPE, kind)];
        let template = [&template[..], &[bytes(CKA_VALUE, &value)]].concat();
        assert_eq!(create(&template), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{kind}");
    }
    assert!(t.p.find(session, &[]).is_empty(), "nothing half made");
}

#[test]
fn c116_a_certificate_without_a_value_is_one_that_is_found_elsewhere() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let elsewhere = [
        bytes(CKA_URL, b"http://gate.example/certificate"),
        hex(CKA_SUBJECT, SUBJECT),
        bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, &[1; 20]),
        bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, &[2; 20]),
    ];
    let object = t.p.create(session, &with_value(b"", &elsewhere)).unwrap();
    assert_eq!(t.p.get(session, object, CKA_VALUE).unwrap(), b"");
    assert_eq!(t.p.get(session, object, CKA_CHECK_VALUE), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    for index in 0..elsewhere.len() {
        let mut fewer = elsewhere.to_vec();
        fewer.remove(index);
        let rv = t.p.create(session, &with_value(b"", &fewer));
        assert_eq!(rv, Err(CKR_TEMPLATE_INCOMPLETE), "{index}");
    }
}

#[test]
fn c109_a_check_value_is_the_right_one_or_none() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let create = |value: &[u8]| {
        let object = t.p.create(session, &certificate(&[bytes(CKA_CHECK_VALUE, value)]))?;
        t.p.get(session, object, CKA_CHECK_VALUE)
    };
    let right = hex::decode(CHECK_VALUE).unwrap();
    assert_eq!(create(&right), Ok(right.clone()));
    assert_eq!(create(b""), Err(CKR_ATTRIBUTE_TYPE_INVALID), "not stored");
    for wrong in [&[1, 2, 3][..], &right[..2], &[&right[..], b"\0"].concat()] {
        assert_eq!(create(wrong), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }
}

#[test]
fn c116_three_attributes_of_a_certificate_change_and_no_other() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let object = t.p.create(session, &certificate(&[])).unwrap();
    for kind in [CKA_ID, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_LABEL] {
        t.p.set(session, object, &[bytes(kind, b"new")]).unwrap();
        assert_eq!(t.p.get(session, object, kind).unwrap(), b"new");
        let copy = t.p.copy(session, object, &[bytes(kind, b"newer")]).unwrap();
        assert_eq!(t.p.get(session, copy, kind).unwrap(), b"newer");
        assert_eq!(t.p.get(session, copy, CKA_VALUE), t.p.get(session, object, CKA_VALUE));
        t.p.destroy(session, copy).unwrap();
    }
    for change in [
        hex(CKA_VALUE, CERTIFICATE),
        bytes(CKA_SUBJECT, b"x"),
        bytes(CKA_URL, b"x"),
        bytes(CKA_CHECK_VALUE, b""),
        bytes(CKA_PUBLIC_KEY_INFO, b""),
        bytes(CKA_START_DATE, b"20260131"),
        ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
        ulong(CKA_CERTIFICATE_CATEGORY, 1),
        ulong(CKA_NAME_HASH_ALGORITHM, CKM_SHA256),
        flag(CKA_TRUSTED, true),
    ] {
        let rv = t.p.set(session, object, std::slice::from_ref(&change));
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{change:?}");
    }
}

#[test]
fn c116_a_trusted_certificate_is_the_officers() {
    let t = Token::new();
    let session = t.user();
    let trusted = certificate(&[flag(CKA_TRUSTED, true), flag(CKA_TOKEN, true)]);
    assert_eq!(t.p.create(session, &trusted), Err(CKR_ATTRIBUTE_READ_ONLY));
    t.p.logout(session).unwrap();
    assert_eq!(t.p.create(session, &trusted), Err(CKR_ATTRIBUTE_READ_ONLY));
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    let object = t.p.create(session, &trusted).unwrap();
    t.p.set(session, object, &[bytes(CKA_LABEL, b"root")]).unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(t.p.get_bool(session, object, CKA_TRUSTED), Ok(true));
    for change in [bytes(CKA_LABEL, b"x"), bytes(CKA_ID, b"x"), flag(CKA_TRUSTED, false)] {
        let rv = t.p.set(session, object, std::slice::from_ref(&change));
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{change:?}");
        let rv = t.p.copy(session, object, std::slice::from_ref(&change));
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{change:?}");
    }
    let copy = t.p.copy(session, object, &[]).unwrap();
    assert_eq!(t.p.get_bool(session, copy, CKA_TRUSTED), Ok(true), "nothing in it is another");
}

#[test]
fn c117_a_certificate_reads_back_to_the_byte_after_a_restart() {
    let t = Token::new();
    let session = t.user();
    for private in [false, true] {
        let more = [
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, private),
            bytes(CKA_LABEL, "größe\0".as_bytes()),
            bytes(CKA_ID, &[0, 0xff]),
            bytes(CKA_END_DATE, b"20361118"),
        ];
        t.p.create(session, &certificate(&more)).unwrap();
    }
    let read = |session, private| -> Vec<_> {
        let object = t.p.find(session, &[flag(CKA_PRIVATE, private)])[0];
        (0..0x400).map(|kind| t.p.get(session, object, kind)).collect()
    };
    let before = [false, true].map(|private| read(session, private));
    assert!(before[0].iter().filter(|value| value.is_ok()).count() > 20);
    t.p.finalize().unwrap();
    t.rig.tpm.restart();
    t.p.initialize().unwrap();
    let session = t.user();
    assert_eq!([false, true].map(|private| read(session, private)), before);
}
