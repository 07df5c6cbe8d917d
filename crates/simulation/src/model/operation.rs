//! What a transaction did, with what it saw.

use std::sync::Arc;

use freshet_database::{IndexId, TableId};
use freshet_values::{DocumentId, Object};

use super::question::{Answer, Question};
use super::schemas::{Schema, Verdict};

/// One step of a transaction. Following the steps again from another state shows whether they would have had the same
/// results there.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Read {
        question: Question,
        answer: Answer,
    },
    Insert {
        table: String,
        table_id: TableId,
        id: DocumentId,
        new: Arc<Object>,
    },
    Change {
        table: String,
        id: DocumentId,
        old: Arc<Object>,
        new: Option<Arc<Object>>,
    },
    /// A document that was not taken, because the schema in force forbids it.
    Refused {
        table: String,
        new: Arc<Object>,
    },
    BeginSub,
    CommitSub,
    RollbackSub,
    CreateIndex {
        table: String,
        index: String,
        id: IndexId,
        fields: Vec<String>,
        staged: bool,
    },
    EnableIndex {
        table: String,
        index: String,
        id: IndexId,
    },
    StageIndex {
        table: String,
        index: String,
        id: IndexId,
    },
    DropIndex {
        table: String,
        index: String,
        id: IndexId,
    },
    DropTable {
        table: String,
        id: TableId,
    },
    /// With the tables that it speaks of, which are there from then on.
    SubmitSchema {
        schema: Schema,
        tables: Vec<(String, TableId)>,
    },
    /// How far the schema is that waits, if any.
    SeeSchema(Option<(DocumentId, Verdict)>),
    ActivateSchema(Option<DocumentId>),
}
