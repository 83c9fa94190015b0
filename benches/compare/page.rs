//! The table, printed and put into the pages.

use std::fmt::Write as _;
use std::path::Path;

use crate::module::{package_version, said};
use crate::row::{Answers, QUESTIONS, Row, Subject};

/// What stands between these lines of a page is written here.
const BEGIN: &str = "<!-- make compare: begin -->\n";
const END: &str = "<!-- make compare: end -->\n";

/// Prints the tables, and writes them into the pages if that is asked for.
pub fn tell(subjects: &[Subject], answers: &[Vec<Answers>]) {
    let long = format!("{}\n{}", measured_on(subjects), table(subjects, answers, |_| true));
    let short = table(subjects, answers, |row| row.short);
    println!("{long}\n{short}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        replace("docs/comparison.md", &long);
        replace("README.md", &short);
    }
}

fn table(subjects: &[Subject], answers: &[Vec<Answers>], wanted: fn(&Row) -> bool) -> String {
    let mut table = String::from("| |");
    for subject in subjects {
        let _ = write!(table, " {} |", subject.module.name);
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(subjects.len()));
    for (at, question) in QUESTIONS.iter().enumerate() {
        for row in question.rows.iter().filter(|row| wanted(row)) {
            let _ = write!(table, "| {} |", row.name);
            for answers in answers {
                let _ = write!(table, " {} |", answers[at].show(row));
            }
            table.push('\n');
        }
    }
    table
}

/// What was measured, and on what.
fn measured_on(subjects: &[Subject]) -> String {
    let file = |path| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: String, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.unwrap_or_default().trim_matches([' ', '\t', ':', '=', '"']).to_owned()
    };
    let versions: Vec<_> = subjects.iter().map(|subject| subject.module.version.trim()).collect();
    format!(
        "{}.\nOn {} with {} processors ({}), Linux {}, swtpm {} with libtpms {}; load average when it ended: {}.\n",
        versions.join(", "),
        after(file("/etc/os-release"), "PRETTY_NAME"),
        std::thread::available_parallelism().map_or(0, usize::from),
        after(file("/proc/cpuinfo"), "model name"),
        said("uname", &["-r"]),
        package_version("swtpm"),
        package_version("libtpms0"),
        file("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}

/// Puts `text` between the marks of a page.
fn replace(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let old = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = old.split_once(BEGIN).unwrap_or_else(|| panic!("{page} has no {BEGIN}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page} has no {END}"));
    std::fs::write(&path, format!("{before}{BEGIN}\n{text}\n{END}{after}")).unwrap();
}
