//! Finds the intervals that contain a key.
//!
//! An interval tree: a binary search tree by start in which every node knows the greatest end below it (Cormen, Leiserson,
//! Rivest, Stein: Introduction to Algorithms, 3rd ed., section 14.3), balanced as a treap (Seidel and Aragon: Randomized
//! Search Trees, Algorithmica 16, 1996). A search visits a subtree only if some end in it lies beyond the key, and all
//! starts left of the key qualify, so it takes O(log n + m log n) for m matches; inserting and removing take
//! O(log n), all expected. Nodes live in one vector.

use std::cmp::Ordering;
use std::sync::Arc;

type Link = Option<u32>;
type Bytes = Arc<[u8]>;

/// Where an interval ends: exclusive; nothing is greater than `Unbounded`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Before(Bytes),
    Unbounded,
}

impl End {
    fn is_beyond(&self, key: &[u8]) -> bool {
        match self {
            End::Before(end) => &**end > key,
            End::Unbounded => true,
        }
    }
}

struct Node<T> {
    start: Bytes,
    end: End,
    /// What is kept for this interval.
    value: T,
    /// The greatest end in the subtree.
    greatest_end: End,
    priority: u64,
    left: Link,
    right: Link,
}

/// A map from intervals to values.
pub(crate) struct IntervalTree<T> {
    nodes: Vec<Option<Node<T>>>,
    free: Vec<u32>,
    root: Link,
    /// State of the generator of priorities (SplitMix64): balance needs no secrecy.
    seed: u64,
}

impl<T: Default> IntervalTree<T> {
    pub(crate) fn new() -> IntervalTree<T> {
        IntervalTree { nodes: Vec::new(), free: Vec::new(), root: None, seed: 0x9E37_79B9_7F4A_7C15 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of an interval, made if it is not there.
    pub(crate) fn entry(&mut self, start: &Bytes, end: &End) -> &mut T {
        let found = self.find(start, end);
        let at = found.unwrap_or_else(|| {
            let new = self.allocate(start, end);
            let (left, right) = self.split(self.root, start, end);
            let left = self.merge(left, Some(new));
            self.root = self.merge(left, right);
            new
        });
        &mut self.node_mut(at).value
    }

    /// The value of an interval.
    pub(crate) fn get_mut(&mut self, start: &Bytes, end: &End) -> Option<&mut T> {
        self.find(start, end).map(|at| &mut self.node_mut(at).value)
    }

    /// Removes an interval.
    pub(crate) fn remove(&mut self, start: &Bytes, end: &End) {
        if let Some(root) = self.root {
            self.root = self.remove_below(root, start, end);
        }
    }

    /// Calls `visit` with the value of every interval that contains the key.
    pub(crate) fn stab_mut(&mut self, key: &[u8], mut visit: impl FnMut(&mut T)) {
        let mut stack: Vec<u32> = self.root.into_iter().collect();
        while let Some(at) = stack.pop() {
            let node = self.node_mut(at);
            if !node.greatest_end.is_beyond(key) {
                continue;
            }
            stack.extend(node.left);
            if &*node.start <= key {
                if node.end.is_beyond(key) {
                    visit(&mut node.value);
                }
                stack.extend(node.right);
            }
        }
    }

    fn node(&self, at: u32) -> &Node<T> {
        self.nodes[at as usize].as_ref().expect("links lead to nodes that are in use")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node<T> {
        self.nodes[at as usize].as_mut().expect("links lead to nodes that are in use")
    }

    fn compare(&self, at: u32, start: &Bytes, end: &End) -> Ordering {
        let node = self.node(at);
        (start, end).cmp(&(&node.start, &node.end))
    }

    fn find(&self, start: &Bytes, end: &End) -> Link {
        let mut at = self.root;
        while let Some(node) = at {
            at = match self.compare(node, start, end) {
                Ordering::Equal => return at,
                Ordering::Less => self.node(node).left,
                Ordering::Greater => self.node(node).right,
            };
        }
        None
    }

    fn allocate(&mut self, start: &Bytes, end: &End) -> u32 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let node = Node {
            start: Arc::clone(start),
            end: end.clone(),
            value: T::default(),
            greatest_end: end.clone(),
            priority: mixed ^ (mixed >> 31),
            left: None,
            right: None,
        };
        match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = Some(node);
                at
            }
            None => {
                self.nodes.push(Some(node));
                u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 intervals fit in memory")
            }
        }
    }

    fn update(&mut self, at: u32) {
        let node = self.node(at);
        let mut greatest = &node.end;
        for child in [node.left, node.right].into_iter().flatten() {
            greatest = greatest.max(&self.node(child).greatest_end);
        }
        let greatest = greatest.clone();
        self.node_mut(at).greatest_end = greatest;
    }

    /// Splits into what is less than the interval and the rest. Recursion is as deep as the tree: logarithmic.
    fn split(&mut self, at: Link, start: &Bytes, end: &End) -> (Link, Link) {
        let Some(at) = at else { return (None, None) };
        if self.compare(at, start, end) == Ordering::Greater {
            let (left, right) = self.split(self.node(at).right, start, end);
            self.node_mut(at).right = left;
            self.update(at);
            (Some(at), right)
        } else {
            let (left, right) = self.split(self.node(at).left, start, end);
            self.node_mut(at).left = right;
            self.update(at);
            (left, Some(at))
        }
    }

    fn merge(&mut self, left: Link, right: Link) -> Link {
        let (Some(a), Some(b)) = (left, right) else { return left.or(right) };
        if self.node(a).priority >= self.node(b).priority {
            let merged = self.merge(self.node(a).right, right);
            self.node_mut(a).right = merged;
            self.update(a);
            left
        } else {
            let merged = self.merge(left, self.node(b).left);
            self.node_mut(b).left = merged;
            self.update(b);
            right
        }
    }

    fn remove_below(&mut self, at: u32, start: &Bytes, end: &End) -> Link {
        let (left, right) = (self.node(at).left, self.node(at).right);
        match self.compare(at, start, end) {
            Ordering::Equal => {
                self.nodes[at as usize] = None;
                self.free.push(at);
                return self.merge(left, right);
            }
            Ordering::Less => {
                if let Some(left) = left {
                    let left = self.remove_below(left, start, end);
                    self.node_mut(at).left = left;
                }
            }
            Ordering::Greater => {
                if let Some(right) = right {
                    let right = self.remove_below(right, start, end);
                    self.node_mut(at).right = right;
                }
            }
        }
        self.update(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn end(end: Option<u8>) -> End {
        end.map_or(End::Unbounded, |end| End::Before(Arc::from([end])))
    }

    proptest! {
        #[test]
        fn finds_exactly_the_intervals_that_contain_the_key(
            steps in prop::collection::vec((any::<bool>(), 0u8..30, prop::option::of(0u8..30)), 0..120)
        ) {
            let mut tree: IntervalTree<Option<(u8, Option<u8>)>> = IntervalTree::new();
            let mut model: BTreeMap<(u8, Option<u8>), ()> = BTreeMap::new();
            for (insert, from, to) in steps {
                let start: Bytes = Arc::from([from]);
                if insert {
                    *tree.entry(&start, &end(to)) = Some((from, to));
                    model.insert((from, to), ());
                } else {
                    tree.remove(&start, &end(to));
                    model.remove(&(from, to));
                }
                for key in 0u8..32 {
                    let mut found = Vec::new();
                    tree.stab_mut(&[key], |value| found.push(value.unwrap()));
                    found.sort_unstable();
                    let mut expected: Vec<_> = model
                        .keys()
                        .copied()
                        .filter(|(from, to)| *from <= key && to.is_none_or(|to| key < to))
                        .collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
