//! Time and randomness, as the database asks for them; tests and simulations bring their own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use freshet_values::Timestamp;
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Now, in nanoseconds since the Unix epoch. May jump in either direction.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)).min(Timestamp::MAX)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Arc<ManualClock> {
        Arc::new(ManualClock(Mutex::new(start)))
    }

    /// Moves the clock by a number of nanoseconds.
    pub fn advance(&self, nanos: u64) {
        let mut now = self.0.lock();
        now.0 += nanos;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// Where randomness comes from: the random part of document ids and keys.
pub struct Randomness(Mutex<ChaCha20Rng>);

impl Randomness {
    /// Randomness of the operating system.
    #[must_use]
    pub fn from_os() -> Randomness {
        Randomness(Mutex::new(ChaCha20Rng::from_os_rng()))
    }

    /// The same sequence for the same seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Randomness {
        Randomness(Mutex::new(ChaCha20Rng::from_seed(seed)))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().fill_bytes(&mut bytes);
        bytes
    }
}
