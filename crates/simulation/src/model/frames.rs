//! The model as one transaction sees it, nested sub-transactions included.

use super::operation::Operation;
use super::state::{Index, State, Table, Writes};
use crate::violation::{Checked, Violation, check};

/// The innermost frame is the last one; there is always one.
#[derive(Clone, Debug)]
pub(crate) struct Frames(Vec<(State, Writes)>);

impl Frames {
    pub(crate) fn new(state: State) -> Frames {
        Frames(vec![(state, Writes::new())])
    }

    pub(crate) fn state(&self) -> &State {
        &self.0.last().expect("there is always a frame").0
    }

    /// Sub-transactions under way.
    pub(crate) fn depth(&self) -> usize {
        self.0.len() - 1
    }

    /// What is left when all is done.
    pub(crate) fn finish(mut self) -> (State, Writes) {
        self.0.pop().expect("there is always a frame")
    }

    /// Takes a step, having checked that it has the same results here.
    pub(crate) fn follow(&mut self, operation: &Operation) -> Checked {
        match operation {
            Operation::BeginSub => {
                let copy = self.0.last().expect("there is always a frame").clone();
                self.0.push(copy);
                return Ok(());
            }
            Operation::CommitSub => {
                let inner = self.0.pop().expect("there is always a frame");
                *self.0.last_mut().expect("a sub-transaction had begun") = inner;
                return Ok(());
            }
            Operation::RollbackSub => {
                self.0.pop();
                return Ok(());
            }
            _ => {}
        }
        let (state, writes) = self.0.last_mut().expect("there is always a frame");
        step(state, writes, operation)
    }
}

fn step(state: &mut State, writes: &mut Writes, operation: &Operation) -> Checked {
    match operation {
        Operation::Read { question, answer } => {
            let expected = question.expect(state);
            check(expected == *answer, || format!("{question:?} gave {answer:?} instead of {expected:?}"))
        }
        Operation::Insert { table, table_id, id, new } => {
            let entry = state.tables.entry(table.clone()).or_insert_with(|| Table::new(*table_id));
            check(entry.id == *table_id, || {
                format!("an insert went to table {table_id} although {table} is {}", entry.id)
            })?;
            check(!entry.documents.contains_key(id), || format!("document {id} was inserted twice"))?;
            entry.documents.insert(*id, new.clone());
            writes.insert((*table_id, *id), Some(new.clone()));
            state.enforce(table, new)
        }
        Operation::Refused { table, new } => {
            let refuses = state.schemas.active.is_some_and(|active| !active.accepts(table, new));
            check(refuses, || {
                format!("{new:?} was refused for {table}, but the schema is {:?}", state.schemas.active)
            })
        }
        Operation::Change { table, id, old, new } => {
            let entry = table_mut(state, table)?;
            let found = entry.documents.get(id);
            check(found == Some(old), || format!("{id} was changed from {old:?}, but it is {found:?}"))?;
            match new {
                Some(new) => entry.documents.insert(*id, new.clone()),
                None => entry.documents.remove(id),
            };
            writes.insert((entry.id, *id), new.clone());
            match new {
                // What stays as it is is not written.
                Some(new) if new != old => state.enforce(table, new),
                _ => Ok(()),
            }
        }
        Operation::CreateIndex { table, index, id, fields, staged } => {
            let entry = table_mut(state, table)?;
            let new = Index { id: *id, fields: fields.clone(), enabled: false, staged: *staged };
            let before = entry.indexes.insert(index.clone(), new);
            check(before.is_none(), || format!("{table}.{index} was created twice"))
        }
        Operation::EnableIndex { table, index, id } => {
            let found = index_mut(state, table, index)?;
            check(found.id == *id && !found.enabled, || {
                format!("{table}.{index} was enabled as {id}: {found:?}")
            })?;
            (found.enabled, found.staged) = (true, false);
            Ok(())
        }
        Operation::StageIndex { table, index, id } => {
            let found = index_mut(state, table, index)?;
            check(found.id == *id, || format!("{table}.{index} was staged as {id}: {found:?}"))?;
            (found.enabled, found.staged) = (false, true);
            Ok(())
        }
        Operation::DropIndex { table, index, id } => {
            let found = table_mut(state, table)?.indexes.remove(index);
            check(found.as_ref().is_some_and(|found| found.id == *id), || {
                format!("{table}.{index} was dropped as {id}: {found:?}")
            })
        }
        Operation::DropTable { table, id } => {
            let found = state.tables.remove(table).map(|table| table.id);
            check(found == Some(*id), || format!("{table} was dropped as {id}: {found:?}"))
        }
        Operation::SubmitSchema { schema, tables } => {
            for (table, id) in tables {
                let entry = state.tables.entry(table.clone()).or_insert_with(|| Table::new(*id));
                check(entry.id == *id, || format!("the schema is about {id}, but {table} is {}", entry.id))?;
            }
            state.submit(*schema)
        }
        Operation::SeeSchema(seen) => state.see(*seen),
        Operation::ActivateSchema(id) => state.activate(*id),
        Operation::BeginSub | Operation::CommitSub | Operation::RollbackSub => {
            unreachable!("these change the frames themselves")
        }
    }
}

fn table_mut<'a>(state: &'a mut State, table: &str) -> Checked<&'a mut Table> {
    state.tables.get_mut(table).ok_or_else(|| Violation(format!("{table} was used although it is not there")))
}

fn index_mut<'a>(state: &'a mut State, table: &str, index: &str) -> Checked<&'a mut Index> {
    let missing = || Violation(format!("{table}.{index} was used although it is not there"));
    table_mut(state, table)?.indexes.get_mut(index).ok_or_else(missing)
}
