//! Requests and certificates, signed by a key that only the TPM has.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use der::asn1::{
    Any, BitString, Ia5String, Null, ObjectIdentifier, OctetString, SetOfVec, UintRef,
};
use der::oid::AssociatedOid;
use der::pem::LineEnding;
use der::{Decode, DecodePem, Encode, Sequence};
use hierarkey::cryptoki::*;
use sha1::{Digest, Sha1};
use x509_cert::attr::{AttributeTypeAndValue, Attributes};
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate};

use super::info;
use crate::failure::{Failure, Kind, Result};
use crate::token_session::{Handle, Session, plain};

/// What is asked for besides the key.
pub struct Subject<'a> {
    pub name: &'a str,
    pub dns: &'a [String],
    pub ip: &'a [IpAddr],
    pub email: &'a [String],
    pub purposes: &'a [Purpose],
}

/// Extended key usages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// A TLS or VPN server
    Server,
    /// A TLS or VPN client
    Client,
    /// Mail
    Email,
    /// Programs
    CodeSigning,
}

impl Purpose {
    fn oid(self) -> ObjectIdentifier {
        // RFC 5280, 4.2.1.12.
        ObjectIdentifier::new_unwrap(match self {
            Self::Server => "1.3.6.1.5.5.7.3.1",
            Self::Client => "1.3.6.1.5.5.7.3.2",
            Self::CodeSigning => "1.3.6.1.5.5.7.3.3",
            Self::Email => "1.3.6.1.5.5.7.3.4",
        })
    }
}

/// How a key signs here: with the hash that is as strong as it.
pub struct Algorithm {
    pub mechanism: CK_MECHANISM_TYPE,
    oid: ObjectIdentifier,
    ec: bool,
}

impl Algorithm {
    pub fn of(session: &Session<'_>, key: Handle) -> Result<Self> {
        let kind = info::kind(session, key)?;
        // RFC 8017, A.2.4; RFC 5758, 3.2.
        let (mechanism, oid, ec) = match kind.as_str() {
            "ec-p256" => (CKM_ECDSA_SHA256, "1.2.840.10045.4.3.2", true),
            "ec-p384" => (CKM_ECDSA_SHA384, "1.2.840.10045.4.3.3", true),
            "ec-p521" => (CKM_ECDSA_SHA512, "1.2.840.10045.4.3.4", true),
            rsa if rsa.starts_with("rsa-") => (CKM_SHA256_RSA_PKCS, "1.2.840.113549.1.1.11", false),
            other => return Err(Failure::input(format!("a key of type {other} cannot sign"))),
        };
        Ok(Self { mechanism, oid: ObjectIdentifier::new_unwrap(oid), ec })
    }

    fn identifier(&self) -> AlgorithmIdentifierOwned {
        let parameters = if self.ec { None } else { Some(Any::from(Null)) };
        AlgorithmIdentifierOwned { oid: self.oid, parameters }
    }

    /// Signs, and gives the signature the form that X.509 has for it.
    fn sign(&self, session: &Session<'_>, key: Handle, message: &[u8]) -> Result<BitString> {
        let signature = session.sign(plain(self.mechanism), key, message)?;
        let bytes = if self.ec { ecdsa_value(&signature)? } else { signature };
        BitString::from_bytes(&bytes).map_err(broken)
    }
}

/// ECDSA-Sig-Value (RFC 3279, 2.2.3) of PKCS#11's r and s side by side.
fn ecdsa_value(signature: &[u8]) -> Result<Vec<u8>> {
    #[derive(Sequence)]
    struct Value<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    let value = Value { r: UintRef::new(r).map_err(broken)?, s: UintRef::new(s).map_err(broken)? };
    value.to_der().map_err(broken)
}

fn broken(error: der::Error) -> Failure {
    Failure::new(Kind::Failed, format!("DER: {error}"))
}

/// `der` with the lines around it.
pub fn pem(label: &'static str, der: &[u8]) -> Result<String> {
    der::pem::encode_string(label, LineEnding::LF, der)
        .map_err(|error| Failure::new(Kind::Failed, format!("PEM: {error}")))
}

fn extension<T: AssociatedOid + Encode>(value: &T, critical: bool) -> Result<Extension> {
    let bytes = value.to_der().map_err(broken)?;
    let extn_value = OctetString::new(bytes).map_err(broken)?;
    Ok(Extension { extn_id: T::OID, critical, extn_value })
}

/// The distinguished name in `text`: "CN=host,O=Example".
pub fn distinguished_name(text: &str) -> Result<Name> {
    let wrong = || {
        Failure::input(format!(
            "\"{text}\" is no distinguished name: write it like CN=vpn.example.org,O=Example"
        ))
    };
    // A text without any "=" is read as an empty name.
    if !text.contains('=') {
        return Err(wrong());
    }
    let name: Name = text.parse().map_err(|_| wrong())?;
    if name.is_empty() {
        return Err(wrong());
    }
    for part in name.0.iter().flat_map(|together| together.0.iter()) {
        check_part(part, text)?;
    }
    Ok(name)
}

/// Parts of a name and how many characters each has room for (RFC 5280, appendix A.1).
const PARTS: &[(&str, &str, usize)] = &[
    ("CN", "2.5.4.3", 64),
    ("serialNumber", "2.5.4.5", 64),
    ("C", "2.5.4.6", 2),
    ("L", "2.5.4.7", 128),
    ("ST", "2.5.4.8", 128),
    ("O", "2.5.4.10", 64),
    ("OU", "2.5.4.11", 64),
    ("title", "2.5.4.12", 64),
    ("emailAddress", "1.2.840.113549.1.9.1", 255),
];

/// Authorities refuse what is longer, and an empty part is a shell's variable that is not set.
fn check_part(part: &AttributeTypeAndValue, whole: &str) -> Result<()> {
    let oid = part.oid.to_string();
    let (name, room) = PARTS
        .iter()
        .find(|(_, one, _)| *one == oid)
        .map_or((oid.as_str(), usize::MAX), |(name, _, room)| (*name, *room));
    match String::from_utf8_lossy(part.value.value()).chars().count() {
        0 => Err(Failure::input(format!("{name} is empty in the subject \"{whole}\""))),
        len if len > room => Err(Failure::input(format!(
            "{name} has {len} characters: {room} at most, in the subject \"{whole}\""
        ))),
        _ => Ok(()),
    }
}

/// subjectAltName, and what the key is for.
fn extensions(subject: &Subject<'_>, uses: &[String], ca: bool) -> Result<Vec<Extension>> {
    let ia5 = |text: &String| {
        let wrong = || Failure::input(format!("\"{text}\" is no name in plain ASCII"));
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ia5String::new(text).map_err(|_| wrong())
    };
    let mut names = Vec::new();
    for dns in subject.dns {
        names.push(GeneralName::DnsName(ia5(dns)?));
    }
    for email in subject.email {
        names.push(GeneralName::Rfc822Name(ia5(email)?));
    }
    for ip in subject.ip {
        let bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        names.push(GeneralName::IpAddress(OctetString::new(bytes).map_err(broken)?));
    }
    let mut usage = der::flagset::FlagSet::<KeyUsages>::default();
    for one in uses {
        usage |= match one.as_str() {
            "sign" => KeyUsages::DigitalSignature,
            "decrypt" | "unwrap" => KeyUsages::KeyEncipherment,
            "derive" => KeyUsages::KeyAgreement,
            _ => continue,
        };
    }
    if ca {
        usage |= KeyUsages::KeyCertSign | KeyUsages::CRLSign;
    }
    let mut extensions = Vec::new();
    if !usage.is_empty() {
        extensions.push(extension(&KeyUsage(usage), true)?);
    }
    if !subject.purposes.is_empty() {
        let purposes = subject.purposes.iter().map(|purpose| purpose.oid()).collect();
        extensions.push(extension(&ExtendedKeyUsage(purposes), false)?);
    }
    if !names.is_empty() {
        extensions.push(extension(&SubjectAltName(names), false)?);
    }
    Ok(extensions)
}

/// The half of a key that signs, and all that it is for.
fn signer(session: &Session<'_>, key: &info::Key) -> Result<(Handle, Vec<String>)> {
    let uses = key.info(session)?.uses;
    match key.private {
        None if key.secret.is_some() => {
            Err(Failure::input("a secret key has no certificate: name one of a pair"))
        }
        None => Err(Failure::not_found("it has no private key")),
        Some(_) if !uses.iter().any(|one| one == "sign") => Err(Failure::input(format!(
            "the key is for {}, not for signing: make one with --use sign",
            uses.join(" and ")
        ))),
        Some(private) => Ok((private, uses)),
    }
}

/// A certificate signing request (RFC 2986) as DER.
pub fn request(session: &Session<'_>, key: &info::Key, subject: &Subject<'_>) -> Result<Vec<u8>> {
    let (private, uses) = signer(session, key)?;
    let algorithm = Algorithm::of(session, private)?;
    let spki = key.public_key_info(session)?;
    let extensions = extensions(subject, &uses, false)?;
    let mut attributes = Attributes::default();
    if !extensions.is_empty() {
        let asked = ExtensionReq(extensions).try_into().map_err(broken)?;
        attributes = SetOfVec::try_from(vec![asked]).map_err(broken)?;
    }
    let info = CertReqInfo {
        version: x509_cert::request::Version::V1,
        subject: distinguished_name(subject.name)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(&spki).map_err(broken)?,
        attributes,
    };
    let signature = algorithm.sign(session, private, &info.to_der().map_err(broken)?)?;
    CertReq { info, algorithm: algorithm.identifier(), signature }.to_der().map_err(broken)
}

/// Whether `file` is a request in PEM for the key with this SubjectPublicKeyInfo, and about `subject`.
pub fn is_request(file: &[u8], public_key_info: &[u8], subject: &str) -> Result<bool> {
    let name = distinguished_name(subject)?;
    let Ok(request) = CertReq::from_pem(file) else { return Ok(false) };
    let key = request.info.public_key.to_der().map_err(broken)?;
    Ok(key == public_key_info && request.info.subject == name)
}

/// A certificate that the key signs itself (RFC 5280) as DER.
pub fn self_signed(
    session: &Session<'_>,
    key: &info::Key,
    subject: &Subject<'_>,
    days: u32,
    ca: bool,
) -> Result<Vec<u8>> {
    let (private, uses) = signer(session, key)?;
    let algorithm = Algorithm::of(session, private)?;
    let spki = key.public_key_info(session)?;
    let public_key = SubjectPublicKeyInfoOwned::from_der(&spki).map_err(broken)?;
    let name = distinguished_name(subject.name)?;
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|e| Failure::new(Kind::Failed, e.to_string()))?;
    // Positive, and of one length (RFC 5280, 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut all = vec![extension(&BasicConstraints { ca, path_len_constraint: None }, true)?];
    all.extend(extensions(subject, &uses, ca)?);
    let identifier = Sha1::digest(public_key.subject_public_key.raw_bytes()).to_vec();
    let identifier = SubjectKeyIdentifier(OctetString::new(identifier).map_err(broken)?);
    all.push(extension(&identifier, false)?);
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial).map_err(broken)?,
        signature: algorithm.identifier(),
        issuer: name.clone(),
        validity: validity(SystemTime::now(), days)?,
        subject: name,
        subject_public_key_info: public_key,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(all),
    };
    let signature = algorithm.sign(session, private, &tbs.to_der().map_err(broken)?)?;
    let certificate = Certificate {
        tbs_certificate: tbs,
        signature_algorithm: algorithm.identifier(),
        signature,
    };
    certificate.to_der().map_err(broken)
}

/// From a little before `now`, against clocks that are behind, for so many days.
fn validity(now: SystemTime, days: u32) -> Result<Validity> {
    let day = Duration::from_secs(24 * 60 * 60);
    let too_long = || Failure::input("so many days end after the year 9999");
    // X.509 has no earlier time (RFC 5280, 4.1.2.5): a clock that nobody has set.
    let too_early = || Failure::new(Kind::Failed, "this machine's clock is before 1970: set it");
    let begin = now.checked_sub(Duration::from_secs(300)).ok_or_else(too_early)?;
    let end = day.checked_mul(days).and_then(|d| now.checked_add(d)).ok_or_else(too_long)?;
    Ok(Validity {
        not_before: Time::try_from(begin).map_err(|_| too_early())?,
        not_after: Time::try_from(end).map_err(|_| too_long())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_nonsense_is_not() {
        assert!(distinguished_name("CN=a,O=b").is_ok());
        for wrong in ["", "host", "CN", "=x", "NOSUCH=x"] {
            assert!(distinguished_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signature_halves_become_two_positive_integers() {
        assert_eq!(ecdsa_value(&[0x80, 0x01]).unwrap(), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
    }

    #[test]
    fn a_validity_of_ages_is_refused() {
        let now = SystemTime::now();
        assert!(validity(now, 365).is_ok());
        assert!(validity(now, u32::MAX).is_err());
    }

    #[test]
    fn a_clock_that_was_never_set_is_told_plainly() {
        let day = Duration::from_secs(24 * 60 * 60);
        let before = SystemTime::UNIX_EPOCH - day;
        for (now, days) in [(before, 1), (before, 365), (SystemTime::UNIX_EPOCH, 365)] {
            let said = validity(now, days).unwrap_err().message;
            assert!(said.contains("clock is before 1970: set it"), "{said}");
        }
        assert!(validity(SystemTime::UNIX_EPOCH + day, 365).is_ok());
    }
}
