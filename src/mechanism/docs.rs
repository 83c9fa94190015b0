//! docs/mechanisms.md, printed from the table.

use std::fmt::Write;

use super::row::RunsIn;
use super::table::MECHANISMS;

/// The page: one line per mechanism.
pub fn mechanisms_markdown() -> String {
    let mut page = String::from(
        "# Mechanisms\n\n\
         Printed from the table in `src/mechanism/table.rs` (`UPDATE_DOCS=1 cargo nextest run --lib docs`). A TPM that lacks\n\
         an algorithm, a curve or a key size does not list what needs it.\n\n\
         | mechanism | does | key bits | parameter | where the private operation runs |\n\
         |---|---|---|---|---|\n",
    );
    for row in MECHANISMS {
        let does: Vec<_> =
            row.abilities().iter().filter(|ability| ability.offered).map(|a| a.name).collect();
        let bits = match (row.key_bits.start(), row.key_bits.end()) {
            (_, 0) => "-".to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        let runs_in = match row.runs_in {
            RunsIn::Tpm if row.abilities().iter().any(|a| a.offered && a.private) => "TPM",
            _ => "no private key: software",
        };
        // Writing into a String does not fail.
        let _ = writeln!(
            page,
            "| {} | {} | {bits} | {:?} | {runs_in} |",
            row.name,
            does.join(", "),
            row.parameter
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mechanisms.md");
        let page = mechanisms_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap();
        assert_eq!(stored, page, "stale: UPDATE_DOCS=1 cargo nextest run --lib docs");
    }
}
