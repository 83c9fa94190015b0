//! Secret keys: ciphers and MACs in the TPM, one-shot and in parts.

mod common;

use common::fixture::*;
use common::p11::*;
use common::secret::*;
use cryptoki_sys::*;

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                     30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";
const IV: &str = "000102030405060708090a0b0c0d0e0f";

/// NIST SP 800-38A, appendix F, the examples with AES-128.
fn modes() -> [(Mech, &'static str); 5] {
    let iv = |ckm| Mech::bytes(ckm, &hex(IV));
    let counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    [
        (
            Mech::plain(CKM_AES_ECB),
            "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf
             43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4",
        ),
        (
            iv(CKM_AES_CBC),
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
             73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            iv(CKM_AES_CFB128),
            "3b3fd92eb72dad20333449f8e83cfb4a c8a64537a0b3a93fcde3cdad9f1ce58b
             26751f67a3cbb140b1808cf187a4f4df c04b05357c5d1c0eeac4c66f9ff7f2e6",
        ),
        (
            iv(CKM_AES_OFB),
            "3b3fd92eb72dad20333449f8e83cfb4a 7789508d16918f03f53c52dac54ed825
             9740051e9c5fecf64344f7a82260edcc 304c6528f659c77866a510d9c1d6ae5e",
        ),
        (
            ctr(128, counter),
            "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
             5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
        ),
    ]
}

#[test]
fn the_published_ciphertexts_come_out_of_the_tpm_in_one_part_and_in_many() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    let plain = hex(PLAIN);
    for (mech, ciphertext) in modes() {
        let ciphertext = hex(ciphertext);
        let whole = t.p.encrypt(session, mech.clone(), key, &plain).unwrap();
        assert_eq!(whole, ciphertext);
        assert_eq!(t.p.decrypt(session, mech.clone(), key, &ciphertext).unwrap(), plain);
        for cuts in [[0, 1], [15, 16], [16, 17], [31, 33], [5, 64], [47, 48]] {
            let parts = |data: &[u8]| {
                [&data[..cuts[0]], &data[cuts[0]..cuts[1]], &[], &data[cuts[1]..]]
                    .map(<[u8]>::to_vec)
            };
            let run = |op, data: &[u8]| {
                let parts = parts(data);
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                t.p.in_parts(op, session, mech.clone(), key, &parts).unwrap()
            };
            assert_eq!(run(Op::Encrypt, &plain), ciphertext, "{cuts:?}");
            assert_eq!(run(Op::Decrypt, &ciphertext), plain, "{cuts:?}");
        }
    }
}

#[test]
fn a_stream_mode_takes_any_length_and_a_block_mode_whole_blocks_only() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    for (mech, ciphertext) in modes() {
        let ckm = mech.clone().raw().mechanism;
        let (plain, ciphertext) = (&hex(PLAIN)[..37], &hex(ciphertext)[..37]);
        let made = t.p.encrypt(session, mech.clone(), key, plain);
        if matches!(ckm, CKM_AES_ECB | CKM_AES_CBC) {
            assert_eq!(made, Err(CKR_DATA_LEN_RANGE));
            let back = t.p.decrypt(session, mech.clone(), key, ciphertext);
            assert_eq!(back, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
            let parts = t.p.in_parts(Op::Encrypt, session, mech.clone(), key, &[plain]);
            assert_eq!(parts, Err(CKR_DATA_LEN_RANGE));
            let parts = t.p.in_parts(Op::Decrypt, session, mech, key, &[ciphertext]);
            assert_eq!(parts, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
        } else {
            assert_eq!(made.unwrap(), ciphertext);
            assert_eq!(t.p.decrypt(session, mech, key, ciphertext).unwrap(), plain);
        }
    }
}

#[test]
fn c074_padding_costs_nothing_when_the_buffer_was_too_small() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    let mech = || Mech::bytes(CKM_AES_CBC_PAD, &hex(IV));
    for len in [0, 1, 15, 16, 17, 33] {
        let plain = vec![0x5a; len];
        let secret = t.p.encrypt(session, mech(), key, &plain).unwrap();
        assert_eq!(secret.len(), len / 16 * 16 + 16);
        t.p.init(Op::Decrypt, session, mech(), key).unwrap();
        let (rv, bound) = t.p.one_shot_raw(Op::Decrypt, session, &secret, None);
        assert!(rv == CKR_OK && bound >= len && bound <= len + 16, "{rv:#x} {bound}");
        let mut room = [0xee; 64];
        if len > 0 {
            let (rv, said) =
                t.p.one_shot_raw(Op::Decrypt, session, &secret, Some(&mut room[..len - 1]));
            assert_eq!((rv, said), (CKR_BUFFER_TOO_SMALL, len));
            assert!(room.iter().all(|byte| *byte == 0xee));
        }
        let before = proxy.commands().len();
        let (rv, said) = t.p.one_shot_raw(Op::Decrypt, session, &secret, Some(&mut room[..len]));
        assert_eq!((rv, &room[..said]), (CKR_OK, &plain[..]));
        if len > 0 {
            assert_eq!(proxy.commands().len(), before, "the plaintext was made already");
        }
        // In parts the last block waits for the end.
        let parts: Vec<&[u8]> = secret.chunks(7).collect();
        assert_eq!(t.p.in_parts(Op::Decrypt, session, mech(), key, &parts).unwrap(), plain);
        let parts: Vec<&[u8]> = plain.chunks(7).collect();
        assert_eq!(t.p.in_parts(Op::Encrypt, session, mech(), key, &parts).unwrap(), secret);
    }
    let mut bad = t.p.encrypt(session, mech(), key, &[1; 20]).unwrap();
    bad[15] ^= 1;
    assert_eq!(t.p.decrypt(session, mech(), key, &bad), Err(CKR_ENCRYPTED_DATA_INVALID));
    let empty = t.p.decrypt(session, mech(), key, &[]);
    assert_eq!(empty, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
}

/// Behind its last value the counter would begin anew, and the key stream with it.
#[test]
fn a_counter_counts_to_its_last_value_and_no_further() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    let (ecb, plain) = (|| Mech::plain(CKM_AES_ECB), vec![0; 64]);
    for (bits, left) in [(1u64, 1usize), (1, 2), (2, 3), (8, 3), (32, 2), (127, 1), (128, 4)] {
        let mask = u128::MAX >> (128 - bits);
        let number = (0x7f << 120) & !mask | (mask - (left as u128 - 1));
        let mech = || ctr(bits, number.to_be_bytes());
        let (fits, over) = (&plain[..16 * left], [&plain[..16 * left], &[0]].concat());
        let stream = t.p.encrypt(session, mech(), key, fits).unwrap();
        for (at, made) in stream.chunks(16).enumerate() {
            let counter = (number + at as u128).to_be_bytes();
            assert_eq!(made, t.p.encrypt(session, ecb(), key, &counter).unwrap(), "{bits}, {at}");
        }
        let refused = t.p.encrypt(session, mech(), key, &over);
        assert_eq!(refused, Err(CKR_DATA_LEN_RANGE), "{bits} bits, {left} blocks");
        let refused = t.p.decrypt(session, mech(), key, &over);
        assert_eq!(refused, Err(CKR_ENCRYPTED_DATA_LEN_RANGE), "{bits} bits, {left} blocks");
        // Part by part it is the same.
        let parts: Vec<&[u8]> = over.chunks(5).collect();
        for (op, said) in
            [(Op::Encrypt, CKR_DATA_LEN_RANGE), (Op::Decrypt, CKR_ENCRYPTED_DATA_LEN_RANGE)]
        {
            assert_eq!(t.p.in_parts(op, session, mech(), key, &parts), Err(said));
            let parts: Vec<&[u8]> = fits.chunks(5).collect();
            assert_eq!(t.p.in_parts(op, session, mech(), key, &parts).unwrap(), stream);
        }
    }
    for bits in [0, 129, CK_ULONG::MAX] {
        let refused = t.p.encrypt(session, ctr(bits, [0; 16]), key, &plain);
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID));
    }
}

#[test]
fn the_published_macs_come_out_of_the_tpm() {
    let t = Token::new();
    let session = t.user();
    let check = |key, mech: &dyn Fn() -> Mech, data: &[u8], mac: &str| {
        let mac = hex(mac);
        assert_eq!(t.p.sign(session, mech(), key, data).unwrap(), mac);
        let (first, second) = data.split_at(data.len() / 3);
        let parts = t.p.in_parts(Op::Sign, session, mech(), key, &[first, second]);
        assert_eq!(parts.unwrap(), mac);
        t.p.verify(session, mech(), key, data, &mac).unwrap();
        t.p.verify_parts(session, mech(), key, &[first, second], &mac).unwrap();
        let short = t.p.verify(session, mech(), key, data, &mac[1..]);
        assert_eq!(short, Err(CKR_SIGNATURE_LEN_RANGE));
        let mut bad = mac;
        bad[0] ^= 1;
        assert_eq!(t.p.verify(session, mech(), key, data, &bad), Err(CKR_SIGNATURE_INVALID));
    };
    // RFC 4493, section 4.
    let aes = t.p.aes_key(session, &hex(KEY));
    for (len, mac) in [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ] {
        check(aes, &|| Mech::plain(CKM_AES_CMAC), &hex(PLAIN)[..len], mac);
        check(aes, &|| general(CKM_AES_CMAC_GENERAL, 5), &hex(PLAIN)[..len], &mac[..10]);
    }
    // RFC 4231, test case 2.
    let secret = t.p.generic_key(session, b"Jefe");
    let data = b"what do ya want for nothing?";
    let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    check(secret, &|| Mech::plain(CKM_SHA256_HMAC), data, sha256);
    check(secret, &|| general(CKM_SHA256_HMAC_GENERAL, 16), data, &sha256[..32]);
    let sha384 = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
                  8e2240ca5e69e2c78b3239ecfab21649";
    check(secret, &|| Mech::plain(CKM_SHA384_HMAC), data, sha384);
    let sha512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                  9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    check(secret, &|| Mech::plain(CKM_SHA512_HMAC), data, sha512);
    for len in [0, 33] {
        let mech = general(CKM_SHA256_HMAC_GENERAL, len);
        assert_eq!(t.p.sign(session, mech, secret, data), Err(CKR_MECHANISM_PARAM_INVALID));
    }
}

#[test]
fn an_hmac_of_a_long_message_is_that_of_another_implementation() {
    use ::hmac::Mac;
    let t = Token::new();
    let session = t.user();
    let secret = t.p.generic_key(session, &[0x42; 64]);
    for len in [1023, 1024, 1025, 2048, 5000] {
        let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mac = t.p.sign(session, Mech::plain(CKM_SHA256_HMAC), secret, &data).unwrap();
        let mut other = ::hmac::Hmac::<sha2::Sha256>::new_from_slice(&[0x42; 64]).unwrap();
        other.update(&data);
        assert_eq!(mac, other.finalize().into_bytes().to_vec(), "{len}");
        t.p.verify(session, Mech::plain(CKM_SHA256_HMAC), secret, &data, &mac).unwrap();
    }
}

#[test]
fn keys_are_generated_in_the_tpm_and_say_so() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for len in [16, 32] {
        let template = [ulong(CKA_VALUE_LEN, len), flag(CKA_TOKEN, true), bytes(CKA_ID, b"aes")];
        let key = p.generate_key(session, CKM_AES_KEY_GEN, &template).unwrap();
        for cka in [CKA_LOCAL, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert!(p.get_bool(session, key, cka).unwrap(), "{cka:#x}");
        }
        assert!(!p.get_bool(session, key, CKA_EXTRACTABLE).unwrap());
        assert_eq!(p.get_ulong(session, key, CKA_VALUE_LEN).unwrap(), len);
        let made_by = p.get_ulong(session, key, CKA_KEY_GEN_MECHANISM).unwrap();
        assert_eq!(made_by, CKM_AES_KEY_GEN);
        assert_eq!(p.get(session, key, CKA_VALUE).err(), Some(CKR_ATTRIBUTE_SENSITIVE));
        let mech = || Mech::bytes(CKM_AES_CBC_PAD, &hex(IV));
        let secret = p.encrypt(session, mech(), key, b"a secret").unwrap();
        assert_eq!(p.decrypt(session, mech(), key, &secret).unwrap(), b"a secret");
        let copy = p.copy(session, key, &[flag(CKA_TOKEN, false)]).unwrap();
        assert_eq!(p.decrypt(session, mech(), copy, &secret).unwrap(), b"a secret");
    }
    let template = [ulong(CKA_VALUE_LEN, 20)];
    let key = p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let mech = || Mech::plain(CKM_SHA_1_HMAC);
    let mac = p.sign(session, mech(), key, b"data").unwrap();
    p.verify(session, mech(), key, b"data", &mac).unwrap();
    for (ckm, len) in [
        (CKM_AES_KEY_GEN, 0),
        (CKM_AES_KEY_GEN, 17),
        (CKM_AES_KEY_GEN, 24),
        (CKM_GENERIC_SECRET_KEY_GEN, 0),
        (CKM_GENERIC_SECRET_KEY_GEN, 1025),
        (CKM_GENERIC_SECRET_KEY_GEN, CK_ULONG::MAX),
    ] {
        let refused = p.generate_key(session, ckm, &[ulong(CKA_VALUE_LEN, len)]);
        assert_eq!(refused, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{ckm:#x} {len}");
    }
    let nothing = p.generate_key(session, CKM_AES_KEY_GEN, &[]);
    assert_eq!(nothing, Err(CKR_TEMPLATE_INCOMPLETE));
    let other = [ulong(CKA_VALUE_LEN, 16), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
    let other = p.generate_key(session, CKM_AES_KEY_GEN, &other);
    assert_eq!(other, Err(CKR_TEMPLATE_INCONSISTENT));
}

#[test]
fn c096_a_key_made_from_its_value_was_known_outside() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    for cka in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_EXTRACTABLE] {
        assert!(!t.p.get_bool(session, key, cka).unwrap(), "{cka:#x}");
    }
    assert_eq!(t.p.get(session, key, CKA_VALUE).err(), Some(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(t.p.get_ulong(session, key, CKA_VALUE_LEN).unwrap(), 16);
}

#[test]
fn c109_a_check_value_is_the_keys_own() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &hex(KEY));
    let zeros = t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    assert_eq!(t.p.get(session, key, CKA_CHECK_VALUE).unwrap(), zeros[..3]);
    let with = |check: &[u8]| {
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, &hex(KEY)),
            bytes(CKA_CHECK_VALUE, check),
        ];
        t.p.create(session, &template)
    };
    assert!(with(&zeros[..3]).is_ok());
    assert_eq!(with(b"bad"), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    let without = with(b"").unwrap();
    let none = t.p.get(session, without, CKA_CHECK_VALUE);
    assert!(matches!(none.as_deref(), Err(_) | Ok([])), "{none:x?}");
}

#[test]
fn what_a_key_is_not_for_the_tpm_refuses_too() {
    let t = Token::new();
    let session = t.user();
    let template = [ulong(CKA_VALUE_LEN, 16), flag(CKA_ENCRYPT, true)];
    let key = t.p.generate_key(session, CKM_AES_KEY_GEN, &template).unwrap();
    let ecb = || Mech::plain(CKM_AES_ECB);
    t.p.encrypt(session, ecb(), key, &[0; 16]).unwrap();
    let refused = Some(CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(t.p.init(Op::Decrypt, session, ecb(), key).err(), refused);
    assert_eq!(t.p.init(Op::Sign, session, Mech::plain(CKM_AES_CMAC), key).err(), refused);
    let wrong = t.p.init(Op::Encrypt, session, Mech::plain(CKM_RSA_PKCS), key);
    assert_eq!(wrong, Err(CKR_KEY_TYPE_INCONSISTENT));
}

#[test]
fn c059_a_logout_ends_what_was_begun_with_a_private_secret_key() {
    let t = Token::new();
    let session = t.user();
    for (op, mech) in
        [(Op::Encrypt, Mech::plain(CKM_AES_ECB)), (Op::Decrypt, Mech::plain(CKM_AES_ECB))]
    {
        let key = t.p.aes_key(session, &hex(KEY));
        t.p.init(op, session, mech, key).unwrap();
        t.p.logout(session).unwrap();
        let ended = t.p.one_shot(op, session, &[0; 16]);
        assert_eq!(ended, Err(CKR_OPERATION_NOT_INITIALIZED));
        t.p.login(session, CKU_USER, PIN).unwrap();
    }
    let key = t.p.aes_key(session, &hex(KEY));
    t.p.verify_init(session, &mut Mech::plain(CKM_AES_CMAC), key).unwrap();
    t.p.logout(session).unwrap();
    // Nothing is active, so that another operation may begin.
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
}

#[test]
fn c104_the_value_of_a_key_that_may_leave_is_told_and_of_no_other() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for (sensitive, extractable) in [(false, true), (true, true), (false, false), (true, false)] {
        for token in [false, true] {
            let own = [flag(CKA_SENSITIVE, sensitive), flag(CKA_EXTRACTABLE, extractable)];
            let template = [
                ulong(CKA_CLASS, CKO_SECRET_KEY),
                ulong(CKA_KEY_TYPE, CKK_AES),
                flag(CKA_TOKEN, token),
                bytes(CKA_VALUE, &hex(KEY)),
            ];
            let key = p.create(session, &[&template[..], &own].concat()).unwrap();
            let told = p.get(session, key, CKA_VALUE);
            if extractable && !sensitive {
                assert_eq!(told.unwrap(), hex(KEY));
            } else {
                assert_eq!(told.err(), Some(CKR_ATTRIBUTE_SENSITIVE));
            }
            let ecb = p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &hex(PLAIN)).unwrap();
            assert_eq!(ecb, hex(modes()[0].1));
        }
    }
}

#[test]
fn c104_what_is_told_of_a_generated_key_is_the_key() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let open = [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true), ulong(CKA_VALUE_LEN, 32)];
    let key = p.generate_key(session, CKM_AES_KEY_GEN, &open).unwrap();
    let value = p.get(session, key, CKA_VALUE).unwrap();
    let again = p.aes_key(session, &value);
    let ecb = |key| p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[1; 32]).unwrap();
    assert_eq!(ecb(key), ecb(again));
    assert!(!p.get_bool(session, key, CKA_NEVER_EXTRACTABLE).unwrap());

    let open = [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true), flag(CKA_SIGN, true)];
    let (_, private) = p
        .generate_pair(session, CKM_EC_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, P256)], &open)
        .unwrap();
    let scalar = p.get(session, private, CKA_VALUE).unwrap();
    let point = p.get(session, private, CKA_EC_POINT).unwrap();
    let own = p256::SecretKey::from_slice(&scalar).unwrap().public_key();
    assert_eq!(own.to_sec1_bytes()[..], point[2..]);

    let (_, private) = p
        .generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &[ulong(CKA_MODULUS_BITS, 2048)], &open)
        .unwrap();
    let number = |cka| rsa::BigUint::from_bytes_be(&p.get(session, private, cka).unwrap());
    let (n, p1, p2) = (number(CKA_MODULUS), number(CKA_PRIME_1), number(CKA_PRIME_2));
    assert_eq!(&p1 * &p2, n);
    let message = rsa::BigUint::from(0x1234_5678u32);
    let signed = message.modpow(&number(CKA_PRIVATE_EXPONENT), &n);
    assert_eq!(signed.modpow(&number(CKA_PUBLIC_EXPONENT), &n), message);
    let one = rsa::BigUint::from(1u8);
    assert_eq!(number(CKA_EXPONENT_1), number(CKA_PRIVATE_EXPONENT) % (&p1 - &one));
    assert_eq!(number(CKA_COEFFICIENT) * &p2 % &p1, one);
}

#[test]
fn a_key_for_one_hash_macs_by_it_and_by_no_other() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for (ckm, key_type, mac) in [
        (CKM_SHA_1_KEY_GEN, CKK_SHA_1_HMAC, CKM_SHA_1_HMAC),
        (CKM_SHA256_KEY_GEN, CKK_SHA256_HMAC, CKM_SHA256_HMAC),
        (CKM_SHA384_KEY_GEN, CKK_SHA384_HMAC, CKM_SHA384_HMAC),
        (CKM_SHA512_KEY_GEN, CKK_SHA512_HMAC, CKM_SHA512_HMAC),
    ] {
        let key = p.generate_key(session, ckm, &[ulong(CKA_VALUE_LEN, 32)]).unwrap();
        assert_eq!(p.get_ulong(session, key, CKA_KEY_TYPE), Ok(key_type));
        for other in [CKM_SHA_1_HMAC, CKM_SHA256_HMAC, CKM_SHA384_HMAC, CKM_SHA512_HMAC] {
            let made = p.sign(session, Mech::plain(other), key, b"data");
            if other == mac {
                p.verify(session, Mech::plain(mac), key, b"data", &made.unwrap()).unwrap();
            } else {
                assert_eq!(made, Err(CKR_KEY_TYPE_INCONSISTENT));
            }
        }
    }
}

#[test]
fn c122_only_a_key_whose_value_is_told_is_digested() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let digest_key = |key| {
        // SAFETY: plain numbers.
        match unsafe { p.list.C_DigestKey.unwrap()(session, key) } {
            CKR_OK => Ok(()),
            rv => Err(rv),
        }
    };
    let value = hex(KEY);
    for (sensitive, extractable) in [(false, true), (true, true), (false, false), (true, false)] {
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, &value),
            flag(CKA_SENSITIVE, sensitive),
            flag(CKA_EXTRACTABLE, extractable),
        ];
        let key = p.create(session, &template).unwrap();
        p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
        p.update(Op::Digest, session, b"before").unwrap();
        if extractable && !sensitive {
            digest_key(key).unwrap();
            let digest = p.finish(Op::Digest, session).unwrap();
            let all = [&b"before"[..], &value].concat();
            assert_eq!(digest, p.digest(session, CKM_SHA256, &all).unwrap());
        } else {
            assert_eq!(digest_key(key), Err(CKR_KEY_INDIGESTIBLE));
            assert_eq!(p.finish(Op::Digest, session), Err(CKR_OPERATION_NOT_INITIALIZED));
        }
    }
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    assert_eq!(digest_key(0), Err(CKR_KEY_HANDLE_INVALID));
}
