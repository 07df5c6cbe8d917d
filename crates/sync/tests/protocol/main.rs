//! The protocol as a client sees it: scripted conversations, rules of a connection, hostile input, and random histories
//! checked against a model.

// The helpers around the tests are tests too: a panic is how they report.
#![allow(clippy::unwrap_used)]

mod chunks;
mod consistency;
mod conversations;
mod hostile_frames;
mod rules;
mod support;
