//! The watch over what one execution read, shared by all who hold its result.
//!
//! However many hold a result, the database knows one subscription, and a commit that changes it wakes one thing: the
//! refresh, which runs the query again. Only when the new result is there are the watchers told, and each of them finds it
//! in the cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use freshet_database::{Database, ReadSet, Subscription, Waker};
use freshet_values::Timestamp;
use parking_lot::Mutex;

/// Starts the refresh of a result that changed at this moment; called at most once, from any thread, and must not block.
pub(crate) type StartRefresh = Box<dyn Fn(Arc<Watchers>, Timestamp) + Send + Sync>;

pub(crate) struct Watch {
    subscription: Subscription,
    watchers: Arc<Watchers>,
    computed_at: Timestamp,
}

/// Who is told. Outlives the watch while a refresh is under way.
pub(crate) struct Watchers {
    contents: Mutex<Contents>,
    start_refresh: StartRefresh,
    is_replaced: AtomicBool,
    /// Set before anybody watches.
    watch: OnceLock<Weak<Watch>>,
}

#[derive(Default)]
struct Contents {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The result is good, or nobody has asked whether it is.
    #[default]
    Watching,
    /// The query runs again.
    Refreshing,
    /// There is a newer result, or none could be had; each watcher has to see for itself.
    Replaced,
}

impl Watch {
    /// Watches what was read at `ts`.
    pub(crate) fn new(
        database: &Database,
        read_set: Arc<ReadSet>,
        ts: Timestamp,
        start_refresh: StartRefresh,
    ) -> Arc<Self> {
        let watchers = Arc::new(Watchers {
            contents: Mutex::default(),
            start_refresh,
            is_replaced: AtomicBool::new(false),
            watch: OnceLock::new(),
        });
        let waker = {
            let watchers = Arc::clone(&watchers);
            Arc::new(move || watchers.changed()) as Waker
        };
        let subscription = database.subscribe(read_set, ts, waker);
        let watch = Arc::new(Self { subscription, watchers, computed_at: ts });
        watch.watchers.watch.get_or_init(|| Arc::downgrade(&watch));
        watch
    }

    pub(crate) fn is_valid_through(&self, ts: Timestamp) -> bool {
        self.subscription.valid_through(ts)
    }

    /// Whether nothing that was read has changed so far.
    pub(crate) fn is_valid(&self) -> bool {
        self.subscription.is_valid()
    }

    pub(crate) fn valid_until(&self) -> Timestamp {
        self.subscription
            .invalidated_at()
            .map_or(Timestamp(u64::MAX), |since| Timestamp(since.0.saturating_sub(1)))
    }

    pub(crate) fn computed_at(&self) -> Timestamp {
        self.computed_at
    }

    /// Whether watchers have been told to look for a newer result.
    pub(crate) fn is_replaced(&self) -> bool {
        self.watchers.is_replaced.load(Ordering::Acquire)
    }

    pub(crate) fn enter(&self, waker: &Waker) -> usize {
        let mut contents = self.watchers.contents.lock();
        let number = match contents.free.pop() {
            Some(number) => {
                contents.wakers[number] = Some(Arc::clone(waker));
                number
            }
            None => {
                contents.wakers.push(Some(Arc::clone(waker)));
                contents.wakers.len() - 1
            }
        };
        let phase = contents.phase;
        drop(contents);
        match phase {
            // The database wakes nobody of what was written before it was asked to watch, and whoever comes after the
            // change has to set the refresh going.
            Phase::Watching if !self.is_valid() => self.watchers.changed(),
            Phase::Replaced => waker(),
            Phase::Watching | Phase::Refreshing => {}
        }
        number
    }

    pub(crate) fn leave(&self, number: usize) {
        let mut contents = self.watchers.contents.lock();
        let left = contents.wakers[number].take();
        contents.free.push(number);
        drop(contents);
        drop(left);
    }
}

impl Watchers {
    /// Something that was read has changed.
    fn changed(self: &Arc<Self>) {
        {
            let mut contents = self.contents.lock();
            let is_watched = contents.wakers.len() > contents.free.len();
            if contents.phase != Phase::Watching || !is_watched {
                return;
            }
            contents.phase = Phase::Refreshing;
        }
        // Whoever watches keeps the watch alive.
        let watch = self.watch.get().and_then(Weak::upgrade);
        let since = watch.map_or(Timestamp::ZERO, |watch| Timestamp(watch.valid_until().0.saturating_add(1)));
        (self.start_refresh)(Arc::clone(self), since);
    }

    /// Tells everybody that there may be a newer result.
    pub(crate) fn replaced(&self) {
        let wakers: Vec<Waker> = {
            let mut contents = self.contents.lock();
            contents.phase = Phase::Replaced;
            self.is_replaced.store(true, Ordering::Release);
            contents.wakers.iter().flatten().cloned().collect()
        };
        for waker in wakers {
            waker();
        }
    }
}
