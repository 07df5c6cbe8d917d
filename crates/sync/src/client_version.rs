//! What the client says about itself in the upgrade request: the `Convex-Client` header or the version in the path.
//!
//! Nothing is ever refused here: a client that cannot be recognised is an unknown client, and gets the frames that every
//! client understands.

use semver::Version;

/// Name and version of a client package, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientVersion {
    /// Lower-case package name such as `npm` or `python`; `None` when the client did not say.
    name: Option<String>,
    /// `None` when the client did not say, or said something that is no version.
    version: Option<Version>,
}

impl ClientVersion {
    /// Reads both places. A present header wins over the path, because only browsers cannot set it.
    ///
    /// `path_segment` is the part of `/api/{segment}/sync`; `header` is the value of `Convex-Client`.
    pub fn from_request(path_segment: Option<&str>, header: Option<&str>) -> Self {
        match (header, path_segment) {
            (Some(header), _) => Self::from_header(header),
            (None, Some(segment)) => Self::from_path_segment(segment),
            (None, None) => Self::default(),
        }
    }

    /// A client on `/api/{segment}/sync`: the npm package, which is the only one that uses this address.
    pub fn from_path_segment(segment: &str) -> Self {
        match Version::parse(segment) {
            Ok(version) => Self { name: Some("npm".to_owned()), version: Some(version) },
            Err(_) => Self::default(),
        }
    }

    /// A client with a `Convex-Client` header: `{name}-{version}`, where the longest tail that is a version is the
    /// version, because names and versions may both contain dashes.
    pub fn from_header(header: &str) -> Self {
        // Longer headers are not from any package; do not try each of their dashes.
        const LENGTH_MAX: usize = 256;
        let header = header.trim();
        if header.len() > LENGTH_MAX {
            return Self::default();
        }
        let split = header
            .match_indices('-')
            .find_map(|(at, _)| Some((&header[..at], Version::parse(&header[at + 1..]).ok()?)));
        match split {
            Some((name, version)) => Self { name: Some(name.to_ascii_lowercase()), version: Some(version) },
            None => Self { name: Some(header.to_ascii_lowercase()), version: None },
        }
    }

    /// Lower-case package name such as `npm` or `python`.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Version of the package.
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Whether a Transition may be sent in pieces. Any other client treats a piece as an error and reconnects forever.
    pub fn understands_transition_chunks(&self) -> bool {
        self.name.as_deref() == Some("npm")
            && self.version.as_ref().is_some_and(|version| *version >= Version::new(1, 28, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> (Option<String>, Option<String>) {
        let client = ClientVersion::from_header(text);
        (client.name().map(str::to_owned), client.version().map(ToString::to_string))
    }

    fn both(name: &str, version: &str) -> (Option<String>, Option<String>) {
        (Some(name.to_owned()), Some(version.to_owned()))
    }

    #[test]
    fn the_longest_tail_that_is_a_version_is_the_version() {
        assert_eq!(header("python-0.8.1"), both("python", "0.8.1"));
        assert_eq!(header("npm-cli-1.48.0"), both("npm-cli", "1.48.0"));
        assert_eq!(header("Python-Convex-0.8.1-rc.2"), both("python-convex", "0.8.1-rc.2"));
        assert_eq!(header("something-else"), (Some("something-else".to_owned()), None));
        assert_eq!(header(""), (Some(String::new()), None));
    }

    #[test]
    fn only_recent_npm_clients_get_chunks() {
        let path = |segment: &str| ClientVersion::from_path_segment(segment).understands_transition_chunks();
        assert!(path("1.28.0") && path("1.48.0") && path("2.0.0"));
        assert!(!path("1.27.9") && !path("1.28.0-alpha.1") && !path("latest") && !path(""));
        let header = |text: &str| ClientVersion::from_header(text).understands_transition_chunks();
        assert!(header("npm-1.28.0"));
        assert!(
            !header("npm-cli-1.48.0") && !header("rust-1.48.0") && !header("npm-1.27.0") && !header("npm")
        );
    }

    #[test]
    fn the_header_wins_over_the_path() {
        let client = ClientVersion::from_request(Some("1.48.0"), Some("rust-0.10.4"));
        assert_eq!(client.name(), Some("rust"));
        assert_eq!(ClientVersion::from_request(Some("1.48.0"), None).name(), Some("npm"));
        assert_eq!(ClientVersion::from_request(None, None), ClientVersion::default());
    }
}
