//! The pure part of search: how texts become words, words become index entries, and entries become scores; how vectors
//! are held so that the nearest ones are found.
//!
//! This crate never does I/O of its own and knows neither documents nor transactions. Texts leave no state here; an index of
//! vectors is a value that its owner keeps, and where its bytes lie is behind a trait.

pub mod text;
pub mod vector;
