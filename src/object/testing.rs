//! Keys and a certificate for tests, made by `openssl`, and templates that fit them.

use cryptoki_sys::*;

use super::creation::{Actor, Path, Role, new_object};
use super::value::{AttributeSet, Value};
use crate::tpm::{Curve, PublicKey};

/// SubjectPublicKeyInfo of a P-256 key.
pub(super) const P256_INFO: &str = "\
    3059301306072a8648ce3d020106082a8648ce3d030107034200045c662947ba3d38cd545123b65f3f295fb4f913\
    623472de96814ab36a9da34e18f17f846b81dc6e3b03dbd43fe4d6475e601efa5fadb75ecd13162890a1100c37\
";
/// SubjectPublicKeyInfo of a P-384 key.
pub(super) const P384_INFO: &str = "\
    3076301006072a8648ce3d020106052b81040022036200041ffb9dda20d553024cb07cb4b3dc76d928ddef492c87\
    494eab162c0cdc5fc6112e50d8cf40bb89d90f417f5d6867860671da11499f6f38407a4ad704cb9ba49324a43c28\
    c533279c230d456528fb45ef3af9459142f06276f8c1f543952dc696\
";
/// SubjectPublicKeyInfo of a P-521 key.
pub(super) const P521_INFO: &str = "\
    30819b301006072a8648ce3d020106052b81040023038186000400f96d74f71afb02dcdb97e2c65d24f173ee5066\
    c7feb1569466e3a48c49ab70a2b8419bfe7f2bb01e95bc90df9a4a992c7451c78f1d9a19fdfb0f313c83c7e4a8e8\
    006e4362a451733547d9804b158bff33af409c3c34863bc865c5407bde432a0a35ff745f3432b8fca6f6c6fe6b82\
    d331918c865a864535f976915c93ad8919975d06\
";
/// SubjectPublicKeyInfo of an RSA key of 1024 bits, public exponent 65537.
pub(super) const RSA_INFO: &str = "\
    30819f300d06092a864886f70d010101050003818d0030818902818100d709c9b78bec818eba26ed0d7656d0c68f\
    523c710da5bbc6f585db8f634fc67b13d79adf6fba3bad24628d6ae3f9090608f32bd0ad9b663680cfacb5fb0fbd\
    22b92e4e117b8cbbb79e84cb399490fa2df0db9f422715bc99f8f547fe3fef8c2209264922c126e20d6a20049a38\
    f2a6c2fc77c6bc7b9f76714c96496d7ecfe88f0203010001\
";
/// A certificate of the P-256 key: subject CN=gate.example, O=Hierarkey; issuer CN=Root; serial
/// number 0xF1E2D3C4.
pub(super) const CERTIFICATE: &str = "\
    3082019a30820120a003020102020500f1e2d3c4300a06082a8648ce3d040302300f310d300b06035504030c0452\
    6f6f74301e170d3236313132313034353631315a170d3336313131383034353631315a302b311530130603550403\
    0c0c676174652e6578616d706c6531123010060355040a0c094869657261726b65793059301306072a8648ce3d02\
    0106082a8648ce3d030107034200045c662947ba3d38cd545123b65f3f295fb4f913623472de96814ab36a9da34e\
    18f17f846b81dc6e3b03dbd43fe4d6475e601efa5fadb75ecd13162890a1100c37a34d304b30090603551d130402\
    3000301d0603551d0e041604146327fafce6c95788169902c87d035d1677f4d2af301f0603551d23041830168014\
    a5737e56fc73ce75ae951d24f2f5b1846aed61ce300a06082a8648ce3d040302036800306502302eb36ec910cfff\
    6829f71ce8a49f1c6623fe9725fa3f10c9e03133fe84998ca1cbe486626fd72bb29c77048657f2c42e023100acb3\
    015e0d18c7ba395a517b3b5db7020ac68e167cf22222a592844a6a9f8a8cee2b013cf91dc10a477c994ec9a0ac62\
";
/// The same without extensions: of version 1, which is not written down in it.
pub(super) const CERTIFICATE_V1: &str = "\
    308201453081cc020500f1e2d3c4300a06082a8648ce3d040302300f310d300b06035504030c04526f6f74301e17\
    0d3236313132313034353232345a170d3336313131383034353232345a302b3115301306035504030c0c67617465\
    2e6578616d706c6531123010060355040a0c094869657261726b65793059301306072a8648ce3d020106082a8648\
    ce3d030107034200045c662947ba3d38cd545123b65f3f295fb4f913623472de96814ab36a9da34e18f17f846b81\
    dc6e3b03dbd43fe4d6475e601efa5fadb75ecd13162890a1100c37300a06082a8648ce3d04030203680030650231\
    00dbc53d1599096f74bb491727a9bcb61e03d664f0861850de9425ad470f72ade25c7e54afd2a8182417b68c6ccc\
    e6961c02300e2af57952446f8d9f32f5cdde1757d3c8bcdfbf0516145c0fbf5a95ba8cf51397eba9f7343d2daf67\
    ba2c68fc69df4b\
";
/// The first three bytes of `sha1sum` over [`CERTIFICATE`].
pub(super) const CERTIFICATE_CHECK_VALUE: &str = "0b4b09";

/// What an application is told.
pub(super) type Told<T> = Result<T, CK_RV>;

/// The bytes of one of the constants above.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// The key of an `..._INFO` of an EC key: its point is at the end.
pub(super) fn ec_key(curve: Curve, info: &str) -> PublicKey {
    let info = bytes(info);
    let (rest, y) = info.split_at(info.len() - curve.field_len());
    let (_, x) = rest.split_at(rest.len() - curve.field_len());
    PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() }
}

/// The key of [`RSA_INFO`]: the last 128 + 5 bytes are modulus, tag, length and exponent.
pub(super) fn rsa_key() -> PublicKey {
    let info = bytes(RSA_INFO);
    let modulus = &info[info.len() - 133..info.len() - 5];
    PublicKey::Rsa { modulus: modulus.to_vec(), exponent: vec![1, 0, 1] }
}

/// The user in a R/W session.
pub(super) const USER: Actor = Actor { role: Role::User, read_write: true, mixes_wrapping: false };
/// Nobody in a R/W session.
pub(super) const PUBLIC: Actor =
    Actor { role: Role::Public, read_write: true, mixes_wrapping: false };
/// The security officer.
pub(super) const OFFICER: Actor =
    Actor { role: Role::SecurityOfficer, read_write: true, mixes_wrapping: false };
/// The user in a R/O session.
pub(super) const READER: Actor =
    Actor { role: Role::User, read_write: false, mixes_wrapping: false };

pub(super) fn ulong(value: CK_ULONG) -> Value {
    Value::Ulong(value as u64)
}

pub(super) const TRUE: Value = Value::Bool(true);
pub(super) const FALSE: Value = Value::Bool(false);

/// A template for a data object.
pub(super) fn data() -> AttributeSet {
    AttributeSet::new().with(CKA_CLASS, ulong(CKO_DATA))
}

/// A template for [`CERTIFICATE`].
pub(super) fn certificate() -> AttributeSet {
    AttributeSet::new()
        .with(CKA_CLASS, ulong(CKO_CERTIFICATE))
        .with(CKA_CERTIFICATE_TYPE, ulong(CKC_X_509))
        .with(CKA_VALUE, Value::bytes(bytes(CERTIFICATE)))
}

/// A template for the public key `key`.
pub(super) fn public(key: &PublicKey) -> AttributeSet {
    let key_type = if matches!(key, PublicKey::Rsa { .. }) { CKK_RSA } else { CKK_EC };
    let mut template = super::public::attributes(key).unwrap();
    template.remove(CKA_PUBLIC_KEY_INFO);
    template.with(CKA_CLASS, ulong(CKO_PUBLIC_KEY)).with(CKA_KEY_TYPE, ulong(key_type))
}

/// The pair that the two templates make of `key`.
pub(super) fn pair(
    key: &PublicKey,
    public: AttributeSet,
    private: AttributeSet,
) -> (AttributeSet, AttributeSet) {
    let (mechanism, public) = match key {
        PublicKey::Rsa { modulus, .. } => (
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            public.with(CKA_MODULUS_BITS, Value::Ulong(super::public::bits(modulus))),
        ),
        PublicKey::Ec { curve, .. } => {
            let params = super::public::ec_params(*curve).unwrap();
            (CKM_EC_KEY_PAIR_GEN, public.with(CKA_EC_PARAMS, Value::bytes(params)))
        }
    };
    super::key_pair_request(mechanism, &public, &private, USER).unwrap().complete(key).unwrap()
}

/// A P-256 private key as it is generated without a word.
pub(super) fn private_key() -> AttributeSet {
    pair(&ec_key(Curve::P256, P256_INFO), AttributeSet::new(), AttributeSet::new()).1
}

/// What `template` creates for `actor`, or how that is refused.
pub(super) fn create(template: &AttributeSet, actor: Actor) -> Told<AttributeSet> {
    new_object(Path::Create, template, actor).map_err(|error| error.ck_rv())
}
