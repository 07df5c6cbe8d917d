//! Changing many rows, some at a time, so that nobody is held up for long.

use freshet_database::{DatabaseError, Transaction};

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::own_transaction::write_durably;

/// Runs `change` in one durable transaction after another, until it finds fewer than `rows_max` rows, which it is given and
/// must not exceed. Returns their number in all.
///
/// # Errors
/// Failures of the store; the batches before stay done.
pub(super) async fn run(
    functions: &Functions,
    rows_max: usize,
    change: impl Fn(&mut Transaction, usize) -> Result<usize, DatabaseError> + Clone + Send + 'static,
) -> Result<u64, CallError> {
    let mut total = 0;
    loop {
        let change = change.clone();
        let batch = write_durably(&functions.services, move |transaction| Ok(change(transaction, rows_max)?));
        let changed = batch.await?;
        total += changed as u64;
        if changed < rows_max {
            return Ok(total);
        }
    }
}
