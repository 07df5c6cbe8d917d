//! Results of queries, as long as they are good.
//!
//! A result answers at a timestamp if it was computed at that or an earlier one and nothing that it read was written
//! in between. Results that looked at the caller's identity answer equal callers only; results that looked at the
//! clock grow old. Equal questions that come at the same time are computed once. Failures
//! of functions are kept for a moment: many who ask in vain cost no more than one. What nobody has asked for lately and
//! nobody watches is dropped, so that a server that has little to do needs little.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use freshet_database::ReadSet;
use freshet_functions::log::LogLine;
use freshet_functions::{FunctionError, Identity, RequestId};
use freshet_sync::Answer;
use freshet_values::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::question::Question;
use super::watch::Watch;

/// How long a result that looked at the clock may be given to others.
const CLOCK_AGE_MAX: Duration = Duration::from_secs(17);
/// The same for a failure, which may have had a passing reason.
const FAILURE_AGE_MAX: Duration = Duration::from_secs(5);
/// How often [`QueryCache::age`] is to be called.
pub(crate) const AGING_INTERVAL: Duration = Duration::from_secs(5);
/// A result that nobody has asked for during so many intervals is dropped.
const UNUSED_INTERVALS_MAX: u32 = 6;
/// Results that are looked at while others wait for the cache.
const AGING_STEP: usize = 512;
/// Room for fewer entries is not given back.
const ENTRIES_SHRUNK_MIN: usize = 1_024;
/// Watched queries that are run again at the same time; others wait for their turn.
const REFRESHES_MAX: usize = 64;
/// Dead turns are not swept out before there are this many.
const TURNS_SWEPT_MIN: usize = 1_024;
/// What an entry costs besides its parts: maps, counters, its subscription.
const ENTRY_OVERHEAD_BYTES: usize = 1_024;

/// A question and for whom it was answered; `None` when the answer is the same for everybody.
type Key = (Question, Option<Identity>);

/// A result and what decides how long it is good.
#[derive(Clone)]
pub(crate) struct Shared {
    /// What clients are told.
    pub(crate) answer: Arc<Answer>,
    /// How the function failed, if it did.
    pub(crate) failure: Option<Arc<FunctionError>>,
    /// What the execution printed, for the log stream.
    pub(crate) log_lines: Arc<[LogLine]>,
    /// Length of the result's JSON text in bytes.
    pub(crate) return_bytes: usize,
    /// Names the execution.
    pub(crate) request_id: RequestId,
    /// Over everything that was read.
    pub(crate) watch: Arc<Watch>,
    /// What was read.
    pub(super) read_set: Arc<ReadSet>,
    /// The snapshot it was computed at.
    pub(crate) ts: Timestamp,
    /// Whether it depends on who asked.
    pub(super) observed_identity: bool,
    /// Whether it depends on when it was asked.
    pub(super) observed_time: bool,
}

impl Shared {
    /// What the function returned, as encoded JSON text, or how it failed.
    pub(crate) fn result(&self) -> Result<String, FunctionError> {
        match &self.failure {
            Some(failure) => Err(failure.as_ref().clone()),
            None => Ok(self.answer.value().unwrap_or_default().to_owned()),
        }
    }
}

/// What the cache has for a question at a moment.
pub(crate) enum Found {
    /// An answer.
    Good(Shared),
    /// An answer, but only of a later moment.
    Later,
    /// None.
    Nothing,
}

/// How the cache is doing, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStatistics {
    /// Questions that were answered without an execution.
    pub(crate) hits: u64,
    /// Questions that needed one.
    pub(crate) misses: u64,
    /// Results kept.
    pub(crate) entries: usize,
    /// Bytes that they take, roughly.
    pub(crate) bytes: usize,
}

struct Entry {
    shared: Shared,
    stored_at: Instant,
    bytes: usize,
    /// Key of `Contents::by_use`.
    last_use: u64,
    /// Interval in which it was used last.
    last_interval: u32,
}

/// Turns of those who compute the same. Waiting for a turn is waiting for the result of the one before.
type Turn = tokio::sync::Mutex<()>;

#[derive(Default)]
struct Contents {
    entries: HashMap<Key, Entry>,
    /// Keys by their last use, oldest first.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    /// Number of the present interval.
    interval: u32,
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
    refreshes: Semaphore,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl QueryCache {
    /// An empty cache that will not grow beyond this.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            contents: Mutex::default(),
            bytes_max,
            refreshes: Semaphore::new(REFRESHES_MAX),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// A result that is good at `ts` for `identity`.
    pub(crate) fn find(&self, question: &Question, identity: &Identity, ts: Timestamp) -> Found {
        let mut contents = self.contents.lock();
        match contents.take((question.clone(), None), Some(ts)) {
            Found::Nothing if contents.personal.contains_key(question) => {
                contents.take((question.clone(), Some(identity.clone())), Some(ts))
            }
            found => found,
        }
    }

    /// The newest result for `identity`, whether or not it is still good.
    pub(crate) fn newest(&self, question: &Question, identity: &Identity) -> Option<Shared> {
        let mut contents = self.contents.lock();
        let found = match contents.take((question.clone(), None), None) {
            Found::Nothing if contents.personal.contains_key(question) => {
                contents.take((question.clone(), Some(identity.clone())), None)
            }
            found => found,
        };
        match found {
            Found::Good(shared) => Some(shared),
            Found::Later | Found::Nothing => None,
        }
    }

    /// Counts an answer that was found, or one that was not.
    pub(crate) fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How it is doing.
    pub(crate) fn statistics(&self) -> CacheStatistics {
        let contents = self.contents.lock();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: contents.entries.len(),
            bytes: contents.bytes,
        }
    }

    /// An interval is over: drops what was not used for long. Results that somebody watches stay, so that whoever comes
    /// next shares them.
    pub(crate) fn age(&self) {
        let interval = {
            let mut contents = self.contents.lock();
            contents.interval = contents.interval.wrapping_add(1);
            contents.interval
        };
        let mut dropped = Vec::with_capacity(AGING_STEP);
        while self.contents.lock().take_unused(interval, &mut dropped) {
            // Not under the lock: each ends its subscription.
            dropped.clear();
        }
        self.contents.lock().shrink();
    }

    /// Places for refreshes.
    pub(super) fn refreshes(&self) -> &Semaphore {
        &self.refreshes
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
    /// The result of a key: at a moment, or the newest.
    fn take(&mut self, key: Key, ts: Option<Timestamp>) -> Found {
        let Some(entry) = self.entries.get_mut(&key) else { return Found::Nothing };
        let age_max = match (&entry.shared.failure, entry.shared.observed_time) {
            (Some(_), _) => FAILURE_AGE_MAX,
            (None, true) => CLOCK_AGE_MAX,
            (None, false) => Duration::MAX,
        };
        if entry.stored_at.elapsed() > age_max {
            self.remove(&key);
            return Found::Nothing;
        }
        if let Some(ts) = ts {
            if entry.shared.ts > ts {
                return Found::Later;
            }
            if !entry.shared.watch.is_valid_through(ts) {
                self.remove(&key);
                return Found::Nothing;
            }
        }
        let shared = entry.shared.clone();
        entry.last_interval = self.interval;
        if entry.last_use != self.uses {
            self.uses += 1;
            self.by_use.remove(&entry.last_use);
            entry.last_use = self.uses;
            self.by_use.insert(self.uses, key);
        }
        Found::Good(shared)
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
        let (last_use, last_interval) = (self.uses, self.interval);
        self.entries.insert(key, Entry { shared, stored_at: Instant::now(), bytes, last_use, last_interval });
    }

    /// Takes out some of what was used last long before `interval`. Returns whether there may be more.
    fn take_unused(&mut self, interval: u32, dropped: &mut Vec<Shared>) -> bool {
        for _ in 0..AGING_STEP {
            let Some(key) = self.by_use.first_key_value().map(|(_, key)| key.clone()) else { return false };
            let entry = self.entries.get_mut(&key).expect("what was used is there");
            if interval.wrapping_sub(entry.last_interval) < UNUSED_INTERVALS_MAX {
                return false;
            }
            if Arc::strong_count(&entry.shared.watch) == 1 {
                dropped.extend(self.remove(&key));
            } else {
                self.uses += 1;
                self.by_use.remove(&entry.last_use);
                (entry.last_use, entry.last_interval) = (self.uses, interval);
                self.by_use.insert(self.uses, key);
            }
        }
        true
    }

    /// Gives back the room of entries that were dropped, where that is most of it.
    fn shrink(&mut self) {
        if self.entries.capacity() > ENTRIES_SHRUNK_MIN.max(4 * self.entries.len()) {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Shared> {
        let entry = self.entries.remove(key)?;
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
        Some(entry.shared)
    }

    fn drop_oldest(&mut self) {
        if let Some(key) = self.by_use.first_key_value().map(|(_, key)| key.clone()) {
            self.remove(&key);
        }
    }
}
