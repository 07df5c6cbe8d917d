//! How operators say where files are kept: `s3://BUCKET/PREFIX`, or a folder.

use std::path::PathBuf;
use std::str::FromStr;

/// Where files are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of the local disk.
    Folder(PathBuf),
    /// A bucket, below a prefix that is empty or ends with a slash.
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// What all names of objects begin with.
        prefix: String,
    },
}

/// A text that is no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a folder nor of the form s3://BUCKET or s3://BUCKET/PREFIX")]
pub struct LocationError(String);

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let error = || LocationError(text.to_owned());
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let named = |name: &str| {
                    !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
                };
                let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
                if !named(bucket) || !parts.iter().all(|part| named(part)) {
                    return Err(error());
                }
                let prefix = parts.iter().map(|part| format!("{part}/")).collect();
                Ok(Location::Bucket { bucket: bucket.to_owned(), prefix })
            }
            Some(_) => Err(error()),
            None if text.is_empty() => Err(error()),
            None => Ok(Location::Folder(PathBuf::from(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_prefixes_and_everything_without_a_scheme_is_a_folder() {
        let bucket = |bucket: &str, prefix: &str| {
            Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!("s3://b".parse(), bucket("b", ""));
        assert_eq!("s3://b/".parse(), bucket("b", ""));
        assert_eq!("s3://my.b-1/a/b/".parse(), bucket("my.b-1", "a/b/"));
        assert_eq!("/srv/files".parse(), Ok(Location::Folder("/srv/files".into())));
        for text in ["", "s3://", "s3:///x", "gs://b", "https://b", "s3://b/a b", "s3://b?x"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
