//! The thorough check of a database that was just opened, from outside and from inside.

use std::collections::BTreeMap;

use freshet_database::{Database, IndexSpec, IndexState, Namespace, TableState};
use rusqlite::{Connection, OpenFlags};

use crate::chance;
use crate::deployment;
use crate::disk::Disk;
use crate::model::{Answer, Question, Range, State};
use crate::violation::{Checked, Violation, check};

/// Who every internal number belongs to, for as long as the disk exists.
#[derive(Default)]
pub(crate) struct Numbers(BTreeMap<u32, String>);

/// Reads everything through a transaction and compares it with the model.
pub(crate) fn check_contents(database: &Database, state: &State) -> Checked {
    let failed = |error: &dyn std::fmt::Display| Violation(format!("reading everything failed: {error}"));
    let mut transaction = database.begin().map_err(|error| failed(&error))?;
    for table in chance::tables() {
        let mut questions = vec![Question::Count(table.to_owned())];
        for descending in [false, true] {
            questions.push(Question::Scan { table: table.to_owned(), descending, limit: None });
            for index in state.tables.get(table).iter().flat_map(|table| table.indexes.keys()) {
                if index == chance::SEARCH {
                    for words in ["b", "b0", "b1", "b2", "b3"].map(str::to_owned) {
                        let table = table.to_owned();
                        questions.push(Question::Search { table, words, filter: None, limit: None });
                    }
                    continue;
                }
                questions.push(Question::Range {
                    table: table.to_owned(),
                    index: index.clone(),
                    range: Range::default(),
                    descending,
                    limit: None,
                });
            }
        }
        let ids = state.tables.get(table).into_iter().flat_map(|table| table.documents.keys());
        questions.extend(ids.map(|id| Question::Get(*id)));
        for question in questions {
            let found: Answer = question.ask(&mut transaction).map_err(|error| failed(&error))?;
            let expected = question.expect(state);
            check(found == expected, || {
                format!("after opening, {question:?} gives {found:?} instead of {expected:?}")
            })?;
        }
    }
    Ok(())
}

/// Compares the schemas with the model.
pub(crate) fn check_schemas(database: &Database, state: &State) -> Checked {
    let failed = |error: &dyn std::fmt::Display| Violation(format!("reading the schemas failed: {error}"));
    let mut transaction = database.begin().map_err(|error| failed(&error))?;
    let active = deployment::in_force(&mut transaction).map_err(|error| failed(&error))?;
    let expected = state.schemas.active.map(|schema| schema.id);
    check(active == expected, || format!("the schema {active:?} is in force instead of {expected:?}"))?;
    let waiting = state.schemas.waiting.map(|waiting| waiting.schema.id);
    state.see(deployment::look(&mut transaction, waiting).map_err(|error| failed(&error))?)
}

/// Compares the declared tables and indexes with the model.
pub(crate) fn check_catalog(database: &Database, state: &State) -> Checked {
    let catalog = database.catalog();
    let mut found = BTreeMap::new();
    for table in catalog.tables().filter(|table| {
        table.namespace == Namespace::ROOT && !table.name.is_system() && table.state == TableState::Active
    }) {
        let mut indexes = BTreeMap::new();
        for index in catalog.indexes(table.id) {
            if index.row.is_none() || index.state == IndexState::Deleting {
                continue;
            }
            let fields: Vec<String> = match &index.spec {
                IndexSpec::Database { fields } => fields.iter().map(ToString::to_string).collect(),
                IndexSpec::Search { search_field, filter_fields } => {
                    std::iter::once(search_field).chain(filter_fields).map(ToString::to_string).collect()
                }
                IndexSpec::Vector { .. } => continue,
            };
            let how = (index.state == IndexState::Enabled, index.staged);
            indexes.insert(index.name.to_string(), (index.id, fields, how));
        }
        found.insert(table.name.to_string(), (table.id, indexes));
    }
    let expected: BTreeMap<_, _> = state
        .tables
        .iter()
        .map(|(name, table)| {
            let indexes: BTreeMap<_, _> = table
                .indexes
                .iter()
                .map(|(name, index)| {
                    (name.clone(), (index.id, index.fields.clone(), (index.enabled, index.staged)))
                })
                .collect();
            (name.clone(), (table.id, indexes))
        })
        .collect();
    check(found == expected, || format!("tables and indexes are {found:?} instead of {expected:?}"))
}

/// Looks at the file with SQLite itself: is it sound, do counts and entries agree with the documents?
pub(crate) fn check_file(disk: &Disk, database: &Database) -> Checked {
    let failed = |error: rusqlite::Error| Violation(format!("the file cannot be inspected: {error}"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(Disk::path(), flags, disk.vfs()).map_err(failed)?;
    let answer: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(failed)?;
    check(answer == "ok", || format!("SQLite finds the file damaged: {answer}"))?;
    let pairs = |sql: &str| -> Checked<BTreeMap<u32, u64>> {
        let mut statement = connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())));
        rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    };
    let documents = pairs("SELECT table_id, count(*) FROM freshet_documents GROUP BY table_id")?;
    let counts = pairs("SELECT table_id, documents FROM freshet_table_counts")?;
    let entries = pairs(
        "SELECT e.index_id, count(*) FROM freshet_index_entries e \
         JOIN freshet_documents d ON d.row = e.document GROUP BY e.index_id",
    )?;
    let all_entries = pairs("SELECT index_id, count(*) FROM freshet_index_entries GROUP BY index_id")?;
    let texts = pairs(
        "SELECT table_id, count(*) FROM freshet_documents WHERE json_type(json, '$.b') = 'text' GROUP BY table_id",
    )?;
    let catalog = database.catalog();
    for table in catalog.tables().filter(|table| table.state == TableState::Active) {
        let there = documents.get(&table.id.0).copied().unwrap_or(0);
        let counted = counts.get(&table.id.0).copied().unwrap_or(0);
        check(there == counted, || {
            format!("table {} ({}) has {there} documents and counts {counted}", table.name, table.id)
        })?;
        for index in catalog.indexes(table.id) {
            let complete = match index.state {
                IndexState::Enabled | IndexState::Backfilled => true,
                IndexState::Backfilling => false,
                IndexState::Deleting => continue,
            };
            let stored = all_entries.get(&index.id.0).copied().unwrap_or(0);
            let leading = entries.get(&index.id.0).copied().unwrap_or(0);
            let there = match &index.spec {
                // Each text is one word: an entry for it and one for the document.
                IndexSpec::Search { .. } => 2 * texts.get(&table.id.0).copied().unwrap_or(0),
                _ => there,
            };
            // Documents are found by id without entries.
            let fits = index.id == table.by_id || if complete { stored == there } else { stored <= there };
            check(fits && stored == leading, || {
                format!(
                    "index {} of {} has {stored} entries, {leading} of them lead somewhere, and not {there}",
                    index.name, table.name
                )
            })?;
        }
    }
    Ok(())
}

/// No internal number of a table or an index is ever used for another one.
pub(crate) fn check_numbers(database: &Database, numbers: &mut Numbers) -> Checked {
    let catalog = database.catalog();
    let mut owners = Vec::new();
    for table in catalog.tables() {
        let Some(row) = table.row else { continue };
        owners.push((table.id.0, format!("table {row}")));
        for index in catalog.indexes(table.id) {
            let owner = match index.row {
                Some(row) => format!("index {row}"),
                None => format!("{} of table {row}", index.name),
            };
            owners.push((index.id.0, owner));
        }
    }
    // Numbers of tables and of indexes come from one sequence.
    for (number, owner) in owners {
        let known = numbers.0.entry(number).or_insert_with(|| owner.clone());
        check(*known == owner, || format!("the number {number} of {known} was given to {owner}"))?;
    }
    Ok(())
}
