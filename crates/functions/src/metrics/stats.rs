//! The numbers of one function, which any number of threads add to.

use std::sync::Arc;

use freshet_meter::{Counter, Histogram};

use super::counts::Counts;
use super::{FunctionName, FunctionTotals};
use crate::execution::ExecutionRecord;

/// See the module. About 1.2 KiB.
#[derive(Debug)]
pub(super) struct FunctionStats {
    name: Arc<FunctionName>,
    calls: Counter,
    errors: Counter,
    cache_hits: Counter,
    conflicts: Counter,
    user_time_us: Counter,
    documents_read: Counter,
    bytes_read: Counter,
    documents_written: Counter,
    bytes_written: Counter,
    returned_bytes: Counter,
    durations_us: Histogram,
}

impl FunctionStats {
    pub(super) fn new(name: FunctionName) -> Self {
        Self {
            name: Arc::new(name),
            calls: Counter::new(),
            errors: Counter::new(),
            cache_hits: Counter::new(),
            conflicts: Counter::new(),
            user_time_us: Counter::new(),
            documents_read: Counter::new(),
            bytes_read: Counter::new(),
            documents_written: Counter::new(),
            bytes_written: Counter::new(),
            returned_bytes: Counter::new(),
            durations_us: Histogram::new(),
        }
    }

    pub(super) fn name(&self) -> &FunctionName {
        &self.name
    }

    pub(super) fn record(&self, record: &ExecutionRecord) {
        self.calls.increment();
        self.errors.add(u64::from(record.error.is_some()));
        self.returned_bytes.add(record.return_bytes.map_or(0, |bytes| bytes as u64));
        if record.cached_result {
            self.cache_hits.increment();
            return;
        }
        self.conflicts.add(u64::from(record.conflicts));
        self.user_time_us.add(microseconds(record.user_execution_time_s));
        self.documents_read.add(record.usage.documents_read);
        self.bytes_read.add(record.usage.bytes_read);
        self.documents_written.add(record.usage.documents_written);
        self.bytes_written.add(record.usage.bytes_written);
        self.durations_us.record(microseconds(record.execution_time_s));
    }

    pub(super) fn totals(&self) -> FunctionTotals {
        FunctionTotals {
            name: Arc::clone(&self.name),
            counts: Counts {
                calls: self.calls.get(),
                errors: self.errors.get(),
                cache_hits: self.cache_hits.get(),
                conflicts: self.conflicts.get(),
                user_time_us: self.user_time_us.get(),
                documents_read: self.documents_read.get(),
                bytes_read: self.bytes_read.get(),
                documents_written: self.documents_written.get(),
                bytes_written: self.bytes_written.get(),
                returned_bytes: self.returned_bytes.get(),
            },
            durations_us: self.durations_us.distribution(),
        }
    }
}

fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
