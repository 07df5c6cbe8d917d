//! Function calls, the host interface, modules, deployment and the scheduler.

pub mod host;
pub mod log;
