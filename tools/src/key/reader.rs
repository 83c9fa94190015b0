//! Private keys in the files of other programs: PEM and DER of PKCS#1, SEC 1 and PKCS#8, PKCS#12,
//! OpenSSH.

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode};
use hierarkey::cryptoki::*;
use hierarkey::object::template::RawAttribute;
use pkcs8::PrivateKeyInfo;
use pkcs12::pbe_params::EncryptedPrivateKeyInfo;
use zeroize::Zeroizing;

use super::info::CURVES;
use super::{cost, pfx};
use crate::failure::{Failure, Kind, Result};
use crate::token_session::{bytes, ulong};

pub type Secret = Zeroizing<Vec<u8>>;

/// What a file holds.
#[derive(Default)]
pub struct Contents {
    /// The attributes that are the private key's value.
    pub key: Option<PrivateKey>,
    /// X.509 certificates as DER, in the file's order.
    pub certificates: Vec<Vec<u8>>,
}

/// A private key's numbers, as PKCS#11 names them.
pub struct PrivateKey {
    pub key_type: CK_KEY_TYPE,
    numbers: Vec<(CK_ATTRIBUTE_TYPE, Secret)>,
}

impl PrivateKey {
    /// An RSA key's public exponent, big-endian.
    pub fn exponent(&self) -> Option<&[u8]> {
        let found = self.numbers.iter().find(|(kind, _)| *kind == CKA_PUBLIC_EXPONENT);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn attributes(&self) -> Vec<RawAttribute> {
        let mut attributes = vec![ulong(CKA_KEY_TYPE, self.key_type)];
        attributes.extend(self.numbers.iter().map(|(kind, value)| bytes(*kind, value.to_vec())));
        attributes
    }
}

/// How the passphrase is come by, when there is something to open with it.
pub type Ask<'a> = &'a dyn Fn() -> Result<Secret>;

/// rsaEncryption (RFC 8017).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-RSASSA-PSS (RFC 4055).
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// id-ecPublicKey (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

pub fn bad(why: impl Into<String>) -> Failure {
    Failure::input(why)
}

pub fn wrong_passphrase() -> Failure {
    Failure::new(Kind::Pin, "the passphrase does not open the file: give the right one")
}

/// Reads `file`, whatever of these it is.
pub fn read(file: &[u8], ask: Ask<'_>) -> Result<Contents> {
    if file.windows(11).any(|window| window == b"-----BEGIN ") {
        let text = std::str::from_utf8(file).map_err(|_| bad("is no text, though it says PEM"))?;
        return read_pem(text, ask);
    }
    let mut contents = Contents::default();
    if let Ok(info) = PrivateKeyInfo::from_der(file) {
        contents.key = Some(from_pkcs8(&info)?);
    } else if EncryptedPrivateKeyInfo::from_der(file).is_ok() {
        contents.key = Some(from_encrypted(file, ask)?);
    } else if pkcs1::RsaPrivateKey::from_der(file).is_ok() {
        contents.key = Some(from_pkcs1(file)?);
    } else if sec1::EcPrivateKey::from_der(file).is_ok() {
        contents.key = Some(from_sec1(file, None)?);
    } else if x509_cert::Certificate::from_der(file).is_ok() {
        contents.certificates.push(file.to_vec());
    } else if looks_like_pkcs12(file) {
        return from_pkcs12(file, ask);
    } else {
        return Err(bad("is no private key and no certificate in PEM, DER, PKCS#8, PKCS#12 or \
                        OpenSSH's form"));
    }
    Ok(contents)
}

/// A SEQUENCE that begins with version 3 (RFC 7292, 4).
fn looks_like_pkcs12(file: &[u8]) -> bool {
    let header = match file {
        [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x83, _, _, _, rest @ ..] => rest,
        [0x30, 0x80 | 0x81, rest @ ..] => rest.get(1..).unwrap_or(rest),
        _ => return false,
    };
    header.starts_with(&[2, 1, 3]) || file.starts_with(&[0x30, 0x80, 2, 1, 3])
}

fn read_pem(text: &str, ask: Ask<'_>) -> Result<Contents> {
    let mut contents = Contents::default();
    for block in blocks(text)? {
        let key = match block.label {
            "OPENSSH PRIVATE KEY" => from_openssh(block.text, ask)?,
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                contents.certificates.push(block.der()?.to_vec());
                continue;
            }
            "PRIVATE KEY" => {
                let der = block.der()?;
                from_pkcs8(&PrivateKeyInfo::from_der(&der).map_err(|_| bad("damaged PKCS#8"))?)?
            }
            "ENCRYPTED PRIVATE KEY" => from_encrypted(&block.der()?, ask)?,
            "RSA PRIVATE KEY" => from_pkcs1(&block.der()?)?,
            "EC PRIVATE KEY" => from_sec1(&block.der()?, None)?,
            // What openssl writes beside keys, and what others keep in the same file.
            _ => continue,
        };
        if contents.key.replace(key).is_some() {
            return Err(bad("has more than one private key: put each in a file of its own"));
        }
    }
    Ok(contents)
}

/// One PEM block: its label, and its text with the lines around it.
struct Block<'a> {
    label: &'a str,
    text: &'a str,
}

impl Block<'_> {
    fn der(&self) -> Result<Secret> {
        if self.text.contains("Proc-Type:") {
            return Err(bad(
                "is encrypted in OpenSSL's old way: bring it into PKCS#8 first, with \
                            openssl pkcs8 -topk8 -in FILE -out NEW",
            ));
        }
        let (_, der) = der::pem::decode_vec(self.text.as_bytes())
            .map_err(|error| bad(format!("damaged PEM: {error}")))?;
        Ok(Zeroizing::new(der))
    }
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let damaged = || bad("damaged PEM: a block does not end");
        let (label, _) = begun.split_once("-----").ok_or_else(damaged)?;
        let end = format!("-----END {label}-----");
        let len = begun.find(&end).ok_or_else(damaged)? + end.len();
        let start = text.len() - begun.len() - "-----BEGIN ".len();
        let block = text.get(start..text.len() - begun.len() + len).ok_or_else(damaged)?;
        blocks.push(Block { label, text: block });
        rest = begun.get(len..).unwrap_or_default();
    }
    Ok(blocks)
}

fn from_encrypted(der: &[u8], ask: Ask<'_>) -> Result<PrivateKey> {
    let info = EncryptedPrivateKeyInfo::from_der(der).map_err(|_| bad("damaged PKCS#8"))?;
    let algorithm = &info.encryption_algorithm;
    pfx::must_be_readable(algorithm)?;
    cost::check_der(der)?;
    let passphrase = ask()?;
    let passphrase = std::str::from_utf8(&passphrase).map_err(|_| wrong_passphrase())?;
    let plain = pfx::decrypt(algorithm, info.encrypted_data.as_bytes(), passphrase)?;
    // A wrong passphrase may leave a padding that seems right.
    let info = PrivateKeyInfo::from_der(&plain).map_err(|_| wrong_passphrase())?;
    from_pkcs8(&info)
}

fn from_pkcs8(info: &PrivateKeyInfo<'_>) -> Result<PrivateKey> {
    match info.algorithm.oid {
        RSA => from_pkcs1(info.private_key),
        EC => {
            let curve = info.algorithm.parameters_oid().map_err(|_| {
                bad("its curve is described instead of named: only P-256, P-384 and P-521 go into \
                     a TPM")
            })?;
            from_sec1(info.private_key, Some(curve))
        }
        RSA_PSS => Err(bad("is an RSA key for PSS alone, whose bounds a TPM does not keep")),
        _ => Err(bad("is neither an RSA nor an EC key: a TPM takes no other (no Ed25519, no DSA)")),
    }
}

fn secret(bytes: &[u8]) -> Secret {
    Zeroizing::new(bytes.to_vec())
}

fn from_pkcs1(der: &[u8]) -> Result<PrivateKey> {
    let key = pkcs1::RsaPrivateKey::from_der(der).map_err(|_| bad("a damaged RSA key"))?;
    if key.other_prime_infos.is_some() {
        return Err(bad("has more than two primes: no TPM takes it"));
    }
    let numbers = [
        (CKA_MODULUS, key.modulus),
        (CKA_PUBLIC_EXPONENT, key.public_exponent),
        (CKA_PRIVATE_EXPONENT, key.private_exponent),
        (CKA_PRIME_1, key.prime1),
        (CKA_PRIME_2, key.prime2),
        (CKA_EXPONENT_1, key.exponent1),
        (CKA_EXPONENT_2, key.exponent2),
        (CKA_COEFFICIENT, key.coefficient),
    ];
    let numbers = numbers.map(|(kind, number)| (kind, secret(number.as_bytes()))).to_vec();
    Ok(PrivateKey { key_type: CKK_RSA, numbers })
}

fn from_sec1(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<PrivateKey> {
    let key = sec1::EcPrivateKey::from_der(der).map_err(|_| {
        bad("an EC key that is damaged, or whose curve is described instead of named (openssl ec \
             -param_enc named_curve names it)")
    })?;
    let curve = curve
        .or_else(|| key.parameters.and_then(|parameters| parameters.named_curve()))
        .ok_or_else(|| bad("does not name its curve"))?;
    from_scalar(&curve.to_der().unwrap_or_default(), key.private_key, key.public_key)
}

/// `point` is uncompressed, without DER around it.
fn from_scalar(params: &[u8], scalar: &[u8], point: Option<&[u8]>) -> Result<PrivateKey> {
    if !CURVES.iter().any(|(_, der)| *der == params) {
        return Err(bad("is on a curve that is not offered: P-256, P-384 and P-521 are"));
    }
    let mut numbers = vec![(CKA_EC_PARAMS, secret(params)), (CKA_VALUE, secret(scalar))];
    // The module computes the point where there is none, and compares where there is one.
    if let Some(point) = point.filter(|point| point.first() == Some(&4)) {
        let wrapped = OctetStringRef::new(point).and_then(|point| point.to_der());
        numbers.push((CKA_EC_POINT, secret(&wrapped.map_err(|_| bad("a damaged EC key"))?)));
    }
    Ok(PrivateKey { key_type: CKK_EC, numbers })
}

fn from_pkcs12(file: &[u8], ask: Ask<'_>) -> Result<Contents> {
    let bags = pfx::read(file, ask)?;
    let mut keys = bags.keys.iter();
    let key = match (keys.next(), keys.next()) {
        (_, Some(_)) => {
            return Err(bad("has more than one private key: export each by itself"));
        }
        (Some(key), None) => {
            let info =
                PrivateKeyInfo::from_der(key).map_err(|_| bad("PKCS#12 with a damaged key"))?;
            Some(from_pkcs8(&info)?)
        }
        (None, None) => None,
    };
    Ok(Contents { key, certificates: bags.certificates })
}

fn from_openssh(text: &str, ask: Ask<'_>) -> Result<PrivateKey> {
    use ssh_key::private::KeypairData;
    let damaged = |error: ssh_key::Error| bad(format!("a damaged OpenSSH key: {error}"));
    let mut key = ssh_key::PrivateKey::from_openssh(text).map_err(damaged)?;
    if key.is_encrypted() {
        cost::check_bcrypt(key.kdf())?;
        key = key.decrypt(ask()?.as_slice()).map_err(|_| wrong_passphrase())?;
    }
    match key.key_data() {
        KeypairData::Rsa(pair) => {
            let number = |number: &ssh_key::Mpint| {
                number.as_positive_bytes().map(secret).ok_or_else(|| bad("a damaged OpenSSH key"))
            };
            let numbers = vec![
                (CKA_MODULUS, number(&pair.public.n)?),
                (CKA_PUBLIC_EXPONENT, number(&pair.public.e)?),
                (CKA_PRIVATE_EXPONENT, number(&pair.private.d)?),
                (CKA_PRIME_1, number(&pair.private.p)?),
                (CKA_PRIME_2, number(&pair.private.q)?),
            ];
            Ok(PrivateKey { key_type: CKK_RSA, numbers })
        }
        KeypairData::Ecdsa(pair) => {
            let curve = match pair.curve() {
                ssh_key::EcdsaCurve::NistP256 => "p256",
                ssh_key::EcdsaCurve::NistP384 => "p384",
                ssh_key::EcdsaCurve::NistP521 => "p521",
            };
            let params = CURVES.iter().find(|(name, _)| *name == curve).map_or(&[][..], |c| c.1);
            from_scalar(params, pair.private_key_bytes(), Some(pair.public_key_bytes()))
        }
        _ => Err(bad("is neither an RSA nor an ECDSA key: a TPM takes no other (no Ed25519)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Result<Secret> {
        Err(Failure::new(Kind::Pin, "nobody to ask"))
    }

    #[test]
    fn rubbish_of_every_kind_is_refused_and_does_not_panic() {
        let cases: &[&[u8]] = &[
            b"",
            b"hello",
            b"\x30\x82\x00\x00\x02\x01\x03",
            b"\x30\x80\x02\x01\x03",
            b"\x30\x81",
            b"-----BEGIN ",
            b"-----BEGIN PRIVATE KEY-----",
            b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n",
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END RSA PRIVATE KEY-----",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            b"\xff-----BEGIN PRIVATE KEY-----",
        ];
        for case in cases {
            assert!(read(case, &nobody).is_err(), "{case:?}");
        }
    }

    #[test]
    fn blocks_are_found_between_other_lines() {
        let text = "Bag Attributes\n-----BEGIN A-----\nx\n-----END A-----\nmore\n\
                    -----BEGIN B C-----\ny\n-----END B C-----\n";
        let found = blocks(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, "-----BEGIN A-----\nx\n-----END A-----");
        assert_eq!(found[1].label, "B C");
        assert_eq!(found[1].text, "-----BEGIN B C-----\ny\n-----END B C-----");
    }
}
