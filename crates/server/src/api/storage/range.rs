//! Which part of a file a request asks for, and whether the client has it already.

use axum::http::{HeaderMap, HeaderName, header};

/// What to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file.
    Whole,
    /// A part of it, never empty.
    Some(std::ops::Range<u64>),
    /// Nothing: there is no such part, or several parts were asked for.
    Unsatisfiable,
    /// Nothing: the client has the file.
    NotModified,
}

/// The name of these bytes for caches. A file's bytes never change, so their digest says it all.
pub(super) fn etag(sha256: &[u8; 32]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(66);
    text.push('"');
    for byte in sha256 {
        write!(text, "{byte:02x}").expect("strings take everything");
    }
    text.push('"');
    text
}

/// Reads the request's conditions and range, for a file of `size` bytes.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(known) = text(header::IF_NONE_MATCH)
        && (known.trim() == "*" || known.split(',').any(|known| is_same(known, etag)))
    {
        return Part::NotModified;
    }
    let Some(range) = text(header::RANGE) else { return Part::Whole };
    // A date is never the one of these bytes: none is ever sent.
    if text(header::IF_RANGE).is_some_and(|known| known.trim() != etag) {
        return Part::Whole;
    }
    // Units that are not known are to be ignored.
    let Some(range) = range.trim().strip_prefix("bytes=") else { return Part::Whole };
    if size == 0 {
        return Part::Whole;
    }
    satisfy(range, size)
}

/// Weak comparison.
fn is_same(known: &str, etag: &str) -> bool {
    let known = known.trim();
    known.strip_prefix("W/").unwrap_or(known) == etag
}

fn satisfy(range: &str, size: u64) -> Part {
    if range.contains(',') {
        return Part::Unsatisfiable;
    }
    let Some((first, last)) = range.split_once('-') else { return Part::Whole };
    let (Ok(first), Ok(last)) = (number(first), number(last)) else { return Part::Whole };
    let (start, end) = match (first, last) {
        (None, None) => return Part::Whole,
        (None, Some(suffix)) => (size - suffix.min(size), size),
        (Some(first), None) => (first, size),
        // A range that ends before it begins is malformed, and as such ignored.
        (Some(first), Some(last)) if last < first => return Part::Whole,
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(size)),
    };
    if start >= end { Part::Unsatisfiable } else { Part::Some(start..end) }
}

/// Digits, or nothing at all. Numbers that are too large mean a place after every end.
fn number(text: &str) -> Result<Option<u64>, ()> {
    match text.trim() {
        "" => Ok(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const ETAG: &str = "\"00\"";

    fn part(size: u64, pairs: &[(HeaderName, &str)]) -> Part {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        wanted(&headers, ETAG, size)
    }

    #[test]
    fn one_range_is_clamped_to_the_file() {
        let of_ten = |range: &str| part(10, &[(header::RANGE, range)]);
        assert_eq!(of_ten("bytes=0-3"), Part::Some(0..4));
        assert_eq!(of_ten("bytes=4-"), Part::Some(4..10));
        assert_eq!(of_ten("bytes=-3"), Part::Some(7..10));
        assert_eq!(of_ten("bytes=-99"), Part::Some(0..10));
        assert_eq!(of_ten("bytes=0-99"), Part::Some(0..10));
        assert_eq!(of_ten("bytes=9-99999999999999999999999"), Part::Some(9..10));
    }

    #[test]
    fn what_cannot_be_satisfied_says_so_and_what_is_malformed_is_ignored() {
        let of_ten = |range: &str| part(10, &[(header::RANGE, range)]);
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=0-1,3-4", "bytes=99999999999999999999-"]
        {
            assert_eq!(of_ten(range), Part::Unsatisfiable, "{range}");
        }
        for range in ["bytes=", "bytes=-", "bytes=3-1", "bytes=a-b", "bytes=+1-2", "lines=0-3", "0-3"] {
            assert_eq!(of_ten(range), Part::Whole, "{range}");
        }
        assert_eq!(part(0, &[(header::RANGE, "bytes=0-3")]), Part::Whole);
    }

    #[test]
    fn conditions_compare_with_the_digest() {
        let asked = |name: HeaderName, value: &str| part(10, &[(header::RANGE, "bytes=0-3"), (name, value)]);
        for value in [ETAG, "*", "\"x\", \"00\"", "W/\"00\""] {
            assert_eq!(asked(header::IF_NONE_MATCH, value), Part::NotModified, "{value}");
        }
        assert_eq!(asked(header::IF_NONE_MATCH, "\"x\""), Part::Some(0..4));
        assert_eq!(asked(header::IF_RANGE, ETAG), Part::Some(0..4));
        // Weak names do not promise that the bytes are the same.
        for value in ["W/\"00\"", "\"x\"", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(asked(header::IF_RANGE, value), Part::Whole, "{value}");
        }
    }
}
