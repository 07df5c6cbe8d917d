//! Cron jobs: what `crons.js` declares, and when jobs are due.

pub(crate) mod definition;
pub(crate) mod rows;
pub(crate) mod schedule;
