//! A value that was read from the database and is good as long as nothing it was made from changes.
//!
//! Every call needs some of them, such as which code is live. Reading them anew would cost more than the call.

use std::sync::Arc;

use freshet_database::{Database, Subscription, Transaction};
use freshet_values::Timestamp;
use parking_lot::Mutex;

use crate::call_error::CallError;
use crate::syscalls::system_failure;

/// See the module. Holds one value, the newest.
pub(crate) struct Remembered<T>(Mutex<Option<Entry<T>>>);

struct Entry<T> {
    value: T,
    /// The snapshot that it was read from.
    since: Timestamp,
    subscription: Subscription,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Remembered<T> {
    /// The value as of the transaction's snapshot, which depends on it as if it had read it. `read` is called if it is not
    /// known, with another transaction on the same snapshot.
    ///
    /// # Errors
    /// Those of `read`, or a snapshot that is too old to be read again.
    pub(crate) fn get(
        &self,
        database: &Database,
        transaction: &mut Transaction,
        read: impl FnOnce(&mut Transaction) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let at = transaction.snapshot_ts();
        if let Some(known) = &*self.0.lock()
            && known.since <= at
            && known.subscription.valid_through(at)
        {
            transaction.depend_on(known.subscription.read_set());
            return Ok(known.value.clone());
        }
        let mut reading = database.begin_at(at).map_err(system_failure)?;
        let value = read(&mut reading)?;
        let reads = Arc::new(reading.read_set().clone());
        drop(reading);
        transaction.depend_on(&reads);
        let subscription = database.subscribe(reads, at, Arc::new(|| {}));
        let mut newest = self.0.lock();
        if newest.as_ref().is_none_or(|known| known.since <= at) {
            *newest = Some(Entry { value: value.clone(), since: at, subscription });
        }
        Ok(value)
    }
}
