//! What a transaction did, with what it saw.

use std::sync::Arc;

use freshet_database::{IndexId, TableId};
use freshet_values::{DocumentId, Object};

use super::question::{Answer, Question};

/// One step of a transaction. Following the steps again from another state shows whether they would have had the same
/// results there.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Read { question: Question, answer: Answer },
    Insert { table: String, table_id: TableId, id: DocumentId, new: Arc<Object> },
    Change { table: String, id: DocumentId, old: Arc<Object>, new: Option<Arc<Object>> },
    BeginSub,
    CommitSub,
    RollbackSub,
    CreateIndex { table: String, index: String, id: IndexId, fields: Vec<String> },
    EnableIndex { table: String, index: String, id: IndexId },
    DropIndex { table: String, index: String, id: IndexId },
    DropTable { table: String, id: TableId },
}
