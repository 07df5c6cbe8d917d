//! Functions that were running in an action host when it ended.
//!
//! Actions share processes, and nobody can tell which of them ended theirs. So all that were running in it are run apart
//! from the others for a while: whichever it was, it hits nobody but itself the next time.

use std::time::{Duration, Instant};

use hashlink::LruCache;
use parking_lot::Mutex;

/// How long a function is run apart.
const SUSPICION: Duration = Duration::from_secs(600);
/// Functions that are remembered.
const SUSPECTS_MAX: usize = 256;

/// What is suspected at the moment.
pub(crate) struct Suspects {
    since: Mutex<LruCache<String, Instant>>,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { since: Mutex::new(LruCache::new(SUSPECTS_MAX)) }
    }
}

impl Suspects {
    /// These functions were running when their process ended.
    pub(crate) fn add(&self, functions: impl IntoIterator<Item = String>) {
        let mut since = self.since.lock();
        for function in functions {
            since.insert(function, Instant::now());
        }
    }

    /// Whether a function is to be run apart.
    pub(crate) fn contains(&self, function: &str) -> bool {
        self.since.lock().peek(function).is_some_and(|since| since.elapsed() < SUSPICION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_running_are_suspected_and_no_other() {
        let suspects = Suspects::default();
        suspects.add(["1 a.js:bad".to_owned(), "1 b.js:good".to_owned()]);
        assert!(suspects.contains("1 a.js:bad") && suspects.contains("1 b.js:good"));
        assert!(!suspects.contains("2 a.js:bad"));
    }
}
