//! How validators print: as the source that makes them.

use std::fmt::{self, Display, Formatter};

use crate::display::Quoted;
use crate::validator::{LiteralValue, Validator};
use crate::value::Value;

impl Display for Validator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Any => f.write_str("v.any()"),
            Validator::Null => f.write_str("v.null()"),
            Validator::Int64 => f.write_str("v.int64()"),
            Validator::Float64 => f.write_str("v.float64()"),
            Validator::Boolean => f.write_str("v.boolean()"),
            Validator::String => f.write_str("v.string()"),
            Validator::Bytes => f.write_str("v.bytes()"),
            Validator::CommitTs => f.write_str("v.commitTs()"),
            Validator::Literal(literal) => write!(f, "v.literal({literal})"),
            Validator::Id(table) => write!(f, "v.id({})", Quoted(table)),
            Validator::Array(element) => write!(f, "v.array({element})"),
            Validator::Record(record) => write!(f, "v.record({}, {})", record.keys(), record.values()),
            Validator::Object(fields) => {
                f.write_str("v.object({")?;
                for (i, (name, field)) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    if field.optional {
                        write!(f, "{comma}{name}: v.optional({})", field.validator)?;
                    } else {
                        write!(f, "{comma}{name}: {}", field.validator)?;
                    }
                }
                f.write_str("})")
            }
            Validator::Union(members) => {
                f.write_str("v.union(")?;
                for (i, member) in members.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{member}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Display for LiteralValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.value() {
            Value::Int64(_) => f.write_str("<bigint>"),
            Value::Float64(number) if !number.is_finite() => f.write_str("<number>"),
            value => value.fmt(f),
        }
    }
}
