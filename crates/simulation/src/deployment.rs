//! What a push does to schemas: hands one in, looks how far it is, puts it in force.
//!
//! A transaction that did this writes no more documents: what it writes is checked against the schemas that it began with.

use freshet_database::{DatabaseError, Namespace, Transaction, schema};
use freshet_values::DocumentId;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::{Operation, RULES, Schema, Verdict, schema_tables, schema_text};
use crate::session::{Session, Setback, Step, name};
use crate::violation::Violation;

/// How far the schema is that waits, given the one that should.
pub(crate) fn look(
    transaction: &mut Transaction,
    expected: Option<DocumentId>,
) -> Result<Option<(DocumentId, Verdict)>, DatabaseError> {
    let row = match schema::in_progress(transaction, Namespace::ROOT)? {
        Some(row) => Some(row),
        // One that failed is only found by its id.
        None => expected.map(|id| schema::get(transaction, Namespace::ROOT, id)).transpose()?.flatten(),
    };
    Ok(row.and_then(|row| Some((row.id, Verdict::of(&row.state)?))))
}

/// The row of the schema in force.
pub(crate) fn in_force(transaction: &mut Transaction) -> Result<Option<DocumentId>, DatabaseError> {
    Ok(schema::active(transaction, Namespace::ROOT)?.map(|row| row.id))
}

impl Session {
    /// Does something with schemas.
    pub(crate) fn deploy(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let waiting = self.frames.state().schemas.waiting.map(|waiting| waiting.schema.id);
        let seen = look(&mut self.transaction, waiting)?;
        let choice = rng.random_range(0..10);
        let operation = match seen {
            Some((id, Verdict::Validated)) if choice < 8 => {
                let row = schema::get(&mut self.transaction, Namespace::ROOT, id)?;
                schema::activate(&mut self.transaction, Namespace::ROOT, row.as_ref())?;
                self.has_deployed = true;
                Operation::ActivateSchema(Some(id))
            }
            _ if choice == 9 => {
                schema::activate(&mut self.transaction, Namespace::ROOT, None)?;
                self.has_deployed = true;
                Operation::ActivateSchema(None)
            }
            None | Some((_, Verdict::Failed)) if choice < 7 => self.submit(rng)?,
            Some(_) if choice < 2 => self.submit(rng)?,
            _ => Operation::SeeSchema(seen),
        };
        Ok(Some(operation))
    }

    fn submit(&mut self, rng: &mut ChaCha8Rng) -> Result<Operation, Setback> {
        // The first one allows everything.
        let rules = if rng.random_bool(0.1) { 0 } else { rng.random_range(1..RULES.len()) };
        let definition = schema::parse(&schema_text(rules)).expect("the schema is well formed");
        let id = schema::submit(&mut self.transaction, Namespace::ROOT, &definition)?;
        self.has_deployed = true;
        let mut tables = Vec::new();
        for table in schema_tables(rules) {
            let found = self.transaction.catalog().table_by_name(Namespace::ROOT, &name(table));
            let Some(found) = found else {
                return Err(Violation(format!("{table} is not there after its schema was handed in")).into());
            };
            tables.push((table.to_owned(), found.id));
        }
        Ok(Operation::SubmitSchema { schema: Schema { rules, id }, tables })
    }
}
