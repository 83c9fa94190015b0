//! THE CASES: for every mechanism the keys it takes, its parameter, lengths of data, and how OpenSSL
//! does the same. A mechanism that is listed and has no case fails the tests that use them.

use cryptoki_sys::*;

use super::known::{Held, Keys, Known};
use super::mechanisms::with_parameter;
use super::openssl::path;
use super::p11::Mech;

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
        CKM_AES_KEY_WRAP => cipher(&[16, 24, 256], false, "wrap", &["-iv", "a6a6a6a6a6a6a6a6"]),
        CKM_AES_KEY_WRAP_KWP => {
            cipher(&[1, 8, 9, 20, 250], false, "wrap-pad", &["-iv", "a65959a6"])
        }
        CKM_AES_CMAC => new(Keys::Aes, ANY, true, Other::Mac(MacOf::Cmac, 16)),
        CKM_AES_CMAC_GENERAL => new(Keys::Aes, ANY, true, Other::Mac(MacOf::Cmac, 8)),
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
        CKM_CONCATENATE_BASE_AND_DATA => derived(
            Keys::Secret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| [&held.value[..], &DATA].concat(),
        ),
        CKM_CONCATENATE_DATA_AND_BASE => derived(
            Keys::Secret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| [&DATA[..], &held.value].concat(),
        ),
        CKM_XOR_BASE_AND_DATA => derived(
            Keys::Secret,
            |ckm, _| with_data(ckm, &[], &DATA),
            |_, held| held.value.iter().zip(DATA).map(|(byte, other)| byte ^ other).collect(),
        ),
        CKM_EXTRACT_KEY_FROM_KEY => derived(
            Keys::Secret,
            |ckm, _| Mech::bytes(ckm, &8usize.to_ne_bytes()),
            |_, held| held.value[1..].to_vec(),
        ),
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
    let fields = [kdf as usize, 0, 0, point.len(), point.as_ptr() as usize];
    Mech::bytes(ckm, &fields.map(usize::to_ne_bytes).concat())
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
