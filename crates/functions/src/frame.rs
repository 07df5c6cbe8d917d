//! One running function within an attempt: the top-level one, or a nested call. Its open queries and its pending writes
//! belong to the transaction's own stack.

use std::sync::Arc;

use freshet_values::FunctionPath;
use freshet_values::validator::Validator;

use crate::host::TransactionKind;

/// One running function.
pub(crate) struct Frame {
    pub(crate) path: FunctionPath,
    pub(crate) kind: TransactionKind,
    pub(crate) returns: Option<Arc<Validator>>,
    /// Whether it has run its one paginated query.
    pub(crate) paginated: bool,
    /// Journal of an earlier run; the top-level function's only.
    pub(crate) journal_before: Option<String>,
    /// Journal of this run.
    pub(crate) journal: Option<String>,
}

impl Frame {
    /// The function that the caller asked for.
    pub(crate) fn top(path: FunctionPath, kind: TransactionKind, journal_before: Option<String>) -> Self {
        Self { journal_before, ..Self::nested(path, kind, None) }
    }

    /// A function called by another one.
    pub(crate) fn nested(path: FunctionPath, kind: TransactionKind, returns: Option<Arc<Validator>>) -> Self {
        Self { path, kind, returns, paginated: false, journal_before: None, journal: None }
    }
}
