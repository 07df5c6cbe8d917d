//! The model: documents in a plain map, and queries over it that know nothing of keys.

use std::collections::BTreeMap;

use freshet_values::{Object, Value};

use crate::query::RangeComparison;

/// Documents by id.
pub(super) type Rows = BTreeMap<String, Object>;

/// A value, or that there is none.
pub(super) type Operand = Option<Value>;

/// Where a row stands in an index: indexed fields, creation time, id.
pub(super) type Place = (Vec<Operand>, Value, String);

/// A query over an index of the model's table.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Which of the indexes.
    pub(super) index: usize,
    /// Values of the first fields.
    pub(super) equal: Vec<Operand>,
    /// Bounds of the field after these.
    pub(super) lower: Option<(bool, Operand)>,
    pub(super) upper: Option<(bool, Operand)>,
    pub(super) descending: bool,
    /// Keeps rows whose field `a` has this value.
    pub(super) filter: Option<Operand>,
}

/// Indexes: names and fields. The last one is made while documents exist.
pub(super) const INDEXES: [(&str, &[&str]); 4] =
    [("by_a", &["a"]), ("by_nested", &["n.x", "a"]), ("by_ba", &["b", "a"]), ("by_late", &["a", "n.x"])];
/// The index that is made late.
pub(super) const LATE: usize = 3;

impl Asked {
    /// Bounds as a query has them, with their fields.
    pub(super) fn bounds(&self) -> Vec<(RangeComparison, &'static str, Operand)> {
        let fields = INDEXES[self.index].1;
        let mut bounds: Vec<_> = self
            .equal
            .iter()
            .zip(fields)
            .map(|(value, field)| (RangeComparison::Eq, *field, value.clone()))
            .collect();
        if let Some(field) = fields.get(self.equal.len()) {
            bounds.extend(self.lower.iter().map(|(inclusive, value)| {
                let comparison = if *inclusive { RangeComparison::Gte } else { RangeComparison::Gt };
                (comparison, *field, value.clone())
            }));
            bounds.extend(self.upper.iter().map(|(inclusive, value)| {
                let comparison = if *inclusive { RangeComparison::Lte } else { RangeComparison::Lt };
                (comparison, *field, value.clone())
            }));
        }
        bounds
    }

    /// Where a row stands in the index.
    pub(super) fn place(&self, id: &str, row: &Object) -> Place {
        let fields = INDEXES[self.index].1.iter().map(|field| at(row, field)).collect();
        (fields, row["_creationTime"].clone(), id.to_owned())
    }

    /// The rows in the bounds in the order of the index, with their places; the filter is for whoever asks.
    pub(super) fn rows(&self, rows: &Rows) -> Vec<(Place, Object)> {
        let mut found: Vec<_> = rows
            .iter()
            .filter(|(_, row)| {
                self.bounds().into_iter().all(|(comparison, field, bound)| {
                    let value = at(row, field);
                    match comparison {
                        RangeComparison::Eq => value == bound,
                        RangeComparison::Gt => value > bound,
                        RangeComparison::Gte => value >= bound,
                        RangeComparison::Lt => value < bound,
                        RangeComparison::Lte => value <= bound,
                    }
                })
            })
            .map(|(id, row)| (self.place(id, row), row.clone()))
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        if self.descending {
            found.reverse();
        }
        found
    }

    /// Whether the filter keeps a row.
    pub(super) fn accepts(&self, row: &Object) -> bool {
        self.filter.as_ref().is_none_or(|wanted| at(row, "a") == *wanted)
    }
}

/// The value at a path; `None` if there is none, or something on the way is no object.
fn at(row: &Object, path: &str) -> Operand {
    let mut names = path.split('.');
    let mut value = row.get(names.next()?)?;
    for name in names {
        value = value.as_object()?.get(name)?;
    }
    Some(value.clone())
}
