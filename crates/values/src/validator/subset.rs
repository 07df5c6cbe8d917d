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
    // No field name could be proven to be an id of a table, so only keys of any string will do.
    fields.is_empty()
        || record.keys().is_superset_of(&Validator::String)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `a ⊇ b`, with validators as the JSON of types or, for brevity, a bare type's name.
    fn superset(a: &str, b: &str) -> bool {
        let parse = |text: &str| {
            let json =
                if text.starts_with('{') { text.to_owned() } else { format!(r#"{{"type":"{text}"}}"#) };
            Validator::parse(&json).unwrap()
        };
        parse(a).is_superset_of(&parse(b))
    }

    fn union(members: &[&str]) -> String {
        format!(r#"{{"type":"union","value":[{}]}}"#, members.join(","))
    }

    fn object(fields: &[(&str, &str, bool)]) -> String {
        let fields = fields
            .iter()
            .map(|(name, kind, optional)| {
                format!(r#""{name}":{{"fieldType":{{"type":"{kind}"}},"optional":{optional}}}"#)
            })
            .collect::<Vec<_>>();
        format!(r#"{{"type":"object","value":{{{}}}}}"#, fields.join(","))
    }

    #[test]
    fn types_cover_themselves_and_any_covers_all() {
        let types = ["any", "null", "number", "bigint", "boolean", "string", "bytes"];
        for a in types {
            for b in types {
                assert_eq!(superset(a, b), a == b || a == "any", "{a} {b}");
            }
        }
        assert!(superset("bigint", "commitTs") && superset("commitTs", "bigint"));
    }

    #[test]
    fn literals_and_ids_are_narrower_than_their_types() {
        let literal = r#"{"type":"literal","value":"x"}"#;
        let id = r#"{"type":"id","tableName":"t"}"#;
        assert!(superset("string", literal) && !superset(literal, "string"));
        assert!(!superset("number", literal));
        assert!(superset("string", id) && !superset(id, "string") && !superset(id, literal));
        assert!(!superset(id, r#"{"type":"id","tableName":"u"}"#));
        assert!(superset("bigint", r#"{"type":"literal","value":{"$integer":"AgAAAAAAAAA="}}"#));
        let (yes, no) = (r#"{"type":"literal","value":true}"#, r#"{"type":"literal","value":false}"#);
        assert!(superset(&union(&[yes, no]), "boolean"));
        assert!(!superset(&union(&[yes]), "boolean"));
    }

    #[test]
    fn unions_grow_by_members() {
        let (string, null) = (r#"{"type":"string"}"#, r#"{"type":"null"}"#);
        let both = union(&[string, null]);
        assert!(superset(&both, "string") && superset(&both, &both) && !superset("string", &both));
        assert!(superset(&both, &union(&[null])));
        assert!(superset("string", &union(&[])), "no value is accepted by a union of nothing");
        assert!(!superset(&union(&[]), "string"));
    }

    #[test]
    fn objects_may_gain_optional_fields_and_loosen_others() {
        let a = object(&[("a", "string", false)]);
        let a_any = object(&[("a", "any", false)]);
        let a_optional = object(&[("a", "string", true)]);
        let a_and_optional_b = object(&[("a", "string", false), ("b", "string", true)]);
        let a_and_b = object(&[("a", "string", false), ("b", "string", false)]);
        assert!(superset(&a_any, &a) && !superset(&a, &a_any));
        assert!(superset(&a_optional, &a) && !superset(&a, &a_optional));
        assert!(superset(&a_and_optional_b, &a) && !superset(&a, &a_and_optional_b));
        assert!(superset(&a_and_optional_b, &a_and_b) && !superset(&a_and_b, &a_and_optional_b));
        assert!(!superset(&a_and_b, &a) && !superset(&a, &a_and_b));
    }

    #[test]
    fn records_cover_objects_of_fitting_values() {
        let record = |values: &str| {
            format!(
                r#"{{"type":"record","keys":{{"type":"string"}},"values":{{"fieldType":{{"type":"{values}"}},"optional":false}}}}"#
            )
        };
        assert!(superset(&record("any"), &record("string")) && !superset(&record("string"), &record("any")));
        assert!(superset(&record("string"), &object(&[("a", "string", true)])));
        assert!(!superset(&record("string"), &object(&[("a", "number", true)])));
        assert!(!superset(&object(&[("a", "string", true)]), &record("string")));
        assert!(superset(&record("string"), &object(&[])));
    }
}
