//! OpenSSL's command line: the second opinion.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

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
