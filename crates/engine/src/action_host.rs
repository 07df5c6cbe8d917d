//! Action hosts: separate Node processes for actions, HTTP actions and the evaluation of pushed code.

mod blobs;
mod bodies;
mod end;
mod frame;
mod inbox;
mod invocations;
mod pool;
mod process;
mod protocol;
mod spawn;
mod suspects;

pub(crate) use pool::{ActionTimes, ProcessPool};
pub(crate) use spawn::HostProgram;
