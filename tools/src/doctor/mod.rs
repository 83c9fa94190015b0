//! `hierarkey doctor`: what is wrong, and how to put it right.
//!
//! | file | what is looked at |
//! |---|---|
//! | `tpm.rs` | whether it answers, its lockout, its authorizations |
//! | `firmware.rs` | the table of published weaknesses |
//! | `store.rs` | the store, its permissions, its rows, its tokens |
//! | `system.rs` | the configuration, groups, p11-kit |

mod firmware;
mod store;
mod system;
mod tpm;

pub use system::must_be_configured;

use std::fmt::Write as _;

use clap::Args;
use hierarkey::admin::Admin;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Kind, Result};
use crate::output::{Output, Report, Style, visible};

#[derive(Args)]
pub struct Arguments {
    /// Fail for warnings too
    #[arg(long)]
    strict: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or is not safe.
    Problem,
    /// Something may not be as it is meant.
    Warning,
    /// Something to know.
    Note,
}

/// One finding.
#[derive(Serialize, JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at: a short name that stays the same.
    pub check: String,
    pub finding: String,
    /// What to do about it.
    pub remedy: String,
    /// Who says so, where it is not this machine.
    pub source: Option<String>,
}

/// What `doctor` answers.
#[derive(Serialize, JsonSchema)]
pub struct DoctorReport {
    pub findings: Vec<Finding>,
    /// The checks that found nothing.
    pub passed: Vec<String>,
}

/// What was looked at so far.
#[derive(Default)]
pub struct Examination {
    findings: Vec<Finding>,
    passed: Vec<String>,
}

impl Examination {
    /// Notes the outcome of one check: what was found, or nothing.
    fn check(&mut self, name: &str, found: Vec<Finding>) {
        if found.is_empty() {
            self.passed.push(name.to_owned());
        }
        self.findings
            .extend(found.into_iter().map(|one| Finding { check: name.to_owned(), ..one }));
    }
}

fn finding(severity: Severity, finding: impl Into<String>, remedy: impl Into<String>) -> Finding {
    let (finding, remedy) = (finding.into(), remedy.into());
    Finding { severity, check: String::new(), finding, remedy, source: None }
}

fn problem(text: impl Into<String>, remedy: impl Into<String>) -> Vec<Finding> {
    vec![finding(Severity::Problem, text, remedy)]
}

fn warning(text: impl Into<String>, remedy: impl Into<String>) -> Vec<Finding> {
    vec![finding(Severity::Warning, text, remedy)]
}

fn note(text: impl Into<String>, remedy: impl Into<String>) -> Vec<Finding> {
    vec![finding(Severity::Note, text, remedy)]
}

impl Report for DoctorReport {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for one in &self.findings {
            let mark = match one.severity {
                Severity::Problem => style.bad("problem"),
                Severity::Warning => style.warn("warning"),
                Severity::Note => style.dim("note"),
            };
            let _ = writeln!(text, "{mark}  {}: {}", style.bold(&one.check), visible(&one.finding));
            let _ = writeln!(text, "         {}", visible(&one.remedy));
            if let Some(source) = &one.source {
                let _ = writeln!(text, "         source: {source}");
            }
        }
        let _ = writeln!(text, "{}  {}", style.good("good"), self.passed.join(", "));
        text
    }
}

pub fn run(out: Output, admin: &Admin, arguments: Arguments) -> Result<()> {
    let mut examination = Examination::default();
    system::configuration(&mut examination);
    tpm::examine(&mut examination, admin);
    store::examine(&mut examination, admin);
    system::p11_kit(&mut examination);
    let Examination { mut findings, passed } = examination;
    findings.sort_by_key(|one| one.severity);
    let bad = findings
        .iter()
        .filter(|one| {
            one.severity == Severity::Problem
                || arguments.strict && one.severity == Severity::Warning
        })
        .count();
    out.show(&DoctorReport { findings, passed })?;
    match bad {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Findings, "one finding is to be put right")),
        several => {
            Err(Failure::new(Kind::Findings, format!("{several} findings are to be put right")))
        }
    }
}
