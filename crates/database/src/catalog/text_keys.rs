//! The keys of a document in a search index: one for each word, and one for the document itself.

use std::sync::Arc;

use freshet_search::text::{FILTER_BYTES, Terms, encode_documents, encode_term, filter_digest_of};
use freshet_values::{DocumentId, FieldPath, Object, Value, key};
use sha2::{Digest, Sha256};

use crate::commit::keys::Key;

/// All keys, ascending; none if the field is no text or has no word.
pub(super) fn keys(
    search_field: &FieldPath,
    filter_fields: &[FieldPath],
    id: DocumentId,
    object: &Object,
) -> Arc<[Key]> {
    let Some(text) = search_field.get(object).and_then(Value::as_str) else { return Arc::from([]) };
    let terms = Terms::of(text);
    if terms.is_empty() {
        return Arc::from([]);
    }
    let filters: Vec<_> = filter_fields.iter().map(|field| filter_digest(field.get(object))).collect();
    let created = object.get("_creationTime").and_then(Value::as_f64).unwrap_or_default();
    let document = encode_documents(&filters, created, id.internal.0);
    let key = |term: &str, frequency| Key::from(encode_term(term, &document, frequency, terms.length()));
    let mut keys: Vec<Key> = terms.iter().map(|(term, frequency)| key(term, frequency)).collect();
    keys.push(key("", 0));
    keys.sort_unstable();
    Arc::from(keys)
}

/// Whether two versions of one document have the same keys.
pub(super) fn are_same(
    search_field: &FieldPath,
    filter_fields: &[FieldPath],
    a: &Object,
    b: &Object,
) -> bool {
    let mut fields = std::iter::once(search_field).chain(filter_fields);
    a.get("_creationTime") == b.get("_creationTime") && fields.all(|field| same(field.get(a), field.get(b)))
}

/// Whether two values are the same in the total order, in which `-0` and `0` differ and each `NaN` equals itself.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => a == b,
        _ => encoded(a) == encoded(b),
    }
}

/// What stands for a filter value in keys; `None` is undefined.
pub(crate) fn filter_digest(value: Option<&Value>) -> [u8; FILTER_BYTES] {
    filter_digest_of(&Sha256::digest(encoded(value)).into())
}

fn encoded(value: Option<&Value>) -> Vec<u8> {
    let mut encoded = Vec::new();
    key::encode(&mut encoded, value);
    encoded
}
