//! Results of queries, shared by all connections that ask the same.
//!
//! A result answers at a timestamp if it was computed at that or an earlier one and nothing that it read was written
//! in between. Results that looked at the caller's identity answer equal callers only; results that looked at the
//! clock grow old. Equal questions that come at the same time are computed once. Failures are never kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use freshet_database::ReadSet;
use freshet_functions::Identity;
use freshet_functions::log::LogLine;
use freshet_sync::Answer;
use freshet_sync::session::QueryCall;
use freshet_values::Timestamp;
use parking_lot::Mutex;

use super::interest::Interest;

/// How long a result that looked at the clock may be given to others.
const CLOCK_AGE_MAX: Duration = Duration::from_secs(17);
/// Dead turns are not swept out before there are this many.
const TURNS_SWEPT_MIN: usize = 1_024;
/// What an entry costs besides its parts: maps, counters, its subscription.
const ENTRY_OVERHEAD_BYTES: usize = 1_024;

/// A question, without the identity of who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question(Arc<QuestionParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct QuestionParts {
    path: String,
    component: String,
    args: Arc<str>,
    journal: Option<Arc<str>>,
    /// Callers who may reach internal functions get other answers than those who may not.
    internal: bool,
}

impl Question {
    pub(super) fn new(call: &QueryCall, journal: Option<&Arc<str>>, identity: &Identity) -> Self {
        Self(Arc::new(QuestionParts {
            path: call.target.path.to_string(),
            component: call.target.component.to_string(),
            args: Arc::clone(&call.args),
            journal: journal.cloned(),
            internal: identity.may_call_internal(),
        }))
    }

    fn size(&self) -> usize {
        let QuestionParts { path, component, args, journal, .. } = &*self.0;
        path.len() + component.len() + args.len() + journal.as_ref().map_or(0, |journal| journal.len())
    }
}

/// A question and for whom it was answered; `None` when the answer is the same for everybody.
type Key = (Question, Option<Identity>);

/// A result and what decides how long it is good.
#[derive(Clone)]
pub(super) struct Shared {
    /// What clients are told.
    pub(super) answer: Arc<Answer>,
    /// What the execution printed, for the log stream.
    pub(super) log_lines: Arc<[LogLine]>,
    /// Length of the result's JSON text in bytes.
    pub(super) return_bytes: usize,
    /// What was read.
    pub(super) read_set: Arc<ReadSet>,
    /// The snapshot it was computed at.
    pub(super) ts: Timestamp,
    /// Invalid once something that was read has changed.
    pub(super) interest: Interest,
    /// Whether it depends on who asked.
    pub(super) observed_identity: bool,
    /// Whether it depends on when it was asked.
    pub(super) observed_time: bool,
}

struct Entry {
    shared: Shared,
    stored_at: Instant,
    bytes: usize,
    /// Key of `Contents::by_use`.
    last_use: u64,
}

/// Turns of those who compute the same. Waiting for a turn is waiting for the result of the one before.
type Turn = tokio::sync::Mutex<()>;

#[derive(Default)]
struct Contents {
    entries: HashMap<Key, Entry>,
    /// Keys by their last use, oldest first.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
    /// How many entries each question has that are good for one identity only.
    personal: HashMap<Question, usize>,
    turns: HashMap<Key, Weak<Turn>>,
    /// Number of turns at which dead ones are swept out.
    sweep_turns_at: usize,
}

/// The cache of one server.
pub(crate) struct QueryCache {
    contents: Mutex<Contents>,
    bytes_max: usize,
}

impl QueryCache {
    /// An empty cache that will not grow beyond this.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { contents: Mutex::default(), bytes_max }
    }

    /// A result that is good at `ts` for `identity`.
    pub(super) fn find(&self, question: &Question, identity: &Identity, ts: Timestamp) -> Option<Shared> {
        let mut contents = self.contents.lock();
        contents
            .take_good((question.clone(), None), ts)
            .or_else(|| contents.take_good((question.clone(), Some(identity.clone())), ts))
    }

    /// The turn to compute an answer. Callers with the same question queue up, so that all but the first find the
    /// result when their turn comes. When the last answer depended on the identity, only equal callers queue up.
    pub(super) fn turn(&self, question: &Question, identity: &Identity) -> Arc<Turn> {
        let mut contents = self.contents.lock();
        let personal = contents.personal.contains_key(question);
        let key = (question.clone(), personal.then(|| identity.clone()));
        if let Some(turn) = contents.turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::default());
        if contents.turns.len() >= contents.sweep_turns_at {
            contents.turns.retain(|_, turn| turn.strong_count() > 0);
            // At least as many insertions as entries looked at lie between two sweeps.
            contents.sweep_turns_at = TURNS_SWEPT_MIN.max(2 * contents.turns.len());
        }
        contents.turns.insert(key, Arc::downgrade(&turn));
        turn
    }

    /// Keeps a result for others. Under a lower bound than one result it keeps nothing.
    pub(super) fn keep(&self, question: &Question, identity: &Identity, shared: Shared) {
        let printed: usize = shared.log_lines.iter().flat_map(|line| &line.messages).map(String::len).sum();
        let bytes = ENTRY_OVERHEAD_BYTES
            + question.size()
            + shared.answer.size()
            + printed
            + shared.read_set.weight();
        if bytes > self.bytes_max {
            return;
        }
        let owner = shared.observed_identity.then(|| identity.clone());
        let mut contents = self.contents.lock();
        contents.insert((question.clone(), owner), shared, bytes);
        while contents.bytes > self.bytes_max {
            contents.drop_oldest();
        }
    }
}

impl Contents {
    fn take_good(&mut self, key: Key, ts: Timestamp) -> Option<Shared> {
        let entry = self.entries.get_mut(&key)?;
        if entry.shared.ts > ts {
            // Too new for this question, but good for others.
            return None;
        }
        let too_old = entry.shared.observed_time && entry.stored_at.elapsed() > CLOCK_AGE_MAX;
        if too_old || !entry.shared.interest.is_valid_through(ts) {
            self.remove(&key);
            return None;
        }
        self.uses += 1;
        self.by_use.remove(&entry.last_use);
        entry.last_use = self.uses;
        let shared = entry.shared.clone();
        self.by_use.insert(self.uses, key);
        Some(shared)
    }

    fn insert(&mut self, key: Key, shared: Shared, bytes: usize) {
        if self.entries.get(&key).is_some_and(|entry| entry.shared.ts > shared.ts) {
            return;
        }
        self.remove(&key);
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, key.clone());
        if key.1.is_some() {
            *self.personal.entry(key.0.clone()).or_default() += 1;
        }
        self.entries.insert(key, Entry { shared, stored_at: Instant::now(), bytes, last_use: self.uses });
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.by_use.remove(&entry.last_use);
        self.bytes -= entry.bytes;
        if key.1.is_some()
            && let Some(count) = self.personal.get_mut(&key.0)
        {
            *count -= 1;
            if *count == 0 {
                self.personal.remove(&key.0);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(key) = self.by_use.first_key_value().map(|(_, key)| key.clone()) {
            self.remove(&key);
        }
    }
}
