//! Sources of modules by hash. A source may be larger than a document may be, so it is kept in parts.

use std::collections::BTreeSet;

use freshet_database::{DatabaseError, SystemError, Transaction};
use freshet_values::Value;

use crate::host::Module;
use crate::rows;

const TABLE: &str = "_module_sources";
const BY_HASH: &str = "by_hash";

/// Bytes of one part; documents may have a million or so.
const PART_BYTES_MAX: usize = 512 << 10;

/// Which text a part belongs to.
const SOURCE: &str = "source";
const MAP: &str = "map";

/// Whether the source of this hash is stored.
pub(super) fn exists(transaction: &mut Transaction, sha256: &str) -> Result<bool, DatabaseError> {
    Ok(rows::find(transaction, TABLE, BY_HASH, &[sha256.into()])?.is_some())
}

/// Stores a module's source and map.
pub(super) fn insert(
    transaction: &mut Transaction,
    sha256: &str,
    module: &Module,
) -> Result<(), DatabaseError> {
    let texts = [(SOURCE, Some(&module.source)), (MAP, module.source_map.as_ref())];
    for (kind, text) in texts {
        let Some(text) = text else { continue };
        for (part, piece) in pieces(text).into_iter().enumerate() {
            let fields = rows::fields([
                ("sha256", sha256.into()),
                ("kind", kind.into()),
                ("part", Value::Int64(part as i64)),
                ("text", piece.into()),
            ]);
            rows::insert(transaction, TABLE, fields)?;
        }
    }
    Ok(())
}

/// The source and, if there is one, the source map of this hash.
pub(super) fn read(
    transaction: &mut Transaction,
    sha256: &str,
) -> Result<(String, Option<String>), DatabaseError> {
    let mut parts = Vec::new();
    for row in rows::select(transaction, TABLE, BY_HASH, &[sha256.into()])? {
        let text = |name: &str| row.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(kind), Some(part), Some(text)) =
            (text("kind"), row.fields.get("part").and_then(Value::as_i64), text("text"))
        else {
            return Err(missing(sha256).into());
        };
        parts.push((kind, part, text));
    }
    parts.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let joined = |kind: &str| -> Option<String> {
        let mut texts = parts.iter().filter(|part| part.0 == kind).map(|part| part.2.as_str()).peekable();
        texts.peek()?;
        Some(texts.collect())
    };
    let source = joined(SOURCE).ok_or_else(|| missing(sha256))?;
    Ok((source, joined(MAP)))
}

/// Removes a source.
pub(super) fn delete(transaction: &mut Transaction, sha256: &str) -> Result<(), DatabaseError> {
    for row in rows::select(transaction, TABLE, BY_HASH, &[sha256.into()])? {
        rows::delete(transaction, TABLE, row.id)?;
    }
    Ok(())
}

/// Removes sources that are not in `used`: what pushes left behind that were interrupted.
pub(super) fn delete_unused(
    transaction: &mut Transaction,
    used: &BTreeSet<String>,
) -> Result<usize, DatabaseError> {
    let mut deleted = 0;
    for row in rows::all(transaction, TABLE)? {
        if row.fields.get("sha256").and_then(Value::as_str).is_none_or(|hash| !used.contains(hash)) {
            rows::delete(transaction, TABLE, row.id)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Cuts a text into parts at character boundaries; even an empty text has one.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PART_BYTES_MAX {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(PART_BYTES_MAX));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

fn missing(sha256: &str) -> SystemError {
    SystemError::Unreadable { id: sha256.to_owned(), detail: "the source of a module is missing".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "\u{20ac}".repeat(PART_BYTES_MAX);
        let pieces = pieces(&text);
        assert!(pieces.iter().all(|piece| piece.len() <= PART_BYTES_MAX));
        assert_eq!(pieces.concat(), text);
        assert_eq!(super::pieces(""), [""]);
    }
}
