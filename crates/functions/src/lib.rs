//! Function calls, host interface, modules, deployment and the scheduler.
