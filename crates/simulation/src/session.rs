//! One open transaction of a client, next to the model of what it sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_database::{DatabaseError, DeveloperError, IndexSpec, IndexState, Namespace, Transaction};
use freshet_values::{DocumentId, Object, TableName, Timestamp, Value};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::chance;
use crate::model::{Answer, Frames, Index, Operation, Question, State};
use crate::readings::Readings;
use crate::violation::{Checked, Violation};

/// See the module.
pub(crate) struct Session {
    pub(crate) transaction: Transaction,
    /// The moment that it sees.
    pub(crate) base: Timestamp,
    /// It began at a moment of the past, so it may lose sight of it.
    pub(crate) past: bool,
    /// It holds the exclusive token.
    pub(crate) alone: bool,
    /// It changed schemas, and writes no more documents: those would be checked against the schemas before.
    pub(crate) has_deployed: bool,
    pub(crate) frames: Frames,
    pub(crate) operations: Vec<Operation>,
}

/// Why a step did not happen.
pub(crate) enum Setback {
    /// The database gave an error; whether it may is for the caller to say.
    Error(DatabaseError),
    Violation(Violation),
}

impl From<DatabaseError> for Setback {
    fn from(error: DatabaseError) -> Self {
        Setback::Error(error)
    }
}

impl From<Violation> for Setback {
    fn from(violation: Violation) -> Self {
        Setback::Violation(violation)
    }
}

pub(crate) type Step = Result<Option<Operation>, Setback>;

impl Session {
    pub(crate) fn new(transaction: Transaction, state: State) -> Session {
        let base = transaction.snapshot_ts();
        Session {
            transaction,
            base,
            past: false,
            alone: false,
            has_deployed: false,
            frames: Frames::new(state),
            operations: Vec::new(),
        }
    }

    /// Does something; returns a line for the trace.
    pub(crate) fn act(
        &mut self,
        rng: &mut ChaCha8Rng,
        pad_max: usize,
        readings: &mut Readings,
    ) -> Result<String, Setback> {
        let operation = loop {
            let operation = match rng.random_range(0..100) {
                0..25 => self.read(rng),
                25..35 => self.read_page(rng, readings),
                _ if self.has_deployed => self.read(rng),
                35..58 => self.insert(rng, pad_max),
                58..72 => self.change(rng, pad_max),
                72..79 => self.delete(rng),
                79..86 => self.nest(rng),
                86..93 => self.define(rng),
                93..99 => self.deploy(rng),
                _ => self.drop_table(rng),
            }?;
            if let Some(operation) = operation {
                break operation;
            }
            // Nothing to do of this kind: something else, then. Reads and inserts are always possible.
        };
        let line = summary(&operation);
        self.follow(operation)?;
        Ok(line)
    }

    pub(crate) fn follow(&mut self, operation: Operation) -> Checked {
        self.frames.follow(&operation)?;
        self.operations.push(operation);
        Ok(())
    }

    fn read(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let question = chance::question(rng, self.frames.state());
        let answer = question.ask(&mut self.transaction)?;
        Ok(Some(Operation::Read { question, answer }))
    }

    /// Goes on with some reading in pages, or begins one.
    fn read_page(&mut self, rng: &mut ChaCha8Rng, readings: &mut Readings) -> Step {
        let Some(page) = readings.choose(rng, self.frames.state()) else { return Ok(None) };
        let (answer, next) = page.ask(&mut self.transaction)?;
        readings.keep(next, self.base);
        Ok(Some(Operation::Read { question: Question::Page(page), answer }))
    }

    fn insert(&mut self, rng: &mut ChaCha8Rng, pad_max: usize) -> Step {
        let table = chance::table(rng);
        let fields = chance::fields(rng, pad_max);
        let mut user = self.transaction.user(Namespace::ROOT);
        let id = match user.insert(&table, Value::Object(fields.clone())) {
            Err(error) if is_refusal(&error) => {
                return Ok(Some(Operation::Refused { table, new: Arc::new(fields) }));
            }
            inserted => inserted?,
        };
        let new = self.look(id)?;
        if user_fields(&new) != fields {
            return Err(Violation(format!("{fields:?} was inserted, {new:?} is there")).into());
        }
        let found = self.transaction.catalog().table_by_name(Namespace::ROOT, &name(&table));
        let Some(found) = found else {
            return Err(Violation(format!("{table} is not there after an insert")).into());
        };
        let table_id = found.id;
        Ok(Some(Operation::Insert { table, table_id, id, new }))
    }

    fn change(&mut self, rng: &mut ChaCha8Rng, pad_max: usize) -> Step {
        let Some((table, id, old)) = chance::document(rng, self.frames.state()) else { return Ok(None) };
        let mut user = self.transaction.user(Namespace::ROOT);
        let mut expected = user_fields(&old);
        let written = if rng.random() {
            expected = chance::fields(rng, pad_max);
            user.replace(&id.to_string(), None, Value::Object(expected.clone()))
        } else {
            let mut patch = BTreeMap::new();
            if rng.random() {
                patch.insert("a".to_owned(), chance::number(rng));
            }
            if rng.random_bool(0.3) {
                patch.insert("b".to_owned(), chance::text(rng));
            }
            for (field, value) in &patch {
                match value {
                    Some(value) => expected.insert(field.clone(), value.clone()),
                    None => expected.remove(field),
                };
            }
            user.patch(&id.to_string(), None, patch)
        };
        match written {
            Err(error) if is_refusal(&error) => {
                return Ok(Some(Operation::Refused { table, new: Arc::new(expected) }));
            }
            written => written?,
        };
        let new = self.look(id)?;
        if user_fields(&new) != expected {
            return Err(Violation(format!("{expected:?} was written, {new:?} is there")).into());
        }
        Ok(Some(Operation::Change { table, id, old, new: Some(new) }))
    }

    fn delete(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let Some((table, id, old)) = chance::document(rng, self.frames.state()) else { return Ok(None) };
        self.transaction.user(Namespace::ROOT).delete(&id.to_string(), None)?;
        Ok(Some(Operation::Change { table, id, old, new: None }))
    }

    fn nest(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let operation = match (self.frames.depth(), rng.random_range(0..3)) {
            (0, _) | (1, 0) => {
                self.transaction.begin_sub(None);
                Operation::BeginSub
            }
            (_, 1) => self.end_sub(false)?,
            _ => self.end_sub(true)?,
        };
        Ok(Some(operation))
    }

    /// Ends the innermost sub-transaction.
    pub(crate) fn end_sub(&mut self, keep: bool) -> Result<Operation, Setback> {
        let (ended, operation) = if keep {
            (self.transaction.commit_sub(), Operation::CommitSub)
        } else {
            (self.transaction.rollback_sub(), Operation::RollbackSub)
        };
        ended.map_err(DatabaseError::from)?;
        Ok(operation)
    }

    /// Creates, enables, stages or drops an index.
    fn define(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let (mut table, (mut index, mut fields)) = (chance::table(rng), chance::index(rng));
        // Otherwise few indexes would ever be used.
        if let Some((of, name)) = self.ready_index().filter(|_| rng.random_bool(0.7)) {
            fields = chance::fields_of(&name);
            (table, index) = (of, name);
        }
        let Some(entry) = self.frames.state().tables.get(&table) else { return Ok(None) };
        let Some(found) = entry.indexes.get(&index).cloned() else {
            let paths = fields.iter().map(|field| field.parse().expect("an identifier"));
            let mut paths: Vec<freshet_values::FieldPath> = paths.collect();
            let spec = if index == chance::SEARCH {
                IndexSpec::Search { search_field: paths.remove(0), filter_fields: paths }
            } else {
                IndexSpec::Database { fields: paths }
            };
            let index_name = index.parse().expect("an identifier");
            let staged = rng.random_bool(0.3);
            let table_name = name(&table);
            let id =
                self.transaction.create_index(Namespace::ROOT, &table_name, &index_name, spec, staged)?;
            return Ok(Some(Operation::CreateIndex { table, index, id, fields, staged }));
        };
        let state = self.transaction.catalog().index(found.id).map(|index| index.state);
        if !found.enabled && state == Some(IndexState::Backfilled) {
            self.transaction.enable_index(found.id)?;
            return Ok(Some(Operation::EnableIndex { table, index, id: found.id }));
        }
        if rng.random_bool(0.2) {
            self.transaction.set_index_staged(found.id, true)?;
            return Ok(Some(Operation::StageIndex { table, index, id: found.id }));
        }
        if rng.random_bool(0.3) {
            self.transaction.drop_index(found.id)?;
            return Ok(Some(Operation::DropIndex { table, index, id: found.id }));
        }
        Ok(None)
    }

    /// An index that is built and not in use.
    fn ready_index(&self) -> Option<(String, String)> {
        let catalog = self.transaction.catalog();
        let is_ready = |index: &Index| {
            let state = catalog.index(index.id).map(|index| index.state);
            !index.enabled && state == Some(IndexState::Backfilled)
        };
        self.frames.state().tables.iter().find_map(|(table, entry)| {
            let (index, _) = entry.indexes.iter().find(|(_, index)| is_ready(index))?;
            Some((table.clone(), index.clone()))
        })
    }

    fn drop_table(&mut self, rng: &mut ChaCha8Rng) -> Step {
        let table = chance::table(rng);
        let Some(entry) = self.frames.state().tables.get(&table) else { return Ok(None) };
        let id = entry.id;
        if !self.transaction.drop_table(Namespace::ROOT, &name(&table))? {
            return Err(Violation(format!("{table} was not there to be dropped")).into());
        }
        Ok(Some(Operation::DropTable { table, id }))
    }

    /// The document as the transaction sees it now.
    fn look(&mut self, id: DocumentId) -> Result<Arc<Object>, Setback> {
        match Question::Get(id).ask(&mut self.transaction)? {
            Answer::Documents(rows) if rows.len() == 1 => Ok(Arc::clone(&rows[0])),
            other => Err(Violation(format!("{id} was just written and reads as {other:?}")).into()),
        }
    }
}

/// Whether the schema in force does not allow a document.
fn is_refusal(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Developer(DeveloperError { code: "SchemaEnforcementError", .. }))
}

fn user_fields(object: &Object) -> Object {
    object.iter().filter(|(field, _)| !field.starts_with('_')).map(|(f, v)| (f, v.clone())).collect()
}

pub(crate) fn name(table: &str) -> TableName {
    table.parse().expect("an identifier")
}

fn summary(operation: &Operation) -> String {
    match operation {
        Operation::Read { question, answer } => {
            let count = match answer {
                Answer::Documents(rows) => format!("{} rows", rows.len()),
                Answer::Page { rows, is_done } => format!("{} rows, done: {is_done}", rows.len()),
                other => format!("{other:?}"),
            };
            format!("{question:?}: {count}")
        }
        Operation::Insert { table, table_id, id, .. } => format!("insert {id} into {table} ({table_id})"),
        Operation::Change { table, id, new: Some(_), .. } => format!("write {id} of {table}"),
        Operation::Change { table, id, new: None, .. } => format!("delete {id} of {table}"),
        other => format!("{other:?}"),
    }
}
