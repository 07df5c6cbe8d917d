//! What every function has done: counts, times and sizes, since the start and minute by minute for an hour.
//!
//! Recording takes no lock and allocates nothing once a function is known: it finds the function in a map that is
//! replaced as a whole when one is added, and adds to its numbers. Minutes are cut by a task of their own. The number of
//! functions is bounded; callers cannot invent any, because only those that the app's code declares have numbers of their
//! own.

mod counts;
mod minutes;
mod stats;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use freshet_meter::Distribution;
use freshet_values::ComponentPath;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::code::FunctionKind;
use crate::execution::ExecutionRecord;
use crate::services::since_epoch;

pub use counts::Counts;
pub use minutes::Minute;
use minutes::Minutes;
use stats::FunctionStats;

/// Functions with numbers of their own. Further ones share [`OTHER`].
const FUNCTIONS_MAX: usize = 2_000;
/// Stands for what a caller asked for and no code declares.
const UNKNOWN: &str = "(unknown)";
/// Stands for functions beyond the bound.
const OTHER: &str = "(other)";
/// How long one entry of the last hour is.
const MINUTE: Duration = Duration::from_secs(60);

/// Which function numbers are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName {
    /// `mod:fn` without `.js`; `GET /path` for HTTP actions.
    pub identifier: String,
    /// The component instance; empty for the app.
    pub component: ComponentPath,
    /// Kind of function.
    pub kind: FunctionKind,
}

/// What one function has done since the engine started.
#[derive(Clone, Debug)]
pub struct FunctionTotals {
    /// Which one.
    pub name: Arc<FunctionName>,
    /// How often, and how much.
    pub counts: Counts,
    /// Microseconds of each execution, waiting for a lane not included. Cached answers are not in here.
    pub durations_us: Distribution,
}

type Known = FxHashMap<String, Vec<Arc<FunctionStats>>>;

/// The numbers of all functions.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    known: ArcSwap<Known>,
    /// Held while the map is replaced.
    replacing: Mutex<()>,
    minutes: Mutex<Minutes>,
}

impl FunctionMetrics {
    /// Adds one finished execution.
    pub(crate) fn record(&self, record: &ExecutionRecord) {
        let identifier = if record.is_declared { record.identifier.as_str() } else { UNKNOWN };
        let known = self.known.load();
        match find(&known, identifier, &record.component, record.kind) {
            Some(stats) => stats.record(record),
            None => self.add(identifier, record).record(record),
        }
    }

    /// The entry for a function that is new. Rare, and slow.
    #[cold]
    fn add(&self, identifier: &str, record: &ExecutionRecord) -> Arc<FunctionStats> {
        let _replacing = self.replacing.lock();
        let known = self.known.load();
        let is_full = known.values().map(Vec::len).sum::<usize>() >= FUNCTIONS_MAX;
        let (identifier, component) = if is_full && identifier != UNKNOWN {
            (OTHER, ComponentPath::root())
        } else {
            (identifier, record.component.clone())
        };
        if let Some(stats) = find(&known, identifier, &component, record.kind) {
            return Arc::clone(stats);
        }
        let stats = Arc::new(FunctionStats::new(FunctionName {
            identifier: identifier.to_owned(),
            component,
            kind: record.kind,
        }));
        let mut larger = Known::clone(&known);
        larger.entry(identifier.to_owned()).or_default().push(Arc::clone(&stats));
        self.known.store(Arc::new(larger));
        stats
    }

    /// What every function has done since the start, by name.
    pub fn totals(&self) -> Vec<FunctionTotals> {
        let mut totals: Vec<_> = self.known.load().values().flatten().map(|stats| stats.totals()).collect();
        totals.sort_by(|a, b| a.name.cmp(&b.name));
        totals
    }

    /// The minutes of the last hour in which each function did something, the current one included; by name.
    pub fn last_hour(&self) -> Vec<(Arc<FunctionName>, Vec<Minute>)> {
        self.hour_before(now_s())
    }

    fn hour_before(&self, now_s: u64) -> Vec<(Arc<FunctionName>, Vec<Minute>)> {
        let totals = self.totals();
        self.minutes.lock().with_current(&totals, now_s)
    }

    /// Begins a new minute now and then, for as long as it is polled.
    pub async fn keep_minutes(&self) {
        let mut ticks = tokio::time::interval(MINUTE);
        loop {
            ticks.tick().await;
            self.cut(now_s());
        }
    }

    /// Ends a minute, and forgets functions that have long done nothing when there are many.
    fn cut(&self, now_s: u64) {
        let totals = self.totals();
        let idle = {
            let mut minutes = self.minutes.lock();
            minutes.cut(&totals, now_s);
            minutes.idle(&totals)
        };
        if totals.len() <= FUNCTIONS_MAX / 2 || idle.is_empty() {
            return;
        }
        let _replacing = self.replacing.lock();
        let mut fewer = Known::clone(&self.known.load());
        for entries in fewer.values_mut() {
            entries.retain(|stats| !idle.contains(stats.name()));
        }
        fewer.retain(|_, entries| !entries.is_empty());
        self.known.store(Arc::new(fewer));
        self.minutes.lock().forget(&idle);
    }
}

fn find<'a>(
    known: &'a Known,
    identifier: &str,
    component: &ComponentPath,
    kind: FunctionKind,
) -> Option<&'a Arc<FunctionStats>> {
    known
        .get(identifier)?
        .iter()
        .find(|stats| stats.name().kind == kind && stats.name().component == *component)
}

fn now_s() -> u64 {
    since_epoch(SystemTime::now()).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_stream::sample_record;

    fn of<'a>(totals: &'a [FunctionTotals], identifier: &str) -> &'a FunctionTotals {
        totals.iter().find(|totals| totals.name.identifier == identifier).unwrap()
    }

    #[test]
    fn calls_errors_hits_and_times_add_up() {
        let metrics = FunctionMetrics::default();
        let mut record = sample_record("m:f");
        record.usage.documents_read = 3;
        metrics.record(&record);
        record.error = Some("x".into());
        metrics.record(&record);
        record.error = None;
        record.cached_result = true;
        record.usage.documents_read = 0;
        metrics.record(&record);
        let totals = metrics.totals();
        let totals = of(&totals, "m:f");
        assert_eq!((totals.counts.calls, totals.counts.errors, totals.counts.cache_hits), (3, 1, 1));
        assert_eq!(totals.counts.documents_read, 6);
        assert_eq!(totals.durations_us.count(), 2);
        let p50 = totals.durations_us.quantile(0.5).unwrap();
        assert!((10_500.0..13_500.0).contains(&p50), "{p50}");
    }

    #[test]
    fn callers_cannot_invent_functions() {
        let metrics = FunctionMetrics::default();
        for number in 0..10_000 {
            let mut record = sample_record(&format!("attack:f{number}"));
            record.is_declared = false;
            metrics.record(&record);
        }
        let totals = metrics.totals();
        assert_eq!(totals.len(), 1);
        assert_eq!(of(&totals, UNKNOWN).counts.calls, 10_000);
    }

    #[test]
    fn the_number_of_functions_is_bounded() {
        let metrics = FunctionMetrics::default();
        for number in 0..FUNCTIONS_MAX + 10 {
            metrics.record(&sample_record(&format!("m:f{number}")));
        }
        let totals = metrics.totals();
        assert_eq!(totals.len(), FUNCTIONS_MAX + 1);
        assert_eq!(of(&totals, OTHER).counts.calls, 10);
    }

    #[test]
    fn functions_that_did_nothing_for_an_hour_make_room() {
        let metrics = FunctionMetrics::default();
        metrics.cut(0);
        for number in 0..FUNCTIONS_MAX {
            metrics.record(&sample_record(&format!("m:f{number}")));
        }
        for minute in 1..=61 {
            metrics.record(&sample_record("m:f7"));
            metrics.cut(minute * 60);
        }
        let totals = metrics.totals();
        assert_eq!(totals.len(), 1);
        assert_eq!(of(&totals, "m:f7").counts.calls, 62);
    }

    #[test]
    fn the_last_hour_has_the_minutes_in_which_something_happened() {
        let metrics = FunctionMetrics::default();
        metrics.cut(0);
        metrics.record(&sample_record("m:f"));
        metrics.record(&sample_record("m:f"));
        metrics.cut(60);
        metrics.cut(120);
        metrics.record(&sample_record("m:f"));
        let hour = metrics.hour_before(130);
        let (name, minutes) = &hour[0];
        assert_eq!(name.identifier, "m:f");
        let seen: Vec<_> = minutes.iter().map(|minute| minute.counts.calls).collect();
        assert_eq!(seen, [2, 1]);
        assert_eq!(minutes[0].start_s, 0);
    }

    #[test]
    fn threads_count_together_without_losing_anything() {
        let metrics = FunctionMetrics::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..1_000 {
                        metrics.record(&sample_record(&format!("m:f{}", number % 20)));
                    }
                });
            }
        });
        let totals = metrics.totals();
        assert_eq!(totals.len(), 20);
        assert_eq!(totals.iter().map(|totals| totals.counts.calls).sum::<u64>(), 8_000);
    }
}
