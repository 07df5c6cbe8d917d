//! What a document contributes to a vector index.

use freshet_search::vector::Shape;
use freshet_values::{FieldPath, Object, Value, key};

use crate::catalog::IndexSpec;

/// The declared part of a vector index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) vector_field: FieldPath,
    pub(super) dimensions: usize,
    pub(super) filter_fields: Vec<FieldPath>,
}

/// The row of a document.
#[derive(Debug, PartialEq)]
pub(super) struct Contribution {
    pub(super) vector: Vec<f32>,
    /// Hashes of the values of the filter fields.
    pub(super) filters: Vec<u64>,
}

impl Definition {
    /// `None` when the index is of another kind.
    pub(super) fn of(spec: &IndexSpec) -> Option<Definition> {
        match spec {
            IndexSpec::Vector { vector_field, dimensions, filter_fields } => Some(Definition {
                vector_field: vector_field.clone(),
                dimensions: *dimensions as usize,
                filter_fields: filter_fields.clone(),
            }),
            IndexSpec::Database { .. } | IndexSpec::Search { .. } => None,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { dimensions: self.dimensions, filters: self.filter_fields.len() }
    }

    /// The vector of a document: its field has to be an array of exactly as many float64 as there are dimensions.
    pub(super) fn vector(&self, object: &Object) -> Option<Vec<f32>> {
        let Some(Value::Array(numbers)) = self.vector_field.get(object) else { return None };
        if numbers.len() != self.dimensions {
            return None;
        }
        let float = |number: &Value| match number {
            Value::Float64(number) => Some(*number as f32),
            _ => None,
        };
        numbers.iter().map(float).collect()
    }

    pub(super) fn contribution(&self, object: &Object) -> Option<Contribution> {
        let vector = self.vector(object)?;
        let filters = self.filter_fields.iter().map(|field| hash(&value_key(field.get(object)))).collect();
        Some(Contribution { vector, filters })
    }

    /// Whether two versions of a document have the same row.
    pub(super) fn is_same(&self, a: &Object, b: &Object) -> bool {
        std::iter::once(&self.vector_field)
            .chain(&self.filter_fields)
            .all(|field| field.get(a) == field.get(b))
    }
}

/// Equal values, and only they, have equal keys. `None` is undefined.
pub(super) fn value_key(value: Option<&Value>) -> Vec<u8> {
    let mut out = Vec::new();
    key::encode(&mut out, value);
    out
}

/// FNV-1a with 64 bits. Part of the file format. Nothing depends on different values having different hashes: what passes
/// by its hash is compared.
pub(super) fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
