//! Cron jobs: what `crons.js` declares, when jobs are due, and running them.

pub(crate) mod definition;
pub(crate) mod rows;
pub(crate) mod run_record;
pub(crate) mod runner;
pub(crate) mod schedule;
