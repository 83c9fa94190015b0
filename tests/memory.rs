//! What the process keeps of a secret that went through it: no copy that nobody wipes.

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::fixture::*;
use common::p11::*;
use common::wrapping::*;
use cryptoki_sys::*;
use zeroize::{Zeroize, Zeroizing};

/// As many bytes in a row are no accident. The first of what was freed are the allocator's.
const WINDOW: usize = 16;
/// What the test itself keeps of a secret is the secret under this mask.
const MASK: u8 = 0x5a;

/// A secret that the test looks for without having it in memory.
struct Masked(Vec<u8>);

impl Masked {
    fn of(secret: &[u8]) -> Self {
        Self(secret.iter().map(|byte| byte ^ MASK).collect())
    }

    /// The secret for the time of `use_it`.
    fn shown<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        let mut secret = Zeroizing::new(Vec::with_capacity(self.0.len()));
        secret.extend(self.0.iter().map(|byte| byte ^ MASK));
        use_it(&secret)
    }

    /// Where a part of the secret is in the memory that this process may write. The stacks, which the
    /// next call writes over, are no such place.
    fn places(&self) -> Vec<String> {
        let on_the_stack = 0;
        let here = (&raw const on_the_stack) as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        for map in maps.lines().filter(|map| map.contains(" rw") && !map.contains("[v")) {
            let (range, _) = map.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let (from, to) = (number(from), number(to));
            if (from..to).contains(&here) || map.ends_with("[stack]") {
                continue;
            }
            bytes.resize((to - from) as usize, 0);
            if memory.read_exact_at(&mut bytes, from).is_err() {
                continue;
            }
            // Masked at once, so that what was read is no copy.
            bytes.iter_mut().for_each(|byte| *byte ^= MASK);
            for part in self.0.windows(WINDOW).step_by(8) {
                let mut at = 0;
                // The library's search for a byte is quick even in a debug build.
                while let Some(next) = bytes[at..].iter().position(|byte| *byte == part[0]) {
                    at += next;
                    if bytes[at..].starts_with(part) {
                        found.push(format!("{:x} in {map}", from + at as u64));
                    }
                    at += 1;
                }
            }
            bytes.zeroize();
        }
        found
    }
}

/// 48 bytes that nothing else is like.
fn secret_value() -> Masked {
    let mut value = [0; 48];
    getrandom::fill(&mut value).unwrap();
    let masked = Masked::of(&value);
    value.zeroize();
    masked
}

#[test]
fn a_secret_that_is_held_is_found() {
    let value = secret_value();
    assert_eq!(value.places(), Vec::<String>::new());
    value.shown(|_| assert_ne!(value.places(), Vec::<String>::new()));
    assert_eq!(value.places(), Vec::<String>::new());
}

#[test]
fn no_copy_stays_of_a_key_that_came_in_was_wrapped_and_came_back() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let value = secret_value();
    let key = value.shown(|value| {
        let mut template = secret(CKK_GENERIC_SECRET, value, &[CKA_SIGN]);
        let key = p.create(session, &template).unwrap();
        template.iter_mut().for_each(|attr| attr.1.zeroize());
        key
    });
    assert_eq!(value.places(), Vec::<String>::new(), "after C_CreateObject");
    for mech in [Mech::plain(CKM_AES_KEY_WRAP_KWP), Mech::bytes(CKM_AES_CBC_PAD, &[3; 16])] {
        let wrapped = p.wrap(session, mech.clone(), with, key).unwrap();
        assert_eq!(value.places(), Vec::<String>::new(), "after C_WrapKey");
        let back = p.unwrap(session, mech, with, &wrapped, &unwrapped(CKK_GENERIC_SECRET)).unwrap();
        assert_eq!(value.places(), Vec::<String>::new(), "after C_UnwrapKey");
        let mut read = p.get(session, back, CKA_VALUE).unwrap();
        value.shown(|value| assert!(read == value, "it is the key"));
        read.zeroize();
        assert_eq!(value.places(), Vec::<String>::new(), "after C_GetAttributeValue");
    }
}
