//! Action hosts: separate Node processes for actions, HTTP actions and the evaluation of pushed code.

mod blobs;
mod bodies;
mod frame;
mod pool;
mod process;
mod protocol;

pub(crate) use pool::{ActionTimes, ProcessPool};
pub(crate) use process::HostProgram;
