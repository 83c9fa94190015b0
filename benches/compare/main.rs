//! Hierarkey and other PKCS#11 modules, measured by one program: `make compare` prints the table, and
//! `UPDATE_DOCS=1 make compare` writes it into docs/comparison.md and README.md.
//!
//! - `module`: which modules there are, and where each finds its TPM and its store
//! - `job`: what is done with a module, each time in a process that it has for itself
//! - `speed`: the jobs that are timed
//! - `manners`: the jobs that look how a module behaves
//! - `ptool`: a key that no job can make
//! - `outcome`: what a job's process said, or how it ended
//! - `row`: what the table asks, and what of an answer stands in it
//! - `page`: the table
//!
//! All modules are called in the same way, through the C ABI of PKCS#11 2.40. The TPM modules have an
//! emulator each, of the same settings; nobody manages its resources. Whatever a module does in a job
//! (fail, crash, hang) is the answer of that job and ends no other.
//!
//! | variable | says |
//! |---|---|
//! | `MODULE` | another build of Hierarkey than this program's |
//! | `KRYOPTIC` | where kryoptic's module is, which Debian does not have |
//! | `UPDATE_DOCS` | write the pages |

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks, missing_docs)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod job;
mod manners;
mod module;
mod outcome;
mod page;
mod ptool;
mod row;
mod speed;

use row::{Answers, QUESTIONS, Subject};

/// How often what is timed is measured, in turns, so that what else the machine does meets all modules.
const ROUNDS: usize = 3;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Some(job) = arguments.next() {
        let module = arguments.next().expect("a module");
        return job::run(&job, &module);
    }
    let began = std::time::Instant::now();
    let modules = module::found();
    let subjects: Vec<_> = modules.iter().map(Subject::new).collect();
    // By module, by question.
    let mut answers: Vec<Vec<_>> =
        modules.iter().map(|_| QUESTIONS.iter().map(|_| Answers::default()).collect()).collect();
    for round in 0..ROUNDS {
        for (at, question) in QUESTIONS.iter().enumerate() {
            if round > 0 && !question.timed {
                continue;
            }
            for (subject, answers) in subjects.iter().zip(&mut answers) {
                answers[at].add(question.ask(subject));
            }
        }
        eprintln!("round {} of {ROUNDS}: {} s", round + 1, began.elapsed().as_secs());
    }
    page::tell(&subjects, &answers);
}
