//! SP 800-108: each block is a MAC with the base key in the TPM.

mod common;

use common::derive::*;
use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const COUNTER: &str = include_str!("vectors/sp800_108_counter.txt");
const KEYS: CK_ULONG = CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS;
const SEGMENTS: CK_ULONG = CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS;

/// A base key that may sign too, as a PRF's key does.
fn key(
    p: &P11,
    session: CK_SESSION_HANDLE,
    key_type: CK_KEY_TYPE,
    value: &[u8],
    more: &[Attr],
) -> CK_OBJECT_HANDLE {
    base_key(p, session, key_type, value, &[&[flag(CKA_SIGN, true)], more].concat())
}

fn counter_kdf<'a>(prf: CK_MECHANISM_TYPE, fields: &'a [Field<'a>]) -> Kdf<'a> {
    Kdf { ckm: CKM_SP800_108_COUNTER_KDF, prf, fields, iv: &[], additional: &[] }
}

/// The key type, PRF and hash of a line's first word.
fn prf(name: &str) -> (CK_KEY_TYPE, CK_MECHANISM_TYPE) {
    match name {
        "aes" => (CKK_AES, CKM_AES_CMAC),
        "sha1" => (CKK_SHA_1_HMAC, CKM_SHA_1_HMAC),
        "sha256" => (CKK_SHA256_HMAC, CKM_SHA256_HMAC),
        "sha384" => (CKK_SHA384_HMAC, CKM_SHA384_HMAC),
        "sha512" => (CKK_SHA512_HMAC, CKM_SHA512_HMAC),
        _ => unreachable!(),
    }
}

#[test]
fn the_published_keys_of_the_counter_mode_come_out() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let mut tried = 0;
    for line in COUNTER.lines().filter(|line| !line.starts_with('#')) {
        let [name, bits, base, before, behind, made] = line.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!()
        };
        let decoded = |text| if text == "-" { vec![] } else { hex::decode(text).unwrap() };
        let [base, before, behind, expected] = [base, before, behind, made].map(decoded);
        let mut fields = vec![Field::Count(format(bits.parse().unwrap()))];
        if !before.is_empty() {
            fields.insert(0, Field::Bytes(&before));
        }
        if !behind.is_empty() {
            fields.push(Field::Bytes(&behind));
        }
        let (own, prf) = prf(name);
        // Every second as a generic secret.
        let generic = own != CKK_AES && tried % 2 == 0;
        let base = key(p, session, if generic { CKK_GENERIC_SECRET } else { own }, &base, &[]);
        let (made, _) = p.kdf(session, &counter_kdf(prf, &fields), base, &sized(expected.len()));
        assert_eq!(p.get(session, made.unwrap(), CKA_VALUE).unwrap(), expected, "{line}");
        p.destroy(session, base).unwrap();
        tried += 1;
    }
    assert_eq!(tried, 144);
}

/// The three modes in a few lines, with the MACs of another key of the same value.
struct Model<'a> {
    p: &'a P11,
    session: CK_SESSION_HANDLE,
    prf: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
}

impl Model<'_> {
    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.p.sign(self.session, Mech::plain(self.prf), self.key, &parts.concat()).unwrap()
    }

    /// Blocks of iteration variable, counter of 16 bits, label and length.
    fn feedback(&self, iv: &[u8], tail: &[u8], blocks: u16) -> Vec<Vec<u8>> {
        let mut made: Vec<Vec<u8>> = Vec::new();
        for count in 1..=blocks {
            let last = made.last().map_or(iv, Vec::as_slice);
            made.push(self.mac(&[last, &count.to_be_bytes(), tail]));
        }
        made
    }

    fn double_pipeline(&self, tail: &[u8], blocks: u16) -> Vec<Vec<u8>> {
        let mut a = tail.to_vec();
        let mut made = Vec::new();
        for count in 1..=blocks {
            a = self.mac(&[&a]);
            made.push(self.mac(&[&a, &count.to_be_bytes(), tail]));
        }
        made
    }
}

#[test]
fn feedback_and_double_pipeline_are_what_the_standard_says_of_macs() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for (name, len, h) in [
        ("aes", 16, 16),
        ("aes", 32, 16),
        ("sha1", 20, 20),
        ("sha256", 100, 32),
        ("sha512", 200, 64),
    ] {
        let (own, prf) = prf(name);
        let value: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let base = key(p, session, own, &value, &[]);
        let model = Model { p, session, prf, key: base };
        for wanted in [1usize, 16, h, h + 1, 3 * h] {
            let blocks = wanted.div_ceil(h);
            for (method, bits) in [(KEYS, wanted * 8), (SEGMENTS, blocks * h * 8)] {
                let fields = [
                    Field::Iteration,
                    Field::Counter(format(16)),
                    Field::Bytes(b"label"),
                    Field::Bytes(&[0]),
                    Field::Length(length(method, 32)),
                ];
                let tail = [&b"label\0"[..], &(bits as u32).to_be_bytes()].concat();
                let blocks = blocks as u16;
                for iv in [&b""[..], b"initial"] {
                    let feedback = CKM_SP800_108_FEEDBACK_KDF;
                    let kdf = Kdf { ckm: feedback, prf, fields: &fields, iv, additional: &[] };
                    let made = p.kdf(session, &kdf, base, &sized(wanted)).0.unwrap();
                    let expected = model.feedback(iv, &tail, blocks).concat();
                    assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), expected[..wanted]);
                }
                let pipeline = CKM_SP800_108_DOUBLE_PIPELINE_KDF;
                let kdf = Kdf { ckm: pipeline, prf, fields: &fields, iv: &[], additional: &[] };
                let made = p.kdf(session, &kdf, base, &sized(wanted)).0.unwrap();
                let expected = model.double_pipeline(&tail, blocks).concat();
                assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), expected[..wanted]);
            }
        }
    }
}

/// `number` as wide as `format` says.
fn written(number: u64, bits: CK_ULONG, little_endian: bool) -> Vec<u8> {
    let width = bits as usize / 8;
    match little_endian {
        true => number.to_le_bytes()[..width].to_vec(),
        false => number.to_be_bytes()[8 - width..].to_vec(),
    }
}

#[test]
fn numbers_of_every_width_and_order_stand_where_the_parameter_has_them() {
    use ::hmac::{Hmac, Mac};
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let base = key(p, session, CKK_GENERIC_SECRET, &[3; 40], &[]);
    for bits in [8, 16, 24, 32, 40, 48, 56, 64] {
        for little in [false, true] {
            let number =
                CK_SP800_108_COUNTER_FORMAT { bLittleEndian: little.into(), ulWidthInBits: bits };
            // 160 bits go into every width.
            let len = CK_SP800_108_DKM_LENGTH_FORMAT {
                dkmLengthMethod: KEYS,
                bLittleEndian: little.into(),
                ulWidthInBits: bits,
            };
            let three = [Field::Count(number), Field::Bytes(b"label"), Field::Length(len)];
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let fields = order.map(|at| three[at]);
                let (made, _) =
                    p.kdf(session, &counter_kdf(CKM_SHA256_HMAC, &fields), base, &sized(20));
                let parts =
                    [written(1, bits, little), b"label".to_vec(), written(160, bits, little)];
                let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[3; 40]).unwrap();
                order.iter().for_each(|at| mac.update(&parts[*at]));
                let expected = mac.finalize().into_bytes();
                let value = p.get(session, made.unwrap(), CKA_VALUE).unwrap();
                assert_eq!(value, expected[..20], "{bits} bits, {little}, {order:?}");
            }
        }
    }
    // A counter of a byte counts 255 blocks, as many as 1024 bytes have not; of CMAC they are 16.
    let aes = key(p, session, CKK_AES, &[3; 16], &[]);
    let fields = [Field::Count(format(8)), Field::Length(length(KEYS, 8))];
    let narrow = p.kdf(session, &counter_kdf(CKM_AES_CMAC, &fields), aes, &sized(32)).0;
    assert_eq!(narrow, Err(CKR_MECHANISM_PARAM_INVALID), "256 bits are no byte");
    p.kdf(session, &counter_kdf(CKM_AES_CMAC, &fields), aes, &sized(31)).0.unwrap();
    let additional = vec![sized(1024); 3];
    let kdf = Kdf { additional: &additional, ..counter_kdf(CKM_AES_CMAC, &fields[..1]) };
    let (many, _) = p.kdf(session, &kdf, aes, &sized(1008));
    many.unwrap();
    let (more, _) = p.kdf(session, &kdf, aes, &sized(1009));
    assert_eq!(more, Err(CKR_KEY_SIZE_RANGE), "256 blocks");
}

#[test]
fn additional_keys_come_of_blocks_of_their_own_in_order() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let base = key(p, session, CKK_GENERIC_SECRET, &[3; 40], &[]);
    let model = Model { p, session, prf: CKM_SHA256_HMAC, key: base };
    let other = key(p, session, CKK_GENERIC_SECRET, b"input", &open());
    let fields = [
        Field::Count(CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_TRUE, ulWidthInBits: 24 }),
        Field::Key(other),
        Field::Length(length(KEYS, 16)),
        Field::Key(other),
    ];
    let aes = [
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_ENCRYPT, true),
        ulong(CKA_VALUE_LEN, 16),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_SENSITIVE, false),
    ];
    let token = [sized(33), vec![flag(CKA_TOKEN, true)]].concat();
    let additional = [aes.to_vec(), token, sized(64)];
    let kdf = Kdf { additional: &additional, ..counter_kdf(CKM_SHA256_HMAC, &fields) };
    let (first, more) = p.kdf(session, &kdf, base, &sized(48));
    let keys = [&[first.unwrap()], &more[..]].concat();
    let bits = ((48 + 16 + 33 + 64) * 8u16).to_be_bytes();
    let blocks: Vec<_> =
        (1..=7u8).map(|count| model.mac(&[&[count, 0, 0], b"input", &bits, b"input"])).collect();
    for (key, (range, len)) in keys.iter().zip([(0..2, 48), (2..3, 16), (3..5, 33), (5..7, 64)]) {
        let value = p.get(session, *key, CKA_VALUE).unwrap();
        assert_eq!(value, blocks[range].concat()[..len]);
    }
    assert_eq!(p.get_ulong(session, keys[1], CKA_KEY_TYPE), Ok(CKK_AES));
    assert_eq!(p.get_bool(session, keys[2], CKA_TOKEN), Ok(true));

    // One that cannot be: none is, and its place says which.
    let before = p.find(session, &[]).len();
    let bad = [ulong(CKA_VALUE_LEN, 16), flag(CKA_LOCAL, true)];
    for (at, template, rv) in [
        (0, &bad[..], CKR_ATTRIBUTE_READ_ONLY),
        (2, &bad, CKR_ATTRIBUTE_READ_ONLY),
        (1, &[ulong(CKA_VALUE_LEN, 1025)], CKR_KEY_SIZE_RANGE),
        (1, &[ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 17)], CKR_KEY_SIZE_RANGE),
    ] {
        let mut additional = additional.clone();
        additional[at] = template.to_vec();
        let kdf = Kdf { additional: &additional, ..kdf };
        let (made, handles) = p.kdf(session, &kdf, base, &sized(48));
        assert_eq!(made, Err(rv), "{at}");
        let told: Vec<_> = handles.iter().map(|handle| *handle == CK_INVALID_HANDLE).collect();
        let expected: Vec<_> = (0..3).map(|index| index == at).collect();
        assert_eq!(told, expected, "{at} {handles:x?}");
    }
    assert_eq!(p.find(session, &[]).len(), before);
}

#[test]
fn c121_derived_keys_take_over_what_the_base_key_is() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let template = [ulong(CKA_VALUE_LEN, 32), flag(CKA_DERIVE, true)];
    let base = p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let flags = |key| {
        [CKA_LOCAL, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_EXTRACTABLE, CKA_NEVER_EXTRACTABLE]
            .map(|cka| p.get_bool(session, key, cka).unwrap())
    };
    let derive = |base, fields: &[Field<'_>], more: &[Attr]| {
        let template = [&[ulong(CKA_VALUE_LEN, 32)], more].concat();
        flags(p.kdf(session, &counter_kdf(CKM_SHA256_HMAC, fields), base, &template).0.unwrap())
    };
    let plain = [Field::Count(format(8))];
    assert_eq!(derive(base, &plain, &[]), [false, true, true, false, true]);
    assert_eq!(derive(base, &plain, &open()), [false, false, false, true, false]);
    // Left out they are the base key's.
    let known = key(p, session, CKK_GENERIC_SECRET, &[7; 32], &open());
    assert_eq!(derive(known, &plain, &[]), [false, false, false, true, false]);
    let hidden = [flag(CKA_SENSITIVE, true), flag(CKA_EXTRACTABLE, false)];
    assert_eq!(derive(known, &plain, &hidden), [false, true, false, false, false]);
    // One of several keys that always was sensitive is enough.
    let template = [&template[..], &[flag(CKA_EXTRACTABLE, true)]].concat();
    let other = p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let with = [Field::Count(format(8)), Field::Key(other)];
    assert_eq!(derive(known, &with, &hidden), [false, true, true, false, false]);
}

#[test]
fn bad_parameters_are_refused_before_the_tpm_is_asked() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let secret = key(p, session, CKK_GENERIC_SECRET, &[1; 32], &[]);
    let by_sha1 = key(p, session, CKK_SHA_1_HMAC, &[1; 32], &[]);
    let aes = key(p, session, CKK_AES, &[1; 16], &[]);
    let (counter, feedback, pipeline) =
        (CKM_SP800_108_COUNTER_KDF, CKM_SP800_108_FEEDBACK_KDF, CKM_SP800_108_DOUBLE_PIPELINE_KDF);
    let count = Field::Count(format(16));
    let null = |type_, len| {
        Field::Raw(CK_PRF_DATA_PARAM { type_, pValue: std::ptr::null_mut(), ulValueLen: len })
    };
    let len = Field::Length(length(KEYS, 16));
    let before = proxy.commands().len();
    let bad = CKR_MECHANISM_PARAM_INVALID;
    let check = |ckm, prf, base, fields: &[Field<'_>], template: &[Attr], rv| {
        let kdf = Kdf { ckm, prf, fields, iv: &[], additional: &[] };
        assert_eq!(p.kdf(session, &kdf, base, template).0, Err(rv));
    };
    let hmac = CKM_SHA256_HMAC;
    for (ckm, fields) in [
        (counter, &[][..]),
        (counter, &[len]),
        (counter, &[Field::Iteration]),
        (counter, &[count, count]),
        (counter, &[count, Field::Counter(format(16))]),
        (counter, &[count, len, len]),
        (counter, &[Field::Count(format(0))]),
        (counter, &[Field::Count(format(7))]),
        (counter, &[Field::Count(format(72))]),
        (counter, &[Field::Count(format(CK_ULONG::MAX))]),
        (counter, &[count, Field::Length(length(3, 16))]),
        (counter, &[count, Field::Length(length(KEYS, 0))]),
        // 256 bits are more than one byte tells.
        (counter, &[count, Field::Length(length(KEYS, 8))]),
        (counter, &[count, Field::Bytes(b"")]),
        (counter, &[count, null(CK_SP800_108_BYTE_ARRAY, 5)]),
        (counter, &[count, null(CK_SP800_108_DKM_LENGTH, 0)]),
        (counter, &[count, null(99, 0)]),
        (feedback, &[]),
        (feedback, &[count]),
        (feedback, &[Field::Iteration, Field::Iteration]),
        (feedback, &[Field::Iteration, Field::Counter(format(8)), Field::Counter(format(8))]),
        (pipeline, &[Field::Bytes(b"label")]),
        (pipeline, &[count]),
    ] {
        check(ckm, hmac, secret, fields, &sized(32), bad);
    }
    for prf in [CKM_SHA256, CKM_SHA3_256_HMAC, CKM_SHA256_HMAC_GENERAL, CKM_AES_CMAC_GENERAL] {
        check(counter, prf, secret, &[count], &sized(32), bad);
    }
    let inconsistent = CKR_KEY_TYPE_INCONSISTENT;
    for (prf, base) in [(CKM_AES_CMAC, secret), (hmac, aes), (hmac, by_sha1)] {
        check(counter, prf, base, &[count], &sized(32), inconsistent);
    }
    check(counter, hmac, secret, &[count, Field::Key(0)], &sized(32), CKR_KEY_HANDLE_INVALID);
    // Its value does not leave.
    check(counter, hmac, secret, &[count, Field::Key(secret)], &sized(32), inconsistent);
    check(counter, hmac, secret, &[count], &open(), CKR_TEMPLATE_INCOMPLETE);
    let small = [Field::Count(format(8))];
    check(counter, CKM_AES_CMAC, aes, &small, &sized(1025), CKR_KEY_SIZE_RANGE);
    let many: Vec<_> = (0..8).map(|_| sized(1024)).collect();
    let kdf = Kdf { additional: &many, ..counter_kdf(hmac, &small) };
    assert_eq!(p.kdf(session, &kdf, secret, &sized(32)).0, Err(CKR_KEY_SIZE_RANGE));
    assert_eq!(proxy.commands().len(), before);
}
