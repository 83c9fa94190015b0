//! The standard's conformance transcripts, replayed through the built module (PKCS#11 Profiles v3.2,
//! "Conformance Test Cases"). They are not part of this project: HIERARKEY_OASIS names their folder, or
//! it is `shared/oasis` beside the checkout; without them these tests say so and check nothing.
//!
//! A transcript is a list of calls, each followed by what it answered. Names, the versions of what is
//! inside, and serial numbers are the module's own ([`replay::OWN`]); flags may be more than the transcript's.
//! What else differs is in [`replay::WAIVERS`].

mod common;
#[path = "oasis/names.rs"]
mod names;
#[path = "oasis/replay.rs"]
mod replay;

use std::path::PathBuf;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;
use replay::replay;
use roxmltree::Document;

fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/oasis");
    let folder = std::env::var_os("HIERARKEY_OASIS").map_or(beside.into(), PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The transcript, or nothing where there is none.
fn transcript(name: &str) -> Option<String> {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: the transcripts are not here, {name} is not replayed");
        return None;
    };
    Some(std::fs::read_to_string(folder.join(format!("{name}.xml"))).unwrap())
}

/// A token with what `fill` puts on it, and the module not initialised.
fn token(fill: impl FnOnce(&P11, CK_SESSION_HANDLE)) -> Token {
    let t = Token::new();
    let session = t.user();
    fill(&t.p, session);
    t.p.finalize().unwrap();
    t
}

#[test]
fn the_baseline_providers_transcript_passes() {
    let Some(text) = transcript("BL-M-1-32") else { return };
    let t = token(|_, _| {});
    let calls = replay(&t, "BL-M-1-32", &text, None).unwrap();
    assert!(calls >= 12, "{calls}");
}

#[test]
fn the_extended_providers_transcript_passes() {
    let Some(text) = transcript("EXT-M-1-32") else { return };
    let t = token(|_, _| {});
    let calls = replay(&t, "EXT-M-1-32", &text, None).unwrap();
    assert!(calls >= 18, "{calls}");
}

#[test]
fn the_authentication_tokens_transcript_passes() {
    let Some(text) = transcript("AUTH-M-1-32") else { return };
    let t = token(|p, session| {
        let label = |text: &str| vec![flag(CKA_TOKEN, true), bytes(CKA_LABEL, text.as_bytes())];
        let public = [label("testrsa-pub"), vec![ulong(CKA_MODULUS_BITS, 2048)]].concat();
        let private = [label("testrsa-pri"), vec![flag(CKA_SIGN, true)]].concat();
        p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
    });
    // The handles of the next life begin anew: the first object found is the public key.
    let calls = replay(&t, "AUTH-M-1-32", &text, Some(first_handle(&t))).unwrap();
    assert!(calls >= 19, "{calls}");
}

/// The handle that the first object found in a life of the library has.
fn first_handle(t: &Token) -> CK_OBJECT_HANDLE {
    t.p.initialize().unwrap();
    let session = t.p.ro(t.slot);
    let found = t.p.find(session, &[ulong(CKA_CLASS, CKO_PUBLIC_KEY)]);
    t.p.finalize().unwrap();
    found[0]
}

#[test]
fn the_public_certificates_tokens_transcript_passes() {
    let Some(text) = transcript("CERT-M-1-32") else { return };
    let document = Document::parse(&text).unwrap();
    let certificate = document
        .descendants()
        .filter(|node| node.attribute("type") == Some("VALUE"))
        .find_map(|node| node.attribute("value"))
        .map(|value| hex::decode(value).unwrap())
        .unwrap();
    let t = token(|p, session| {
        p.create(session, &data(b"Mozilla Builtin Roots\0", true, false)).unwrap();
        let template = [
            ulong(CKA_CLASS, CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            flag(CKA_TOKEN, true),
            bytes(CKA_VALUE, &certificate),
        ];
        p.create(session, &template).unwrap();
        for label in [b"3", b"4", b"5"] {
            p.create(session, &data(label, true, false)).unwrap();
        }
    });
    let calls = replay(&t, "CERT-M-1-32", &text, None).unwrap();
    assert!(calls >= 15, "{calls}");
    t.p.initialize().unwrap();
    let id = ulong(CKA_PROFILE_ID, CKP_PUBLIC_CERTIFICATES_TOKEN);
    let claimed = t.p.find(t.p.ro(t.slot), &[ulong(CKA_CLASS, CKO_PROFILE), id]);
    assert_eq!(claimed.len(), 1, "what passes the transcript claims the profile");
}

/// A transcript of our own, for what has to be shown where the standard's are not there too.
const OWN_TRANSCRIPT: &str = include_str!("oasis/own.xml");

#[test]
fn a_transcript_that_says_something_else_is_noticed() {
    let t = token(|p, session| {
        p.create(session, &data(b"found", true, false)).unwrap();
    });
    let calls = replay(&t, "own", OWN_TRANSCRIPT, None);
    assert_eq!(calls, Ok(13), "as it is it passes");
    for (from, to) in [
        ("<C_Initialize rv=\"OK\"/>", "<C_Initialize rv=\"GENERAL_ERROR\"/>"),
        ("<C_CloseSession rv=\"OK\"/>", "<C_CloseSession rv=\"SESSION_CLOSED\"/>"),
        ("minor=\"2\"", "minor=\"1\""),
        ("Flags value=\"RNG|", "Flags value=\"RNG|GENERATE_KEY_PAIR|"),
        ("Flags value=\"DIGEST\"", "Flags value=\"DIGEST|SIGN\""),
        ("MinPinLen value=\"4\"", "MinPinLen value=\"5\""),
        ("MinPinLen", "AnotherLen"),
        ("MaxKeySize value=\"0\"", "MaxKeySize value=\"1\""),
        ("<MechanismList><Type value=\"SHA512\"/>", "<MechanismList><Type value=\"DES_CBC\"/>"),
        ("<Object><Object value=\"${Object}\"/></Object>", "<Object/>"),
        (
            "type=\"LABEL\" value=\"found\"/><Attribute",
            "type=\"LABEL\" value=\"other\"/><Attribute",
        ),
        ("length=\"22\"", "length=\"23\""),
        (
            "<Session value=\"${Session}\"/></C_CloseSession>",
            "<Session value=\"${Other}\"/></C_CloseSession>",
        ),
        ("<C_CloseSession rv=\"OK\"/>", ""),
        ("<C_Finalize/> <C_Finalize rv=\"OK\"/>", "<C_Unknown/> <C_Unknown rv=\"OK\"/>"),
    ] {
        assert!(OWN_TRANSCRIPT.contains(from), "{from}");
        let noticed = replay(&t, "own", &OWN_TRANSCRIPT.replacen(from, to, 1), None);
        assert!(noticed.is_err(), "{from}");
    }
    let unused = replay(&t, "AUTH-M-1-32", OWN_TRANSCRIPT, None);
    assert!(unused.is_err_and(|why| why.contains("C_Sign/Signature")), "a waiver without need");
}
