//! The model itself: that it refuses wrong MACs, and wrong verdicts about them.

use cryptoki_sys::*;

use super::mechanism::{Mechanism, Parameter};
use super::refusals::{AES_KEY, begin, believes, one_shot, only, output, tell, with_aes};
use super::state::Model;
use super::step::{Given, Kind, Room, Step};

/// RFC 4493's key, and its MACs of the first so many bytes of its message.
const RFC_KEY: u128 = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c;
const RFC_MESSAGE: [u128; 3] = [
    0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a,
    0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
    0x30c8_1c46_a35c_e411_e5fb_c119_1a0a_52ef,
];
const RFC_MACS: [(usize, u128); 3] = [
    (0, 0xbb1d_6929_e959_3728_7fa3_7d12_9b75_6746),
    (16, 0x070a_16b4_6b4d_4144_f79b_dd9d_d04a_287c),
    (40, 0xdfa6_6747_de9a_e630_30ca_3261_1497_c827),
];

/// With an AES key that signs and verifies, whose handle is 4.
fn with_key() -> Model {
    let mut model = with_aes();
    let key = model.handles[&4];
    for usage in [CKA_SIGN, CKA_VERIFY] {
        model.objects[key].attributes.insert(usage, vec![1]);
    }
    model
}

fn verify(data: &[u8], signature: &[u8]) -> Step {
    Step::Verify { session: 1, data: data.to_vec(), signature: signature.to_vec() }
}

#[test]
fn the_model_makes_the_macs_of_the_standards() {
    let message = RFC_MESSAGE.map(u128::to_be_bytes).concat();
    for (len, mac) in RFC_MACS {
        let made = Mechanism::suitable(CKM_AES_CMAC).mac(&RFC_KEY.to_be_bytes(), &message[..len]);
        assert_eq!(made.unwrap(), mac.to_be_bytes(), "{len}");
    }
    // RFC 4231's second case.
    let made = Mechanism::suitable(CKM_SHA256_HMAC).mac(b"Jefe", b"what do ya want for nothing?");
    let begins = 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7_u128;
    assert_eq!(made.unwrap()[..16], begins.to_be_bytes());
}

#[test]
fn the_model_knows_which_macs_are_right() {
    let mut model = with_key();
    let cmac = Mechanism::suitable(CKM_AES_CMAC);
    let mac = cmac.mac(AES_KEY, b"data").unwrap();
    only(
        &model,
        &begin(Kind::Sign, Mechanism::suitable(CKM_SHA256_HMAC), 4),
        CKR_KEY_TYPE_INCONSISTENT,
    );
    tell(&mut model, &begin(Kind::Sign, cmac, 4), Given::Nothing);
    let sign = one_shot(Kind::Sign, b"data", Room::Enough);
    assert!(!believes(&model, &sign, CKR_OK, output(&[5; 16])));
    assert!(!believes(&model, &sign, CKR_OK, output(&mac[..15])));
    tell(&mut model, &sign, output(&mac));

    tell(&mut model, &begin(Kind::Verify, cmac, 4), Given::Nothing);
    only(&model, &verify(b"data", &mac), CKR_OK);
    only(&model, &verify(b"date", &mac), CKR_SIGNATURE_INVALID);
    only(&model, &verify(b"data", &[5; 16]), CKR_SIGNATURE_INVALID);
    only(&model, &verify(b"data", &mac[..8]), CKR_SIGNATURE_LEN_RANGE);
    let part =
        Step::Update { session: 1, kind: Kind::Verify, data: b"da".into(), room: Room::Enough };
    tell(&mut model, &part, Given::Nothing);
    only(&model, &Step::VerifyFinal { session: 1, signature: mac }, CKR_SIGNATURE_INVALID);
    let other = cmac.mac(AES_KEY, b"da").unwrap();
    only(&model, &Step::VerifyFinal { session: 1, signature: other }, CKR_OK);
}

#[test]
fn the_model_knows_how_short_a_mac_can_be() {
    let mut model = with_key();
    let general = |len| Mechanism { ckm: CKM_AES_CMAC_GENERAL, parameter: Parameter::MacLen(len) };
    let bare = Mechanism { ckm: CKM_AES_CMAC_GENERAL, parameter: Parameter::None };
    for wrong in [general(0), general(17), bare] {
        only(&model, &begin(Kind::Sign, wrong, 4), CKR_MECHANISM_PARAM_INVALID);
    }
    tell(&mut model, &begin(Kind::Sign, general(5), 4), Given::Nothing);
    let mac = Mechanism::suitable(CKM_AES_CMAC).mac(AES_KEY, b"data").unwrap();
    let sign = one_shot(Kind::Sign, b"data", Room::Enough);
    assert!(!believes(&model, &sign, CKR_OK, output(&mac)));
    assert!(!believes(&model, &sign, CKR_OK, output(&mac[11..])));
    assert!(believes(&model, &sign, CKR_OK, output(&mac[..5])));
}
