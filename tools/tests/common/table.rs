//! Every command as it succeeds on a token that is prepared for it: what the tests of bad input take
//! something away from.

use super::Rig;

/// Every command that needs the user's PIN, as it succeeds on [`prepared`].
pub const OF_USER: &[&[&str]] = &[
    &["key", "generate", "new"],
    &["key", "import", "rsa.pem", "--label", "new"],
    &["key", "list", "--login"],
    &["key", "show", "k", "--login"],
    &["key", "rename", "k", "new"],
    &["key", "delete", "k", "--yes"],
    &["key", "csr", "k", "--subject", "CN=k"],
    &["key", "self-sign", "k", "--subject", "CN=k", "--store"],
    &["key", "test", "k"],
    &["cert", "import", "other.pem"],
    &["object", "list", "--login"],
    &["object", "get", "secret", "--login"],
    &["object", "put", "new", "rubbish"],
    &["object", "delete", "secret", "--yes"],
];

/// Those that need none.
pub const OF_ANYBODY: &[&[&str]] = &[
    &["key", "list"],
    &["key", "show", "k"],
    &["key", "export", "k"],
    &["cert", "list"],
    &["cert", "export", "k"],
    &["object", "list"],
    &["random", "8"],
    &["uri"],
    &["uri", "k"],
    &["lockout", "show"],
];

/// Those that change the store.
pub const CHANGING: &[&[&str]] = &[
    &["key", "generate", "new"],
    &["key", "generate", "new", "--type", "rsa-2048"],
    &["key", "generate", "new", "--type", "aes-128"],
    &["key", "import", "rsa.pem", "--label", "new"],
    &["key", "import", "rsa.p12", "--label", "new", "--passphrase-file", "pass"],
    &["key", "rename", "k", "new"],
    &["key", "delete", "k", "--yes"],
    &["key", "self-sign", "k", "--subject", "CN=k", "--store"],
    &["cert", "import", "other.pem"],
    &["object", "put", "new", "other.pem"],
    &["object", "delete", "secret", "--yes"],
];

/// What the officer does.
pub const OF_OFFICER: &[&[&str]] = &[
    &["token", "unblock", "--so-pin-file", "SO", "--new-pin-file", "pin"],
    &["token", "set-pin", "--so", "--so-pin-file", "SO", "--new-pin-file", "pin"],
    &[
        "token",
        "init",
        "--label",
        "x",
        "--destroy-keys",
        "--so-pin-file",
        "SO",
        "--pin-file",
        "pin",
    ],
];

/// `token init` in a slot, with the files of its two PINs.
pub fn init<'a>(slot: &'a str, label: &'a str, so_pin: &'a str, pin: &'a str) -> Vec<&'a str> {
    let at = ["token", "init", "--slot", slot, "--label", label];
    [&at[..], &["--so-pin-file", so_pin, "--pin-file", pin]].concat()
}

/// A token with a key, its certificate and a data object, and files to import.
pub fn prepared() -> Rig {
    let rig = Rig::with_token();
    fill(&rig);
    rig
}

pub fn fill(rig: &Rig) {
    rig.openssl(&["genrsa", "-out", "rsa.pem", "2048"]);
    rig.openssl(&["req", "-x509", "-key", "rsa.pem", "-subj", "/CN=other", "-out", "other.pem"]);
    rig.openssl(&[
        "pkcs12",
        "-export",
        "-inkey",
        "rsa.pem",
        "-in",
        "other.pem",
        "-passout",
        "pass:hello",
        "-out",
        "rsa.p12",
    ]);
    rig.ok(&with_pin(&["key", "generate", "k"], "pin"));
    let words = ["key", "self-sign", "k", "--subject", "CN=k", "--store", "--out", "k.pem"];
    rig.ok(&with_pin(&words, "pin"));
    rig.ok(&with_pin(&["object", "put", "secret", "rubbish"], "pin"));
}

pub fn with_pin<'a>(words: &[&'a str], pin: &'a str) -> Vec<&'a str> {
    [words, &["--pin-file", pin]].concat()
}

/// What is on the token, as its user sees it.
pub fn contents(rig: &Rig) -> String {
    let all = rig.ok(&with_pin(&["--json", "object", "list"], "pin"));
    all.text()
}
