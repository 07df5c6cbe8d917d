//! The Node addon: lanes, action hosts and the wiring of the whole engine.

pub mod launch;
