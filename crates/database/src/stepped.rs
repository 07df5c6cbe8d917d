//! A database without threads: the memory of what the threads would do.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::commit::committer::Committer;
use crate::commit::state::State;
use crate::database::Database;
use crate::error::CommitError;
use crate::maintenance::Housekeeper;
use crate::schema::SchemaChecker;
use crate::shared::Shared;
use crate::vectors::Keeper;

/// See the module.
pub(crate) struct Stepped {
    pub(crate) committer: Mutex<Committer>,
    housekeeper: Mutex<Housekeeper>,
    schemas: Mutex<SchemaChecker>,
    vectors: Mutex<Keeper>,
}

impl Stepped {
    /// To be made before the first commit.
    pub(crate) fn new(state: &State) -> Stepped {
        Stepped {
            committer: Mutex::new(Committer::new(state)),
            housekeeper: Mutex::default(),
            schemas: Mutex::default(),
            vectors: Mutex::default(),
        }
    }

    /// See [`Database::step_maintenance`].
    pub(crate) fn step_maintenance(&self, database: &Database) -> Result<bool, CommitError> {
        // Housekeeping ends its round when it finds nothing to do; the next round begins with the next call.
        Ok(self.housekeeper.lock().step(database.shared())?
            || self.schemas.lock().step(database)?
            || self.step_vectors(database.shared())?)
    }

    /// Does some of what is due for vector indexes; `false` when nothing was left to do.
    pub(crate) fn step_vectors(&self, shared: &Arc<Shared>) -> Result<bool, CommitError> {
        self.vectors.lock().step(shared)
    }
}
