//! Queries that the server answers itself, under `_system/...` paths.

use freshet_database::Transaction;
use freshet_values::{FunctionPath, Object, Value};

use crate::call_error::CallError;

/// The server's own functions. They are queries, and run for admins only.
pub trait NativeFunctions: Send + Sync + 'static {
    /// Whether there is a query of this path.
    fn contains(&self, path: &FunctionPath) -> bool;

    /// Runs it. What it reads through `transaction` makes subscriptions re-run; what it writes is dropped. Called on a
    /// thread that may block.
    fn query(
        &self,
        path: &FunctionPath,
        args: &Object,
        transaction: &mut Transaction,
    ) -> Result<Value, NativeError>;
}

/// A failed native query.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The caller's mistake, shown like a function's failure.
    #[error("{0}")]
    Developer(String),
    /// The server's failure.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A server without functions of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNativeFunctions;

impl NativeFunctions for NoNativeFunctions {
    fn contains(&self, _path: &FunctionPath) -> bool {
        false
    }

    fn query(
        &self,
        path: &FunctionPath,
        _args: &Object,
        _transaction: &mut Transaction,
    ) -> Result<Value, NativeError> {
        Err(NativeError::Developer(format!("Could not find public function for '{}'.", path.stripped())))
    }
}
