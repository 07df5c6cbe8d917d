//! The data directory: instance name, secret, admin keys and the lock.
