//! Sync protocol messages and the per-connection state machine; no I/O.
