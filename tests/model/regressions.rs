//! What random sequences have found wrong, each shrunk to the calls that matter.

use cryptoki_sys::*;

use crate::common::fixture::*;
use crate::common::p11::*;

#[test]
fn c074_a_decryption_that_comes_back_with_other_data_gives_the_other_plaintext() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = rsa_pair(&t.p, session, b"1", false);
    let mechanism = || Mech::plain(CKM_RSA_PKCS);
    let encrypt = |data: &[u8]| t.p.encrypt(session, mechanism(), public, data).unwrap();
    let (one, other) = (encrypt(b"one plaintext"), encrypt(b"the other"));

    let begin = || t.p.init(Op::Decrypt, session, mechanism(), private).unwrap();
    let too_small = |data| t.p.one_shot_raw(Op::Decrypt, session, data, Some(&mut [0]));
    begin();
    assert_eq!(too_small(&one), (CKR_BUFFER_TOO_SMALL, 13));
    assert_eq!(too_small(&other), (CKR_BUFFER_TOO_SMALL, 9));
    assert_eq!(t.p.one_shot(Op::Decrypt, session, &other).unwrap(), b"the other");

    begin();
    assert_eq!(too_small(&one), (CKR_BUFFER_TOO_SMALL, 13));
    assert_eq!(t.p.one_shot(Op::Decrypt, session, &one).unwrap(), b"one plaintext");

    begin();
    assert_eq!(too_small(&one).0, CKR_BUFFER_TOO_SMALL);
    let short = t.p.one_shot(Op::Decrypt, session, &one[1..]);
    assert_eq!(short, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
}

#[test]
fn c044_a_verification_whose_signature_is_known_first_is_there_but_not_saved() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let mut mechanism = Mech::plain(CKM_ECDSA_SHA256);
    let signature = t.p.sign(session, mechanism.clone(), private, b"data").unwrap();
    let (start, len) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    let (list, mut state, mut room) = (t.p.list, [0; 1024], 1024);
    // SAFETY: pointers to memory of this function.
    let told = unsafe {
        let init = list.C_VerifySignatureInit.unwrap();
        assert_eq!(init(session, &mut mechanism.raw(), public, start, len), CKR_OK);
        list.C_GetOperationState.unwrap()(session, state.as_mut_ptr(), &mut room)
    };
    assert_eq!(told, CKR_STATE_UNSAVEABLE);
    // SAFETY: as above.
    let verified =
        unsafe { list.C_VerifySignature.unwrap()(session, b"data".as_ptr().cast_mut(), 4) };
    assert_eq!(verified, CKR_OK);
}
