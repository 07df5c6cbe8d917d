//! Schemas: what documents look like, and which indexes there are.
//!
//! | Room | What is in it |
//! |---|---|
//! | `definition`, `parse`, `json` | what a schema says, and its JSON forms |
//! | `index_diff` | how the indexes of two schemas differ |
//! | `row`, `lifecycle` | schemas as stored: pending, validated, active; submitting and activating one |
//! | `enforce` | checking what is written |
//! | `worker`, `progress` | checking what is already there, in the background |

mod definition;
mod enforce;
mod error;
mod index_diff;
mod indexed_fields;
mod json;
mod lifecycle;
mod parse;
mod progress;
mod row;
mod worker;

pub use definition::{CREATION_TIME, IndexDefinition, SchemaDefinition, TableDefinition};
pub use enforce::{PendingViolation, SchemaEnforcer, compile};
pub use error::SchemaError;
pub use index_diff::{IndexChange, IndexDiff};
pub use lifecycle::{
    SwitchError, activate, active, check_droppable, definition, get, in_progress, index_progress,
    prepare_indexes, submit, switch_indexes,
};
pub use parse::{parse, parse_stored};
pub use row::{SchemaRow, SchemaState};
pub(crate) use worker::SchemaChecker;
pub use worker::{SchemaWorker, tables_to_walk};

#[cfg(test)]
mod lifecycle_tests;
