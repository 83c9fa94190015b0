//! THE CASES: for every mechanism the keys it takes, its parameter, lengths of data, and how OpenSSL
//! does the same. A mechanism that is listed and has no case fails the tests that use them.

use cryptoki_sys::*;

use super::aead::{ccm, other_ccm, other_gcm};
use super::derivations::*;
use super::known::{Held, Keys, Known};
use super::mechanisms::with_parameter;
use super::message_encryption::{AAD, Given};
use super::openssl::path;
use super::p11::{Attr, Mech, flag, ulong};

/// How somebody else does the same.
#[derive(Clone)]
pub enum Other {
    /// It makes keys only: they are tried with these.
    Generation,
    /// `openssl dgst` by this hash.
    Digest(&'static str),
    /// `openssl mac`, of which so many bytes are taken.
    Mac(MacOf, usize),
    /// `openssl pkeyutl` with these options.
    Pkey(Vec<String>),
    /// `openssl enc` with the AES mode of this name ("aes-128-cbc" is "cbc") and these options.
    Cipher(&'static str, &'static [&'static str]),
    /// Another way to encrypt and to decrypt.
    Own { encrypt: Own, decrypt: Own },
    /// The value of a key that is derived.
    Derived(fn(&Known, &Held) -> Vec<u8>),
}

pub type Own = fn(&Known, &Held, &[u8]) -> Vec<u8>;

/// Which MAC.
#[derive(Clone, Copy)]
pub enum MacOf {
    Hmac(&'static str),
    Cmac,
    /// With the nonce that these cases have.
    Gmac,
}

/// How one mechanism is used.
#[derive(Clone)]
pub struct Case {
    pub ckm: CK_MECHANISM_TYPE,
    pub keys: Keys,
    pub mech: fn(CK_MECHANISM_TYPE, &Held) -> Mech,
    /// Lengths of data that it takes.
    pub lens: &'static [usize],
    /// Whether it takes data in parts.
    pub parts: bool,
    pub other: Other,
}

impl Case {
    pub fn mech(&self, held: &Held) -> Mech {
        (self.mech)(self.ckm, held)
    }

    /// The mechanism for data of `len` bytes, where its parameter says how many there are.
    pub fn mech_of(&self, held: &Held, len: usize) -> Mech {
        match self.ckm {
            CKM_AES_CCM => ccm(len, &NONCE, AAD, 16),
            _ => self.mech(held),
        }
    }

    /// A message of `len` bytes with the nonce and the tag that the one-shot operation has.
    pub fn message(&self, len: usize) -> Given {
        let given = if self.ckm == CKM_AES_CCM { Given::ccm(len, 16) } else { Given::gcm(16) };
        Given { nonce: NONCE.to_vec(), ..given }
    }

    /// The mechanism where a key is sent: the other's point is the public key itself.
    pub fn mech_to_encapsulate(&self, held: &Held) -> Mech {
        match self.keys {
            Keys::Ec => ecdh(self.ckm, CKD_NULL, &[]),
            _ => self.mech(held),
        }
    }

    /// The template of a key that is sent. Where a padding leaves its length open, 32 bytes.
    pub fn encapsulated(&self) -> Vec<Attr> {
        let mut template = vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
        if matches!(self.ckm, CKM_RSA_PKCS | CKM_RSA_PKCS_OAEP) {
            template.push(ulong(CKA_VALUE_LEN, 32));
        }
        template
    }

    /// The template of what is derived and may be read. Data has no rules for who reads it.
    pub fn derived(&self, len: usize) -> Vec<Attr> {
        let len = ulong(CKA_VALUE_LEN, len as CK_ULONG);
        match self.ckm {
            CKM_HKDF_DATA => vec![len],
            _ => vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false), len],
        }
    }

    /// Data of `len` bytes; below every RSA modulus where it is as long as one.
    pub fn data(&self, len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }
}

/// A hash and what is made of it.
struct Hashed {
    openssl: &'static str,
    digest: CK_MECHANISM_TYPE,
    pkcs: CK_MECHANISM_TYPE,
    pss: CK_MECHANISM_TYPE,
    ecdsa: CK_MECHANISM_TYPE,
}

macro_rules! hashed {
    ($openssl:literal, $digest:ident, $pkcs:ident, $pss:ident, $ecdsa:ident) => {
        Hashed { openssl: $openssl, digest: $digest, pkcs: $pkcs, pss: $pss, ecdsa: $ecdsa }
    };
}

const HASHED: [Hashed; 9] = [
    hashed!("sha1", CKM_SHA_1, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKM_ECDSA_SHA1),
    hashed!("sha224", CKM_SHA224, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKM_ECDSA_SHA224),
    hashed!("sha256", CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_ECDSA_SHA256),
    hashed!("sha384", CKM_SHA384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_ECDSA_SHA384),
    hashed!("sha512", CKM_SHA512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKM_ECDSA_SHA512),
    hashed!(
        "sha3-224",
        CKM_SHA3_224,
        CKM_SHA3_224_RSA_PKCS,
        CKM_SHA3_224_RSA_PKCS_PSS,
        CKM_ECDSA_SHA3_224
    ),
    hashed!(
        "sha3-256",
        CKM_SHA3_256,
        CKM_SHA3_256_RSA_PKCS,
        CKM_SHA3_256_RSA_PKCS_PSS,
        CKM_ECDSA_SHA3_256
    ),
    hashed!(
        "sha3-384",
        CKM_SHA3_384,
        CKM_SHA3_384_RSA_PKCS,
        CKM_SHA3_384_RSA_PKCS_PSS,
        CKM_ECDSA_SHA3_384
    ),
    hashed!(
        "sha3-512",
        CKM_SHA3_512,
        CKM_SHA3_512_RSA_PKCS,
        CKM_SHA3_512_RSA_PKCS_PSS,
        CKM_ECDSA_SHA3_512
    ),
];

/// HMAC by one hash: of full length, of any length, and the generation of keys for it.
const HMAC: [(&str, usize, [CK_MECHANISM_TYPE; 3]); 4] = [
    ("sha1", 20, [CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL, CKM_SHA_1_KEY_GEN]),
    ("sha256", 32, [CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, CKM_SHA256_KEY_GEN]),
    ("sha384", 48, [CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, CKM_SHA384_KEY_GEN]),
    ("sha512", 64, [CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, CKM_SHA512_KEY_GEN]),
];

/// Around the blocks of every hash.
const ANY: &[usize] = &[0, 1, 55, 64, 65, 137, 200];
/// Whole blocks and stolen ones.
const STOLEN: &[usize] = &[16, 17, 31, 32, 33, 200, 1024, 1025];
pub const NONCE: [u8; 12] = [7; 12];
const BLOCKS: &[usize] = &[16, 32, 1024, 1040];
/// What is derived from, where a parameter has data.
pub const DATA: [u8; 32] = *b"thirty-two bytes to derive from!";
const IV: &str = "07070707070707070707070707070707";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The case of `ckm`.
pub fn case(ckm: CK_MECHANISM_TYPE) -> Option<Case> {
    let new = |keys, lens, parts, other| {
        let mech = |ckm, _: &Held| with_parameter(ckm);
        Some(Case { ckm, keys, mech, lens, parts, other })
    };
    let cipher =
        |lens, parts, mode, options| new(Keys::Aes, lens, parts, Other::Cipher(mode, options));
    let with_iv: &[&str] = &["-iv", IV];
    let unpadded: &[&str] = &["-iv", IV, "-nopad"];
    let derived =
        |keys, mech, value| Some(Case { mech, ..new(keys, &[], false, Other::Derived(value))? });
    macro_rules! digested {
        ($hash:literal) => {
            derived(
                Keys::AnySecret,
                |ckm, _| Mech::plain(ckm),
                |known, held| known.openssl.digest($hash, &held.value),
            )
        };
    }
    match ckm {
        CKM_RSA_PKCS_KEY_PAIR_GEN => new(Keys::Rsa, &[], false, Other::Generation),
        CKM_EC_KEY_PAIR_GEN => new(Keys::Ec, &[], false, Other::Generation),
        CKM_AES_KEY_GEN => new(Keys::Aes, &[], false, Other::Generation),
        CKM_GENERIC_SECRET_KEY_GEN => new(Keys::Secret, &[], false, Other::Generation),
        CKM_RSA_PKCS => {
            let other = words(&["-pkeyopt", "rsa_padding_mode:pkcs1"]);
            new(Keys::Rsa, &[1, 20, 245], false, Other::Pkey(other))
        }
        CKM_RSA_X_509 => {
            let other = words(&["-pkeyopt", "rsa_padding_mode:none"]);
            new(Keys::Rsa, &[256], false, Other::Pkey(other))
        }
        CKM_RSA_PKCS_OAEP => {
            let other = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"];
            let other = other.iter().flat_map(|option| ["-pkeyopt", option]).collect::<Vec<_>>();
            new(Keys::Rsa, &[0, 1, 32, 190], false, Other::Pkey(words(&other)))
        }
        CKM_RSA_PKCS_PSS => {
            let other = ["digest:sha256", "rsa_padding_mode:pss", "rsa_pss_saltlen:32"];
            let other = other.iter().flat_map(|option| ["-pkeyopt", option]).collect::<Vec<_>>();
            new(Keys::Rsa, &[32], false, Other::Pkey(words(&other)))
        }
        CKM_ECDSA => new(Keys::Ec, &[1, 20, 28, 32, 48, 64], false, Other::Pkey(Vec::new())),
        CKM_ECDH1_DERIVE | CKM_ECDH1_COFACTOR_DERIVE => derived(
            Keys::Ec,
            |ckm, held| ecdh(ckm, CKD_NULL, &held.peer),
            |known, held| {
                let peer = path(&held.peer_file);
                let words = ["pkeyutl", "-derive", "-inkey", path(&held.file), "-peerkey", peer];
                known.openssl.run_alone(&words)
            },
        ),
        CKM_AES_ECB => cipher(BLOCKS, true, "ecb", &["-nopad"]),
        CKM_AES_CBC => cipher(BLOCKS, true, "cbc", unpadded),
        CKM_AES_CBC_PAD => cipher(ANY, true, "cbc", with_iv),
        CKM_AES_CTR => cipher(ANY, true, "ctr", with_iv),
        CKM_AES_OFB => cipher(ANY, true, "ofb", with_iv),
        CKM_AES_CFB128 => cipher(ANY, true, "cfb", with_iv),
        CKM_AES_CTS => cipher(STOLEN, true, "cbc-cts", with_iv),
        CKM_AES_GCM => {
            let encrypt: Own = |_, held, data| other_gcm(&held.value, &NONCE, AAD, data);
            let decrypt: Own =
                |_, held, sealed| opened(sealed, |data| other_gcm(&held.value, &NONCE, AAD, data));
            new(Keys::Aes, ANY, true, Other::Own { encrypt, decrypt })
        }
        CKM_AES_CCM => {
            let encrypt: Own = |_, held, data| other_ccm(&held.value, &NONCE, AAD, data, 16);
            let decrypt: Own = |_, held, sealed| {
                opened(sealed, |data| other_ccm(&held.value, &NONCE, AAD, data, 16))
            };
            new(Keys::Aes, ANY, true, Other::Own { encrypt, decrypt })
        }
        CKM_RSA_AES_KEY_WRAP => {
            let (encrypt, decrypt): (Own, Own) = (rsa_aes_wrapped, rsa_aes_unwrapped);
            new(Keys::Rsa, &[], false, Other::Own { encrypt, decrypt })
        }
        CKM_AES_KEY_WRAP => cipher(&[16, 24, 256], false, "wrap", &["-iv", "a6a6a6a6a6a6a6a6"]),
        CKM_AES_KEY_WRAP_KWP => {
            cipher(&[1, 8, 9, 20, 250], false, "wrap-pad", &["-iv", "a65959a6"])
        }
        CKM_AES_CMAC => new(Keys::Aes, ANY, true, Other::Mac(MacOf::Cmac, 16)),
        CKM_AES_CMAC_GENERAL => new(Keys::Aes, ANY, true, Other::Mac(MacOf::Cmac, 8)),
        CKM_AES_GMAC => new(Keys::Aes, ANY, true, Other::Mac(MacOf::Gmac, 16)),
        CKM_AES_ECB_ENCRYPT_DATA => derived(
            Keys::Aes,
            |ckm, _| with_data(ckm, &[], &DATA),
            |known, held| cipher_data(known, held, "ecb", &["-nopad"]),
        ),
        CKM_AES_CBC_ENCRYPT_DATA => derived(
            Keys::Aes,
            |ckm, _| with_data(ckm, &[7; 16], &DATA),
            |known, held| cipher_data(known, held, "cbc", &["-iv", IV, "-nopad"]),
        ),
        CKM_CONCATENATE_BASE_AND_KEY => derived(
            Keys::AnySecret,
            |ckm, held| Mech::bytes(ckm, &held.private.to_ne_bytes()),
            |_, held| [&held.value[..], &held.value].concat(),
        ),
        CKM_CONCATENATE_BASE_AND_DATA => derived(
            Keys::AnySecret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| [&held.value[..], &DATA].concat(),
        ),
        CKM_CONCATENATE_DATA_AND_BASE => derived(
            Keys::AnySecret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| [&DATA[..], &held.value].concat(),
        ),
        CKM_XOR_BASE_AND_DATA => derived(
            Keys::AnySecret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| held.value.iter().zip(DATA).map(|(byte, other)| byte ^ other).collect(),
        ),
        CKM_EXTRACT_KEY_FROM_KEY => derived(
            Keys::AnySecret,
            |ckm, _| Mech::bytes(ckm, &8usize.to_ne_bytes()),
            |_, held| held.value[1..].to_vec(),
        ),
        CKM_HKDF_KEY_GEN => new(Keys::Hkdf, &[], false, Other::Generation),
        CKM_HKDF_DERIVE | CKM_HKDF_DATA => {
            derived(Keys::Hkdf, |ckm, _| hkdf(ckm, None), other_hkdf)
        }
        CKM_SP800_108_COUNTER_KDF => derived(Keys::AnySecret, kdf, other_counter),
        CKM_SP800_108_FEEDBACK_KDF => derived(Keys::AnySecret, kdf, other_feedback),
        CKM_SP800_108_DOUBLE_PIPELINE_KDF => derived(Keys::AnySecret, kdf, other_pipeline),
        CKM_SHA1_KEY_DERIVATION => digested!("sha1"),
        CKM_SHA224_KEY_DERIVATION => digested!("sha224"),
        CKM_SHA256_KEY_DERIVATION => digested!("sha256"),
        CKM_SHA384_KEY_DERIVATION => digested!("sha384"),
        CKM_SHA512_KEY_DERIVATION => digested!("sha512"),
        CKM_SHA512_224_KEY_DERIVATION => digested!("sha512-224"),
        CKM_SHA512_256_KEY_DERIVATION => digested!("sha512-256"),
        CKM_SHA3_224_KEY_DERIVATION => digested!("sha3-224"),
        CKM_SHA3_256_KEY_DERIVATION => digested!("sha3-256"),
        CKM_SHA3_384_KEY_DERIVATION => digested!("sha3-384"),
        CKM_SHA3_512_KEY_DERIVATION => digested!("sha3-512"),
        CKM_SHA512_224 => new(Keys::None, ANY, true, Other::Digest("sha512-224")),
        CKM_SHA512_256 => new(Keys::None, ANY, true, Other::Digest("sha512-256")),
        _ => hashed(ckm).or_else(|| hmac(ckm)),
    }
}

fn hashed(ckm: CK_MECHANISM_TYPE) -> Option<Case> {
    let named = |row: &&Hashed| [row.digest, row.pkcs, row.pss, row.ecdsa].contains(&ckm);
    let row = HASHED.iter().find(named)?;
    let raw = ["-rawin", "-digest", row.openssl];
    let (keys, other) = if ckm == row.digest {
        (Keys::None, Other::Digest(row.openssl))
    } else if ckm == row.pss {
        let more = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:20"];
        (Keys::Rsa, Other::Pkey(words(&[&raw[..], &more].concat())))
    } else {
        let keys = if ckm == row.ecdsa { Keys::Ec } else { Keys::Rsa };
        (keys, Other::Pkey(words(&raw)))
    };
    Some(Case { ckm, keys, mech: |ckm, _| with_parameter(ckm), lens: ANY, parts: true, other })
}

fn hmac(ckm: CK_MECHANISM_TYPE) -> Option<Case> {
    let (hash, len, row) = HMAC.iter().find(|(_, _, row)| row.contains(&ckm))?;
    let other = match row.iter().position(|own| *own == ckm) {
        Some(0) => Other::Mac(MacOf::Hmac(hash), *len),
        Some(1) => Other::Mac(MacOf::Hmac(hash), 8),
        _ => Other::Generation,
    };
    let mech = |ckm, _: &Held| with_parameter(ckm);
    Some(Case { ckm, keys: Keys::Secret, mech, lens: ANY, parts: true, other })
}

/// CK_KEY_DERIVATION_STRING_DATA and its like: the data's address goes behind `before`.
pub fn with_data(ckm: CK_MECHANISM_TYPE, before: &[u8], data: &'static [u8]) -> Mech {
    let address = data.as_ptr() as usize;
    let len = data.len() as CK_ULONG;
    Mech::bytes(ckm, &[before, &address.to_ne_bytes(), &len.to_ne_bytes()].concat())
}

/// CK_ECDH1_DERIVE_PARAMS. The point is never freed.
pub fn ecdh(ckm: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, point: &[u8]) -> Mech {
    let point: &'static [u8] = point.to_vec().leak();
    let start = if point.is_empty() { 0 } else { point.as_ptr() as usize };
    let fields = [kdf as usize, 0, 0, point.len(), start];
    Mech::bytes(ckm, &fields.map(usize::to_ne_bytes).concat())
}

/// Opens what `seal` makes: its key stream is the same both ways, and the tag is what it makes again.
fn opened(sealed: &[u8], seal: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let len = sealed.len() - 16;
    let mut plain = seal(&sealed[..len]);
    plain.truncate(len);
    assert_eq!(seal(&plain), sealed, "the tag");
    plain
}

const OAEP: [&str; 6] = [
    "-pkeyopt",
    "rsa_padding_mode:oaep",
    "-pkeyopt",
    "rsa_oaep_md:sha256",
    "-pkeyopt",
    "rsa_mgf1_md:sha256",
];
const PADDED: [&str; 3] = ["-id-aes256-wrap-pad", "-iv", "a65959a6"];

/// An AES key of one use under RSA, and the rest under that.
fn rsa_aes_wrapped(known: &Known, held: &Held, data: &[u8]) -> Vec<u8> {
    let once = [0x11; 32];
    let first = known.openssl.pkey("-encrypt", &held.file, &OAEP, &once);
    [first, known.openssl.cipher(&PADDED, &once, data)].concat()
}

fn rsa_aes_unwrapped(known: &Known, held: &Held, wrapped: &[u8]) -> Vec<u8> {
    let (first, second) = wrapped.split_at(2 * held.width);
    let once = known.openssl.pkey("-decrypt", &held.file, &OAEP, first);
    let options = [&PADDED[..], &["-d"]].concat();
    known.openssl.cipher(&options, &once, second)
}

fn cipher_data(known: &Known, held: &Held, mode: &str, options: &[&str]) -> Vec<u8> {
    let name = cipher_name(mode, &held.value);
    known.openssl.cipher(&[&[&*name], options].concat(), &held.value, &DATA)
}

/// `openssl enc`'s option for an AES mode with such a key.
pub fn cipher_name(mode: &str, key: &[u8]) -> String {
    let bits = 8 * key.len();
    match mode {
        "wrap" | "wrap-pad" => format!("-id-aes{bits}-{mode}"),
        _ => format!("-aes-{bits}-{mode}"),
    }
}
