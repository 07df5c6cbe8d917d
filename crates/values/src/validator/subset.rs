//! Comparing validators: can rows that satisfy one be trusted to satisfy another without looking at them?

use crate::validator::{ObjectValidator, RecordValidator, Validator};
use crate::value::Value;

impl Validator {
    /// Whether every value that `other` accepts is provably accepted by `self`. A "no" may also mean that the proof
    /// was not found, for example where only several members of a union together cover another object.
    ///
    /// Ids count as equal sets when their table names are equal: a name must mean one table on both sides.
    pub fn is_superset_of(&self, other: &Validator) -> bool {
        match (self, other) {
            (Validator::Any, _) => true,
            (superset, Validator::Union(members)) => {
                members.iter().all(|member| superset.is_superset_of(member))
            }
            (Validator::Union(members), subset) => {
                members.iter().any(|member| member.is_superset_of(subset)) || covers_booleans(members, subset)
            }
            (Validator::Null, Validator::Null)
            | (Validator::Float64, Validator::Float64)
            | (Validator::Boolean, Validator::Boolean)
            | (Validator::Bytes, Validator::Bytes)
            | (Validator::String, Validator::String | Validator::Id(_))
            | (Validator::Int64 | Validator::CommitTs, Validator::Int64 | Validator::CommitTs) => true,
            (Validator::Literal(a), Validator::Literal(b)) => a == b,
            (superset, Validator::Literal(literal)) => matches!(
                (superset, literal.value()),
                (Validator::Int64 | Validator::CommitTs, Value::Int64(_))
                    | (Validator::Float64, Value::Float64(_))
                    | (Validator::Boolean, Value::Boolean(_))
                    | (Validator::String, Value::String(_))
            ),
            (Validator::Id(a), Validator::Id(b)) => a == b,
            (Validator::Array(a), Validator::Array(b)) => a.is_superset_of(b),
            (Validator::Record(a), Validator::Record(b)) => {
                a.keys().is_superset_of(b.keys()) && a.values().is_superset_of(b.values())
            }
            (Validator::Record(record), Validator::Object(fields)) => record_covers_object(record, fields),
            (Validator::Object(a), Validator::Object(b)) => object_covers_object(a, b),
            _ => false,
        }
    }
}

/// Both boolean literals together are all booleans.
fn covers_booleans(members: &[Validator], subset: &Validator) -> bool {
    let has = |truth| {
        members.iter().any(
            |member| matches!(member, Validator::Literal(literal) if *literal.value() == Value::Boolean(truth)),
        )
    };
    *subset == Validator::Boolean && has(true) && has(false)
}

fn record_covers_object(record: &RecordValidator, fields: &ObjectValidator) -> bool {
    // No field name is an id that could be proven to belong to a table, so only keys of any string will do.
    record.keys().is_superset_of(&Validator::String)
        && fields.values().all(|field| record.values().is_superset_of(&field.validator))
}

fn object_covers_object(superset: &ObjectValidator, subset: &ObjectValidator) -> bool {
    let declared_fields_fit = superset.iter().all(|(name, wide)| match subset.get(name) {
        Some(narrow) => {
            (wide.optional || !narrow.optional) && wide.validator.is_superset_of(&narrow.validator)
        }
        None => wide.optional,
    });
    declared_fields_fit && subset.keys().all(|name| superset.contains_key(name))
}
