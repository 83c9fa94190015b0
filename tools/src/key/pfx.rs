//! PKCS#12 (RFC 7292): bags of keys and certificates, most of them encrypted, under one passphrase.

use std::cell::OnceCell;

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit};
use cms::content_info::ContentInfo;
use cms::encrypted_data::EncryptedData;
use der::asn1::{Any, ContextSpecific, ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use des::{TdesEde2, TdesEde3};
use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::{Digest, FixedOutputReset};
use hmac::{Mac, SimpleHmac};
use pkcs8::pkcs5::pbes2;
use pkcs12::authenticated_safe::AuthenticatedSafe;
use pkcs12::cert_type::CertBag;
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use pkcs12::mac_data::MacData;
use pkcs12::pbe_params::{EncryptedPrivateKeyInfo, Pkcs12PbeParams};
use pkcs12::pfx::Pfx;
use pkcs12::safe_bag::SafeContents;
use rc2::Rc2;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use x509_cert::spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::cost;
use super::reader::{Ask, Secret, bad, wrong_passphrase};
use crate::failure::Result;

const fn oid(numbers: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(numbers)
}

// RFC 5652, 4 and 8.
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
// RFC 7292, appendix D.
const KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const SAFE_CONTENTS_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.6");
const X509_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
// RFC 7292, appendix C; RFC 8018, A.4.
const TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.3");
const TRIPLE_DES_OF_TWO_KEYS: ObjectIdentifier = oid("1.2.840.113549.1.12.1.4");
const RC2_128: ObjectIdentifier = oid("1.2.840.113549.1.12.1.5");
const RC2_40: ObjectIdentifier = oid("1.2.840.113549.1.12.1.6");
const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
// RFC 8017, appendix B.1.
const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

/// Bags in bags, no deeper than this.
const DEPTH: usize = 4;

/// What is in the bags, in the file's order.
#[derive(Default)]
pub struct Bags {
    /// PKCS#8 as DER.
    pub keys: Vec<Secret>,
    /// X.509 as DER.
    pub certificates: Vec<Vec<u8>>,
}

/// The passphrase, asked for once, and only if something needs it.
struct Passphrase<'a> {
    ask: Ask<'a>,
    known: OnceCell<Secret>,
}

impl Passphrase<'_> {
    fn text(&self) -> Result<&str> {
        let known = match self.known.get() {
            Some(known) => known,
            None => {
                let asked = (self.ask)()?;
                self.known.get_or_init(|| asked)
            }
        };
        std::str::from_utf8(known).map_err(|_| wrong_passphrase())
    }
}

/// Opens all bags of `file`.
pub fn read(file: &[u8], ask: Ask<'_>) -> Result<Bags> {
    // What an encrypted part wants is seen when it is open: what all of them want together counts.
    let mut work = cost::Work::default();
    work.add(file)?;
    let damaged = |error: der::Error| bad(format!("PKCS#12 that cannot be read: {error}"));
    let passphrase = Passphrase { ask, known: OnceCell::new() };
    let pfx = Pfx::from_der(file).map_err(damaged)?;
    if pfx.auth_safe.content_type != DATA {
        return Err(bad("is PKCS#12 that is signed instead of kept by a passphrase"));
    }
    let content: OctetString = pfx.auth_safe.content.decode_as().map_err(damaged)?;
    if let Some(mac) = &pfx.mac_data {
        // Many files have an empty passphrase: nobody needs to be asked for that.
        if verify(mac, content.as_bytes(), "").is_ok() {
            passphrase.known.get_or_init(Secret::default);
        }
        verify(mac, content.as_bytes(), passphrase.text()?)?;
    }
    let safes = AuthenticatedSafe::from_der(content.as_bytes()).map_err(damaged)?;
    let mut bags = Bags::default();
    let mut opened = Vec::new();
    for safe in &safes {
        let (plain, was_encrypted) = open(safe, &passphrase)?;
        if was_encrypted {
            work.add(&plain)?;
        }
        // A wrong passphrase may leave a padding that seems right.
        let contents = SafeContents::from_der(&plain)
            .map_err(|error| if was_encrypted { wrong_passphrase() } else { damaged(error) })?;
        opened.push(contents);
    }
    for contents in opened {
        empty(contents, &passphrase, DEPTH, &mut bags)?;
    }
    Ok(bags)
}

/// A safe's contents as DER, and whether they were encrypted.
fn open(safe: &ContentInfo, passphrase: &Passphrase<'_>) -> Result<(Secret, bool)> {
    let damaged = |_| bad("PKCS#12 with a damaged part");
    match safe.content_type {
        DATA => {
            let content: OctetString = safe.content.decode_as().map_err(damaged)?;
            Ok((Zeroizing::new(content.into_bytes()), false))
        }
        ENCRYPTED_DATA => {
            let data: EncryptedData = safe.content.decode_as().map_err(damaged)?;
            let info = data.enc_content_info;
            let content =
                info.encrypted_content.ok_or_else(|| bad("PKCS#12 with an empty part"))?;
            let plain = decrypt(&info.content_enc_alg, content.as_bytes(), passphrase.text()?)?;
            Ok((plain, true))
        }
        _ => Err(bad("PKCS#12 that is encrypted for a public key: export it under a passphrase")),
    }
}

/// Takes out what is in the bags.
fn empty(
    contents: SafeContents,
    passphrase: &Passphrase<'_>,
    depth: usize,
    bags: &mut Bags,
) -> Result<()> {
    let damaged = |_| bad("PKCS#12 with a damaged bag");
    for bag in contents {
        let value = Zeroizing::new(bag.bag_value);
        match bag.bag_id {
            KEY_BAG => {
                let key = ContextSpecific::<Any>::from_der(&value).map_err(damaged)?.value;
                bags.keys.push(Zeroizing::new(key.to_der().map_err(damaged)?));
            }
            SHROUDED_KEY_BAG => {
                let key = ContextSpecific::<EncryptedPrivateKeyInfo>::from_der(&value);
                let key = key.map_err(damaged)?.value;
                let data = key.encrypted_data.as_bytes();
                bags.keys.push(decrypt(&key.encryption_algorithm, data, passphrase.text()?)?);
            }
            CERT_BAG => {
                let bag = ContextSpecific::<CertBag>::from_der(&value).map_err(damaged)?.value;
                if bag.cert_id == X509_CERTIFICATE {
                    bags.certificates.push(bag.cert_value.into_bytes());
                }
            }
            SAFE_CONTENTS_BAG => {
                let inner = ContextSpecific::<SafeContents>::from_der(&value).map_err(damaged)?;
                let depth = depth.checked_sub(1);
                let depth = depth.ok_or_else(|| bad("PKCS#12 with too many bags in bags"))?;
                empty(inner.value, passphrase, depth, bags)?;
            }
            // Revocation lists, and secrets of other kinds.
            _ => {}
        }
    }
    Ok(())
}

fn unreadable(what: &str) -> crate::failure::Failure {
    bad(format!(
        "is {what} in a way that is not read here: write it anew with a newer OpenSSL, by openssl \
         pkcs8 -topk8 -v2 aes-256-cbc or openssl pkcs12 -export"
    ))
}

/// Fails where nothing can be decrypted by this, whatever the passphrase.
pub fn must_be_readable(algorithm: &AlgorithmIdentifierOwned) -> Result<()> {
    let known = [PBES2, TRIPLE_DES, TRIPLE_DES_OF_TWO_KEYS, RC2_128, RC2_40];
    if known.contains(&algorithm.oid) { Ok(()) } else { Err(unreadable("encrypted")) }
}

/// Data of PKCS#12 or PKCS#8 by the scheme that it names.
pub fn decrypt(
    algorithm: &AlgorithmIdentifierOwned,
    data: &[u8],
    passphrase: &str,
) -> Result<Secret> {
    let parameters = algorithm.parameters.as_ref().and_then(|one| one.to_der().ok());
    let parameters = parameters.ok_or_else(|| unreadable("encrypted"))?;
    if algorithm.oid == PBES2 {
        let scheme =
            pbes2::Parameters::from_der(&parameters).map_err(|_| unreadable("encrypted"))?;
        let plain = scheme.decrypt(passphrase, data).map_err(|_| wrong_passphrase())?;
        return Ok(Zeroizing::new(plain));
    }
    let parameters = Pkcs12PbeParams::from_der(&parameters).map_err(|_| unreadable("encrypted"))?;
    match algorithm.oid {
        TRIPLE_DES => decrypt_cbc::<TdesEde3>(24, &parameters, data, passphrase),
        TRIPLE_DES_OF_TWO_KEYS => decrypt_cbc::<TdesEde2>(16, &parameters, data, passphrase),
        RC2_128 => decrypt_cbc::<Rc2>(16, &parameters, data, passphrase),
        RC2_40 => decrypt_cbc::<Rc2>(5, &parameters, data, passphrase),
        _ => Err(unreadable("encrypted")),
    }
}

/// RFC 7292, appendix C: key and IV by PKCS#12's own derivation.
fn decrypt_cbc<C: KeyInit + BlockCipher + BlockDecryptMut>(
    key_len: usize,
    parameters: &Pkcs12PbeParams,
    data: &[u8],
    passphrase: &str,
) -> Result<Secret> {
    let (salt, rounds) = (parameters.salt.as_bytes(), parameters.iterations);
    let derive = |what, len| {
        let derived = derive_key_utf8::<Sha1>(passphrase, salt, what, rounds, len);
        derived.map(Zeroizing::new).map_err(|_| wrong_passphrase())
    };
    let key = derive(Pkcs12KeyType::EncryptionKey, key_len)?;
    let iv = derive(Pkcs12KeyType::Iv, 8)?;
    let cipher = Decryptor::<C>::new_from_slices(&key, &iv).map_err(|_| unreadable("encrypted"))?;
    let plain = cipher.decrypt_padded_vec_mut::<Pkcs7>(data).map_err(|_| wrong_passphrase())?;
    Ok(Zeroizing::new(plain))
}

fn verify(mac: &MacData, content: &[u8], passphrase: &str) -> Result<()> {
    match mac.mac.algorithm.oid {
        SHA1 => verify_by::<Sha1>(mac, content, passphrase),
        SHA224 => verify_by::<Sha224>(mac, content, passphrase),
        SHA256 => verify_by::<Sha256>(mac, content, passphrase),
        SHA384 => verify_by::<Sha384>(mac, content, passphrase),
        SHA512 => verify_by::<Sha512>(mac, content, passphrase),
        _ => Err(unreadable("authenticated")),
    }
}

/// RFC 7292, 4 and appendix B.
fn verify_by<D: Digest + FixedOutputReset + BlockSizeUser>(
    mac: &MacData,
    content: &[u8],
    passphrase: &str,
) -> Result<()> {
    let (salt, len) = (mac.mac_salt.as_bytes(), <D as Digest>::output_size());
    let key = derive_key_utf8::<D>(passphrase, salt, Pkcs12KeyType::Mac, mac.iterations, len);
    let key = Zeroizing::new(key.map_err(|_| wrong_passphrase())?);
    let hmac = <SimpleHmac<D> as Mac>::new_from_slice(&key).map_err(|_| wrong_passphrase())?;
    let whole = hmac.chain_update(content).verify_slice(mac.mac.digest.as_bytes());
    whole.map_err(|_| wrong_passphrase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A passphrase of PBES2, that wants `rounds`, around `inner`; as AlgorithmIdentifier and bytes.
    fn encrypted(inner: &[u8], rounds: u32) -> (AlgorithmIdentifierOwned, OctetString) {
        let scheme =
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(rounds, b"salt0123", &[7; 16]).unwrap();
        // What nobody will get as far as decrypting need not be encrypted.
        let data =
            if rounds > 4096 { vec![0; 32] } else { scheme.encrypt("hello", inner).unwrap() };
        let parameters = Some(Any::from_der(&scheme.to_der().unwrap()).unwrap());
        (AlgorithmIdentifierOwned { oid: PBES2, parameters }, OctetString::new(data).unwrap())
    }

    fn explicit(tag: u8, inner: &[u8]) -> Vec<u8> {
        let len = u16::try_from(inner.len()).unwrap().to_be_bytes();
        let header = match inner.len() {
            0..0x80 => vec![tag, len[1]],
            0x80..0x100 => vec![tag, 0x81, len[1]],
            _ => vec![tag, 0x82, len[0], len[1]],
        };
        [&header, inner].concat()
    }

    /// A key bag with so many rounds, in a part that is encrypted itself.
    fn file(outer_rounds: u32, inner_rounds: &[u32]) -> Vec<u8> {
        let mut bags = Vec::new();
        for rounds in inner_rounds {
            let (algorithm, data) = encrypted(b"a key", *rounds);
            let key = [algorithm.to_der().unwrap(), data.to_der().unwrap()].concat();
            let key = explicit(0xa0, &explicit(0x30, &key));
            bags.extend(explicit(0x30, &[SHROUDED_KEY_BAG.to_der().unwrap(), key].concat()));
        }
        let (algorithm, data) = encrypted(&explicit(0x30, &bags), outer_rounds);
        let content = explicit(0x80, data.as_bytes());
        let info = [DATA.to_der().unwrap(), algorithm.to_der().unwrap(), content].concat();
        let data = explicit(0x30, &[&[2, 1, 0], &explicit(0x30, &info)[..]].concat());
        let data = [ENCRYPTED_DATA.to_der().unwrap(), explicit(0xa0, &data)].concat();
        let safes = OctetString::new(explicit(0x30, &explicit(0x30, &data))).unwrap();
        let safes = [DATA.to_der().unwrap(), explicit(0xa0, &safes.to_der().unwrap())].concat();
        explicit(0x30, &[&[2, 1, 3], &explicit(0x30, &safes)[..]].concat())
    }

    fn hello() -> Result<Secret> {
        Ok(Zeroizing::new(b"hello".to_vec()))
    }

    #[test]
    fn what_an_encrypted_part_wants_counts_before_it_is_done() {
        let bags = read(&file(2048, &[1000, 1000]), &hello).unwrap();
        assert_eq!(bags.keys.iter().map(|key| &key[..]).collect::<Vec<_>>(), [b"a key"; 2]);
        for (outer, inner) in [(9_000_000, &[1][..]), (2048, &[9_000_000]), (2048, &[3_000_000; 3])]
        {
            let said = read(&file(outer, inner), &hello).map(|_| ()).unwrap_err().message;
            assert!(said.contains("wants more work"), "{outer} {inner:?}: {said}");
        }
    }

    #[test]
    fn another_passphrase_is_a_wrong_one() {
        let other = || Ok(Zeroizing::new(b"other".to_vec()));
        let said = read(&file(2048, &[1]), &other).map(|_| ()).unwrap_err().message;
        assert!(said.contains("passphrase does not open"), "{said}");
    }
}
