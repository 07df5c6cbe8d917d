//! [`ComponentPath`]: which instance of which component, as the names of children from the app downwards.
//!
//! It says nothing about whether such a component is mounted.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::path_component::{self, PathComponentError};

/// Names of children joined by `/`; empty for the app itself. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentPath(Arc<str>);

impl ComponentPath {
    /// The app itself.
    pub fn root() -> ComponentPath {
        ComponentPath("".into())
    }

    /// Whether this is the app itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path's text, empty for the app.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names of children, from the app downwards; none for the app.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The child named `name` of this component.
    ///
    /// # Errors
    /// The name is no path component.
    pub fn child(&self, name: &str) -> Result<ComponentPath, PathComponentError> {
        path_component::check(name)?;
        if self.is_root() {
            Ok(ComponentPath(name.into()))
        } else {
            Ok(ComponentPath(format!("{self}/{name}").into()))
        }
    }

    /// The component that this one is a child of, and its name there; `None` for the app.
    pub fn parent(&self) -> Option<(ComponentPath, &str)> {
        if self.is_root() {
            return None;
        }
        let (parent, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        Some((ComponentPath(parent.into()), name))
    }
}

impl Default for ComponentPath {
    fn default() -> ComponentPath {
        ComponentPath::root()
    }
}

impl FromStr for ComponentPath {
    type Err = PathComponentError;

    fn from_str(text: &str) -> Result<ComponentPath, PathComponentError> {
        if !text.is_empty() {
            text.split('/').try_for_each(path_component::check)?;
        }
        Ok(ComponentPath(text.into()))
    }
}

impl Display for ComponentPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ComponentPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ComponentPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ComponentPath, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_path_is_the_app() {
        let root: ComponentPath = "".parse().unwrap();
        assert!(root.is_root());
        assert_eq!(root.segments().count(), 0);
        assert_eq!(root.parent(), None);
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn children_extend_the_path() {
        let pool = ComponentPath::root().child("a").unwrap().child("pool").unwrap();
        assert_eq!(pool.as_str(), "a/pool");
        assert_eq!(pool, "a/pool".parse().unwrap());
        assert_eq!(pool.segments().collect::<Vec<_>>(), ["a", "pool"]);
        assert_eq!(pool.parent(), Some(("a".parse().unwrap(), "pool")));
        assert_eq!("a".parse::<ComponentPath>().unwrap().parent(), Some((ComponentPath::root(), "a")));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for text in ["/", "a/", "/a", "a//b", "..", "a-b", "a/../b"] {
            assert!(text.parse::<ComponentPath>().is_err(), "{text}");
        }
        assert!(ComponentPath::root().child("a/b").is_err());
    }
}
