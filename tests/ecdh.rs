//! ECDH by every key derivation, on every curve, and what of it the TPM sees.

mod common;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

/// The two orders of each hash: secret first as ANSI X9.63 has it, and counter first as SP 800-56A.
const KDFS: [(CK_MECHANISM_TYPE, CK_EC_KDF_TYPE, CK_EC_KDF_TYPE); 9] = [
    (CKM_SHA_1, CKD_SHA1_KDF, CKD_SHA1_KDF_SP800),
    (CKM_SHA224, CKD_SHA224_KDF, CKD_SHA224_KDF_SP800),
    (CKM_SHA256, CKD_SHA256_KDF, CKD_SHA256_KDF_SP800),
    (CKM_SHA384, CKD_SHA384_KDF, CKD_SHA384_KDF_SP800),
    (CKM_SHA512, CKD_SHA512_KDF, CKD_SHA512_KDF_SP800),
    (CKM_SHA3_224, CKD_SHA3_224_KDF, CKD_SHA3_224_KDF_SP800),
    (CKM_SHA3_256, CKD_SHA3_256_KDF, CKD_SHA3_256_KDF_SP800),
    (CKM_SHA3_384, CKD_SHA3_384_KDF, CKD_SHA3_384_KDF_SP800),
    (CKM_SHA3_512, CKD_SHA3_512_KDF, CKD_SHA3_512_KDF_SP800),
];

fn parameter(kdf: CK_EC_KDF_TYPE, info: &[u8], point: &[u8]) -> CK_ECDH1_DERIVE_PARAMS {
    CK_ECDH1_DERIVE_PARAMS {
        kdf,
        ulSharedDataLen: info.len() as CK_ULONG,
        pSharedData: if info.is_empty() { std::ptr::null_mut() } else { info.as_ptr().cast_mut() },
        ulPublicDataLen: point.len() as CK_ULONG,
        pPublicData: point.as_ptr().cast_mut(),
    }
}

fn open(len: Option<usize>) -> Vec<Attr> {
    let mut template = vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
    template.extend(len.map(|len| ulong(CKA_VALUE_LEN, len as CK_ULONG)));
    template
}

fn pair(p: &P11, session: CK_SESSION_HANDLE, curve: &[u8]) -> (Vec<u8>, CK_OBJECT_HANDLE) {
    let (public, private) = p
        .generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, curve)],
            &[flag(CKA_DERIVE, true)],
        )
        .unwrap();
    (p.get(session, public, CKA_EC_POINT).unwrap(), private)
}

#[test]
fn every_kdf_makes_of_the_shared_secret_what_its_standard_says() {
    let t = Token::new();
    let session = t.user();
    let reader = t.p.ro(t.slot);
    let p = &t.p;
    for (curve, width) in [(P256, 32), (P384, 48), (P521, 66)] {
        let (own_point, own) = pair(p, session, curve);
        let (peer_point, peer) = pair(p, session, curve);
        let raw_of = |der: &[u8]| der[der.len() - 2 * width - 1..].to_vec();
        let derive = |kdf, info: &[u8], point: &[u8], base, template: &[Attr]| {
            let parameter = parameter(kdf, info, point);
            p.derive_with(reader, CKM_ECDH1_DERIVE, &parameter, base, template)
        };
        let told = |key| p.get(reader, key, CKA_VALUE).unwrap();
        let shared = told(derive(CKD_NULL, b"", &peer_point, own, &open(None)).unwrap());
        assert_eq!(shared.len(), width);
        // Either side, by either form of the point.
        for (point, base) in [(raw_of(&peer_point), own), (own_point.clone(), peer)] {
            assert_eq!(told(derive(CKD_NULL, b"", &point, base, &open(None)).unwrap()), shared);
        }
        for (hash, secret_first, counter_first) in KDFS {
            for info in [&b""[..], b"shared information"] {
                let block = |parts: [&[u8]; 2]| {
                    p.digest(reader, hash, &[&parts.concat(), info].concat()).unwrap()
                };
                let (one, two) = ([0, 0, 0, 1], [0, 0, 0, 2]);
                for (kdf, expected) in [
                    (secret_first, [block([&shared, &one]), block([&shared, &two])].concat()),
                    (counter_first, [block([&one, &shared]), block([&two, &shared])].concat()),
                ] {
                    let len = expected.len() - 5;
                    let made = derive(kdf, info, &peer_point, own, &open(Some(len))).unwrap();
                    assert_eq!(told(made), expected[..len], "{kdf}");
                }
            }
        }
        // A secret that stays in the TPM serves there.
        let template = [ulong(CKA_VALUE_LEN, 32), flag(CKA_SIGN, true), flag(CKA_VERIFY, true)];
        let ours = derive(CKD_SHA256_KDF, b"info", &peer_point, own, &template).unwrap();
        let theirs = derive(CKD_SHA256_KDF, b"info", &own_point, peer, &template).unwrap();
        assert_eq!(p.get(reader, ours, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
        let mac = p.sign(reader, Mech::plain(CKM_SHA256_HMAC), ours, b"message").unwrap();
        p.verify(reader, Mech::plain(CKM_SHA256_HMAC), theirs, b"message", &mac).unwrap();
    }
}

#[test]
fn a_point_off_the_curve_is_refused_before_the_tpm_sees_it() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let (_, own) = pair(p, session, P256);
    let (point, _) = pair(p, session, P256);
    let (other_curve, _) = pair(p, session, P384);
    let raw = point[2..].to_vec();
    let changed = |at: usize, to: u8| {
        let mut point = raw.clone();
        point[at] = to;
        point
    };
    let field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let too_large = [&[4][..], &hex::decode(field).unwrap(), &raw[33..]].concat();
    let before = proxy.commands().len();
    for bad in [
        changed(40, raw[40] ^ 1),
        changed(0, 2),
        changed(0, 0),
        raw[..64].to_vec(),
        raw[1..].to_vec(),
        [&raw[..], &[0]].concat(),
        [&[4], &[0; 64][..]].concat(),
        [&[4], &[0xff; 64][..]].concat(),
        too_large,
        vec![0],
        vec![],
        other_curve.clone(),
        other_curve[3..].to_vec(),
        point[..60].to_vec(),
        [&point[..], &[0]].concat(),
    ] {
        for ckm in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
            let made =
                p.derive_with(session, ckm, &parameter(CKD_NULL, b"", &bad), own, &open(None));
            assert_eq!(made, Err(CKR_MECHANISM_PARAM_INVALID), "{bad:02x?}");
        }
    }
    for kdf in [0, CKD_SHA1_KDF_ASN1, CKD_SHA1_KDF_CONCATENATE, CKD_CPDIVERSIFY_KDF, 99] {
        let parameter = parameter(kdf, b"", &raw);
        let made = p.derive_with(session, CKM_ECDH1_DERIVE, &parameter, own, &open(Some(16)));
        assert_eq!(made, Err(CKR_MECHANISM_PARAM_INVALID), "{kdf}");
    }
    assert_eq!(proxy.commands().len(), before);
}
