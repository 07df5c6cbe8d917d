//! Queries as app code builds them: a source and operators.

pub(crate) mod cursor;
mod filter;
mod parse;
pub(crate) mod range;
pub(crate) mod stream;

use freshet_store::Order;
use freshet_values::{FieldPath, IndexName, TableName, Value, key};

pub(crate) use parse::index_name as parse_index_name;
pub(crate) use stream::Stream;

/// Most operators of one query.
pub const OPERATORS_MAX: usize = 256;

/// A query over one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Where rows come from.
    pub source: QuerySource,
    /// What happens to them, in this order.
    pub operators: Vec<Operator>,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum QuerySource {
    /// All rows in order of creation.
    FullTableScan {
        /// The table.
        table: TableName,
        /// The direction.
        order: Order,
    },
    /// An interval of an index.
    IndexRange {
        /// The table.
        table: TableName,
        /// The index.
        index: IndexName,
        /// The bounds, in any order.
        range: Vec<RangeExpression>,
        /// The direction.
        order: Order,
    },
    /// A text search.
    Search {
        /// The table.
        table: TableName,
        /// The search index.
        index: IndexName,
        /// Fields that must have a value, and the searched text.
        filters: Vec<SearchFilter>,
    },
}

/// One condition of a text search.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchFilter {
    /// The field contains words of the text.
    Search {
        /// The searched field.
        field: FieldPath,
        /// The text.
        text: String,
    },
    /// The field equals the value; `None` is undefined.
    Eq {
        /// The field.
        field: FieldPath,
        /// The value.
        value: Option<Value>,
    },
}

/// One bound of an index range.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeExpression {
    /// How the field compares with the value.
    pub comparison: RangeComparison,
    /// The indexed field.
    pub field: FieldPath,
    /// The value; `None` is undefined.
    pub value: Option<Value>,
}

/// Comparisons of an index range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeComparison {
    /// `==`
    Eq,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
}

/// A step after the source.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// Keeps rows for which the expression is true.
    Filter(Expression),
    /// Ends after this many rows.
    Limit(u64),
}

/// An expression over one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// An operator with two operands.
    Binary(BinaryOperator, Box<(Expression, Expression)>),
    /// True if all operands are.
    And(Vec<Expression>),
    /// True if one operand is.
    Or(Vec<Expression>),
    /// The opposite of a boolean.
    Not(Box<Expression>),
    /// The negative of a number.
    Neg(Box<Expression>),
    /// The value at a path of the row; undefined if there is none.
    Field(FieldPath),
    /// A constant; `None` is undefined.
    Literal(Option<Value>),
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `==` in the total order.
    Eq,
    /// `!=`
    Neq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
}

impl Query {
    /// All rows of a table in order of creation.
    #[must_use]
    pub fn full_table_scan(table: TableName, order: Order) -> Query {
        Query { source: QuerySource::FullTableScan { table, order }, operators: Vec::new() }
    }

    /// Rows of an index whose first fields equal `values`.
    #[must_use]
    pub fn index_eq(
        table: TableName,
        index: IndexName,
        equalities: impl IntoIterator<Item = (FieldPath, Option<Value>)>,
        order: Order,
    ) -> Query {
        let range = equalities
            .into_iter()
            .map(|(field, value)| RangeExpression { comparison: RangeComparison::Eq, field, value })
            .collect();
        Query { source: QuerySource::IndexRange { table, index, range, order }, operators: Vec::new() }
    }

    /// The table that the rows come from.
    #[must_use]
    pub fn table(&self) -> &TableName {
        match &self.source {
            QuerySource::FullTableScan { table, .. }
            | QuerySource::IndexRange { table, .. }
            | QuerySource::Search { table, .. } => table,
        }
    }

    /// Bytes that the values in it occupy, roughly.
    pub(crate) fn weight(&self) -> usize {
        let value = |value: &Option<Value>| value.as_ref().map_or(0, Value::size);
        let source = match &self.source {
            QuerySource::FullTableScan { .. } => 0,
            QuerySource::IndexRange { range, .. } => range.iter().map(|bound| 64 + value(&bound.value)).sum(),
            QuerySource::Search { filters, .. } => filters
                .iter()
                .map(|filter| match filter {
                    SearchFilter::Search { text, .. } => 64 + text.len(),
                    SearchFilter::Eq { value: operand, .. } => 64 + value(operand),
                })
                .sum(),
        };
        let operators = self.operators.iter().map(|operator| match operator {
            Operator::Limit(_) => 16,
            Operator::Filter(filter) => filter.weight(),
        });
        64 + source + operators.sum::<usize>()
    }

    /// An unambiguous encoding: equal bytes mean the same query. Cursors are bound to it.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.source {
            QuerySource::FullTableScan { table, order } => {
                text(&mut out, "scan");
                text(&mut out, table);
                out.push(u8::from(*order == Order::Desc));
            }
            QuerySource::IndexRange { table, index, range, order } => {
                text(&mut out, "range");
                text(&mut out, table);
                text(&mut out, index);
                out.push(u8::from(*order == Order::Desc));
                length(&mut out, range.len());
                for bound in range {
                    out.push(bound.comparison as u8);
                    text(&mut out, &bound.field.to_string());
                    value(&mut out, bound.value.as_ref());
                }
            }
            QuerySource::Search { table, index, filters } => {
                text(&mut out, "search");
                text(&mut out, table);
                text(&mut out, index);
                length(&mut out, filters.len());
                for filter in filters {
                    match filter {
                        SearchFilter::Search { field, text: words } => {
                            out.push(0);
                            text(&mut out, &field.to_string());
                            text(&mut out, words);
                        }
                        SearchFilter::Eq { field, value: operand } => {
                            out.push(1);
                            text(&mut out, &field.to_string());
                            value(&mut out, operand.as_ref());
                        }
                    }
                }
            }
        }
        for operator in &self.operators {
            match operator {
                Operator::Limit(limit) => {
                    out.push(0);
                    out.extend(limit.to_be_bytes());
                }
                Operator::Filter(filter) => {
                    out.push(1);
                    expression(&mut out, filter);
                }
            }
        }
        out
    }
}

impl Expression {
    fn weight(&self) -> usize {
        64 + match self {
            Expression::Binary(_, operands) => operands.0.weight() + operands.1.weight(),
            Expression::And(operands) | Expression::Or(operands) => {
                operands.iter().map(Expression::weight).sum()
            }
            Expression::Not(operand) | Expression::Neg(operand) => operand.weight(),
            Expression::Field(_) => 0,
            Expression::Literal(literal) => literal.as_ref().map_or(0, Value::size),
        }
    }
}

fn expression(out: &mut Vec<u8>, of: &Expression) {
    let list = |out: &mut Vec<u8>, tag: u8, operands: &[Expression]| {
        out.push(tag);
        length(out, operands.len());
        for operand in operands {
            expression(out, operand);
        }
    };
    match of {
        Expression::Binary(operator, operands) => {
            out.push(0);
            out.push(*operator as u8);
            expression(out, &operands.0);
            expression(out, &operands.1);
        }
        Expression::And(operands) => list(out, 1, operands),
        Expression::Or(operands) => list(out, 2, operands),
        Expression::Not(operand) => list(out, 3, std::slice::from_ref(operand)),
        Expression::Neg(operand) => list(out, 4, std::slice::from_ref(operand)),
        Expression::Field(field) => {
            out.push(5);
            text(out, &field.to_string());
        }
        Expression::Literal(literal) => {
            out.push(6);
            value(out, literal.as_ref());
        }
    }
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as u64).to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: Option<&Value>) {
    let mut encoded = Vec::new();
    key::encode(&mut encoded, value);
    length(out, encoded.len());
    out.extend(encoded);
}
