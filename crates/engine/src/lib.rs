//! The engine: a Node addon that holds the database, the server and everything between, and drives V8.
//!
//! Node's main thread loads it and starts the [`wiring`]; worker threads serve as lanes. Only this crate knows Node. It
//! holds no logic of its own: what a call may do is the functions crate's business, what is stored the database's.
//!
//! The supervisor links the same crate for [`launch`] alone.

// The registration with Node, the one caller of the addon's functions, is left out of test builds.
#![cfg_attr(test, allow(dead_code))]

/// Many threads allocate many small things that other threads free. The system's allocator spent a fifth of the
/// processor time of short mutations on that (`cargo xtask bench transfer`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod accidents;
mod action_host;
mod addon;
mod array_buffers;
mod crash_signals;
mod flight_record;
mod lane_thread;
mod lanes;
pub mod launch;
mod memory_return;
mod node_packages;
mod thread_time;
mod urgency;
mod v8_isolate;
mod wiring;
