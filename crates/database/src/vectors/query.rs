//! Reads the JSON of a vector query and checks it against its index.

use freshet_values::{Decoder, FieldPath, IndexName, TableName, Value, excerpt_text};
use serde_json::Value as Json;

use super::definition::{Definition, hash, value_key};
use crate::error::DeveloperError;
use crate::query::parse_index_name;

/// Rows that one query may ask for.
const LIMIT_MAX: u64 = 256;
/// Rows when a query does not say.
const LIMIT_DEFAULT: u64 = 10;
/// Equalities in a filter.
const CONDITIONS_MAX: usize = 64;
/// How deep filters are read.
const FILTER_DEPTH_MAX: usize = 64;
/// Numbers of a vector that are read: no index has more dimensions.
const NUMBERS_MAX: usize = 65_536;

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorQuery {
    pub(super) table: TableName,
    pub(super) index: IndexName,
    vector: Vec<f32>,
    limit: u64,
    /// Of these at least one has to hold; `None` is undefined.
    filter: Option<Vec<(FieldPath, Option<Value>)>>,
}

/// A query that fits its index.
pub(super) struct Checked<'a> {
    pub(super) vector: &'a [f32],
    pub(super) limit: usize,
    /// Numbers of filter fields and keys of values.
    pub(super) filter: Option<Vec<(usize, Vec<u8>)>>,
}

impl VectorQuery {
    /// Reads the `query` of a call: `{indexName: "table.index", vector, limit?, expressions: filter | null}`.
    ///
    /// # Errors
    /// An argument that is malformed, or a filter of another shape than `$or` and `$eq`.
    pub fn from_json(json: &Json) -> Result<VectorQuery, DeveloperError> {
        let invalid = |cause: String| DeveloperError::invalid_arguments("vectorSearch", excerpt_text(&cause));
        let name = json.get("indexName").and_then(Json::as_str);
        let name = name.ok_or_else(|| invalid("`indexName` must be a string".to_owned()))?;
        let (table, index) = parse_index_name(name).map_err(invalid)?;
        let numbers = json.get("vector").and_then(Json::as_array);
        let numbers = numbers.filter(|numbers| numbers.len() <= NUMBERS_MAX);
        let numbers = numbers.ok_or_else(|| invalid("`vector` must be an array of numbers".to_owned()))?;
        let number = |json: &Json| json.as_f64().map(|number| number as f32);
        let vector: Option<Vec<f32>> = numbers.iter().map(number).collect();
        let vector = vector.ok_or_else(|| invalid("`vector` must be an array of numbers".to_owned()))?;
        let limit = match json.get("limit") {
            None | Some(Json::Null) => LIMIT_DEFAULT,
            Some(json) => whole(json)
                .ok_or_else(|| invalid(format!("`limit` must be a non-negative integer, got {json}")))?,
        };
        let filter = match json.get("expressions") {
            None | Some(Json::Null) => None,
            Some(json) => {
                let mut alternatives = Vec::new();
                collect(json, FILTER_DEPTH_MAX, &mut alternatives)?;
                Some(alternatives)
            }
        };
        Ok(VectorQuery { table, index, vector, limit, filter })
    }

    /// `table.index`.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.table, self.index)
    }

    pub(super) fn check(&self, definition: &Definition) -> Result<Checked<'_>, DeveloperError> {
        if self.limit > LIMIT_MAX {
            return Err(DeveloperError::new(
                "VectorLimitTooLargeError",
                format!("Vector queries can fetch at most {LIMIT_MAX} results, requested {}.", self.limit),
            ));
        }
        if self.vector.len() != definition.dimensions {
            return Err(DeveloperError::new(
                "VectorDimensionsMismatch",
                format!(
                    "Expected a vector with dimensions {}, received {}.",
                    definition.dimensions,
                    self.vector.len()
                ),
            ));
        }
        let filter = match &self.filter {
            None => None,
            Some(alternatives) => Some(self.check_filter(alternatives, definition)?),
        };
        Ok(Checked { vector: &self.vector, limit: self.limit as usize, filter })
    }

    fn check_filter(
        &self,
        alternatives: &[(FieldPath, Option<Value>)],
        definition: &Definition,
    ) -> Result<Vec<(usize, Vec<u8>)>, DeveloperError> {
        if alternatives.len() > CONDITIONS_MAX {
            return Err(DeveloperError::new(
                "TooManyElementsInVectorQueryError",
                format!(
                    "Vector query against {} has too many conditions. Max: {CONDITIONS_MAX} Actual: {}",
                    self.full_name(),
                    alternatives.len()
                ),
            ));
        }
        let check = |(field, value): &(FieldPath, Option<Value>)| {
            let position = definition.filter_fields.iter().position(|indexed| indexed == field);
            let position = position.ok_or_else(|| {
                DeveloperError::new(
                    "IncorrectVectorFilterField",
                    format!(
                        "Vector query against {} contains a filter on \"{field}\" but that field isn't indexed for \
                         filtering in `filterFields`.",
                        self.full_name()
                    ),
                )
            })?;
            Ok((position, value_key(value.as_ref())))
        };
        alternatives.iter().map(check).collect()
    }
}

impl Checked<'_> {
    /// The filter as the index knows it.
    pub(super) fn hashes(&self) -> Option<Vec<(usize, u64)>> {
        let filter = self.filter.as_ref()?;
        Some(filter.iter().map(|(field, key)| (*field, hash(key))).collect())
    }
}

/// A whole number that is not negative, in either of the ways in which JSON writes one.
fn whole(json: &Json) -> Option<u64> {
    let number = json.as_f64()?;
    (number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_992.0).then_some(number as u64)
}

fn collect(
    json: &Json,
    depth: usize,
    out: &mut Vec<(FieldPath, Option<Value>)>,
) -> Result<(), DeveloperError> {
    let invalid = || {
        DeveloperError::new(
            "InvalidVectorSearchFilter",
            "Filters should be a combination of `q.eq` and `q.or`.",
        )
    };
    let expression = json.as_object().filter(|expression| expression.len() == 1).ok_or_else(invalid)?;
    if let Some(alternatives) = expression.get("$or").and_then(Json::as_array).filter(|_| depth > 0) {
        return alternatives.iter().try_for_each(|alternative| collect(alternative, depth - 1, out));
    }
    let Some([field, value]) = expression.get("$eq").and_then(Json::as_array).map(Vec::as_slice) else {
        return Err(invalid());
    };
    let field = field.get("$field").and_then(Json::as_str).ok_or_else(invalid)?;
    let field = field.parse().map_err(|error| {
        DeveloperError::invalid_arguments("vectorSearch", format!("invalid field path: {error}"))
    })?;
    let literal = value.get("$literal").ok_or_else(invalid)?;
    let value = Decoder::WITH_COMMIT_TS.operand_from_json(literal).map_err(|error| {
        DeveloperError::invalid_arguments("vectorSearch", excerpt_text(&error.to_string()))
    })?;
    out.push((field, value));
    Ok(())
}
