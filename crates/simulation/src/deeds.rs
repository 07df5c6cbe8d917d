//! How often clients got to do what is rare, because a simulation in which nothing happens breaks no promises either.

use crate::model::{Answer, Operation, Question, Verdict};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Commits that became visible.
    pub commits: u64,
    /// Commits that met a conflict.
    pub conflicts: u64,
    /// Searches that found something.
    pub searches: u64,
    /// Pages behind another one.
    pub pages: u64,
    /// Indexes that were taken out of use and kept up to date.
    pub staged_indexes: u64,
    /// Documents that the schema in force did not allow.
    pub refused_writes: u64,
    /// Schemas that were put in force.
    pub activated_schemas: u64,
    /// Schemas that were seen to have failed.
    pub failed_schemas: u64,
}

impl Deeds {
    /// Counts what one step of a transaction did.
    pub(crate) fn count(&mut self, operation: &Operation) {
        let counter = match operation {
            Operation::Read { question: Question::Search { .. }, answer: Answer::Documents(rows) }
                if !rows.is_empty() =>
            {
                &mut self.searches
            }
            Operation::Read { question: Question::Page(page), .. } if page.cursor.is_some() => {
                &mut self.pages
            }
            Operation::StageIndex { .. } => &mut self.staged_indexes,
            Operation::Refused { .. } => &mut self.refused_writes,
            Operation::ActivateSchema(Some(_)) => &mut self.activated_schemas,
            Operation::SeeSchema(Some((_, Verdict::Failed))) => &mut self.failed_schemas,
            _ => return,
        };
        *counter += 1;
    }
}

impl std::ops::AddAssign for Deeds {
    fn add_assign(&mut self, other: Deeds) {
        self.commits += other.commits;
        self.conflicts += other.conflicts;
        self.searches += other.searches;
        self.pages += other.pages;
        self.staged_indexes += other.staged_indexes;
        self.refused_writes += other.refused_writes;
        self.activated_schemas += other.activated_schemas;
        self.failed_schemas += other.failed_schemas;
    }
}
