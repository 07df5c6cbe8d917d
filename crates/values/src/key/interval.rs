//! [`KeyInterval`]: a contiguous range of keys, as scans read and read sets record.

/// All keys from `start` (inclusive) up to `end` (exclusive; `None` is unbounded).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyInterval {
    /// The first key inside.
    pub start: Vec<u8>,
    /// The first key beyond, or `None` when there is none.
    pub end: Option<Vec<u8>>,
}

impl KeyInterval {
    /// Every key.
    pub fn all() -> KeyInterval {
        KeyInterval { start: Vec::new(), end: None }
    }

    /// No key.
    pub fn empty() -> KeyInterval {
        KeyInterval { start: Vec::new(), end: Some(Vec::new()) }
    }

    /// Keys from `start` (inclusive) up to `end` (exclusive; `None` is unbounded).
    pub fn new(start: Vec<u8>, end: Option<Vec<u8>>) -> KeyInterval {
        KeyInterval { start, end }
    }

    /// Exactly the keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyInterval {
        KeyInterval { start: prefix.to_vec(), end: successor_of_prefix(prefix) }
    }

    /// Exactly one key.
    pub fn point(key: &[u8]) -> KeyInterval {
        KeyInterval { start: key.to_vec(), end: Some(key_after(key)) }
    }

    /// Whether no key is inside.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    /// Whether every key of `other` is inside.
    pub fn contains_interval(&self, other: &KeyInterval) -> bool {
        other.is_empty() || self.start <= other.start && !ends_before(self.end.as_ref(), other.end.as_ref())
    }

    /// Whether some key is inside both.
    pub fn overlaps(&self, other: &KeyInterval) -> bool {
        !self.intersect(other).is_empty()
    }

    /// The keys inside both.
    pub fn intersect(&self, other: &KeyInterval) -> KeyInterval {
        let start = self.start.as_slice().max(&other.start).to_vec();
        let end = if ends_before(self.end.as_ref(), other.end.as_ref()) { &self.end } else { &other.end };
        KeyInterval { start, end: end.clone() }
    }

    /// The union, if it is one interval: the two overlap, touch, or one is empty.
    pub fn union(&self, other: &KeyInterval) -> Option<KeyInterval> {
        if self.is_empty() {
            return Some(other.clone());
        }
        if other.is_empty() {
            return Some(self.clone());
        }
        let apart = |end: &Option<Vec<u8>>, start: &Vec<u8>| end.as_ref().is_some_and(|end| end < start);
        if apart(&self.end, &other.start) || apart(&other.end, &self.start) {
            return None;
        }
        let start = self.start.as_slice().min(&other.start).to_vec();
        let end = if ends_before(self.end.as_ref(), other.end.as_ref()) { &other.end } else { &self.end };
        Some(KeyInterval { start, end: end.clone() })
    }
}

/// Whether the end `a` comes before the end `b`; `None` is beyond every key.
fn ends_before(a: Option<&Vec<u8>>, b: Option<&Vec<u8>>) -> bool {
    match (a, b) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(a), Some(b)) => a < b,
    }
}

/// The least key that is greater than every key starting with `prefix`; `None` if there is none (an empty prefix,
/// or nothing but 0xff).
pub fn successor_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

/// The least key greater than `key`.
pub fn key_after(key: &[u8]) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}
