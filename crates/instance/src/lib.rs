//! The identity of one Freshet instance and the directory that holds it.
//!
//! A data directory is laid out like this:
//!
//! ```text
//! DIR/                              0700
//!   freshet.sqlite3                 the database (written by the store only)
//!   storage/                        stored files
//!   tmp/                            scratch space, emptied freely
//!   runtime/                        the engine's JavaScript, written at every start
//!   supervisor.lock, engine.lock    advisory locks; their text is the holder's process id
//!   credentials/                    0700
//!     instance_name                 0600
//!     instance_secret               0600, 64 hexadecimal characters
//! ```
//!
//! Invariants: this crate never opens the database, never talks to the network, and never writes a secret
//! anywhere but to `credentials/instance_secret`. A secret once written is never replaced.

mod admin_key;
mod credentials;
mod directory;
mod durable_file;
mod lock;
mod name;
mod secret;

pub use admin_key::{AdminIdentity, AdminKeyClaims, AdminKeyError, AdminKeys, split_acting_user};
pub use credentials::{ConfiguredCredentials, CredentialsError, Instance};
pub use directory::{DataDirectory, DirectoryError};
pub use lock::{DirectoryLock, LockError, LockHolder};
pub use name::{InstanceName, InstanceNameError};
pub use secret::{InstanceSecret, SecretError};
