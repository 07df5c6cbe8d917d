//! In which order calls that wait get lanes.
//!
//! Functions share the lanes, not calls: each function has a line of its own, and the next call is the first of the line
//! whose function has used the lanes least (start-time fair queueing, with the time of a lane as the good that is
//! shared). A function that is called a thousand times a second, or takes a second each time, thus delays others by one of
//! its calls, not by all of them. A line that was empty starts from where the others are: nobody saves up time.
//!
//! Lanes cannot be taken back from a call. So that short calls need not wait for one to end, functions whose calls are
//! slow leave one lane to others, where there are two or more. Where a lane has just lost its thread to a call, the lanes
//! are few: then functions of which nothing is known count as slow, too, lest one like the last takes what is left.
//!
//! Knows nothing of calls; its values are whatever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use freshet_values::FunctionPath;
use rustc_hash::FxHashMap;

/// Average time of a call from which its function counts as slow.
const SLOW: Duration = Duration::from_millis(100);
/// How much the newest call counts for a function's average time: one part in so many.
const AVERAGE_SHARE: u64 = 4;
/// Lines of functions without calls that are kept, for what is known of their times.
const IDLE_LINES_MAX: usize = 2_048;

/// Number of a function's line. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LineId(u64);

/// What one function waits for and has used.
struct Line<T> {
    calls: BTreeMap<i64, T>,
    /// Lane time that it was charged, in microseconds; less is earlier.
    charged_us: u64,
    /// Average time of a call; 0 when none has ended yet.
    average_us: u64,
    running: usize,
}

impl<T> Line<T> {
    fn is_slow(&self) -> bool {
        u128::from(self.average_us) >= SLOW.as_micros()
    }

    fn is_unknown(&self) -> bool {
        self.average_us == 0
    }
}

/// How many lanes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneCount {
    /// As configured.
    pub(crate) all: usize,
    /// Those that have a thread at the moment.
    pub(crate) present: usize,
}

/// Calls that wait, by function.
pub(crate) struct LaneOrder<T> {
    ids: FxHashMap<FunctionPath, LineId>,
    lines: FxHashMap<LineId, Line<T>>,
    next_id: u64,
    /// Lines with calls: by what they were charged, then by their first call.
    ready: BTreeSet<(u64, i64, LineId)>,
    /// What the line that was served last had been charged.
    clock_us: u64,
    waiting: usize,
    /// Calls that run, at most one for each lane: when they began, and whether that of a slow function did.
    running: Vec<(TurnId, Instant, bool)>,
    next_turn: u64,
}

impl<T> Default for LaneOrder<T> {
    fn default() -> Self {
        Self {
            ids: FxHashMap::default(),
            lines: FxHashMap::default(),
            next_id: 0,
            ready: BTreeSet::new(),
            clock_us: 0,
            waiting: 0,
            running: Vec::new(),
            next_turn: 0,
        }
    }
}

/// Number of a call that got a lane. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TurnId(u64);

/// A call that got a lane; goes back to [`LaneOrder::ended`].
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    id: TurnId,
    line: LineId,
    /// What the function was charged in advance.
    charged_us: u64,
    began: Instant,
}

impl<T> LaneOrder<T> {
    /// Number of calls that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Adds a call. Of one function, the smallest ticket goes first; no ticket may be used twice. Returns the line that it
    /// waits in.
    pub(crate) fn push(&mut self, function: &FunctionPath, ticket: i64, call: T) -> LineId {
        self.waiting += 1;
        let id = self.ids.get(function).copied().unwrap_or_else(|| self.add_line(function));
        let line = self.lines.get_mut(&id).expect("a line that has a name exists");
        match line.calls.first_key_value() {
            Some((first, _)) if *first < ticket => {}
            Some((first, _)) => {
                self.ready.remove(&(line.charged_us, *first, id));
                self.ready.insert((line.charged_us, ticket, id));
            }
            None => {
                line.charged_us = line.charged_us.max(self.clock_us);
                self.ready.insert((line.charged_us, ticket, id));
            }
        }
        line.calls.insert(ticket, call);
        id
    }

    fn add_line(&mut self, function: &FunctionPath) -> LineId {
        if self.lines.len() - self.ready.len() >= IDLE_LINES_MAX {
            // Callers can ask for any number of functions that do not exist.
            self.lines.retain(|_, line| !line.calls.is_empty() || line.running > 0);
            self.ids.retain(|_, id| self.lines.contains_key(id));
        }
        let id = LineId(self.next_id);
        self.next_id += 1;
        self.ids.insert(function.clone(), id);
        self.lines.insert(
            id,
            Line { calls: BTreeMap::new(), charged_us: self.clock_us, average_us: 0, running: 0 },
        );
        id
    }

    /// Takes a call out again; `None` when a lane has it.
    pub(crate) fn remove(&mut self, id: LineId, ticket: i64) -> Option<T> {
        let line = self.lines.get_mut(&id)?;
        let (first, _) = line.calls.first_key_value()?;
        let first = *first;
        let call = line.calls.remove(&ticket)?;
        self.waiting -= 1;
        if first == ticket {
            self.ready.remove(&(line.charged_us, first, id));
            if let Some((next, _)) = line.calls.first_key_value() {
                self.ready.insert((line.charged_us, *next, id));
            }
        }
        Some(call)
    }

    /// The call whose turn it is `now`, of those that may have a lane.
    pub(crate) fn pop(&mut self, lanes: LaneCount, now: Instant) -> Option<(T, Turn)> {
        let is_short_of_lanes = lanes.present < lanes.all;
        let mut has_room_for_slow = None;
        let lines = &self.lines;
        let mut ready = self.ready.iter();
        let next @ (charged_us, ticket, id) = *ready.find(|(_, _, id)| {
            let line = &lines[id];
            let leaves_one = line.is_slow() || is_short_of_lanes && line.is_unknown();
            !leaves_one || *has_room_for_slow.get_or_insert_with(|| self.has_room_for_slow(lanes, now))
        })?;
        self.ready.remove(&next);
        let line = self.lines.get_mut(&id).expect("a line that is ready exists");
        let call = line.calls.remove(&ticket).expect("a line that is ready has this call");
        self.waiting -= 1;
        self.clock_us = self.clock_us.max(charged_us);
        // In advance, what it usually takes: other lanes must not find the same line to be the first again.
        let turn = Turn { id: TurnId(self.next_turn), line: id, charged_us: line.average_us, began: now };
        self.next_turn += 1;
        self.running.push((turn.id, now, line.is_slow()));
        line.charged_us += turn.charged_us;
        line.running += 1;
        if let Some((next, _)) = line.calls.first_key_value() {
            self.ready.insert((line.charged_us, *next, id));
        }
        Some((call, turn))
    }

    /// Whether a call that may take long leaves a lane to others. One that has had its lane for long counts as slow,
    /// whatever was known of its function.
    fn has_room_for_slow(&self, lanes: LaneCount, now: Instant) -> bool {
        let is_slow = |began: Instant| now.saturating_duration_since(began) >= SLOW;
        let slow = self.running.iter().filter(|(_, began, was_slow)| *was_slow || is_slow(*began)).count();
        lanes.all < 2 || slow + 1 < lanes.present
    }

    /// A call has given its lane back.
    pub(crate) fn ended(&mut self, turn: &Turn, now: Instant) {
        let took = now.saturating_duration_since(turn.began);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.running.retain(|(id, ..)| *id != turn.id);
        let Some(line) = self.lines.get_mut(&turn.line) else { return };
        line.running -= 1;
        line.average_us = if line.average_us == 0 {
            took_us
        } else {
            (line.average_us * (AVERAGE_SHARE - 1) + took_us) / AVERAGE_SHARE
        };
        let charged_us = (line.charged_us - turn.charged_us.min(line.charged_us)).saturating_add(took_us);
        if let Some((first, _)) = line.calls.first_key_value() {
            self.ready.remove(&(line.charged_us, *first, turn.line));
            self.ready.insert((charged_us, *first, turn.line));
        }
        line.charged_us = charged_us;
    }

    /// Takes all calls out.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.ready.clear();
        self.waiting = 0;
        self.lines.values_mut().flat_map(|line| std::mem::take(&mut line.calls).into_values()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> FunctionPath {
        format!("m:{name}").parse().unwrap()
    }

    const MS: Duration = Duration::from_millis(1);

    /// So many lanes, which all have a thread.
    fn lanes(all: usize) -> LaneCount {
        LaneCount { all, present: all }
    }

    /// Runs `rounds` calls one after the other in one lane; a call of `slow` takes a second, others a millisecond.
    fn run(order: &mut LaneOrder<&'static str>, rounds: usize) -> Vec<&'static str> {
        let mut served = Vec::new();
        for _ in 0..rounds {
            let Some((call, turn)) = order.pop(lanes(1), Instant::now()) else { break };
            let took = if call == "slow" { 1_000 * MS } else { MS };
            order.ended(&turn, turn.began + took);
            served.push(call);
        }
        served
    }

    #[test]
    fn calls_of_one_function_go_in_the_order_they_came() {
        let mut order = LaneOrder::default();
        for (ticket, call) in ["a", "b", "c"].into_iter().enumerate() {
            order.push(&path("f"), ticket as i64, call);
        }
        assert_eq!(run(&mut order, 9), ["a", "b", "c"]);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn a_slow_function_delays_others_by_one_call_only() {
        let mut order = LaneOrder::default();
        (0..100).for_each(|ticket| _ = order.push(&path("slow"), ticket, "slow"));
        assert_eq!(run(&mut order, 2), ["slow", "slow"]);
        (100..110).for_each(|ticket| _ = order.push(&path("quick"), ticket, "quick"));
        assert_eq!(run(&mut order, 10), ["quick"; 10]);
    }

    #[test]
    fn a_function_that_is_called_often_gets_no_more_than_its_share() {
        let mut order = LaneOrder::default();
        (0..1_000).for_each(|ticket| _ = order.push(&path("often"), ticket, "often"));
        run(&mut order, 10);
        (1_000..1_010).for_each(|ticket| _ = order.push(&path("seldom"), ticket, "seldom"));
        let served = run(&mut order, 20);
        assert_eq!(served.iter().filter(|call| **call == "seldom").count(), 10, "{served:?}");
    }

    #[test]
    fn nobody_saves_up_time() {
        let mut order = LaneOrder::default();
        order.push(&path("rested"), 0, "rested");
        run(&mut order, 1);
        (1..1_001).for_each(|ticket| _ = order.push(&path("busy"), ticket, "busy"));
        run(&mut order, 500);
        (2_000..2_500).for_each(|ticket| _ = order.push(&path("rested"), ticket, "rested"));
        let served = run(&mut order, 100);
        let rested = served.iter().filter(|call| **call == "rested").count();
        assert!((45..=55).contains(&rested), "{rested}");
    }

    #[test]
    fn slow_functions_leave_one_lane_to_others() {
        let now = Instant::now();
        let mut order = LaneOrder::default();
        for name in ["slow", "slower"] {
            (0..3).for_each(|ticket| _ = order.push(&path(name), ticket, name));
            let (_, turn) = order.pop(lanes(3), now).unwrap();
            order.ended(&turn, now + 500 * MS);
        }
        let first = order.pop(lanes(3), now).unwrap().1;
        let _second = order.pop(lanes(3), now).unwrap().1;
        assert!(order.pop(lanes(3), now).is_none(), "the third lane is for others");
        order.push(&path("quick"), 9, "quick");
        assert_eq!(order.pop(lanes(3), now).unwrap().0, "quick");
        order.ended(&first, now + 500 * MS);
        assert!(order.pop(lanes(3), now).is_some());
    }

    /// An order in which `slow` is known to be slow and `quick` to be quick.
    fn experienced() -> LaneOrder<&'static str> {
        let mut order = LaneOrder::default();
        for call in ["slow", "quick"] {
            order.push(&path(call), 0, call);
            run(&mut order, 1);
            order.push(&path(call), 1, call);
        }
        order
    }

    #[test]
    fn a_call_that_has_had_its_lane_for_long_counts_as_slow() {
        let now = Instant::now();
        let mut order = experienced();
        order.push(&path("unknown"), 0, "unknown");
        let others = ["unknown", "quick"].map(|_| order.pop(lanes(3), now).unwrap());
        let names = others.map(|(name, turn)| {
            if name == "quick" {
                order.ended(&turn, now + MS);
            }
            name
        });
        assert_eq!(names, ["unknown", "quick"]);
        assert!(order.pop(lanes(2), now + 200 * MS).is_none(), "the second of two lanes is for others");
        assert_eq!(order.pop(lanes(3), now + 200 * MS).unwrap().0, "slow");
    }

    #[test]
    fn when_a_lane_has_lost_its_thread_the_last_one_is_for_functions_that_are_known_to_be_quick() {
        let now = Instant::now();
        let few = LaneCount { all: 2, present: 1 };
        let mut order = experienced();
        order.push(&path("unknown"), 0, "unknown");
        let (call, turn) = order.pop(few, now).unwrap();
        assert_eq!(call, "quick");
        order.ended(&turn, now + MS);
        assert!(order.pop(few, now).is_none());
        assert_eq!(order.pop(lanes(2), now).unwrap().0, "unknown");
    }

    #[test]
    fn a_call_that_gave_up_is_gone_and_the_next_takes_its_place() {
        let mut order = LaneOrder::default();
        let line = order.push(&path("f"), 1, "a");
        order.push(&path("f"), 2, "b");
        order.push(&path("f"), -1, "back");
        assert_eq!(order.remove(line, 1), Some("a"));
        assert_eq!(order.remove(line, 1), None);
        assert_eq!(run(&mut order, 9), ["back", "b"]);
    }

    #[test]
    fn functions_that_do_not_exist_leave_nothing_behind() {
        let mut order = LaneOrder::default();
        for number in 0..10 * IDLE_LINES_MAX as i64 {
            order.push(&path(&format!("f{number}")), number, "x");
            let (_, turn) = order.pop(lanes(1), Instant::now()).unwrap();
            order.ended(&turn, turn.began + MS);
        }
        assert!(order.lines.len() <= IDLE_LINES_MAX + 1);
    }
}
