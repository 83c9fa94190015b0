//! What holds for all data and every way to cut it. A failure prints the data and its seed.

use cryptoki_sys::*;
use proptest::prelude::*;

use super::Digesting;
use super::parameter::Parameter;
use super::row::Encryption;
use super::soft_key::{SoftTpm, rsa_key};
use super::table::MECHANISMS;
use super::tests::{
    NO_KEY, choice, decrypting, encrypting, keys, oaep, plain, signing, signing_rows, verifying,
};

/// Feeds `data` to `update`, cut at `cuts`.
fn in_parts(data: &[u8], cuts: &[prop::sample::Index], mut update: impl FnMut(&[u8])) {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    at.extend([0, data.len()]);
    at.sort_unstable();
    for pair in at.windows(2) {
        update(&data[pair[0]..pair[1]]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn one_shot_equals_multi_part_for_every_split(
        data in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for row in signing_rows().filter(|row| row.hash.is_some()) {
            let (choice, key) = (choice(row), keys(row).swap_remove(0));
            let mut tpm = SoftTpm::new(&key);

            let mut parts = signing(&choice, &key).unwrap();
            in_parts(&data, &cuts, |part| parts.update(part, &mut tpm).unwrap());
            let made_in_parts = parts.finish(&mut tpm).unwrap();
            verifying(&choice, &key).unwrap().verify(&data, &made_in_parts, NO_KEY).unwrap();

            let made_at_once = signing(&choice, &key).unwrap().sign(&data, &mut tpm).unwrap();
            let mut parts = verifying(&choice, &key).unwrap();
            in_parts(&data, &cuts, |part| parts.update(part, NO_KEY).unwrap());
            parts.finish(&made_at_once, NO_KEY).unwrap();
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn digests_do_not_depend_on_the_split(
        data in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for row in MECHANISMS.iter().filter(|row| row.digest.is_some()) {
            let mut digesting = Digesting::new(&choice(row)).unwrap();
            in_parts(&data, &cuts, |part| digesting.update(part));
            let digest = digesting.finish();
            prop_assert_eq!(digest.len(), digesting.digest_len());
            prop_assert_eq!(digest, row.digest.unwrap().digest(&data));
        }
    }

    #[test]
    fn what_was_encrypted_is_decrypted(
        data in prop::collection::vec(any::<u8>(), 0..=128),
        hash in prop::sample::select(vec![CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384]),
    ) {
        let key = rsa_key();
        let oaep = oaep(hash, CKG_MGF1_SHA3_384, &data);
        for choice in [plain(CKM_RSA_PKCS), plain(CKM_RSA_X_509), oaep] {
            let mut decrypting = decrypting(&choice, &key).unwrap();
            let mut data = data.clone();
            data.truncate(decrypting.bound(128).unwrap());
            if choice.ckm == CKM_RSA_X_509 {
                data.resize(128, 0x5a);
                data[0] = 0;
            }
            let mut encrypting = encrypting(&choice, &key).unwrap();
            let ciphertext = encrypting.encrypt(&data, NO_KEY).unwrap();
            prop_assert_eq!(ciphertext.len(), encrypting.ciphertext_len(data.len()).unwrap());
            let decrypted = decrypting.decrypt(&ciphertext, &mut SoftTpm::new(&key)).unwrap();
            prop_assert_eq!(decrypted.as_slice(), data.as_slice());
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn ciphers_and_macs_do_not_depend_on_the_split(
        data in prop::collection::vec(any::<u8>(), 0..100),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for (row, key) in MECHANISMS.iter().flat_map(|row| keys(row).into_iter().map(move |key| (row, key))) {
            let (mut choice, mut tpm) = (choice(row), SoftTpm::new(&key));
            if let Parameter::Aead(given) = &mut choice.parameter {
                given.data_len = Some(data.len() as CK_ULONG);
            }
            if row.is_mac() {
                let mac = signing(&choice, &key).unwrap().sign(&data, &mut tpm).unwrap();
                let mut parts = signing(&choice, &key).unwrap();
                prop_assert_eq!(mac.len(), parts.signature_len());
                in_parts(&data, &cuts, |part| parts.update(part, &mut tpm).unwrap());
                prop_assert_eq!(&parts.finish(&mut tpm).unwrap(), &mac);
                let mut parts = verifying(&choice, &key).unwrap();
                in_parts(&data, &again, |part| {
                    parts.update(part, Some(SoftTpm::new(&key))).unwrap();
                });
                parts.finish(&mac, Some(SoftTpm::new(&key))).unwrap();
            }
            let too_short = row.ckm == CKM_AES_CTS && data.len() < 16;
            if matches!(row.encryption, Some(Encryption::Cipher(_) | Encryption::Aead(_))) && !too_short {
                let whole = data.len() / 16 * 16;
                let data = if matches!(row.ckm, CKM_AES_ECB | CKM_AES_CBC) { &data[..whole] } else { &data };
                let mut whole = encrypting(&choice, &key).unwrap();
                let len = whole.ciphertext_len(data.len()).unwrap();
                let ciphertext = whole.encrypt(data, Some(SoftTpm::new(&key))).unwrap();
                prop_assert_eq!(ciphertext.len(), len);
                let (mut parts, mut made) = (encrypting(&choice, &key).unwrap(), Vec::new());
                in_parts(data, &cuts, |part| {
                    let len = parts.update_len(part.len()).unwrap();
                    let out = parts.update(part, Some(SoftTpm::new(&key))).unwrap();
                    assert_eq!(out.len(), len);
                    made.extend(out);
                });
                let len = parts.finish_len().unwrap();
                let out = parts.finish(Some(SoftTpm::new(&key))).unwrap();
                prop_assert_eq!(out.len(), len);
                made.extend(out);
                prop_assert_eq!(&made, &ciphertext);
                let (mut parts, mut plain) = (decrypting(&choice, &key).unwrap(), Vec::new());
                in_parts(&ciphertext, &again, |part| {
                    let (_, len) = parts.update_len(part.len()).unwrap();
                    let out = parts.update(part, &mut tpm).unwrap();
                    assert_eq!(out.len(), len);
                    plain.extend_from_slice(&out);
                });
                plain.extend_from_slice(&parts.finish(&mut tpm).unwrap());
                prop_assert_eq!(plain.as_slice(), data);
                let plain = decrypting(&choice, &key).unwrap().decrypt(&ciphertext, &mut tpm).unwrap();
                prop_assert_eq!(plain.as_slice(), data);
            }
        }
    }
}
