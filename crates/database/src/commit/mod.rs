//! From a finished transaction to a durable commit.
//!
//! `state` is what transactions begin from, behind one short lock; `overlay` holds what is visible but not yet in the
//! store; `window` remembers recent commits, for conflicts, subscriptions and reads of the recent past; `committer` is
//! the thread that writes groups of commits to the store; `exclusive` lets a starving transaction run alone.

pub(crate) mod changes;
pub(crate) mod committer;
pub(crate) mod corpora;
pub(crate) mod durability;
pub(crate) mod exclusive;
pub(crate) mod keys;
pub(crate) mod overlay;
pub(crate) mod prepare;
pub(crate) mod state;
pub(crate) mod undone;
#[cfg(test)]
pub(crate) mod weakness;
pub(crate) mod window;
