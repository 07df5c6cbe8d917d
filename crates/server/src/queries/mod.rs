//! Answers to queries, shared by everybody who asks the same: WebSockets and HTTP.
//!
//! | Room | What is in it |
//! |---|---|
//! | `question` | what is asked, and who asks |
//! | `answering` | from a question to an answer: the cache, or one execution for all who wait |
//! | `cache` | results, as long as they are good |
//! | `watch`, `interest` | who is told when a result changes |
//! | `refresh` | runs a watched query again after a change, once, before its watchers are told |

mod answering;
mod cache;
mod interest;
mod question;
mod refresh;
mod watch;

pub(crate) use answering::{Answered, Refusal, answer, newest, record};
pub(crate) use cache::{AGING_INTERVAL, QueryCache, Shared};
pub(crate) use interest::Interest;
pub(crate) use question::{Asker, Question};
pub(crate) use watch::Watch;
