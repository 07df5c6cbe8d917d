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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff)], 0..4)
    }

    fn any_interval() -> impl Strategy<Value = KeyInterval> {
        (any_key(), prop::option::of(any_key())).prop_map(|(start, end)| KeyInterval { start, end })
    }

    #[test]
    fn the_successor_of_a_prefix_skips_trailing_ff() {
        assert_eq!(successor_of_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor_of_prefix(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(successor_of_prefix(&[0xff]), None);
        assert_eq!(successor_of_prefix(&[]), None);
    }

    #[test]
    fn all_empty_and_point_are_what_they_say() {
        assert!(KeyInterval::all().contains(&[]) && KeyInterval::all().contains(&[0xff, 0xff]));
        assert!(KeyInterval::empty().is_empty());
        assert!(!KeyInterval::all().is_empty());
        assert!(KeyInterval::point(&[1]).contains(&[1]));
        assert!(!KeyInterval::point(&[1]).contains(&[1, 0]));
    }

    proptest! {
        #[test]
        fn a_prefix_interval_holds_exactly_the_keys_with_the_prefix(prefix in any_key(), key in any_key()) {
            prop_assert_eq!(KeyInterval::prefix(&prefix).contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn a_point_holds_exactly_its_key(point in any_key(), key in any_key()) {
            prop_assert_eq!(KeyInterval::point(&point).contains(&key), key == point);
        }

        #[test]
        fn an_empty_interval_holds_nothing(interval in any_interval(), key in any_key()) {
            if interval.is_empty() {
                prop_assert!(!interval.contains(&key));
            } else {
                prop_assert!(interval.contains(&interval.start));
            }
        }

        #[test]
        fn an_intersection_holds_what_both_hold(a in any_interval(), b in any_interval(), key in any_key()) {
            let both = a.contains(&key) && b.contains(&key);
            prop_assert_eq!(a.intersect(&b).contains(&key), both);
            if both {
                prop_assert!(a.overlaps(&b) && b.overlaps(&a));
            }
        }

        #[test]
        fn a_union_holds_what_either_holds(a in any_interval(), b in any_interval(), key in any_key()) {
            match a.union(&b) {
                Some(union) => prop_assert_eq!(union.contains(&key), a.contains(&key) || b.contains(&key)),
                None => prop_assert!(!a.overlaps(&b)),
            }
        }

        #[test]
        fn overlapping_intervals_have_a_union(a in any_interval(), b in any_interval()) {
            if a.overlaps(&b) {
                prop_assert!(a.union(&b).is_some());
            }
        }

        #[test]
        fn containment_is_containment_of_every_key(a in any_interval(), b in any_interval(), key in any_key()) {
            if a.contains_interval(&b) && b.contains(&key) {
                prop_assert!(a.contains(&key));
            }
            if !a.contains_interval(&b) {
                prop_assert!(a.intersect(&b) != b);
            }
        }
    }
}
