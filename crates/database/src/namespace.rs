//! Namespaces: the app and each mounted component have tables of their own.

use std::fmt;

/// A separate set of tables. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub u32);

impl Namespace {
    /// The app itself, and the global system tables.
    pub const ROOT: Namespace = Namespace(0);
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
