//! What each function of the app has done.

use std::fmt;

use freshet_functions::metrics::{Counts, FunctionTotals};

use super::families::Families;

/// Writes the families.
pub(super) fn write(families: &mut Families<'_>, functions: &[FunctionTotals]) -> fmt::Result {
    let sum = |of: fn(&Counts) -> u64| functions.iter().map(move |one| (labels(one), of(&one.counts)));
    families.counters(
        "freshet_function_calls",
        "Calls of a function, cached ones and failures included.",
        sum(|counts| counts.calls),
    )?;
    families.counters(
        "freshet_function_errors",
        "Calls that ended with an error of the function.",
        sum(|counts| counts.errors),
    )?;
    families.counters(
        "freshet_function_cache_hits",
        "Calls of a query that a stored result answered.",
        sum(|counts| counts.cache_hits),
    )?;
    families.counters(
        "freshet_function_conflicts",
        "Attempts of a mutation that a conflict took back; it ran again.",
        sum(|counts| counts.conflicts),
    )?;
    families.times(
        "freshet_function_duration_seconds",
        "Time of an execution, from its start to its end, waiting for a lane or a slot not included.",
        functions.iter().map(|one| (labels(one), &one.durations_us)),
    )?;
    families.seconds(
        "freshet_function_user_seconds",
        "Time in a function's own code, host calls not included; for actions the whole time.",
        sum(|counts| counts.user_time_us),
    )?;
    families.counters(
        "freshet_function_documents_read",
        "Documents that executions read.",
        sum(|counts| counts.documents_read),
    )?;
    families.counters(
        "freshet_function_read_bytes",
        "Bytes of documents that executions read.",
        sum(|counts| counts.bytes_read),
    )?;
    families.counters(
        "freshet_function_documents_written",
        "Documents that executions wrote.",
        sum(|counts| counts.documents_written),
    )?;
    families.counters(
        "freshet_function_written_bytes",
        "Bytes of documents that executions wrote.",
        sum(|counts| counts.bytes_written),
    )?;
    families.counters(
        "freshet_function_returned_bytes",
        "Bytes of results as JSON text.",
        sum(|counts| counts.returned_bytes),
    )
}

fn labels(function: &FunctionTotals) -> [(&str, &str); 3] {
    let name = &*function.name;
    [("function", &name.identifier), ("kind", name.kind.as_str()), ("component", name.component.as_str())]
}
