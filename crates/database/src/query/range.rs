//! Turns the bounds of an index range into one interval of keys.

use std::fmt::Write as _;

use freshet_values::{FieldPath, KeyInterval, Value, excerpt, key};

use super::{RangeComparison, RangeExpression};
use crate::error::DeveloperError;

const MORE: &str = "https://docs.convex.dev/using/indexes";

/// The interval of keys that satisfies all bounds.
///
/// `name` is `table.index`; `fields` are all fields of the index's key, `_id` last.
///
/// # Errors
/// `FieldNotInIndex`, `InvalidIndexRange`, `AlreadyDefinedBound` or `BoundsOnMultipleFields`.
pub(crate) fn interval(
    name: &str,
    fields: &[FieldPath],
    range: &[RangeExpression],
) -> Result<KeyInterval, DeveloperError> {
    let bounds = Bounds::collect(name, range)?;
    bounds.check_fields(name, fields)?;
    Ok(bounds.interval(fields))
}

#[derive(Default)]
struct Bounds<'a> {
    equalities: Vec<(&'a FieldPath, Option<&'a Value>)>,
    bounded: Option<&'a FieldPath>,
    lower: Option<(bool, Option<&'a Value>)>,
    upper: Option<(bool, Option<&'a Value>)>,
}

impl<'a> Bounds<'a> {
    fn collect(name: &str, range: &'a [RangeExpression]) -> Result<Bounds<'a>, DeveloperError> {
        let mut bounds = Bounds::default();
        for expression in range {
            let (field, value) = (&expression.field, expression.value.as_ref());
            let equal = bounds.equalities.iter().any(|(other, _)| *other == field);
            if expression.comparison == RangeComparison::Eq {
                if equal {
                    return Err(already_defined("equality", expression));
                }
                if bounds.bounded == Some(field) {
                    return Err(already_defined("inequality", expression));
                }
                bounds.equalities.push((field, value));
                continue;
            }
            if equal {
                return Err(already_defined("equality", expression));
            }
            if let Some(other) = bounds.bounded.filter(|other| *other != field) {
                return Err(DeveloperError::new(
                    "BoundsOnMultipleFields",
                    format!(
                        "Upper and lower bounds in `range` can only be applied to a single index field. This query \
                         against index {name} attempted to set a range bound on both \"{other}\" and \"{field}\". \
                         Consider using `filter` instead. See {MORE} for more info."
                    ),
                ));
            }
            bounds.bounded = Some(field);
            let inclusive = matches!(expression.comparison, RangeComparison::Gte | RangeComparison::Lte);
            let (side, what) = match expression.comparison {
                RangeComparison::Gt | RangeComparison::Gte => (&mut bounds.lower, "lower"),
                _ => (&mut bounds.upper, "upper"),
            };
            if side.is_some() {
                return Err(already_defined(what, expression));
            }
            *side = Some((inclusive, value));
        }
        Ok(bounds)
    }

    fn check_fields(&self, name: &str, fields: &[FieldPath]) -> Result<(), DeveloperError> {
        let queried: Vec<&FieldPath> =
            self.equalities.iter().map(|(field, _)| *field).chain(self.bounded).collect();
        // `_id` ends every key but is not a field that anybody listed, except in the index of ids itself.
        let listed = if fields.len() > 1 { &fields[..fields.len() - 1] } else { fields };
        for field in &queried {
            if !fields.contains(field) {
                return Err(DeveloperError::new(
                    "FieldNotInIndex",
                    format!(
                        "The index range included a comparison with \"{field}\", but {name} with fields {} doesn't \
                         index this field. For more information see {MORE}.",
                        list(listed)
                    ),
                ));
            }
        }
        let equal = |field: &FieldPath| self.equalities.iter().any(|(other, _)| *other == field);
        let prefix = fields.iter().take_while(|field| equal(field)).count();
        let in_order = prefix == self.equalities.len()
            && self.bounded.is_none_or(|field| fields.get(prefix) == Some(field));
        if in_order {
            return Ok(());
        }
        // Shown as the index would be walked: equalities in the order of the index, then the bounded field.
        let mut ordered: Vec<&FieldPath> = fields.iter().filter(|field| equal(field)).collect();
        ordered.extend(self.bounded);
        let first_incorrect = ordered
            .iter()
            .zip(fields)
            .find(|(queried, field)| *queried != field)
            .map_or_else(String::new, |(queried, _)| queried.to_string());
        Err(DeveloperError::new(
            "InvalidIndexRange",
            format!(
                "Tried to query index {name} but the query didn't use the index fields in order.\nIndex fields: \
                 {}\nQuery fields: {}\nFirst incorrect field: \"{first_incorrect}\"\nFor more information see {MORE}.",
                list(listed),
                list(&ordered)
            ),
        ))
    }

    fn interval(&self, fields: &[FieldPath]) -> KeyInterval {
        let mut prefix = Vec::new();
        for field in fields.iter().take(self.equalities.len()) {
            let value =
                self.equalities.iter().find(|(other, _)| *other == field).and_then(|(_, value)| *value);
            key::encode(&mut prefix, value);
        }
        let with = |value: Option<&Value>| {
            let mut bound = prefix.clone();
            key::encode(&mut bound, value);
            bound
        };
        let start = match self.lower {
            None => prefix.clone(),
            Some((true, value)) => with(value),
            Some((false, value)) => match key::successor_of_prefix(&with(value)) {
                Some(start) => start,
                None => return KeyInterval::empty(),
            },
        };
        let end = match self.upper {
            None => key::successor_of_prefix(&prefix),
            Some((true, value)) => key::successor_of_prefix(&with(value)),
            Some((false, value)) => Some(with(value)),
        };
        if end.as_ref().is_some_and(|end| *end <= start) {
            return KeyInterval::empty();
        }
        KeyInterval { start, end }
    }
}

fn already_defined(what: &str, expression: &RangeExpression) -> DeveloperError {
    let comparison = match expression.comparison {
        RangeComparison::Eq => "==",
        RangeComparison::Gt => ">",
        RangeComparison::Gte => ">=",
        RangeComparison::Lt => "<",
        RangeComparison::Lte => "<=",
    };
    let value = expression.value.as_ref().map_or_else(|| "undefined".to_owned(), excerpt);
    DeveloperError::new(
        "AlreadyDefinedBound",
        format!(
            "Already defined {what} bound in index range. Can't add \"{}\" {comparison} {value}.",
            expression.field
        ),
    )
}

fn list(fields: &[impl ToString]) -> String {
    let mut out = String::from("[");
    for (position, field) in fields.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        write!(out, "{separator}\"{}\"", field.to_string()).expect("writing to a string does not fail");
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<FieldPath> {
        ["a", "b", "_creationTime", "_id"].map(|field| field.parse().unwrap()).to_vec()
    }

    fn bound(comparison: RangeComparison, field: &str, value: f64) -> RangeExpression {
        RangeExpression { comparison, field: field.parse().unwrap(), value: Some(Value::Float64(value)) }
    }

    fn message(range: &[RangeExpression]) -> String {
        interval("users.by_ab", &fields(), range).unwrap_err().message
    }

    #[test]
    fn wrong_ranges_are_explained() {
        use RangeComparison::{Eq, Gt, Gte, Lt};
        assert_eq!(
            message(&[bound(Eq, "b", 1.0)]),
            "Tried to query index users.by_ab but the query didn't use the index fields in order.\n\
             Index fields: [\"a\", \"b\", \"_creationTime\"]\nQuery fields: [\"b\"]\nFirst incorrect field: \"b\"\n\
             For more information see https://docs.convex.dev/using/indexes."
        );
        assert_eq!(
            message(&[bound(Eq, "c", 1.0)]),
            "The index range included a comparison with \"c\", but users.by_ab with fields [\"a\", \"b\", \
             \"_creationTime\"] doesn't index this field. For more information see \
             https://docs.convex.dev/using/indexes."
        );
        assert_eq!(
            message(&[bound(Eq, "a", 1.0), bound(Eq, "a", 1.0)]),
            "Already defined equality bound in index range. Can't add \"a\" == 1.0."
        );
        assert_eq!(
            message(&[bound(Gt, "a", 1.0), bound(Gte, "a", 2.0)]),
            "Already defined lower bound in index range. Can't add \"a\" >= 2.0."
        );
        assert_eq!(
            message(&[bound(Gt, "a", 1.0), bound(Eq, "a", 2.0)]),
            "Already defined inequality bound in index range. Can't add \"a\" == 2.0."
        );
        assert!(
            message(&[bound(Gt, "a", 1.0), bound(Lt, "b", 2.0)])
                .contains("on both \"a\" and \"b\". Consider")
        );
    }

    #[test]
    fn equalities_may_be_written_in_any_order_and_contradictions_are_empty() {
        use RangeComparison::{Eq, Gt, Lt};
        let forward = interval("t.i", &fields(), &[bound(Eq, "a", 1.0), bound(Eq, "b", 2.0)]).unwrap();
        let backward = interval("t.i", &fields(), &[bound(Eq, "b", 2.0), bound(Eq, "a", 1.0)]).unwrap();
        assert_eq!(forward, backward);
        assert!(!forward.is_empty());
        assert!(interval("t.i", &fields(), &[bound(Gt, "a", 5.0), bound(Lt, "a", 3.0)]).unwrap().is_empty());
    }
}
