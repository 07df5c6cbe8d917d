//! Calls on their way: lanes and their queue, actions, and work for later.

use std::fmt;

use freshet_functions::FunctionsStatistics;

use super::families::Families;

/// Writes the families.
pub(super) fn write(families: &mut Families<'_>, work: &FunctionsStatistics) -> fmt::Result {
    let lanes = &work.lanes;
    families.gauge("freshet_lanes", "Threads that run queries and mutations.", lanes.lanes)?;
    families.gauge("freshet_lanes_busy", "Lanes that run a call.", lanes.busy)?;
    families.gauge(
        "freshet_lane_queue_length",
        "Queries and mutations that wait for a lane.",
        lanes.waiting,
    )?;
    families.gauge("freshet_lane_queue_limit", "Queries and mutations that may wait.", lanes.waiting_max)?;
    families.times(
        "freshet_lane_wait_seconds",
        "How long calls waited for a lane.",
        [([], &lanes.wait_us)],
    )?;
    families.counters(
        "freshet_lane_refused",
        "Calls that found no room in the queue, or no lane in time: answered with 429.",
        [([("kind", "Query")], lanes.refused_queries), ([("kind", "Mutation")], lanes.refused_mutations)],
    )?;
    families.counters(
        "freshet_lane_replaced",
        "Threads of lanes that were replaced.",
        lanes.replaced.iter().map(|(reason, count)| ([("reason", *reason)], *count)),
    )?;

    let runtimes = [("isolate", work.isolate_actions), ("node", work.node_actions)];
    families.gauges(
        "freshet_actions_running",
        "Actions that run, HTTP actions included.",
        runtimes.map(|(runtime, actions)| ([("environment", runtime)], actions.running)),
    )?;
    families.gauges(
        "freshet_actions_limit",
        "Actions that may run at the same time.",
        runtimes.map(|(runtime, actions)| ([("environment", runtime)], actions.running_max)),
    )?;
    families.gauges(
        "freshet_actions_waiting",
        "Actions that wait for a slot.",
        runtimes.map(|(runtime, actions)| ([("environment", runtime)], actions.waiting)),
    )?;
    families.counters(
        "freshet_actions_refused",
        "Actions that found no slot in time: answered with 429.",
        runtimes.map(|(runtime, actions)| ([("environment", runtime)], actions.refused)),
    )?;

    let scheduler = work.scheduler;
    families.gauge(
        "freshet_scheduler_outstanding",
        "Scheduled functions that are pending or running, as counted last; at most some minutes old.",
        scheduler.outstanding,
    )?;
    families.gauges(
        "freshet_scheduler_running",
        "Scheduled functions and cron jobs that run.",
        [([("kind", "job")], scheduler.running), ([("kind", "cron")], scheduler.running_crons)],
    )?;
    families.counters(
        "freshet_scheduler_started",
        "Scheduled functions and cron jobs that were started.",
        [([("kind", "job")], scheduler.started), ([("kind", "cron")], scheduler.started_crons)],
    )?;
    families.gauge(
        "freshet_scheduler_lag_seconds",
        "How long the scheduled function that is next in line has been due; 0 when none waits for room.",
        scheduler.lag.as_secs_f64(),
    )
}
