//! The first and last values of what mechanisms take, where arithmetic and encodings go wrong.

mod common;

use common::aead::*;
use common::fixture::*;
use common::known::{CURVES, Keys, Known};
use common::openssl::to_der;
use common::p11::*;
use common::tpm_proxy::Proxy;
use cryptoki_sys::*;
use rsa::BigUint;

fn tapped() -> (Known, Proxy) {
    let (rig, proxy) = Rig::tapped();
    (Known::on(Token::on(rig, OWNER)), proxy)
}

#[test]
fn raw_rsa_takes_every_number_below_the_modulus_and_no_other() {
    let (known, proxy) = tapped();
    let (p, session, held) = (&known.t.p, known.session, known.all(Keys::Rsa)[0]);
    let modulus = BigUint::from_bytes_be(&p.get(session, held.public, CKA_MODULUS).unwrap());
    let block = |number: &BigUint| {
        let bytes = number.to_bytes_be();
        [vec![0; 256 - bytes.len()], bytes].concat()
    };
    let raw = || Mech::plain(CKM_RSA_X_509);
    let one = BigUint::from(1u8);
    for number in [BigUint::default(), one.clone(), BigUint::from(2u8), &modulus - &one] {
        let data = block(&number);
        let signature = p.sign(session, raw(), held.private, &data).unwrap();
        p.verify(session, raw(), held.public, &data, &signature).unwrap();
        let secret = p.encrypt(session, raw(), held.public, &data).unwrap();
        assert_eq!(p.decrypt(session, raw(), held.private, &secret).unwrap(), data);
        // To an odd power these stay what they are.
        if number != BigUint::from(2u8) {
            assert_eq!((&signature, &secret), (&data, &data));
        }
        // The padding that would be opened is none, and answered like any other.
        p.decrypt(session, Mech::plain(CKM_RSA_PKCS), held.private, &secret).unwrap();
        let oaep = Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
        let opened = p.decrypt(session, oaep, held.private, &secret);
        assert_eq!(opened, Err(CKR_ENCRYPTED_DATA_INVALID));
    }
    let short = p.sign(session, raw(), held.private, &[2]).unwrap();
    assert_eq!(short, p.sign(session, raw(), held.private, &block(&BigUint::from(2u8))).unwrap());
    proxy.reset();
    for number in [modulus.clone(), &modulus + &one] {
        let data = block(&number);
        assert_eq!(p.sign(session, raw(), held.private, &data), Err(CKR_DATA_INVALID));
        assert_eq!(p.encrypt(session, raw(), held.public, &data), Err(CKR_DATA_INVALID));
        for mech in [raw(), Mech::plain(CKM_RSA_PKCS)] {
            let opened = p.decrypt(session, mech, held.private, &data);
            assert_eq!(opened, Err(CKR_ENCRYPTED_DATA_INVALID));
        }
        let verified = p.verify(session, raw(), held.public, &[1], &data);
        assert_eq!(verified, Err(CKR_SIGNATURE_INVALID));
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
}

#[test]
fn digests_longer_than_every_hash_are_cut_to_the_order() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    for (held, (name, _, width, _)) in known.all(Keys::Ec).into_iter().zip(CURVES) {
        for len in [65u8, 66, 67, 100] {
            let digest: Vec<u8> = (0..len).map(|at| 0xff - at).collect();
            let mech = || Mech::plain(CKM_ECDSA);
            proxy.reset();
            let ours = p.sign(session, mech(), held.private, &digest);
            if name == "P-521" {
                // Of 521 bits no hash of a TPM has the first.
                assert_eq!(ours, Err(CKR_DATA_LEN_RANGE), "{len} bytes");
                assert_eq!(proxy.commands(), [], "the TPM was asked");
                continue;
            }
            let ours = ours.unwrap();
            p.verify(session, mech(), held.public, &digest, &ours).unwrap();
            // OpenSSL's tool takes no longer digest than a hash makes; what is cut off does not count.
            let (cut, ours) = (&digest[..width], to_der(&ours));
            assert!(known.openssl.verifies(&held.file, &[], cut, &ours), "{name}, {len} bytes");
        }
    }
}

/// The length of associated data is encoded in another way from 0xff00 bytes on.
#[test]
fn associated_data_is_taken_on_both_sides_of_its_encodings() {
    let t = Token::new();
    let session = t.user();
    let value = [7; 16];
    let key = {
        use common::wrapping::secret;
        let usages = [CKA_ENCRYPT, CKA_DECRYPT];
        t.p.create(session, &secret(CKK_AES, &value, &usages)).unwrap()
    };
    let nonce = b"twelve bytes";
    for len in [1, 13, 14, 15, 0xfeff, 0xff00, 0x1_0000, 0x1_0001] {
        let aad = vec![0xad; len];
        for (mech, other) in [
            (ccm(5, nonce, &aad, 16), other_ccm(&value, nonce, &aad, b"plain", 16)),
            (gcm(nonce, &aad, 128), other_gcm(&value, nonce, &aad, b"plain")),
        ] {
            let made = t.p.two_calls(Op::Encrypt, session, mech.clone(), key, b"plain").unwrap();
            assert_eq!(made, other, "{len}");
            assert_eq!(t.p.two_calls(Op::Decrypt, session, mech, key, &made).unwrap(), b"plain");
        }
    }
}

/// A nonce of 13 bytes leaves two for the length of the data.
#[test]
fn the_longest_data_of_a_ccm_nonce_is_taken_and_one_byte_more_is_not() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let value = [7; 16];
    let key = {
        use common::wrapping::secret;
        t.p.create(session, &secret(CKK_AES, &value, &[CKA_ENCRYPT])).unwrap()
    };
    let nonce = b"thirteen byte";
    let data = vec![0x3c; 0x1_0000];
    let longest = &data[..0xffff];
    let mech = ccm(longest.len(), nonce, b"", 16);
    let made = t.p.two_calls(Op::Encrypt, session, mech, key, longest).unwrap();
    assert_eq!(made, other_ccm(&value, nonce, b"", longest, 16));
    proxy.reset();
    let over = t.p.init(Op::Encrypt, session, ccm(data.len(), nonce, b"", 16), key);
    assert_eq!(over, Err(CKR_MECHANISM_PARAM_INVALID));
    assert_eq!(proxy.commands(), []);
}

/// Nothing is as good a message as any, where its mode takes whole blocks too.
#[test]
fn a_message_of_no_bytes_gives_what_its_mode_gives_for_none() {
    let (known, proxy) = tapped();
    let (p, session, held) = (&known.t.p, known.session, known.all(Keys::Aes)[0]);
    let iv = |ckm| Mech::bytes(ckm, &[3; 16]);
    proxy.reset();
    for mech in [
        Mech::plain(CKM_AES_ECB),
        iv(CKM_AES_CBC),
        iv(CKM_AES_OFB),
        iv(CKM_AES_CFB128),
        common::secret::ctr(128, [3; 16]),
    ] {
        for (op, key) in [(Op::Encrypt, held.public), (Op::Decrypt, held.private)] {
            p.init(op, session, mech.clone(), key).unwrap();
            assert_eq!(p.one_shot(op, session, &[]).unwrap(), b"");
            assert_eq!(p.in_parts(op, session, mech.clone(), key, &[]).unwrap(), b"");
            assert_eq!(p.in_parts(op, session, mech.clone(), key, &[b""]).unwrap(), b"");
        }
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    for (mech, said) in [
        (iv(CKM_AES_CTS), CKR_DATA_LEN_RANGE),
        (Mech::plain(CKM_AES_KEY_WRAP), CKR_DATA_LEN_RANGE),
        (Mech::plain(CKM_AES_KEY_WRAP_KWP), CKR_DATA_LEN_RANGE),
    ] {
        assert_eq!(p.encrypt(session, mech, held.public, &[]), Err(said));
    }
}
