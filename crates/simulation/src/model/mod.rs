//! What the database should contain: plain maps, and no cleverness.

mod frames;
mod history;
mod operation;
mod page;
mod question;
mod schemas;
mod state;

pub(crate) use frames::Frames;
pub(crate) use history::{Entry, History};
pub(crate) use operation::Operation;
pub(crate) use page::{PageQuestion, Place};
pub(crate) use question::{Answer, Question, Range};
pub(crate) use schemas::{RULES, Schema, Verdict, tables as schema_tables, text as schema_text};
pub(crate) use state::{Index, State, Term};
