//! [`FieldPath`]: a dotted path of identifiers into an object, as indexes, filters and searches name fields.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::identifier::{self, IdentifierError};
use crate::object::Object;
use crate::value::Value;

/// One or more identifiers joined by dots. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Arc<[Box<str>]>);

impl FieldPath {
    /// The identifiers, outermost first; never empty.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|segment| &**segment)
    }

    /// The outermost field's name.
    pub fn first(&self) -> &str {
        &self.0[0]
    }

    /// The value at this path, or `None` (undefined) where a field is missing or something on the way is no
    /// object.
    pub fn get<'a>(&self, object: &'a Object) -> Option<&'a Value> {
        let (last, outer) = self.0.split_last().expect("a field path has at least one segment");
        let mut object = object;
        for segment in outer {
            object = object.get(segment)?.as_object()?;
        }
        object.get(last)
    }
}

impl FromStr for FieldPath {
    type Err = IdentifierError;

    /// Leading and trailing dots are ignored.
    fn from_str(text: &str) -> Result<FieldPath, IdentifierError> {
        let segments = text.trim_matches('.').split('.').map(|segment| {
            identifier::check(segment)?;
            Ok(segment.into())
        });
        Ok(FieldPath(segments.collect::<Result<_, IdentifierError>>()?))
    }
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldPath, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_dotted_identifiers() {
        let path: FieldPath = "a.b_1._c".parse().unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), ["a", "b_1", "_c"]);
        assert_eq!(path.to_string(), "a.b_1._c");
        assert_eq!(".a.b.".parse::<FieldPath>().unwrap().to_string(), "a.b");
        for text in ["", ".", "a..b", "a-b", "a.1", "__"] {
            assert!(text.parse::<FieldPath>().is_err(), "{text}");
        }
        assert_eq!("a..b".parse::<FieldPath>(), Err(IdentifierError::Empty));
    }

    #[test]
    fn a_path_through_anything_but_objects_is_undefined() {
        let document = Value::object([
            ("a", Value::object([("b", Value::Float64(1.0))])),
            ("list", Value::Array(vec![Value::Null])),
        ]);
        let get = |path: &str| path.parse::<FieldPath>().unwrap().get(document.as_object().unwrap()).cloned();
        assert_eq!(get("a.b"), Some(Value::Float64(1.0)));
        assert_eq!(get("a"), Some(Value::object([("b", Value::Float64(1.0))])));
        assert_eq!(get("a.c"), None);
        assert_eq!(get("x.b"), None);
        assert_eq!(get("list.a"), None);
        assert_eq!(get("a.b.c"), None);
    }
}
