//! Small programs and what is to be said about them.

mod client_package;
mod graph;
mod keeps_nothing;
mod keeps_state;
mod robustness;
mod support;
