//! Reads the query JSON of the client package. What is wrong with it is said in one line, without the argument's name.

use freshet_store::Order;
use freshet_values::{Decoder, FieldPath, IndexName, TableName, Value, excerpt_text};
use serde_json::Value as Json;

use super::{
    BinaryOperator, Expression, OPERATORS_MAX, Operator, Query, QuerySource, RangeComparison,
    RangeExpression, SearchFilter,
};

/// Most bounds of one range, or filters of one search: far more than any index has fields. They are compared in pairs.
const BOUNDS_MAX: usize = 256;
/// Deepest expression that is read; evaluation recurses as deep.
const EXPRESSION_DEPTH_MAX: usize = 64;

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// A line that says what is malformed.
    pub fn from_json(json: &Json) -> Result<Query, String> {
        Query::parse(json).map_err(|error| excerpt_text(&error).into_owned())
    }

    fn parse(json: &Json) -> Result<Query, String> {
        let operators = field(json, "operators")?.as_array().ok_or("`operators` must be an array")?;
        if operators.len() > OPERATORS_MAX {
            return Err(format!(
                "a query may have at most {OPERATORS_MAX} operators, got {}",
                operators.len()
            ));
        }
        Ok(Query {
            source: source(field(json, "source")?)?,
            operators: operators.iter().map(operator).collect::<Result<_, _>>()?,
        })
    }
}

fn source(json: &Json) -> Result<QuerySource, String> {
    match text(json, "type")? {
        "FullTableScan" => {
            Ok(QuerySource::FullTableScan { table: table(text(json, "tableName")?)?, order: order(json)? })
        }
        "IndexRange" => {
            let (table, index) = index_name(text(json, "indexName")?)?;
            let range = bounds(json, "range")?.iter().map(range_expression).collect::<Result<_, _>>()?;
            Ok(QuerySource::IndexRange { table, index, range, order: order(json)? })
        }
        "Search" => {
            let (table, index) = index_name(text(json, "indexName")?)?;
            let filters = bounds(json, "filters")?.iter().map(search_filter).collect::<Result<_, _>>()?;
            Ok(QuerySource::Search { table, index, filters })
        }
        other => Err(format!("unknown query source `{other}`")),
    }
}

fn order(json: &Json) -> Result<Order, String> {
    match json.get("order") {
        None | Some(Json::Null) => Ok(Order::Asc),
        Some(Json::String(order)) if order == "asc" => Ok(Order::Asc),
        Some(Json::String(order)) if order == "desc" => Ok(Order::Desc),
        Some(other) => Err(format!("unknown order {other}")),
    }
}

fn range_expression(json: &Json) -> Result<RangeExpression, String> {
    let comparison = match text(json, "type")? {
        "Eq" => RangeComparison::Eq,
        "Gt" => RangeComparison::Gt,
        "Gte" => RangeComparison::Gte,
        "Lt" => RangeComparison::Lt,
        "Lte" => RangeComparison::Lte,
        other => return Err(format!("unknown index range expression `{other}`")),
    };
    Ok(RangeExpression {
        comparison,
        field: path(text(json, "fieldPath")?)?,
        value: operand(field(json, "value")?)?,
    })
}

fn search_filter(json: &Json) -> Result<SearchFilter, String> {
    let path = path(text(json, "fieldPath")?)?;
    match text(json, "type")? {
        "Search" => Ok(SearchFilter::Search { field: path, text: text(json, "value")?.to_owned() }),
        "Eq" => Ok(SearchFilter::Eq { field: path, value: operand(field(json, "value")?)? }),
        other => Err(format!("unknown search filter `{other}`")),
    }
}

fn operator(json: &Json) -> Result<Operator, String> {
    match only_field(json)? {
        ("filter", filter) => Ok(Operator::Filter(expression(filter, 0)?)),
        ("limit", limit) => {
            let whole = limit.as_u64().or_else(|| {
                // Beyond the largest u64 as well: nobody has so many rows, and all of them is what is meant.
                limit.as_f64().filter(|limit| limit.fract() == 0.0 && *limit >= 0.0).map(|limit| limit as u64)
            });
            whole
                .map(Operator::Limit)
                .ok_or_else(|| format!("`limit` must be a non-negative integer, got {limit}"))
        }
        (other, _) => Err(format!("unknown query operator `{other}`")),
    }
}

fn expression(json: &Json, depth: usize) -> Result<Expression, String> {
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(format!("filter expressions may be nested at most {EXPRESSION_DEPTH_MAX} levels deep"));
    }
    let (name, operands) = only_field(json)?;
    let nested = |json: &Json| expression(json, depth + 1);
    let many = || -> Result<Vec<Expression>, String> {
        operands.as_array().ok_or_else(|| format!("`{name}` takes an array"))?.iter().map(nested).collect()
    };
    let binary = match name {
        "$and" => return Ok(Expression::And(many()?)),
        "$or" => return Ok(Expression::Or(many()?)),
        "$not" => return Ok(Expression::Not(Box::new(nested(operands)?))),
        "$neg" => return Ok(Expression::Neg(Box::new(nested(operands)?))),
        "$field" => {
            let text = operands.as_str().ok_or("`$field` takes a string")?;
            return Ok(Expression::Field(path(text)?));
        }
        "$literal" => return Ok(Expression::Literal(operand(operands)?)),
        "$eq" => BinaryOperator::Eq,
        "$neq" => BinaryOperator::Neq,
        "$lt" => BinaryOperator::Lt,
        "$lte" => BinaryOperator::Lte,
        "$gt" => BinaryOperator::Gt,
        "$gte" => BinaryOperator::Gte,
        "$add" => BinaryOperator::Add,
        "$sub" => BinaryOperator::Sub,
        "$mul" => BinaryOperator::Mul,
        "$div" => BinaryOperator::Div,
        "$mod" => BinaryOperator::Mod,
        other => return Err(format!("unknown filter expression `{other}`")),
    };
    let pair: [Expression; 2] = many()?
        .try_into()
        .map_err(|operands: Vec<_>| format!("`{name}` takes two operands, got {}", operands.len()))?;
    let [left, right] = pair;
    Ok(Expression::Binary(binary, Box::new((left, right))))
}

fn operand(json: &Json) -> Result<Option<Value>, String> {
    Decoder::WITH_COMMIT_TS.operand_from_json(json).map_err(|error| error.to_string())
}

fn path(text: &str) -> Result<FieldPath, String> {
    text.parse().map_err(|error| format!("invalid field path: {error}"))
}

fn table(text: &str) -> Result<TableName, String> {
    text.parse().map_err(|error| format!("invalid table name: {error}"))
}

/// The two parts of `table.index`.
pub(crate) fn index_name(text: &str) -> Result<(TableName, IndexName), String> {
    let (table_name, index) = text
        .split_once('.')
        .ok_or_else(|| format!("index name `{text}` is not of the form `table.index`"))?;
    Ok((table(table_name)?, index.parse().map_err(|error| format!("invalid index name: {error}"))?))
}

fn field<'a>(json: &'a Json, name: &str) -> Result<&'a Json, String> {
    json.get(name).ok_or_else(|| format!("missing field `{name}`"))
}

fn text<'a>(json: &'a Json, name: &str) -> Result<&'a str, String> {
    field(json, name)?.as_str().ok_or_else(|| format!("`{name}` must be a string"))
}

fn bounds<'a>(json: &'a Json, name: &str) -> Result<&'a [Json], String> {
    let bounds = field(json, name)?.as_array().ok_or_else(|| format!("`{name}` must be an array"))?;
    if bounds.len() > BOUNDS_MAX {
        return Err(format!("`{name}` may have at most {BOUNDS_MAX} elements, got {}", bounds.len()));
    }
    Ok(bounds)
}

fn only_field(json: &Json) -> Result<(&str, &Json), String> {
    let object = json.as_object().ok_or_else(|| format!("expected an object, got {json}"))?;
    let mut fields = object.iter();
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(format!("expected an object with one field, got {}", object.len())),
    }
}
