//! Replays a transcript: makes each call that it has, and holds the answer to the one it tells.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use cryptoki_sys::*;
use roxmltree::{Document, Node};

use crate::common::fixture::*;
use crate::common::p11::*;
use crate::names::{constant, flags};

/// What a transcript says and this module answers otherwise: the files, the call with what it is
/// about and the element, the reason. One that is not needed fails its replay.
pub const WAIVERS: [(&[&str], &str, &str); 10] = [
    (&["EXT-M-1-32"], "C_GetMechanismInfo RSA_PKCS/MinKeySize", OF_THE_TPM),
    (&["EXT-M-1-32"], "C_GetMechanismInfo RSA_PKCS/MaxKeySize", OF_THE_TPM),
    (&["EXT-M-1-32"], "C_GetMechanismInfo RSA_PKCS_KEY_PAIR_GEN/MinKeySize", OF_THE_TPM),
    (&["EXT-M-1-32"], "C_GetMechanismInfo RSA_PKCS_KEY_PAIR_GEN/MaxKeySize", OF_THE_TPM),
    (&["BL-M-1-32", "EXT-M-1-32"], "C_GetTokenInfo/TotalPublicMemory", NOT_KNOWN),
    (&["BL-M-1-32", "EXT-M-1-32"], "C_GetTokenInfo/FreePublicMemory", NOT_KNOWN),
    (&["BL-M-1-32", "EXT-M-1-32"], "C_GetTokenInfo/TotalPrivateMemory", NOT_KNOWN),
    (&["BL-M-1-32", "EXT-M-1-32"], "C_GetTokenInfo/FreePrivateMemory", NOT_KNOWN),
    (&["AUTH-M-1-32"], "C_GetAttributeValue/MODULUS", "the key is made in the TPM that is tested"),
    (&["AUTH-M-1-32"], "C_Sign/Signature", "likewise: the signature is verified instead"),
];

pub const OF_THE_TPM: &str = "a TPM has RSA keys of its own sizes";

pub const NOT_KNOWN: &str =
    "how much a disk will hold is not known, and 0 would say that it is full";

/// Elements whose value is the module's own: "Variable Items" of the standard.
pub const OWN: [&str; 10] = [
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
];

pub type Told<T> = Result<T, String>;

pub fn children<'a>(node: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(Node::is_element)
}

pub fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    children(node).find(|child| child.tag_name().name() == name)
}

pub fn value<'a>(node: Node<'a, 'a>, name: &str) -> Told<&'a str> {
    child(node, name).and_then(|child| child.attribute("value")).ok_or_else(|| format!("no {name}"))
}

/// A transcript being replayed.
pub struct Replay<'t> {
    pub p: &'t P11,
    pub file: &'t str,
    /// What the transcript calls `${...}`.
    pub variables: HashMap<String, CK_ULONG>,
    /// The public key of the token's pair, where it has one.
    pub public: Option<CK_OBJECT_HANDLE>,
    pub calls: usize,
    /// The waivers that were needed.
    pub waived: RefCell<BTreeSet<&'static str>>,
}

impl Replay<'_> {
    pub fn run(&mut self, text: &str) -> Told<()> {
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

    pub fn call(&mut self, name: &str, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<()> {
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
                        ("MaxPinLen", info.ulMaxPinLen),
                        ("MinPinLen", info.ulMinPinLen),
                        ("TotalPublicMemory", info.ulTotalPublicMemory),
                        ("FreePublicMemory", info.ulFreePublicMemory),
                        ("TotalPrivateMemory", info.ulTotalPrivateMemory),
                        ("FreePrivateMemory", info.ulFreePrivateMemory),
                    ];
                    self.struct_of(name, answer, "TokenInfo", &fields)
                })?
            }
            "C_GetMechanismList" => self.mechanism_list(request, answer)?,
            "C_GetMechanismInfo" => {
                let slot = self.number(request, "SlotID")?;
                let mechanism = value(request, "Type")?;
                let info = p.mechanism_info(slot, constant("CKM_", mechanism)?);
                let name = &format!("{name} {mechanism}");
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
                let user = constant("CKU_", value(request, "UserType")?)?;
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
                let mechanism = Mech::plain(constant("CKM_", value(mechanism, "Type")?)?);
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

    pub fn told<T>(&self, answer: Rv<T>, check: impl FnOnce(T) -> Told<()>) -> Told<Rv<()>> {
        match answer {
            Ok(answer) => check(answer).map(Ok),
            Err(rv) => Ok(Err(rv)),
        }
    }

    /// A number that the transcript has a name for.
    pub fn number(&self, node: Node<'_, '_>, name: &str) -> Told<CK_ULONG> {
        let name = value(node, name)?;
        self.variables.get(name).copied().ok_or_else(|| format!("{name} is not known yet"))
    }

    pub fn learn(&mut self, name: &str, number: CK_ULONG) -> Told<()> {
        if !name.starts_with("${") {
            return Err(format!("{name} is no variable"));
        }
        self.variables.insert(name.to_owned(), number);
        Ok(())
    }

    /// Whether the transcript may say something else here. Asked only where it does.
    pub fn waived(&self, name: &str, element: &str) -> bool {
        let what = format!("{name}/{element}");
        let found = self.waivers().find(|waiver| *waiver == what);
        found.is_some_and(|waiver| {
            self.waived.borrow_mut().insert(waiver);
            true
        })
    }

    /// What is waived in this file.
    pub fn waivers(&self) -> impl Iterator<Item = &'static str> {
        let of_this = |(files, ..): &&(&[&str], _, _)| files.contains(&self.file);
        WAIVERS.iter().filter(of_this).map(|(_, what, _)| *what)
    }

    /// Holds every element of a structure against the fields that the module gave.
    pub fn struct_of(
        &self,
        name: &str,
        answer: Node<'_, '_>,
        structure: &str,
        fields: &[(&str, CK_ULONG)],
    ) -> Told<()> {
        let expected = child(answer, structure).ok_or_else(|| format!("no {structure}"))?;
        for element in children(expected) {
            let field = element.tag_name().name();
            if OWN.contains(&field) {
                continue;
            }
            let given = fields.iter().find(|(known, _)| *known == field);
            let (_, given) = given.ok_or_else(|| format!("the runner does not know {field}"))?;
            let good = match field {
                "Flags" => flags(said(element, "value")?)? & !given == 0,
                "CryptokiVersion" => {
                    let [major, minor] = [said(element, "major")?, said(element, "minor")?];
                    let version = major.parse().ok().zip(minor.parse().ok());
                    version.map(|(major, minor)| number_of(CK_VERSION { major, minor }))
                        == Some(*given)
                }
                _ => said(element, "value")?.parse() == Ok(*given),
            };
            if !good && !self.waived(name, field) {
                return Err(format!("{field} is {given:#x}, and not as in the transcript"));
            }
        }
        Ok(())
    }

    pub fn get_info(&self, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let mut info = CK_INFO::default();
        // SAFETY: the pointer is to a structure of this function.
        let rv = unsafe { self.p.list.C_GetInfo.unwrap()(&mut info) };
        let version = ("CryptokiVersion", number_of(info.cryptokiVersion));
        let fields = [version, ("Flags", info.flags)];
        self.struct_of("C_GetInfo", answer, "Info", &fields)?;
        Ok(if rv == CKR_OK { Ok(()) } else { Err(rv) })
    }

    pub fn slot_list(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
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

    pub fn mechanism_list(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
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
            if !listed.contains(&constant("CKM_", name)?) {
                return Err(format!("{name} is not listed"));
            }
        }
        Ok(Ok(()))
    }

    pub fn find(&mut self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
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

    pub fn attributes(&self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let (session, object) = (self.number(request, "Session")?, self.number(request, "Object")?);
        let expected = child(answer, "Template").ok_or("no template")?;
        for attribute in children(expected) {
            let name = attribute.attribute("type").ok_or("an attribute without a type")?;
            let given = match self.p.get(session, object, constant("CKA_", name)?) {
                Ok(given) => given,
                Err(rv) => return Ok(Err(rv)),
            };
            let len = attribute.attribute("length").map(|len| len.parse() == Ok(given.len()));
            let same = attribute.attribute("value").map(|said| match name {
                // Its length in the transcript counts the NUL after it.
                "LABEL" => given.strip_suffix(b"\0").unwrap_or(&given) == said.as_bytes(),
                _ if hex::encode(&given) == said.to_lowercase() => true,
                _ => said.len() == 2 * given.len() && self.waived("C_GetAttributeValue", name),
            });
            if len == Some(false) || same == Some(false) || len.or(same).is_none() {
                return Err(format!("{name} is {}", hex::encode(given)));
            }
        }
        Ok(Ok(()))
    }

    pub fn sign(&self, request: Node<'_, '_>, answer: Node<'_, '_>) -> Told<Rv<()>> {
        let session = self.number(request, "Session")?;
        let data = hex::decode(value(request, "Data")?).map_err(|error| error.to_string())?;
        let signature = match self.p.one_shot(Op::Sign, session, &data) {
            Ok(signature) => signature,
            Err(rv) => return Ok(Err(rv)),
        };
        let expected = value(answer, "Signature")?;
        let same = hex::encode(&signature) == expected;
        if !same && self.waived("C_Sign", "Signature") {
            let public = self.public.ok_or("no key to verify with")?;
            let mech = Mech::plain(CKM_SHA256_RSA_PKCS);
            self.p
                .verify(session, mech, public, &data, &signature)
                .map_err(|rv| format!("the signature does not verify: {rv:#x}"))?;
            if expected.len() != 2 * signature.len() {
                return Err("a signature of another length".into());
            }
        } else if !same {
            return Err("another signature".into());
        }
        Ok(Ok(()))
    }
}

pub fn said<'a>(element: Node<'a, '_>, attribute: &str) -> Told<&'a str> {
    element.attribute(attribute).ok_or_else(|| format!("an element without its {attribute}"))
}

pub fn number_of(version: CK_VERSION) -> CK_ULONG {
    CK_ULONG::from(u16::from_be_bytes([version.major, version.minor]))
}

pub fn template(node: Node<'_, '_>) -> Told<Vec<Attr>> {
    children(node)
        .map(|attribute| {
            let name = attribute.attribute("type").ok_or("an attribute without a type")?;
            let kind = constant("CKA_", name)?;
            let said = attribute.attribute("value").ok_or("an attribute without a value")?;
            Ok(match name {
                "TOKEN" => flag(kind, said == "TRUE"),
                "CLASS" => ulong(kind, constant("CKO_", said)?),
                "LABEL" => bytes(kind, said.as_bytes()),
                _ => return Err(format!("the runner does not search by {name}")),
            })
        })
        .collect()
}

pub fn replay(t: &Token, file: &str, text: &str, public: Option<CK_OBJECT_HANDLE>) -> Told<usize> {
    let mut replay = Replay {
        p: &t.p,
        file,
        variables: HashMap::new(),
        public,
        calls: 0,
        waived: RefCell::default(),
    };
    replay.variables.insert("${Pin}".into(), 0);
    let done = replay.run(text).and_then(|()| {
        let waived = replay.waived.borrow();
        let idle: Vec<_> = replay.waivers().filter(|waiver| !waived.contains(waiver)).collect();
        if idle.is_empty() { Ok(replay.calls) } else { Err(format!("not needed: {idle:?}")) }
    });
    if done.is_err() {
        // A transcript that was given up in the middle leaves the library as it is.
        let _ = t.p.finalize();
    }
    done
}
