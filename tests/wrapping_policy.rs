//! Which keys may wrap which: usages that exclude each other, and keys that are trusted.

mod common;

use common::aead::{gcm, kept, structure};
use common::cases::{DATA, with_data};
use common::fixture::*;
use common::p11::*;
use common::wrapping::*;
use cryptoki_sys::*;

/// Usages that make a wrapping key readable or its keys known.
const MIXED: [[CK_ATTRIBUTE_TYPE; 2]; 2] = [[CKA_WRAP, CKA_DECRYPT], [CKA_UNWRAP, CKA_ENCRYPT]];

fn flags(usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attr> {
    usages.iter().map(|usage| flag(*usage, true)).collect()
}

fn aes(usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attr> {
    let own = vec![ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
    [own, flags(usages)].concat()
}

fn with_value(usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attr> {
    [aes(usages), vec![bytes(CKA_VALUE, &[7; 16])]].concat()
}

/// What each way of making an AES key with these usages says.
fn each_way(
    p: &P11,
    session: CK_SESSION_HANDLE,
    usages: &[CK_ATTRIBUTE_TYPE],
) -> Vec<Rv<CK_OBJECT_HANDLE>> {
    let with = p.create(session, &with_value(&[CKA_WRAP, CKA_UNWRAP])).unwrap();
    let open = [with_value(&[CKA_SIGN]), vec![flag(CKA_EXTRACTABLE, true)]].concat();
    let open = p.create(session, &open).unwrap();
    let wrapped = p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP), with, open).unwrap();
    let curve = [bytes(CKA_EC_PARAMS, P256)];
    let derives = [flag(CKA_DERIVE, true)];
    let (public, private) =
        p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &curve, &derives).unwrap();
    let point = p.get(session, public, CKA_EC_POINT).unwrap();
    let sized = [aes(usages), vec![ulong(CKA_VALUE_LEN, 16)]].concat();
    vec![
        p.create(session, &with_value(usages)),
        p.generate_key(session, CKM_AES_KEY_GEN, &sized),
        p.unwrap(session, Mech::plain(CKM_AES_KEY_WRAP), with, &wrapped, &aes(usages)),
        p.derive(session, CKM_ECDH1_DERIVE, (CKD_NULL, b"", &point), private, &sized),
    ]
}

#[test]
fn a_secret_key_that_wraps_does_not_decrypt_and_one_that_unwraps_does_not_encrypt() {
    let t = Token::new();
    let session = t.user();
    for mixed in MIXED {
        for usages in [&mixed[..], &[mixed[0], mixed[1], CKA_SIGN]] {
            for made in each_way(&t.p, session, usages) {
                assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT), "{usages:x?}");
            }
        }
    }
    for usages in [&[CKA_WRAP, CKA_UNWRAP][..], &[CKA_ENCRYPT, CKA_DECRYPT], &[CKA_WRAP, CKA_SIGN]]
    {
        for made in each_way(&t.p, session, usages) {
            assert!(made.is_ok(), "{usages:x?}: {made:x?}");
        }
    }
    // What a key is not for it does not become.
    let key = t.p.create(session, &with_value(&[CKA_WRAP])).unwrap();
    let more = [flag(CKA_DECRYPT, true)];
    assert_eq!(t.p.set(session, key, &more), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.copy(session, key, &more), Err(CKR_ATTRIBUTE_READ_ONLY));
    // The template that an unwrapping key adds counts as said.
    let template = [flag(CKA_DECRYPT, true)];
    let with =
        [with_value(&[CKA_WRAP, CKA_UNWRAP]), vec![templates(CKA_UNWRAP_TEMPLATE, &template)]];
    let with = t.p.create(session, &with.concat()).unwrap();
    let open = [with_value(&[CKA_SIGN]), vec![flag(CKA_EXTRACTABLE, true)]].concat();
    let open = t.p.create(session, &open).unwrap();
    let mech = || Mech::plain(CKM_AES_KEY_WRAP);
    let wrapped = t.p.wrap(session, mech(), with, open).unwrap();
    let unwrap = |usages| t.p.unwrap(session, mech(), with, &wrapped, &aes(usages));
    assert_eq!(unwrap(&[CKA_WRAP]), Err(CKR_TEMPLATE_INCONSISTENT));
    assert!(unwrap(&[CKA_ENCRYPT]).is_ok());
}

#[test]
fn the_configuration_may_allow_both_and_what_it_allowed_stays_usable() {
    let t = Token::on(Rig::with_config("mixed_wrapping_keys = true\n"), OWNER);
    let session = t.user();
    for mixed in MIXED {
        for made in each_way(&t.p, session, &mixed) {
            assert!(made.is_ok(), "{mixed:x?}: {made:x?}");
        }
    }
    let all = [CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT];
    let template = [with_value(&all), vec![flag(CKA_TOKEN, true)]].concat();
    let key = t.p.create(session, &template).unwrap();
    t.p.copy(session, key, &[]).unwrap();
    t.p.finalize().unwrap();
    std::fs::write(t.rig.path().join("no.toml"), "").unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    let key = t.p.find(session, &[flag(CKA_WRAP, true)])[0];
    t.p.set(session, key, &[bytes(CKA_LABEL, b"still there")]).unwrap();
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    // A copy is a new object.
    assert_eq!(t.p.copy(session, key, &[]), Err(CKR_TEMPLATE_INCONSISTENT));
    let less = [flag(CKA_DECRYPT, false), flag(CKA_ENCRYPT, false)];
    t.p.copy(session, key, &less).unwrap();
    t.p.set(session, key, &less).unwrap();
    t.p.copy(session, key, &[]).unwrap();
}

#[test]
fn k_an_rsa_pair_has_all_usages_that_nss_asks_for() {
    let t = Token::new();
    let session = t.user();
    let public = [vec![ulong(CKA_MODULUS_BITS, 2048)], flags(&[CKA_WRAP, CKA_ENCRYPT])].concat();
    let private = flags(&[CKA_UNWRAP, CKA_DECRYPT, CKA_SIGN]);
    let (public, private) =
        t.p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
    for cka in [CKA_WRAP, CKA_ENCRYPT] {
        assert_eq!(t.p.get_bool(session, public, cka), Ok(true));
    }
    for cka in [CKA_UNWRAP, CKA_DECRYPT] {
        assert_eq!(t.p.get_bool(session, private, cka), Ok(true));
    }
}

#[test]
fn the_officer_alone_makes_a_key_trusted() {
    let t = Token::new();
    let session = t.user();
    let token = [flag(CKA_TOKEN, true), flag(CKA_PRIVATE, false)];
    let trusted = [flag(CKA_TRUSTED, true)];
    let template = [with_value(&[CKA_WRAP]), token.to_vec()].concat();
    let all = [template.clone(), trusted.to_vec()].concat();
    assert_eq!(t.p.create(session, &all), Err(CKR_ATTRIBUTE_READ_ONLY));
    let len = [ulong(CKA_VALUE_LEN, 16), flag(CKA_TRUSTED, true)];
    let made = t.p.generate_key(session, CKM_AES_KEY_GEN, &len);
    assert_eq!(made, Err(CKR_ATTRIBUTE_READ_ONLY));
    let key = t.p.create(session, &template).unwrap();
    assert_eq!(t.p.set(session, key, &trusted), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.copy(session, key, &trusted), Err(CKR_ATTRIBUTE_READ_ONLY));
    t.p.logout(session).unwrap();
    assert_eq!(t.p.set(session, key, &trusted), Err(CKR_ATTRIBUTE_READ_ONLY), "nobody is in");
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    t.p.set(session, key, &trusted).unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(t.p.get_bool(session, key, CKA_TRUSTED), Ok(true));
    assert_eq!(t.p.set(session, key, &[flag(CKA_TRUSTED, false)]), Err(CKR_ATTRIBUTE_READ_ONLY));
}

#[test]
fn a_key_that_wants_a_trusted_wrapping_key_goes_under_no_other() {
    let t = Token::new();
    let session = t.user();
    let template = [with_value(&[CKA_WRAP]), vec![flag(CKA_TOKEN, true), flag(CKA_PRIVATE, false)]];
    let wrapping = t.p.create(session, &template.concat()).unwrap();
    let careful = [flag(CKA_EXTRACTABLE, true), flag(CKA_WRAP_WITH_TRUSTED, true)];
    let careful =
        t.p.create(session, &[with_value(&[CKA_SIGN]), careful.to_vec()].concat()).unwrap();
    let open = [with_value(&[CKA_SIGN]), vec![flag(CKA_EXTRACTABLE, true)]].concat();
    let open = t.p.create(session, &open).unwrap();
    let wrap = |session, key| t.p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP), wrapping, key);
    assert_eq!(wrap(session, careful), Err(CKR_KEY_NOT_WRAPPABLE));
    assert!(wrap(session, open).is_ok());
    // Once said it stays said, by a copy too.
    let less = [flag(CKA_WRAP_WITH_TRUSTED, false)];
    assert_eq!(t.p.set(session, careful, &less), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.copy(session, careful, &less), Err(CKR_ATTRIBUTE_READ_ONLY));
    t.p.set(session, open, &[flag(CKA_WRAP_WITH_TRUSTED, true)]).unwrap();
    assert_eq!(wrap(session, open), Err(CKR_KEY_NOT_WRAPPABLE));
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    t.p.set(session, wrapping, &[flag(CKA_TRUSTED, true)]).unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    let careful = [flag(CKA_EXTRACTABLE, true), flag(CKA_WRAP_WITH_TRUSTED, true)];
    let careful =
        t.p.create(session, &[with_value(&[CKA_SIGN]), careful.to_vec()].concat()).unwrap();
    assert!(wrap(session, careful).is_ok());
}

/// CKM_AES_GCM with a nonce of one's own, or with one that is made.
fn gcm_by(generator: CK_GENERATOR_FUNCTION) -> Mech {
    let given = CK_GCM_WRAP_PARAMS {
        pIv: kept(b"twelve bytes"),
        ulIvLen: 12,
        ulIvFixedBits: 0,
        ivGenerator: generator,
        pAAD: std::ptr::null_mut(),
        ulAADLen: 0,
        ulTagBits: 128,
    };
    Mech::bytes(CKM_AES_GCM, &structure(given))
}

/// The same nonce twice gives the same key stream: whoever has a known key wrapped with the nonce of
/// another's wrapping has that other key. So does who has blocks encrypted in any other way.
#[test]
fn a_trusted_key_wraps_under_no_key_stream_that_somebody_else_can_make() {
    let t = Token::new();
    let session = t.user();
    let other_usages = [CKA_ENCRYPT, CKA_SIGN, CKA_DERIVE];
    let wrapping: Vec<_> = [vec![]]
        .into_iter()
        .chain(other_usages.map(|cka| vec![cka]))
        .map(|more| {
            let usages = [vec![CKA_WRAP], more].concat();
            let token = vec![flag(CKA_TOKEN, true), flag(CKA_PRIVATE, false)];
            t.p.create(session, &[with_value(&usages), token].concat()).unwrap()
        })
        .collect();
    let target = [with_value(&[CKA_SIGN]), vec![flag(CKA_EXTRACTABLE, true)]].concat();
    let wrap = |session, mech, with| {
        let target = t.p.create(session, &target).unwrap();
        t.p.wrap(session, mech, with, target)
    };
    for with in &wrapping {
        assert!(wrap(session, gcm(b"twelve bytes", b"", 128), *with).is_ok(), "not trusted");
    }
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    for with in &wrapping {
        t.p.set(session, *with, &[flag(CKA_TRUSTED, true)]).unwrap();
    }
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    for own in [gcm(b"twelve bytes", b"", 128), gcm_by(CKG_NO_GENERATE)] {
        assert_eq!(wrap(session, own, wrapping[0]), Err(CKR_MECHANISM_PARAM_INVALID));
    }
    assert!(wrap(session, gcm_by(CKG_GENERATE), wrapping[0]).is_ok());
    for with in &wrapping[1..] {
        let refused = wrap(session, gcm_by(CKG_GENERATE), *with);
        assert_eq!(refused, Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
    }
    for with in wrapping {
        assert!(wrap(session, Mech::plain(CKM_AES_KEY_WRAP), with).is_ok(), "there is no stream");
    }
}

#[test]
fn a_key_that_wants_a_trusted_wrapping_key_does_not_leave_as_part_of_another() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let secret = |more: &[Attr]| {
        let own = vec![
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            bytes(CKA_VALUE, &[7; 32]),
            flag(CKA_DERIVE, true),
            flag(CKA_EXTRACTABLE, true),
        ];
        p.create(session, &[own, more.to_vec()].concat()).unwrap()
    };
    let careful = secret(&[flag(CKA_WRAP_WITH_TRUSTED, true)]);
    let open = secret(&[]);
    let template = [flag(CKA_EXTRACTABLE, true), ulong(CKA_VALUE_LEN, 16)];
    let joined =
        |other: CK_OBJECT_HANDLE| Mech::bytes(CKM_CONCATENATE_BASE_AND_KEY, &other.to_ne_bytes());
    let shown = || {
        vec![
            with_data(CKM_CONCATENATE_BASE_AND_DATA, &[], &DATA),
            with_data(CKM_CONCATENATE_DATA_AND_BASE, &[], &DATA),
            with_data(CKM_XOR_BASE_AND_DATA, &[], &DATA),
            Mech::bytes(CKM_EXTRACT_KEY_FROM_KEY, &0usize.to_ne_bytes()),
            joined(open),
        ]
    };
    for mech in shown() {
        let refused = p.derive_key(session, mech, careful, &template);
        assert_eq!(refused, Err(CKR_KEY_TYPE_INCONSISTENT));
    }
    assert_eq!(
        p.derive_key(session, joined(careful), open, &template),
        Err(CKR_KEY_TYPE_INCONSISTENT)
    );
    for mech in shown() {
        p.derive_key(session, mech, open, &template).unwrap();
    }
    // A digest shows nothing of it.
    p.derive_key(session, Mech::plain(CKM_SHA256_KEY_DERIVATION), careful, &template).unwrap();
}
