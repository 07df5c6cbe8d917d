//! Dependencies between transactions, inferred from nothing but what they saw, and the search for cycles.
//!
//! A history is serializable only if the graph of its dependencies has no cycle (Adya: Weak Consistency, MIT 1999). Lists of
//! unique values show the order of versions to every reader (Kingsbury and Alvaro: Elle, PVLDB 14(3), 2020), so the
//! graph can be drawn without asking the database. Edges: `ww` to the writer of the next version, `wr` to the reader of
//! a version, `rw` from a reader to the writer of the next version, and `rt` to what began after an acknowledged commit.

use std::collections::BTreeMap;

use super::history::{Done, VALUES_MAX, is_present_at_first, keys};
use super::replay::covered;
use super::world::{KEYS, Op, Seen};

/// A version of a row: how many values it has; a deleted row comes after all.
const DELETED: usize = usize::MAX;

struct Read {
    reader: usize,
    key: u8,
    version: usize,
}

/// Looks for anomalies that one version shows, then for cycles.
pub(super) fn check(history: &[Done]) -> Result<(), String> {
    let by_number: BTreeMap<u32, usize> =
        history.iter().enumerate().map(|(at, done)| (done.number, at)).collect();
    let mut lists: [Vec<u32>; KEYS] = Default::default();
    let mut deleters: [Option<usize>; KEYS] = [None; KEYS];
    let mut written: Vec<(u8, u32)> = Vec::new();
    let mut reads = Vec::new();
    for (reader, done) in history.iter().enumerate() {
        let mut own = Own::default();
        for (op, value, seen) in &done.ops {
            if let Seen::Rows(rows) = seen {
                for key in covered(*op, seen) {
                    let row = rows.iter().find(|row| row.key == key);
                    // What a transaction wrote itself tells nothing about others.
                    if own.has(key) {
                        continue;
                    }
                    let version = match row {
                        Some(row) => {
                            agree(&mut lists[usize::from(key)], &row.list)?;
                            row.list.len()
                        }
                        None if is_present_at_first(key) => DELETED,
                        None => 0,
                    };
                    reads.push(Read { reader, key, version });
                }
            }
            own.follow(*op, *value, seen);
        }
        for (key, write) in own.kept() {
            match write {
                Write::Value(value) => written.push((key, value)),
                Write::Deletion => {
                    if let Some(other) = deleters[usize::from(key)].replace(reader) {
                        return Err(format!("row {key} was deleted by {other} and by {reader}"));
                    }
                }
            }
        }
    }
    let writer_of = |key: u8, version: usize| -> Result<Option<usize>, String> {
        if version == DELETED {
            let deleter = deleters[usize::from(key)];
            return deleter.map(Some).ok_or_else(|| format!("row {key} is gone, but nobody deleted it"));
        }
        let Some(value) = version.checked_sub(1).map(|at| lists[usize::from(key)][at]) else {
            return Ok(None);
        };
        let writer = by_number.get(&(value / VALUES_MAX)).copied();
        let kept = written.contains(&(key, value));
        writer.filter(|_| kept).map(Some).ok_or_else(|| {
            format!("row {key} has the value {value} of a transaction that did not commit it (aborted read)")
        })
    };
    for (key, value) in &written {
        if !lists[usize::from(*key)].contains(value) {
            return Err(format!("the value {value} that was appended to row {key} is lost"));
        }
    }
    let mut graph = Graph { edges: vec![0; history.len()], kinds: Vec::new() };
    let next = |key: u8, version: usize| match version {
        DELETED => None,
        last if last == lists[usize::from(key)].len() => deleters[usize::from(key)].map(|_| DELETED),
        version => Some(version + 1),
    };
    for key in keys() {
        let mut version = 0;
        while let Some(later) = next(key, version) {
            if let (Some(from), Some(to)) = (writer_of(key, version)?, writer_of(key, later)?) {
                graph.add(from, to, "ww");
            }
            version = later;
        }
    }
    for Read { reader, key, version } in &reads {
        let writer = writer_of(*key, *version)?;
        if let Some(writer) = writer {
            graph.add(writer, *reader, "wr");
        }
        if let Some(later) = next(*key, *version)
            && let Some(to) = writer_of(*key, later)?
        {
            if writer.is_some_and(|writer| writer == to && writer != *reader) {
                return Err(format!(
                    "{reader} saw row {key} in the midst of transaction {to} (intermediate read)"
                ));
            }
            graph.add(*reader, to, "rw");
        }
    }
    for (from, first) in history.iter().enumerate().filter(|(_, first)| !first.is_past) {
        for (to, second) in history.iter().enumerate().filter(|(_, second)| !second.is_past) {
            if first.ended < second.began {
                graph.add(from, to, "rt");
            }
        }
    }
    graph.check()
}

/// Two readers of a list must have seen the same beginning.
fn agree(longest: &mut Vec<u32>, list: &[u32]) -> Result<(), String> {
    let common = longest.len().min(list.len());
    if longest[..common] != list[..common] {
        return Err(format!("no order of versions has both {longest:?} and {list:?}"));
    }
    if list.len() > longest.len() {
        *longest = list.to_vec();
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Write {
    Value(u32),
    Deletion,
}

/// The writes of a transaction so far, without those of undone nested calls.
#[derive(Default)]
struct Own {
    writes: Vec<(u8, Write)>,
    outer: Vec<usize>,
}

impl Own {
    fn has(&self, key: u8) -> bool {
        self.writes.iter().any(|(written, _)| *written == key)
    }

    fn follow(&mut self, op: Op, value: u32, seen: &Seen) {
        let found = matches!(seen, Seen::Rows(rows) if !rows.is_empty());
        match op {
            Op::Append(key) if found || !is_present_at_first(key) => {
                self.writes.push((key, Write::Value(value)));
            }
            Op::Create if !found => self.writes.push((super::world::NEW, Write::Value(value))),
            Op::Delete(key) if found && is_present_at_first(key) => self.writes.push((key, Write::Deletion)),
            Op::BeginSub => self.outer.push(self.writes.len()),
            Op::CommitSub => {
                self.outer.pop();
            }
            Op::RollbackSub => self.writes.truncate(self.outer.pop().unwrap_or_default()),
            _ => {}
        }
    }

    /// What became visible: of a row that was deleted in the end, the deletion alone.
    fn kept(&self) -> Vec<(u8, Write)> {
        let deleted =
            |key: u8| self.writes.iter().any(|(of, write)| *of == key && matches!(write, Write::Deletion));
        self.writes
            .iter()
            .filter(|(key, write)| matches!(write, Write::Deletion) || !deleted(*key))
            .copied()
            .collect()
    }
}

struct Graph {
    /// Bit sets: to whom there is an edge.
    edges: Vec<u64>,
    kinds: Vec<(usize, usize, &'static str)>,
}

impl Graph {
    fn add(&mut self, from: usize, to: usize, kind: &'static str) {
        if from != to && self.edges[from] & 1 << to == 0 {
            self.edges[from] |= 1 << to;
            self.kinds.push((from, to, kind));
        }
    }

    /// Takes away transactions that nothing left depends on; whatever cannot be taken away is on a cycle or behind one.
    fn check(&self) -> Result<(), String> {
        assert!(self.edges.len() <= 64, "a history has more transactions than bits");
        let mut left: u64 = (0..self.edges.len()).fold(0, |left, at| left | 1 << at);
        loop {
            let leaves = (0..self.edges.len())
                .filter(|at| left & 1 << at != 0 && self.edges[*at] & left == 0)
                .fold(0, |leaves, at| leaves | 1 << at);
            if leaves == 0 {
                break;
            }
            left &= !leaves;
        }
        if left == 0 {
            return Ok(());
        }
        let on = |at: &usize| left & 1 << at != 0;
        let edges: Vec<_> = self.kinds.iter().filter(|(from, to, _)| on(from) && on(to)).collect();
        Err(format!("dependencies form a cycle; its edges are among {edges:?}"))
    }
}
