//! Functions that are kept from running because the server ended while they ran, so that one poisonous function cannot
//! end it again and again.
//!
//! Which function is to blame after an accident is decided in [`blame`]; this module neither notices accidents nor stores
//! anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use freshet_values::FunctionPath;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

/// Accidents further apart than this have nothing to do with each other.
pub const RELATED_MS_MAX: u64 = 10 * 60 * 1000;
/// Accidents that are remembered.
pub const ACCIDENTS_MAX: usize = 8;

/// A function that was running when the server ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningFunction {
    /// Module path with `.js`, a colon, name of the export.
    pub function: String,
    /// When its call began, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// An end of the server that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accident {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How, for people.
    pub how: String,
    /// The function in whose thread it happened, if it happened in a function's.
    pub culprit: Option<String>,
    /// The innermost function of every call that was running.
    pub running: Vec<RunningFunction>,
}

/// A function in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Module path with `.js`, a colon, name of the export.
    pub function: String,
    /// When the server ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How it ended, for people.
    pub how: String,
}

/// The function to blame for an accident, if any; `earlier` are the accidents before it.
///
/// One accident is enough where it happened in the function's own thread: that is where V8 ends the process. Otherwise
/// (the machine ran out of memory, another thread crashed) every running function is suspect, and most are innocent. Then
/// it takes a second accident within ten minutes during which the same function ran, and only the one of these that had
/// been running for longest is blamed: functions take milliseconds, and what harms the process takes its time.
pub fn blame<'a>(accident: &'a Accident, earlier: &[Accident]) -> Option<&'a str> {
    if let Some(culprit) = &accident.culprit {
        return Some(culprit);
    }
    let ran_before = |running: &RunningFunction| {
        earlier.iter().any(|before| {
            accident.at_ms.saturating_sub(before.at_ms) <= RELATED_MS_MAX
                && before.running.iter().any(|other| other.function == running.function)
        })
    };
    let longest =
        accident.running.iter().filter(|running| ran_before(running)).min_by_key(|it| it.since_ms)?;
    Some(&longest.function)
}

/// The functions that are kept from running.
#[derive(Debug, Default)]
pub struct Quarantine {
    functions: RwLock<BTreeMap<String, Quarantined>>,
    /// Whether there are any: asked for every call.
    is_used: AtomicBool,
}

impl Quarantine {
    /// Keeps these functions from running.
    pub fn set(&self, functions: impl IntoIterator<Item = Quarantined>) {
        let mut kept = self.functions.write();
        *kept = functions.into_iter().map(|entry| (entry.function.clone(), entry)).collect();
        self.is_used.store(!kept.is_empty(), Ordering::Release);
    }

    /// Lets all functions run again. Returns whether some were kept from it.
    pub fn lift(&self) -> bool {
        let was_used = self.is_used.load(Ordering::Acquire);
        self.set([]);
        was_used
    }

    /// What is kept from running, by name.
    pub fn list(&self) -> Vec<Quarantined> {
        if !self.is_used.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.functions.read().values().cloned().collect()
    }

    /// Why a function may not run, for whoever calls it.
    pub(crate) fn refusal(&self, path: &FunctionPath) -> Option<String> {
        if !self.is_used.load(Ordering::Acquire) {
            return None;
        }
        let functions = self.functions.read();
        let entry = functions.get(&format!("{}:{}", path.module(), path.function()))?;
        let at = DateTime::<Utc>::from_timestamp_millis(i64::try_from(entry.at_ms).unwrap_or(0))
            .unwrap_or_default();
        Some(format!(
            "The function {} is in quarantine: the server ended while it ran ({}, {}). Deploy the app again to \
             let it run.",
            path.stripped(),
            entry.how,
            at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accident(at_ms: u64, culprit: Option<&str>, running: &[(&str, u64)]) -> Accident {
        Accident {
            at_ms,
            how: "signal 6 (SIGABRT)".into(),
            culprit: culprit.map(str::to_owned),
            running: running
                .iter()
                .map(|(function, since_ms)| RunningFunction {
                    function: (*function).to_owned(),
                    since_ms: *since_ms,
                })
                .collect(),
        }
    }

    #[test]
    fn the_function_in_whose_thread_it_happened_is_blamed_at_once_and_no_other() {
        let crash = accident(1000, Some("a.js:bad"), &[("b.js:good", 1), ("a.js:bad", 900)]);
        assert_eq!(blame(&crash, &[]), Some("a.js:bad"));
    }

    #[test]
    fn one_accident_elsewhere_puts_nobody_in_quarantine() {
        let first = accident(1000, None, &[("b.js:good", 1), ("a.js:bad", 900)]);
        assert_eq!(blame(&first, &[]), None);
        assert_eq!(blame(&accident(1000, None, &[]), &[]), None);
    }

    #[test]
    fn of_those_that_ran_in_two_accidents_the_longest_running_is_blamed() {
        let first = accident(1000, None, &[("b.js:good", 990), ("a.js:bad", 500)]);
        let second = accident(2000, None, &[("b.js:good", 1995), ("a.js:bad", 1400), ("c.js:slow", 1300)]);
        assert_eq!(blame(&second, std::slice::from_ref(&first)), Some("a.js:bad"));
        let late = accident(1000 + RELATED_MS_MAX + 1, None, &[("a.js:bad", 1400)]);
        assert_eq!(blame(&late, &[first]), None);
    }

    #[test]
    fn a_quarantined_function_says_why_until_it_is_lifted() {
        let quarantine = Quarantine::default();
        let path: FunctionPath = "messages:send".parse().unwrap();
        assert_eq!(quarantine.refusal(&path), None);
        quarantine.set([Quarantined {
            function: "messages.js:send".into(),
            at_ms: 1_700_000_000_000,
            how: "signal 6 (SIGABRT)".into(),
        }]);
        assert_eq!(
            quarantine.refusal(&path).unwrap(),
            "The function messages:send is in quarantine: the server ended while it ran (signal 6 (SIGABRT), \
             2023-11-14T22:13:20Z). Deploy the app again to let it run."
        );
        assert_eq!(quarantine.refusal(&"messages:list".parse().unwrap()), None);
        assert_eq!(quarantine.list().len(), 1);
        assert!(quarantine.lift());
        assert_eq!(quarantine.refusal(&path), None);
        assert!(!quarantine.lift());
    }
}
