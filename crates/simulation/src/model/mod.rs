//! What the database should contain: plain maps, and no cleverness.

mod frames;
mod history;
mod operation;
mod question;
mod state;

pub(crate) use frames::Frames;
pub(crate) use history::{Entry, History};
pub(crate) use operation::Operation;
pub(crate) use question::{Answer, Question, Range};
pub(crate) use state::{State, Term};
