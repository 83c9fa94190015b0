//! docs/attributes.md, printed from the table.

use std::fmt::Write as _;

use super::attribute::{ATTRIBUTES, Attribute, Given, Holders, KINDS, Kind, Later, Preset};

const INTRODUCTION: &str = "\
# Attributes

Printed from the table in `src/object/table.rs`; a test fails when this page is stale
(`UPDATE_DOCS=1 cargo test --lib docs_attributes` rewrites it).

An attribute that is not listed is unknown: `CKR_ATTRIBUTE_TYPE_INVALID` in a template or from
`C_GetAttributeValue`, and no object matches it in a search. One that is listed for other objects
only makes a template inconsistent: `CKR_TEMPLATE_INCONSISTENT`.

- *Default*: what an object has where its template says nothing. \"by use\": a template that names no
  usage gives a key those that its kind is usually for; one that names some gives it these alone.
  \"-\": none, or computed from the object's other attributes. A key that C_EncapsulateKey or
  C_DecapsulateKey makes has CKA_EXTRACTABLE CK_TRUE by default; one that C_UnwrapKey makes has not, other
  than in PKCS#11.
- *Template*: whether a template of C_CreateObject (C), C_GenerateKey and C_GenerateKeyPair (G),
  C_UnwrapKey (U) and C_DeriveKey (D) must (`!`) hold the attribute or must not (`x`); else it may.
- *Later*: whether C_SetAttributeValue and C_CopyObject change it.
- *Notes*: \"secret\": not shown where CKA_SENSITIVE is CK_TRUE or CKA_EXTRACTABLE CK_FALSE;
  \"officer\": CK_TRUE by the security officer only.

| Attribute | Type | Objects | Default | Template | Later | Notes |
|---|---|---|---|---|---|---|
";

/// The text of docs/attributes.md.
pub fn attributes_markdown() -> String {
    ATTRIBUTES.iter().fold(INTRODUCTION.to_owned(), |mut page, row| {
        // Writing into a String does not fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            kind(row.kind),
            holders(row),
            preset(row.preset),
            given(row),
            later(row.later),
            notes(row)
        );
        page
    })
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "CK_BBOOL",
        Kind::Ulong => "CK_ULONG",
        Kind::Bytes => "bytes",
        Kind::BigInteger => "big integer",
        Kind::Text => "string",
        Kind::Date => "CK_DATE",
        Kind::Mechanisms => "CK_MECHANISM_TYPE array",
        Kind::Template => "CK_ATTRIBUTE array",
    }
}

fn holders(row: &Attribute) -> String {
    let groups = [
        (Holders::ALL, "all"),
        (Holders::STORAGE, "all but profiles and mechanisms"),
        (Holders::KEY, "keys"),
        (Holders::PUBLIC, "public keys"),
        (Holders::PRIVATE, "private keys"),
        (Holders::SECRET, "secret keys"),
    ];
    let kinds = KINDS.iter().map(|kind| (kind.holder, kind.name));
    let mut named = Holders::NONE;
    let mut names = Vec::new();
    for (group, name) in groups.into_iter().chain(kinds) {
        if row.holders.contain(group) && !named.contain(group) {
            named = named.and(group);
            names.push(name);
        }
    }
    names.join(", ")
}

fn preset(preset: Preset) -> String {
    match preset {
        Preset::Nothing => "-".to_owned(),
        Preset::Bool(true) => "CK_TRUE".to_owned(),
        Preset::Bool(false) => "CK_FALSE".to_owned(),
        Preset::Ulong(u64::MAX) => "CK_UNAVAILABLE_INFORMATION".to_owned(),
        Preset::Ulong(value) => format!("0x{value:x}"),
        Preset::Empty => "empty".to_owned(),
        Preset::Usage => "by use".to_owned(),
    }
}

fn given(row: &Attribute) -> String {
    let paths = [('C', row.create), ('G', row.generate), ('U', row.unwrap), ('D', row.derive)];
    let marks: Vec<_> = paths
        .iter()
        .filter_map(|(path, given)| match given {
            Given::May => None,
            Given::Must => Some(format!("{path}!")),
            Given::Never => Some(format!("{path}x")),
        })
        .collect();
    marks.join(" ")
}

fn later(later: Later) -> &'static str {
    match later {
        Later::Fixed => "never",
        Later::OnCopy => "by copying",
        Later::Free => "yes",
        Later::ToTrue => "to CK_TRUE",
        Later::ToFalse => "to CK_FALSE",
        Later::ToNone => "to none",
    }
}

fn notes(row: &Attribute) -> &'static str {
    match (row.secret, row.officer) {
        (true, true) => "secret, officer",
        (true, false) => "secret",
        (false, true) => "officer",
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    #[test]
    fn docs_attributes_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attributes.md");
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, attributes_markdown()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), attributes_markdown());
    }
}
