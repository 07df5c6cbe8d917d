//! The crashes of earlier engines and the functions that are in quarantine for them, kept in a file of the data directory.
//!
//! Who is to blame is the functions crate's to say.

use freshet_functions::quarantine::{ACCIDENTS_MAX, Accident, Quarantined, blame};
use freshet_instance::DataDirectory;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::flight_record::FlightRecord;

/// Functions in quarantine; more would mean that it is not the functions.
const QUARANTINED_MAX: usize = 64;

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    accidents: Vec<Accident>,
    functions: Vec<Quarantined>,
}

/// The crashes that are remembered.
pub(crate) struct Accidents {
    directory: DataDirectory,
    stored: Mutex<Stored>,
}

impl Accidents {
    /// Reads what is remembered, and adds how the engine before this one ended. To be called before the flight record is
    /// begun anew.
    pub(crate) fn open(directory: DataDirectory) -> Self {
        let path = directory.quarantine_file();
        let mut stored = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the list of crashes cannot be read and is begun anew");
                Stored::default()
            }),
            Err(_) => Stored::default(),
        };
        let accident = FlightRecord::accident(&directory.flight_record_file());
        let has_changed = accident.is_some();
        if let Some(accident) = accident {
            stored.add(accident);
        }
        for entry in &stored.functions {
            tracing::error!(
                function = entry.function,
                how = entry.how,
                "a function is in quarantine because the engine ended while it ran; deploying the app again lifts that"
            );
        }
        let accidents = Self { directory, stored: Mutex::new(stored) };
        if has_changed {
            accidents.save();
        }
        accidents
    }

    /// The functions in quarantine.
    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        self.stored.lock().functions.clone()
    }

    /// Other code is live: everybody gets a new chance.
    pub(crate) fn forget(&self) {
        {
            let mut stored = self.stored.lock();
            if stored.functions.is_empty() && stored.accidents.is_empty() {
                return;
            }
            *stored = Stored::default();
        }
        self.save();
    }

    fn save(&self) {
        let stored = self.stored.lock();
        let text = serde_json::to_string_pretty(&*stored).expect("accidents have string keys only");
        if let Err(error) = self.directory.replace_file(&self.directory.quarantine_file(), &text) {
            tracing::error!(%error, "functions in quarantine could not be stored: they will run again after a restart");
        }
    }
}

impl Stored {
    fn add(&mut self, accident: Accident) {
        match blame(&accident, &self.accidents) {
            Some(function) => {
                self.functions.retain(|entry| entry.function != function);
                self.functions.push(Quarantined {
                    function: function.to_owned(),
                    at_ms: accident.at_ms,
                    how: accident.how.clone(),
                });
                let surplus = self.functions.len().saturating_sub(QUARANTINED_MAX);
                self.functions.drain(..surplus);
            }
            None => tracing::error!(
                how = accident.how,
                running = ?accident.running,
                "the engine before this one ended unexpectedly; no function is known to be the cause"
            ),
        }
        self.accidents.push(accident);
        let surplus = self.accidents.len().saturating_sub(ACCIDENTS_MAX);
        self.accidents.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_crashed_stays_in_quarantine_over_restarts_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open_or_create(folder.path()).unwrap();
        assert!(Accidents::open(directory.clone()).quarantined().is_empty());
        let record = FlightRecord::create(&directory.flight_record_file(), 1).unwrap();
        let lane = record.lane(0);
        lane.enter();
        lane.begin("bad.js", "poison");
        record.header().crash_signal.store(11, Ordering::Relaxed);
        record.header().crash_thread.store(crate::crash_signals::thread_id(), Ordering::Relaxed);
        let quarantined = |accidents: &Accidents| -> Vec<String> {
            accidents.quarantined().into_iter().map(|entry| entry.function).collect()
        };
        assert_eq!(quarantined(&Accidents::open(directory.clone())), ["bad.js:poison"]);
        FlightRecord::create(&directory.flight_record_file(), 1).unwrap().close();
        let later = Accidents::open(directory.clone());
        assert_eq!(quarantined(&later), ["bad.js:poison"]);
        later.forget();
        assert!(Accidents::open(directory).quarantined().is_empty());
    }
}
