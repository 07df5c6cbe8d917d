//! The last hour of every function, in minutes. Only minutes in which a function did something take memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use freshet_meter::Distribution;
use rustc_hash::FxHashMap;

use super::counts::Counts;
use super::{FunctionName, FunctionTotals};

/// Seconds that are kept.
const KEPT_S: u64 = 60 * 60;

/// What one function did in one minute.
#[derive(Clone, Debug)]
pub struct Minute {
    /// When it began, in seconds since the Unix epoch.
    pub start_s: u64,
    /// How often, and how much.
    pub counts: Counts,
    /// Microseconds of each execution.
    pub durations_us: Distribution,
}

/// The minutes of all functions.
#[derive(Debug)]
pub(super) struct Minutes {
    /// When the current minute began.
    current_s: u64,
    functions: FxHashMap<Arc<FunctionName>, History>,
}

impl Default for Minutes {
    fn default() -> Self {
        Self { current_s: super::now_s(), functions: FxHashMap::default() }
    }
}

#[derive(Debug)]
struct History {
    /// Up to the current minute.
    before: FunctionTotals,
    minutes: VecDeque<Minute>,
}

impl History {
    fn minute(&self, now: &FunctionTotals, start_s: u64) -> Option<Minute> {
        let counts = now.counts.since(self.before.counts);
        (counts.calls > 0).then(|| Minute {
            start_s,
            counts,
            durations_us: now.durations_us.since(&self.before.durations_us),
        })
    }
}

impl Minutes {
    /// Ends the current minute.
    pub(super) fn cut(&mut self, totals: &[FunctionTotals], now_s: u64) {
        for now in totals {
            let history = self.functions.entry(Arc::clone(&now.name)).or_insert_with(|| History {
                before: FunctionTotals {
                    name: Arc::clone(&now.name),
                    counts: Counts::default(),
                    durations_us: Distribution::default(),
                },
                minutes: VecDeque::new(),
            });
            if let Some(minute) = history.minute(now, self.current_s) {
                history.minutes.push_back(minute);
                history.before = now.clone();
            }
            while history.minutes.front().is_some_and(|minute| minute.start_s + KEPT_S <= now_s) {
                history.minutes.pop_front();
            }
        }
        self.current_s = now_s;
    }

    /// All minutes, with the current one as it is now.
    pub(super) fn with_current(
        &self,
        totals: &[FunctionTotals],
        now_s: u64,
    ) -> Vec<(Arc<FunctionName>, Vec<Minute>)> {
        let nothing = FunctionTotals {
            name: Arc::new(FunctionName {
                identifier: String::new(),
                component: freshet_values::ComponentPath::root(),
                kind: crate::code::FunctionKind::Query,
            }),
            counts: Counts::default(),
            durations_us: Distribution::default(),
        };
        let unknown = History { before: nothing, minutes: VecDeque::new() };
        totals
            .iter()
            .map(|now| {
                let history = self.functions.get(&now.name).unwrap_or(&unknown);
                let recent = history.minutes.iter().filter(|minute| minute.start_s + KEPT_S > now_s).cloned();
                let current = history.minute(now, self.current_s);
                (Arc::clone(&now.name), recent.chain(current).collect())
            })
            .collect()
    }

    /// Functions that did nothing in all the time that is kept.
    pub(super) fn idle(&self, totals: &[FunctionTotals]) -> HashSet<FunctionName> {
        totals
            .iter()
            .filter(|now| self.functions.get(&now.name).is_none_or(|history| history.minutes.is_empty()))
            .map(|now| FunctionName::clone(&now.name))
            .collect()
    }

    /// Drops what is kept of functions.
    pub(super) fn forget(&mut self, names: &HashSet<FunctionName>) {
        self.functions.retain(|name, _| !names.contains(&**name));
    }
}
