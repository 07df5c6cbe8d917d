//! Evaluates filter expressions over one row.

use std::borrow::Cow;
use std::cmp::Ordering;

use freshet_values::{Object, Value, excerpt};

use super::{BinaryOperator, Expression};
use crate::error::DeveloperError;

type Operand<'a> = Option<Cow<'a, Value>>;

impl Expression {
    /// Whether a row passes.
    ///
    /// # Errors
    /// `EvalError` when operands have the wrong types.
    pub(crate) fn accepts(&self, row: &Object) -> Result<bool, DeveloperError> {
        truth(self.evaluate(row)?.as_deref())
    }

    fn evaluate<'a>(&'a self, row: &'a Object) -> Result<Operand<'a>, DeveloperError> {
        let boolean = |truth: bool| Ok(Some(Cow::Owned(Value::Boolean(truth))));
        match self {
            Expression::Field(path) => Ok(path.get(row).map(Cow::Borrowed)),
            Expression::Literal(value) => Ok(value.as_ref().map(Cow::Borrowed)),
            Expression::Not(operand) => boolean(!operand.accepts(row)?),
            Expression::Neg(operand) => {
                negate(operand.evaluate(row)?.as_deref()).map(|value| Some(Cow::Owned(value)))
            }
            Expression::And(operands) => {
                for operand in operands {
                    if !operand.accepts(row)? {
                        return boolean(false);
                    }
                }
                boolean(true)
            }
            Expression::Or(operands) => {
                for operand in operands {
                    if operand.accepts(row)? {
                        return boolean(true);
                    }
                }
                boolean(false)
            }
            Expression::Binary(operator, operands) => {
                let (left, right) = (operands.0.evaluate(row)?, operands.1.evaluate(row)?);
                // `None`, undefined, is less than every value, as in the total order.
                let order = left.as_deref().cmp(&right.as_deref());
                match operator {
                    BinaryOperator::Eq => boolean(order == Ordering::Equal),
                    BinaryOperator::Neq => boolean(order != Ordering::Equal),
                    BinaryOperator::Lt => boolean(order == Ordering::Less),
                    BinaryOperator::Lte => boolean(order != Ordering::Greater),
                    BinaryOperator::Gt => boolean(order == Ordering::Greater),
                    BinaryOperator::Gte => boolean(order != Ordering::Less),
                    _ => arithmetic(*operator, left.as_deref(), right.as_deref())
                        .map(|value| Some(Cow::Owned(value))),
                }
            }
        }
    }
}

fn arithmetic(
    operator: BinaryOperator,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Result<Value, DeveloperError> {
    let verb = match operator {
        BinaryOperator::Add => "add",
        BinaryOperator::Sub => "subtract",
        BinaryOperator::Mul => "multiply",
        BinaryOperator::Div => "divide",
        _ => "mod",
    };
    if let (Some(a), Some(b)) = (int64(left), int64(right)) {
        let result = match operator {
            BinaryOperator::Add => a.checked_add(b),
            BinaryOperator::Sub => a.checked_sub(b),
            BinaryOperator::Mul => a.checked_mul(b),
            BinaryOperator::Div | BinaryOperator::Mod if b == 0 => {
                return Err(eval_error(format!("Cannot {verb} {a} by zero")));
            }
            BinaryOperator::Div => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        return result.map(Value::Int64).ok_or_else(|| {
            eval_error(format!("Cannot {verb} {a} and {b}: the result is out of range for Int64"))
        });
    }
    if let (Some(Value::Float64(a)), Some(Value::Float64(b))) = (left, right) {
        let result = match operator {
            BinaryOperator::Add => a + b,
            BinaryOperator::Sub => a - b,
            BinaryOperator::Mul => a * b,
            BinaryOperator::Div => a / b,
            _ => a % b,
        };
        return Ok(float64(result));
    }
    Err(eval_error(format!(
        "Cannot {verb} {} (type {}) and {} (type {})",
        display(left),
        type_name(left),
        display(right),
        type_name(right)
    )))
}

fn negate(operand: Option<&Value>) -> Result<Value, DeveloperError> {
    if let Some(number) = int64(operand) {
        return number.checked_neg().map(Value::Int64).ok_or_else(|| {
            eval_error(format!("Cannot negate {number}: the result is out of range for Int64"))
        });
    }
    match operand {
        Some(Value::Float64(number)) => Ok(float64(-number)),
        other => Err(eval_error(format!("Cannot negate {} (type {})", display(other), type_name(other)))),
    }
}

/// The result of an operation. Processors disagree about the sign of a NaN that they make, and the order of values tells
/// NaNs apart: only the one that JavaScript writes equals `NaN` in an expression.
fn float64(result: f64) -> Value {
    Value::Float64(if result.is_nan() { f64::NAN } else { result })
}

fn truth(operand: Option<&Value>) -> Result<bool, DeveloperError> {
    match operand {
        Some(Value::Boolean(truth)) => Ok(*truth),
        other => Err(eval_error(format!(
            "Cannot use value {} (type {}) as a Boolean",
            display(other),
            type_name(other)
        ))),
    }
}

fn int64(operand: Option<&Value>) -> Option<i64> {
    match operand {
        Some(Value::Int64(number)) => Some(*number),
        Some(Value::CommitTs) => Some(i64::MAX),
        _ => None,
    }
}

fn display(operand: Option<&Value>) -> String {
    operand.map_or_else(|| "undefined".to_owned(), excerpt)
}

fn type_name(operand: Option<&Value>) -> &'static str {
    operand.map_or("undefined", Value::type_name)
}

fn eval_error(message: String) -> DeveloperError {
    DeveloperError::new("EvalError", message)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // `json!` reads better without a reference to each.
mod tests {
    use super::super::Query;
    use super::super::{Operator, QuerySource};
    use super::*;

    fn eval(filter: serde_json::Value, row: Value) -> Result<bool, String> {
        let json = serde_json::json!({
            "source": {"type": "FullTableScan", "tableName": "t", "order": null},
            "operators": [{ "filter": filter }],
        });
        let query = Query::from_json(&json).unwrap();
        assert!(matches!(query.source, QuerySource::FullTableScan { .. }));
        let Operator::Filter(filter) = &query.operators[0] else { panic!("a filter was given") };
        filter.accepts(row.as_object().unwrap()).map_err(|error| error.message)
    }

    fn row() -> Value {
        Value::object([("n", Value::Int64(5)), ("x", Value::Float64(1.5)), ("s", Value::from("a"))])
    }

    #[test]
    fn comparisons_use_the_total_order_and_never_fail() {
        use serde_json::json;
        assert_eq!(eval(json!({"$lt": [{"$field": "missing"}, {"$literal": 5}]}), row()), Ok(true));
        assert_eq!(eval(json!({"$lt": [{"$field": "n"}, {"$literal": -5}]}), row()), Ok(true));
        assert_eq!(
            eval(json!({"$eq": [{"$field": "n.deep"}, {"$literal": {"$undefined": null}}]}), row()),
            Ok(true)
        );
        assert_eq!(eval(json!({"$and": []}), row()), Ok(true));
        assert_eq!(eval(json!({"$or": []}), row()), Ok(false));
        assert_eq!(eval(json!({"$or": [{"$literal": true}, {"$literal": 1}]}), row()), Ok(true));
    }

    #[test]
    fn a_result_that_is_no_number_equals_nan() {
        use serde_json::json;
        let nan = || json!({"$literal": {"$float": "AAAAAAAA+H8="}});
        let zero = || json!({"$literal": 0});
        for result in [
            json!({"$div": [zero(), zero()]}),
            json!({"$mod": [{"$field": "x"}, zero()]}),
            json!({"$neg": nan()}),
            json!({"$add": [nan(), {"$field": "x"}]}),
        ] {
            assert_eq!(eval(json!({"$eq": [result, nan()]}), row()), Ok(true), "{result}");
        }
    }

    #[test]
    fn evaluation_errors_have_their_texts() {
        use serde_json::json;
        let eq = |left: serde_json::Value| json!({"$eq": [left, {"$literal": 0}]});
        let int = |n: i64| {
            let mut text = String::new();
            Value::Int64(n).encode(&mut text);
            json!({ "$literal": serde_json::from_str::<serde_json::Value>(&text).unwrap() })
        };
        let fails = |filter| eval(filter, row()).unwrap_err();
        assert_eq!(
            fails(eq(json!({"$add": [{"$field": "n"}, {"$field": "x"}]}))),
            "Cannot add 5 (type Int64) and 1.5 (type Float64)"
        );
        assert_eq!(fails(eq(json!({"$div": [{"$field": "n"}, int(0)]}))), "Cannot divide 5 by zero");
        assert_eq!(
            fails(eq(json!({"$add": [int(i64::MAX), int(1)]}))),
            "Cannot add 9223372036854775807 and 1: the result is out of range for Int64"
        );
        assert_eq!(
            fails(eq(json!({"$neg": int(i64::MIN)}))),
            "Cannot negate -9223372036854775808: the result is out of range for Int64"
        );
        assert_eq!(fails(eq(json!({"$neg": {"$field": "s"}}))), "Cannot negate \"a\" (type String)");
        assert_eq!(
            fails(json!({"$field": "missing"})),
            "Cannot use value undefined (type undefined) as a Boolean"
        );
        assert_eq!(
            fails(json!({"$not": {"$field": "x"}})),
            "Cannot use value 1.5 (type Float64) as a Boolean"
        );
    }
}
