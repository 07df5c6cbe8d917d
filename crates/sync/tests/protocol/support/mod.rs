//! What the tests share: a strict client and a hand-driven session.

pub(crate) mod client_model;
pub(crate) mod driver;
