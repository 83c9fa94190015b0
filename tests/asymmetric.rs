//! RSA with every hash, mask and label, curves by every name, and paddings that tell nothing.

mod common;

use common::fixture::*;
use common::known::{CURVES, Held, Keys, Known, flags, rsa_numbers};
use common::mechanisms::PSS_HASHES;
use common::openssl::{path, to_der};
use common::p11::*;
use common::tpm_proxy::Proxy;
use common::wrapping::Wrapping;
use cryptoki_sys::*;
use p521::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::rand_core::OsRng;
use rsa::{BigUint, RsaPrivateKey};

/// OpenSSL's names of the hashes in [`PSS_HASHES`], and their lengths.
const HASHES: [(&str, usize); 9] = [
    ("sha1", 20),
    ("sha224", 28),
    ("sha256", 32),
    ("sha384", 48),
    ("sha512", 64),
    ("sha3-224", 28),
    ("sha3-256", 32),
    ("sha3-384", 48),
    ("sha3-512", 64),
];

/// A hash and the hash of a mask generator, as PKCS#11 and OpenSSL name them.
struct Pair {
    hash: CK_MECHANISM_TYPE,
    mgf: CK_RSA_PKCS_MGF_TYPE,
    names: (&'static str, &'static str),
    len: usize,
}

/// Those that no mask generator is named after.
const WITHOUT_MASK: [(CK_MECHANISM_TYPE, (&str, usize)); 2] =
    [(CKM_SHA512_224, ("sha512-224", 28)), (CKM_SHA512_256, ("sha512-256", 32))];

fn pairs() -> impl Iterator<Item = Pair> {
    let all = || PSS_HASHES.into_iter().zip(HASHES);
    let hashes = all().map(|((_, hash, _), named)| (hash, named));
    hashes.chain(WITHOUT_MASK).flat_map(move |(hash, (name, len))| {
        all().map(move |((_, _, mgf), (mask, _))| Pair { hash, mgf, names: (name, mask), len })
    })
}

fn rsa(known: &Known) -> Held {
    known.all(Keys::Rsa)[0].clone()
}

#[test]
fn oaep_by_every_hash_mask_and_label_is_openssls() {
    let known = Known::new();
    let (p, session, held) = (&known.t.p, known.session, rsa(&known));
    for Pair { hash, mgf, names, len } in pairs() {
        for label in [&b""[..], b"a label"] {
            let mech = || Mech::oaep(hash, mgf, label);
            let options = [
                "rsa_padding_mode:oaep".to_owned(),
                format!("rsa_oaep_md:{}", names.0),
                format!("rsa_mgf1_md:{}", names.1),
                format!("rsa_oaep_label:{}", hex::encode(label)),
            ];
            let used = if label.is_empty() { &options[..3] } else { &options };
            let options: Vec<&str> = used.iter().flat_map(|o| ["-pkeyopt", o.as_str()]).collect();
            let most = 256 - 2 * len - 2;
            for data in [vec![], vec![0x5a; most]] {
                let ours = p.encrypt(session, mech(), held.public, &data).unwrap();
                let back = known.openssl.pkey("-decrypt", &held.file, &options, &ours);
                assert_eq!(back, data, "{names:?}");
            }
            let theirs = known.openssl.pkey("-encrypt", &held.file, &options, b"a secret");
            assert_eq!(p.decrypt(session, mech(), held.private, &theirs).unwrap(), b"a secret");
            let other = Mech::oaep(hash, mgf, b"another label");
            let refused = p.decrypt(session, other, held.private, &theirs);
            assert_eq!(refused, Err(CKR_ENCRYPTED_DATA_INVALID), "{names:?}");
            let over = p.encrypt(session, mech(), held.public, &vec![1; most + 1]);
            assert_eq!(over, Err(CKR_DATA_LEN_RANGE), "{names:?}");
        }
    }
}

/// How OpenSSL is told of PSS by the names of its hash and its mask's, with so much salt.
fn pss_options((hash, mask): (&str, &str), salt: usize) -> Vec<String> {
    let options = [
        format!("digest:{hash}"),
        "rsa_padding_mode:pss".to_owned(),
        format!("rsa_pss_saltlen:{salt}"),
        format!("rsa_mgf1_md:{mask}"),
    ];
    options.into_iter().flat_map(|option| ["-pkeyopt".to_owned(), option]).collect()
}

#[test]
fn pss_by_every_hash_mask_and_salt_is_openssls() {
    let known = Known::new();
    let (p, session, held) = (&known.t.p, known.session, rsa(&known));
    for Pair { hash, mgf, names, len } in pairs() {
        let digest = vec![0xd1; len];
        for salt in [0, len, 256 - 2 - len] {
            let mech = || Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, salt as CK_ULONG);
            let options = pss_options(names, salt);
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let ours = p.sign(session, mech(), held.private, &digest).unwrap();
            let taken = known.openssl.verifies(&held.file, &options, &digest, &ours);
            assert!(taken, "{names:?}, a salt of {salt} bytes");
            if salt == len {
                let theirs = known.openssl.pkey("-sign", &held.file, &options, &digest);
                p.verify(session, mech(), held.public, &digest, &theirs).unwrap();
            }
        }
        let long = Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, (256 - 1 - len) as CK_ULONG);
        let refused = p.sign(session, long, held.private, &digest);
        assert!(matches!(refused, Err(CKR_MECHANISM_PARAM_INVALID | CKR_KEY_SIZE_RANGE)));
    }
}

#[test]
fn keys_of_other_sizes_have_limits_of_their_own() {
    let known = Known::new();
    let (p, session, openssl) = (&known.t.p, known.session, &known.openssl);
    let least = p.mechanism_info(OWNER, CKM_RSA_PKCS).unwrap().ulMinKeySize;
    for bits in [1024, 3072].into_iter().filter(|bits| *bits >= least) {
        let size = format!("rsa_keygen_bits:{bits}");
        let words = ["genpkey", "-algorithm", "RSA", "-outform", "DER", "-pkeyopt", &size];
        let der = openssl.run_alone(&words);
        let file = openssl.file("other", &der);
        let numbers = rsa_numbers(&RsaPrivateKey::from_pkcs1_der(&der).unwrap());
        let half = |class, numbers: &[Attr], usages: &[CK_ATTRIBUTE_TYPE]| {
            let own = [ulong(CKA_CLASS, class), ulong(CKA_KEY_TYPE, CKK_RSA)];
            p.create(session, &[&own[..], numbers, &flags(usages)].concat()).unwrap()
        };
        let private = half(CKO_PRIVATE_KEY, &numbers, &[CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP]);
        let public = half(CKO_PUBLIC_KEY, &numbers[..2], &[CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP]);
        let k = bits as usize / 8;
        for Pair { hash, mgf, names, len } in pairs().filter(|pair| pair.names.0 == pair.names.1) {
            let digest = vec![0xd1; len];
            let salt = k - 2 - len;
            let pss = |salt| Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, salt as CK_ULONG);
            let ours = p.sign(session, pss(salt), private, &digest).unwrap();
            let options = pss_options(names, salt);
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            assert!(openssl.verifies(&file, &options, &digest, &ours), "{bits} {names:?}");
            p.verify(session, pss(salt), public, &digest, &ours).unwrap();
            let other = p.verify(session, pss(salt - 1), public, &digest, &ours);
            assert_eq!(other, Err(CKR_SIGNATURE_INVALID), "another length of the salt");
            let begun = p.init(Op::Sign, session, pss(salt + 1), private);
            assert_eq!(begun, Err(CKR_MECHANISM_PARAM_INVALID));
            // OAEP takes two digests and two bytes, where there are so many.
            let oaep = || Mech::oaep(hash, mgf, b"");
            let Some(most) = k.checked_sub(2 * len + 2) else {
                for (op, key) in [(Op::Encrypt, public), (Op::Decrypt, private)] {
                    let begun = p.init(op, session, oaep(), key);
                    assert_eq!(begun, Err(CKR_KEY_SIZE_RANGE), "{bits} {names:?}");
                }
                continue;
            };
            let sealed = p.encrypt(session, oaep(), public, &vec![7; most]).unwrap();
            assert_eq!(p.decrypt(session, oaep(), private, &sealed).unwrap(), vec![7; most]);
            let more = p.encrypt(session, oaep(), public, &vec![7; most + 1]);
            assert_eq!(more, Err(CKR_DATA_LEN_RANGE));
        }
        let pkcs = || Mech::plain(CKM_RSA_PKCS);
        let sealed = p.encrypt(session, pkcs(), public, &vec![7; k - 11]).unwrap();
        assert_eq!(p.decrypt(session, pkcs(), private, &sealed).unwrap(), vec![7; k - 11]);
        let more = p.encrypt(session, pkcs(), public, &vec![7; k - 10]);
        assert_eq!(more, Err(CKR_DATA_LEN_RANGE));
        let more = p.sign(session, pkcs(), private, &vec![7; k - 10]);
        assert_eq!(more, Err(CKR_DATA_LEN_RANGE));
    }
}

#[test]
fn a_curve_is_meant_by_its_oid_and_by_each_of_its_names() {
    let t = Token::new();
    let session = t.user();
    let names = [
        (P224, &["secp224r1", "P-224"][..]),
        (P256, &["secp256r1", "prime256v1", "P-256"]),
        (P384, &["secp384r1", "P-384"]),
        (P521, &["secp521r1", "P-521"]),
    ];
    for (oid, names) in names {
        let named = names
            .iter()
            .map(|name| [&[0x13, name.len() as u8], name.as_bytes()].concat())
            .chain([oid.to_vec()]);
        for params in named {
            let public = [vec![bytes(CKA_EC_PARAMS, &params)], flags(&[CKA_VERIFY])].concat();
            let made = t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[]);
            let (public, private) = made.unwrap();
            // What every program reads.
            for key in [public, private] {
                assert_eq!(t.p.get(session, key, CKA_EC_PARAMS).unwrap(), oid);
            }
        }
    }
    // How a curve may be said, and a point be given, each mechanism for keys on curves tells.
    let choices = CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS;
    let others = CKF_EC_F_2M | CKF_EC_ECPARAMETERS | CKF_EC_COMPRESS;
    for ckm in t.p.mechanisms(OWNER).unwrap() {
        let flags = t.p.mechanism_info(OWNER, ckm).unwrap().flags & (choices | others);
        assert!([0, choices].contains(&flags), "{ckm:#x}: {flags:#x}");
        let curves = [CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, CKM_ECDSA_SHA256, CKM_ECDH1_DERIVE];
        assert!(flags != 0 || !curves.contains(&ckm), "{ckm:#x}");
    }
    let explicit = [&[0x30, 3, 2, 1, 1][..], &[5, 0], &[]];
    for params in explicit {
        let made =
            t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, params)], &[]);
        assert!(
            matches!(made.err(), Some(CKR_DOMAIN_PARAMS_INVALID | CKR_TEMPLATE_INCOMPLETE)),
            "{params:x?}: {made:x?}"
        );
    }
}

#[test]
fn ecdsa_of_a_digest_of_any_length_is_openssls() {
    let known = Known::new();
    let (p, session) = (&known.t.p, known.session);
    for (held, (name, _, width, _)) in known.all(Keys::Ec).into_iter().zip(CURVES) {
        assert_eq!(held.name, name);
        for len in 1..=64 {
            let digest: Vec<u8> = (0..len).map(|at| 0xff - at).collect();
            let ours = p.sign(session, Mech::plain(CKM_ECDSA), held.private, &digest).unwrap();
            assert_eq!(ours.len(), 2 * width);
            let taken = known.openssl.verifies(&held.file, &[], &digest, &to_der(&ours));
            assert!(taken, "{name}, {len} bytes: {}", path(&held.file));
        }
    }
}

/// FIPS 186-5, section 6.4: of a digest that is longer than the order the leftmost bits count, 521
/// here. No hash of a TPM is so long, so it signs none; verifying is software's.
#[test]
fn p521_signs_digests_of_64_bytes_at_most_and_verifies_longer_ones() {
    let (rig, proxy) = Rig::tapped();
    let known = Known::on(Token::on(rig, OWNER));
    let (p, session, held) = (&known.t.p, known.session, known.all(Keys::Ec)[3]);
    assert_eq!(held.name, "P-521");
    let scalar = [&[0][..], &[0x35; 64], &[1]].concat();
    let key = p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
    proxy.reset();
    for len in 65..=200 {
        let digest: Vec<u8> = (0..len).map(|at| 0xff - at).collect();
        let ecdsa = || Mech::plain(CKM_ECDSA);
        let ours = p.sign(session, ecdsa(), held.private, &digest);
        assert_eq!(ours, Err(CKR_DATA_LEN_RANGE), "{len} bytes");
        let beyond = (8 * usize::from(len)).saturating_sub(521);
        let number = (BigUint::from_bytes_be(&digest) >> beyond).to_bytes_be();
        let number = [vec![0; 66 - number.len()], number].concat();
        let theirs: p521::ecdsa::Signature =
            key.sign_prehash_with_rng(&mut OsRng, &number).unwrap();
        let verify =
            |digest: &[u8]| p.verify(session, ecdsa(), held.public, digest, &theirs.to_bytes());
        verify(&digest).unwrap();
        let flipped = |bit: usize| {
            let mut digest = digest.clone();
            digest[bit / 8] ^= 0x80 >> (bit % 8);
            digest
        };
        assert_eq!(verify(&flipped(519)), Err(CKR_SIGNATURE_INVALID), "{len} bytes");
        if len > 65 {
            assert_eq!(verify(&flipped(520)), Err(CKR_SIGNATURE_INVALID), "{len} bytes");
            verify(&flipped(521)).unwrap();
        }
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
}

/// What a listener hears of a call: codes, answers' codes and lengths of everything.
fn heard(proxy: &Proxy, call: impl FnOnce()) -> Vec<(u32, u32, usize, usize)> {
    proxy.reset();
    call();
    let codes = proxy.commands();
    let lens = proxy.exchanges();
    codes.iter().zip(lens).map(|(c, e)| (c.0, c.1, e.command.len(), e.response.len())).collect()
}

#[test]
fn good_and_bad_paddings_give_the_same_value_and_the_same_commands() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let public = [vec![ulong(CKA_MODULUS_BITS, 2048)], flags(&[CKA_ENCRYPT, CKA_WRAP])].concat();
    let private = flags(&[CKA_DECRYPT, CKA_UNWRAP]);
    let (public, private) =
        p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
    let good = p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, &[7; 16]).unwrap();
    let raw =
        |block: Vec<u8>| p.encrypt(session, Mech::plain(CKM_RSA_X_509), public, &block).unwrap();
    let block = |begin: &[u8], zero: Option<usize>| {
        let mut block = vec![0x77; 256];
        block[..begin.len()].copy_from_slice(begin);
        if let Some(at) = zero {
            block[at] = 0;
        }
        raw(block)
    };
    let bad = [
        block(&[0, 1], Some(200)),
        block(&[1, 2], Some(200)),
        block(&[0, 2], None),
        block(&[0, 2], Some(2)),
        block(&[0, 2], Some(9)),
        raw(vec![0; 256]),
    ];
    let template = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
    let decrypt = |ciphertext: &[u8]| {
        heard(&proxy, || {
            p.init(Op::Decrypt, session, Mech::plain(CKM_RSA_PKCS), private).unwrap();
            let (rv, len) = p.one_shot_raw(Op::Decrypt, session, ciphertext, None);
            // The length that is asked for first is the most that any plaintext has.
            assert_eq!((rv, len), (CKR_OK, 245));
            let mut out = [0; 256];
            let (rv, _) = p.one_shot_raw(Op::Decrypt, session, ciphertext, Some(&mut out));
            assert_eq!(rv, CKR_OK);
        })
    };
    let unwrap = |ciphertext: &[u8]| {
        heard(&proxy, || {
            let mech = Mech::plain(CKM_RSA_PKCS);
            let key = p.unwrap(session, mech, private, ciphertext, &template).unwrap();
            p.destroy(session, key).unwrap();
        })
    };
    decrypt(&good);
    unwrap(&good);
    let (decrypted, unwrapped) = (decrypt(&good), unwrap(&good));
    assert!(!decrypted.is_empty() && !unwrapped.is_empty());
    for ciphertext in &bad {
        assert_eq!(decrypt(ciphertext), decrypted);
        // A key of another length is as long as every key of it is.
        let heard = unwrap(ciphertext);
        let codes = |of: &[(u32, u32, usize, usize)]| {
            of.iter().map(|(code, rc, ..)| (*code, *rc)).collect::<Vec<_>>()
        };
        assert_eq!(codes(&heard), codes(&unwrapped));
    }
    // Where the template says the length nothing differs at all.
    let sized = [&template[..], &[ulong(CKA_VALUE_LEN, 16)]].concat();
    let unwrap = |ciphertext: &[u8]| {
        heard(&proxy, || {
            let mech = Mech::plain(CKM_RSA_PKCS);
            let key = p.unwrap(session, mech, private, ciphertext, &sized).unwrap();
            p.destroy(session, key).unwrap();
        })
    };
    let unwrapped = unwrap(&good);
    for ciphertext in &bad {
        assert_eq!(unwrap(ciphertext), unwrapped);
    }
}
