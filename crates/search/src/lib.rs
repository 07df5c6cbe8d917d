//! The pure part of search: how texts become words, words become index entries, and entries become scores.
//!
//! This crate never does I/O, knows neither documents nor transactions, and keeps no state.

pub mod text;
