//! OpenSSL's command line: the second opinion.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cases::{MacOf, NONCE};

/// A directory for what the commands read.
pub struct OpenSsl {
    directory: TempDir,
}

impl OpenSsl {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `openssl` with these words and `input` in a file after `-in`: its output, if it succeeds.
    pub fn try_run(&self, words: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let input = self.file("input", input);
        let run = Command::new("openssl").args(words).arg("-in").arg(input).output().unwrap();
        run.status.success().then_some(run.stdout)
    }

    pub fn run(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        self.try_run(words, input).unwrap_or_else(|| panic!("openssl {} failed", words.join(" ")))
    }

    /// The same for a command that takes no `-in`, or whose last word is something else.
    pub fn run_alone(&self, words: &[&str]) -> Vec<u8> {
        let run = Command::new("openssl").args(words).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "openssl {}: {said}", words.join(" "));
        run.stdout
    }

    /// `openssl pkeyutl` with the key in `key`.
    pub fn pkey(&self, what: &str, key: &Path, options: &[&str], input: &[u8]) -> Vec<u8> {
        let words = [&["pkeyutl", what, "-inkey", path(key)][..], options].concat();
        self.run(&words, input)
    }

    /// Whether `openssl pkeyutl` takes `signature` for one of `data`.
    pub fn verifies(&self, key: &Path, options: &[&str], data: &[u8], signature: &[u8]) -> bool {
        let signature = self.file("signature", signature);
        let own = ["pkeyutl", "-verify", "-inkey", path(key), "-sigfile", path(&signature)];
        self.try_run(&[&own[..], options].concat(), data).is_some()
    }

    /// `openssl enc`, or with `-d`, under the key `key`.
    pub fn cipher(&self, options: &[&str], key: &[u8], input: &[u8]) -> Vec<u8> {
        let key = hex::encode(key);
        self.run(&[&["enc", "-K", &key][..], options].concat(), input)
    }

    /// `openssl mac` under the key `key`.
    pub fn mac(&self, of: MacOf, key: &[u8], data: &[u8]) -> Vec<u8> {
        let mode = if matches!(of, MacOf::Gmac) { "GCM" } else { "CBC" };
        let cipher = format!("AES-{}-{mode}", 8 * key.len());
        let nonce = format!("hexiv:{}", hex::encode(NONCE));
        let key = format!("hexkey:{}", hex::encode(key));
        let (option, algorithm, name) = match of {
            MacOf::Hmac(hash) => ("-digest", hash, "HMAC"),
            MacOf::Cmac => ("-cipher", &*cipher, "CMAC"),
            MacOf::Gmac => ("-cipher", &*cipher, "GMAC"),
        };
        let input = self.file("message", data);
        let words = ["mac", option, algorithm, "-macopt", &key, "-binary", "-in", path(&input)];
        let nonce = if matches!(of, MacOf::Gmac) { &["-macopt", &*nonce][..] } else { &[] };
        self.run_alone(&[&words[..], nonce, &[name]].concat())
    }

    /// `openssl dgst` by this hash.
    pub fn digest(&self, hash: &str, data: &[u8]) -> Vec<u8> {
        let file = self.file("message", data);
        self.run_alone(&["dgst", &format!("-{hash}"), "-binary", path(&file)])
    }

    /// `openssl kdf`: `len` bytes by `name` with these options.
    pub fn kdf(&self, name: &str, options: &[String], len: usize) -> Vec<u8> {
        let len = len.to_string();
        let mut words = vec!["kdf", "-binary", "-keylen", &len];
        words.extend(options.iter().flat_map(|option| ["-kdfopt", option]));
        words.push(name);
        self.run_alone(&words)
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// r and s of one width each, from an Ecdsa-Sig-Value (RFC 3279).
pub fn from_der(signature: &[u8], width: usize) -> Vec<u8> {
    let mut rest = match signature {
        [0x30, 0x81, _, rest @ ..] | [0x30, _, rest @ ..] => rest,
        _ => panic!("no SEQUENCE: {signature:x?}"),
    };
    let mut both = Vec::new();
    for _ in 0..2 {
        let len = usize::from(rest[1]);
        assert_eq!(rest[0], 2, "an INTEGER");
        let number: Vec<u8> =
            rest[2..2 + len].iter().copied().skip_while(|byte| *byte == 0).collect();
        both.extend(vec![0; width - number.len()]);
        both.extend(number);
        rest = &rest[2 + len..];
    }
    both
}

/// An Ecdsa-Sig-Value of r and s.
pub fn to_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let mut body = Vec::new();
    for number in [r, s] {
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if number.first().is_none_or(|first| *first > 127) { &[0][..] } else { &[] };
        body.extend([2, (sign.len() + number.len()) as u8]);
        body.extend([sign, &number].concat());
    }
    let len = match body.len() {
        len @ 128.. => vec![0x81, len as u8],
        len => vec![len as u8],
    };
    [&[0x30][..], &len, &body].concat()
}

/// A SubjectPublicKeyInfo (RFC 5480) of a curve's parameters and a point.
pub fn ec_public(params: &[u8], point: &[u8]) -> Vec<u8> {
    fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = body.len() as u8;
        let head = if len < 128 { vec![tag, len] } else { vec![tag, 0x81, len] };
        [&head, body].concat()
    }
    let algorithm = [&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], params].concat();
    let point = [&[0], point].concat();
    tagged(0x30, &[tagged(0x30, &algorithm), tagged(3, &point)].concat())
}
