//! The standard's conformance transcripts, replayed through the built module (PKCS#11 Profiles v3.2,
//! "Conformance Test Cases"). They are not part of this project: HIERARKEY_OASIS names their folder, or
//! it is `shared/oasis` beside the checkout; without them these tests say so and check nothing.
//!
//! A transcript is a list of calls, each followed by what it answered. Names, versions, serial
//! numbers and sizes are the module's own; flags may be more than the transcript's. What else differs
//! is in [`WAIVERS`].

mod common;

use std::collections::HashMap;
use std::path::PathBuf;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;
use roxmltree::{Document, Node};

/// What a transcript says and this module answers otherwise: file, call and element, reason.
const WAIVERS: [(&str, &str, &str); 4] = [
    ("EXT-M-1-32", "C_GetMechanismInfo/MinKeySize", "a TPM has RSA keys of its own sizes"),
    ("EXT-M-1-32", "C_GetMechanismInfo/MaxKeySize", "a TPM has RSA keys of its own sizes"),
    ("AUTH-M-1-32", "C_GetAttributeValue/MODULUS", "the key is made in the TPM that is tested"),
    ("AUTH-M-1-32", "C_Sign/Signature", "likewise: the signature is verified instead"),
];

/// Elements whose value is the module's own.
const OWN: [&str; 16] = [
    "CryptokiVersion",
    "ManufacturerID",
    "LibraryDescription",
    "LibraryVersion",
    "SlotDescription",
    "HardwareVersion",
    "FirmwareVersion",
    "label",
    "model",
    "serialNumber",
    "utcTime",
    "TotalPublicMemory",
    "FreePublicMemory",
    "TotalPrivateMemory",
    "FreePrivateMemory",
    "MaxPinLen",
];

type Told<T> = Result<T, String>;

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

fn constant(name: &str) -> Told<CK_ULONG> {
    Ok(match name {
        "TOKEN" => CKA_TOKEN,
        "LABEL" => CKA_LABEL,
        "CLASS" => CKA_CLASS,
        "VALUE" => CKA_VALUE,
        "MODULUS" => CKA_MODULUS,
        "PUBLIC_EXPONENT" => CKA_PUBLIC_EXPONENT,
        "PUBLIC_KEY" => CKO_PUBLIC_KEY,
        "PRIVATE_KEY" => CKO_PRIVATE_KEY,
        "USER" => CKU_USER,
        "SHA512" => CKM_SHA512,
        "RSA_PKCS" => CKM_RSA_PKCS,
        "RSA_PKCS_KEY_PAIR_GEN" => CKM_RSA_PKCS_KEY_PAIR_GEN,
        "SHA256_RSA_PKCS" => CKM_SHA256_RSA_PKCS,
        _ => return Err(format!("the runner does not know {name}")),
    })
}

fn flags(names: &str) -> Told<CK_FLAGS> {
    names.split('|').try_fold(0, |all, name| {
        Ok(all
            | match name {
                "0x0" => 0,
                "TOKEN_PRESENT" => CKF_TOKEN_PRESENT,
                "RNG" => CKF_RNG,
                "LOGIN_REQUIRED" => CKF_LOGIN_REQUIRED,
                "USER_PIN_INITIALIZED" => CKF_USER_PIN_INITIALIZED,
                "RESTORE_KEY_NOT_NEEDED" => CKF_RESTORE_KEY_NOT_NEEDED,
                "TOKEN_INITIALIZED" => CKF_TOKEN_INITIALIZED,
                "RW_SESSION" => CKF_RW_SESSION,
                "SERIAL_SESSION" => CKF_SERIAL_SESSION,
                "DIGEST" => CKF_DIGEST,
                "GENERATE_KEY_PAIR" => CKF_GENERATE_KEY_PAIR,
                "ENCRYPT" => CKF_ENCRYPT,
                "DECRYPT" => CKF_DECRYPT,
                "SIGN" => CKF_SIGN,
                "VERIFY" => CKF_VERIFY,
                "WRAP" => CKF_WRAP,
                "UNWRAP" => CKF_UNWRAP,
                _ => return Err(format!("the runner does not know the flag {name}")),
            })
    })
}

fn children<'a>(node: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(Node::is_element)
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    children(node).find(|child| child.tag_name().name() == name)
}

fn value<'a>(node: Node<'a, 'a>, name: &str) -> Told<&'a str> {
    child(node, name).and_then(|child| child.attribute("value")).ok_or_else(|| format!("no {name}"))
}

/// A transcript being replayed.
struct Replay<'t> {
    p: &'t P11,
    file: &'t str,
    /// What the transcript calls `${...}`.
    variables: HashMap<String, CK_ULONG>,
    /// The public key of the token's pair, where it has one.
    public: Option<CK_OBJECT_HANDLE>,
    calls: usize,
}

impl Replay<'_> {
    fn run(&mut self, text: &str) -> Told<()> {
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        let mut calls = children(document.root_element());
        while let Some(request) = calls.next() {
            let name = request.tag_name().name();
            let answer = calls.next().ok_or("a call without its answer")?;
            if answer.tag_name().name() != name {
                return Err(format!("{name} is answered by {:?}", answer.tag_name()));
            }
            self.call(name, request, answer).map_err(|why| format!("{name}: {why}"))?;
            self.calls += 1;
        }
        Ok(())
    }

    fn call(&mut self, name: &str, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<()> {
        let p = self.p;
        let rv = match name {
            "C_Initialize" => p.initialize(),
            "C_Finalize" => p.finalize(),
            "C_GetInfo" => self.get_info(answer)?,
            "C_GetSlotList" => self.slot_list(request, answer)?,
            "C_GetSlotInfo" => {
                let info = p.slot_info(self.number(request, "SlotID")?);
                self.told(info, |info| {
                    self.struct_of(name, answer, "SlotInfo", &[("Flags", info.flags)])
                })?
            }
            "C_GetTokenInfo" => {
                let info = p.token_info(self.number(request, "SlotID")?);
                self.told(info, |info| {
                    let fields = [
                        ("Flags", info.flags),
                        ("MaxSessionCount", info.ulMaxSessionCount),
                        ("SessionCount", info.ulSessionCount),
                        ("MaxRwSessionCount", info.ulMaxRwSessionCount),
                        ("RwSessionCount", info.ulRwSessionCount),
                        ("MinPinLen", info.ulMinPinLen),
                    ];
                    self.struct_of(name, answer, "TokenInfo", &fields)
                })?
            }
            "C_GetMechanismList" => self.mechanism_list(request, answer)?,
            "C_GetMechanismInfo" => {
                let slot = self.number(request, "SlotID")?;
                let info = p.mechanism_info(slot, constant(value(request, "Type")?)?);
                self.told(info, |info| {
                    let fields = [
                        ("MinKeySize", info.ulMinKeySize),
                        ("MaxKeySize", info.ulMaxKeySize),
                        ("Flags", info.flags),
                    ];
                    self.struct_of(name, answer, "MechanismInfo", &fields)
                })?
            }
            "C_OpenSession" => {
                let slot = self.number(request, "SlotID")?;
                let opened = p.open(slot, flags(value(request, "Flags")?)?);
                if let Ok(session) = opened {
                    self.learn(value(answer, "Session")?, session)?;
                }
                opened.map(drop)
            }
            "C_CloseSession" => p.close(self.number(request, "Session")?),
            "C_CloseAllSessions" => p.close_all(self.number(request, "SlotID")?),
            "C_Login" => {
                let user = constant(value(request, "UserType")?)?;
                p.login(self.number(request, "Session")?, user, PIN)
            }
            "C_Logout" => p.logout(self.number(request, "Session")?),
            "C_FindObjectsInit" => {
                let template = template(child(request, "Template").ok_or("no template")?)?;
                p.find_init(self.number(request, "Session")?, &template)
            }
            "C_FindObjects" => self.find(request, answer)?,
            "C_FindObjectsFinal" => p.find_final(self.number(request, "Session")?),
            "C_GetAttributeValue" => self.attributes(request, answer)?,
            "C_SignInit" => {
                let mechanism = child(request, "Mechanism").ok_or("no mechanism")?;
                let mechanism = Mech::plain(constant(value(mechanism, "Type")?)?);
                let key = self.number(request, "Key")?;
                p.init(Op::Sign, self.number(request, "Session")?, mechanism, key)
            }
            "C_Sign" => self.sign(request, answer)?,
            _ => return Err("the runner does not know this call".into()),
        };
        match (rv, answer.attribute("rv")) {
            (Ok(()), Some("OK")) => Ok(()),
            (rv, expected) => Err(format!("answered {rv:x?} instead of {expected:?}")),
        }
    }

    fn told<T>(&self, answer: Rv<T>, check: impl FnOnce(T) -> Told<()>) -> Told<Rv<()>> {
        match answer {
            Ok(answer) => check(answer).map(Ok),
            Err(rv) => Ok(Err(rv)),
        }
    }

    /// A number that the transcript has a name for.
    fn number(&self, node: Node<'_, '_>, name: &str) -> Told<CK_ULONG> {
        let name = value(node, name)?;
        self.variables.get(name).copied().ok_or_else(|| format!("{name} is not known yet"))
    }

    fn learn(&mut self, name: &str, number: CK_ULONG) -> Told<()> {
        if !name.starts_with("${") {
            return Err(format!("{name} is no variable"));
        }
        self.variables.insert(name.to_owned(), number);
        Ok(())
    }

    fn waived(&self, name: &str, element: &str) -> bool {
        let what = format!("{name}/{element}");
        WAIVERS.iter().any(|(file, waived, _)| *file == self.file && *waived == what)
    }

    /// Holds every element of a structure against the fields that the module gave.
    fn struct_of(
        &self,
        name: &str,
        answer: Node<'_, '_>,
        structure: &str,
        fields: &[(&str, CK_ULONG)],
    ) -> Told<()> {
        let expected = child(answer, structure).ok_or_else(|| format!("no {structure}"))?;
        for element in children(expected) {
            let field = element.tag_name().name();
            if OWN.contains(&field) || self.waived(name, field) {
                continue;
            }
            let given = fields.iter().find(|(known, _)| *known == field);
            let (_, given) = given.ok_or_else(|| format!("the runner does not know {field}"))?;
            let said = element.attribute("value").ok_or("an element without a value")?;
            let good = match field {
                "Flags" => flags(said)? & !given == 0,
                _ => said.parse() == Ok(*given),
            };
            if !good {
                return Err(format!("{field} is {given:#x}, and {said} in the transcript"));
            }
        }
        Ok(())
    }

    fn get_info(&self, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let mut info = CK_INFO::default();
        // SAFETY: the pointer is to a structure of this function.
        let rv = unsafe { self.p.list.C_GetInfo.unwrap()(&mut info) };
        self.struct_of("C_GetInfo", answer, "Info", &[("Flags", info.flags)])?;
        Ok(if rv == CKR_OK { Ok(()) } else { Err(rv) })
    }

    fn slot_list(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let present = value(request, "TokenPresent")? == "true";
        let slots = match self.p.slots(present) {
            Ok(slots) => slots,
            Err(rv) => return Ok(Err(rv)),
        };
        let list = child(answer, "SlotList").ok_or("no list")?;
        if let Some(name) = list.attribute("length") {
            self.learn(name, slots.len() as CK_ULONG)?;
        }
        for (element, slot) in children(list).zip(&slots) {
            self.learn(element.attribute("value").ok_or("a slot without a name")?, *slot)?;
        }
        if children(list).count() > slots.len() {
            return Err("fewer slots than in the transcript".into());
        }
        Ok(Ok(()))
    }

    fn mechanism_list(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let listed = match self.p.mechanisms(self.number(request, "SlotID")?) {
            Ok(listed) => listed,
            Err(rv) => return Ok(Err(rv)),
        };
        let list = child(answer, "MechanismList").ok_or("no list")?;
        if let Some(name) = list.attribute("length") {
            self.learn(name, listed.len() as CK_ULONG)?;
        }
        for element in children(list) {
            let name = element.attribute("value").ok_or("a mechanism without a name")?;
            if !listed.contains(&constant(name)?) {
                return Err(format!("{name} is not listed"));
            }
        }
        Ok(Ok(()))
    }

    fn find(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let most = child(request, "Object").and_then(|object| object.attribute("length"));
        let most = most.and_then(|most| most.parse().ok()).ok_or("no number of objects")?;
        let found = match self.p.find_some(self.number(request, "Session")?, most) {
            Ok(found) => found,
            Err(rv) => return Ok(Err(rv)),
        };
        let list = child(answer, "Object").ok_or("no list")?;
        if children(list).count() != found.len() {
            return Err(format!("{} objects were found", found.len()));
        }
        for (element, object) in children(list).zip(found) {
            self.learn(element.attribute("value").ok_or("an object without a name")?, object)?;
        }
        Ok(Ok(()))
    }

    fn attributes(&self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let (session, object) = (self.number(request, "Session")?, self.number(request, "Object")?);
        let expected = child(answer, "Template").ok_or("no template")?;
        for attribute in children(expected) {
            let name = attribute.attribute("type").ok_or("an attribute without a type")?;
            let given = match self.p.get(session, object, constant(name)?) {
                Ok(given) => given,
                Err(rv) => return Ok(Err(rv)),
            };
            let len = attribute.attribute("length").map(|len| len.parse() == Ok(given.len()));
            let same = attribute.attribute("value").map(|said| match name {
                // Its length in the transcript counts the NUL after it.
                "LABEL" => given.strip_suffix(b"\0").unwrap_or(&given) == said.as_bytes(),
                _ if self.waived("C_GetAttributeValue", name) => said.len() == 2 * given.len(),
                _ => hex::encode(&given) == said.to_lowercase(),
            });
            if len == Some(false) || same == Some(false) || len.or(same).is_none() {
                return Err(format!("{name} is {}", hex::encode(given)));
            }
        }
        Ok(Ok(()))
    }

    fn sign(&self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let session = self.number(request, "Session")?;
        let data = hex::decode(value(request, "Data")?).map_err(|error| error.to_string())?;
        let signature = match self.p.one_shot(Op::Sign, session, &data) {
            Ok(signature) => signature,
            Err(rv) => return Ok(Err(rv)),
        };
        let expected = value(answer, "Signature")?;
        if self.waived("C_Sign", "Signature") {
            let public = self.public.ok_or("no key to verify with")?;
            let mech = Mech::plain(CKM_SHA256_RSA_PKCS);
            self.p
                .verify(session, mech, public, &data, &signature)
                .map_err(|rv| format!("the signature does not verify: {rv:#x}"))?;
            if expected.len() != 2 * signature.len() {
                return Err("a signature of another length".into());
            }
        } else if hex::encode(&signature) != expected {
            return Err("another signature".into());
        }
        Ok(Ok(()))
    }
}

fn template(node: Node<'_, '_>) -> Told<Vec<Attr>> {
    children(node)
        .map(|attribute| {
            let name = attribute.attribute("type").ok_or("an attribute without a type")?;
            let kind = constant(name)?;
            let said = attribute.attribute("value").ok_or("an attribute without a value")?;
            Ok(match name {
                "TOKEN" => flag(kind, said == "TRUE"),
                "CLASS" => ulong(kind, constant(said)?),
                "LABEL" => bytes(kind, said.as_bytes()),
                _ => return Err(format!("the runner does not search by {name}")),
            })
        })
        .collect()
}

/// A token with what `fill` puts on it, and the module not initialised.
fn token(fill: impl FnOnce(&P11, CK_SESSION_HANDLE)) -> Token {
    let t = Token::new();
    let session = t.user();
    fill(&t.p, session);
    t.p.finalize().unwrap();
    t
}

fn replay(t: &Token, file: &str, text: &str, public: Option<CK_OBJECT_HANDLE>) -> Told<usize> {
    let mut replay = Replay { p: &t.p, file, variables: HashMap::new(), public, calls: 0 };
    replay.variables.insert("${Pin}".into(), 0);
    let done = replay.run(text).map(|()| replay.calls);
    if done.is_err() {
        // A transcript that was given up in the middle leaves the library as it is.
        let _ = t.p.finalize();
    }
    done
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
}

#[test]
fn a_transcript_that_says_something_else_is_noticed() {
    let Some(text) = transcript("BL-M-1-32") else { return };
    let t = token(|_, _| {});
    for (from, to) in [
        ("<C_Initialize rv=\"OK\"/>", "<C_Initialize rv=\"GENERAL_ERROR\"/>"),
        ("<SessionCount value=\"0\"/>", "<SessionCount value=\"7\"/>"),
        ("RNG|", "RNG|GENERATE_KEY_PAIR|"),
        ("<MinPinLen value=\"4\"/>", "<MinPinLen value=\"5\"/>"),
        ("<C_CloseAllSessions>", "<C_Unknown>"),
    ] {
        let to = if from.starts_with("<C_Close") {
            text.replace("C_CloseAllSessions", "C_Unknown")
        } else {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        let noticed = replay(&t, "BL-M-1-32", &to, None);
        assert!(noticed.is_err(), "{from}");
    }
    assert!(replay(&t, "BL-M-1-32", &text, None).is_ok(), "and as it is it passes");
}
