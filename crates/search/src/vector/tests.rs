//! The index against a model: a map of vectors, all of which are compared.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// A file in memory.
struct Stored(Vec<u8>);

impl Source for Stored {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let bytes = self.0.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

struct Model {
    index: Index,
    rows: BTreeMap<RowId, (Vec<f32>, Vec<u64>)>,
    budget: Arc<Budget>,
    next: u64,
}

impl Model {
    fn new(shape: Shape, budget_bytes: usize) -> Model {
        Model {
            index: Index::new(shape, Vec::new()),
            rows: BTreeMap::new(),
            budget: Budget::new(budget_bytes),
            next: 1,
        }
    }

    fn put(&mut self, number: u64, vector: Vec<f32>, filters: Vec<u64>) {
        self.index.put(Row { id: id(number), vector: &vector, filters: &filters }).unwrap();
        self.rows.insert(id(number), (vector, filters));
    }

    fn remove(&mut self, number: u64) {
        let was_there = self.index.remove(&id(number)).unwrap();
        assert_eq!(was_there, self.rows.remove(&id(number)).is_some());
    }

    /// Writes a segment and opens what was written.
    fn store(&mut self, data: Option<SegmentData>) -> Option<(Segment, u64)> {
        let data = data?;
        let mut bytes = Vec::new();
        data.write(&mut bytes).unwrap();
        let length = bytes.len() as u64;
        let source: Arc<dyn Source> = Arc::new(Stored(bytes));
        self.next += 1;
        // Both ways lead to the same.
        let segment = if self.next.is_multiple_of(2) {
            Segment::open(&source, length, self.index.shape(), &self.budget).unwrap()
        } else {
            data.into_segment(&self.budget, Some(&source))
        };
        Some((segment, self.next))
    }

    fn seal(&mut self) {
        let sealed = self.index.seal();
        let sealed = self.store(sealed);
        self.index.sealed(sealed);
    }

    fn merge(&mut self) -> bool {
        let Some(plan) = self.index.plan() else { return false };
        let merged = self.index.merge(&plan).unwrap();
        let merged = self.store(merged);
        self.index.merged(&plan, merged);
        true
    }

    /// What a caller does with candidates.
    fn search(
        &self,
        vector: &[f32],
        limit: usize,
        filter: Option<&Filter>,
        excluded: &HashSet<RowId>,
    ) -> Vec<(f32, RowId)> {
        let found = self.index.view().search(&Request { vector, limit, filter, excluded }).unwrap();
        assert!(found.is_sorted_by(|a, b| a.score >= b.score - 1e-5));
        let scored = found.into_iter().map(|candidate| {
            let score = cosine(vector, &self.rows[&candidate.id].0);
            assert!((score - candidate.score).abs() <= candidate.uncertainty + 1e-3);
            (score, candidate.id)
        });
        rank(scored.collect(), limit)
    }

    fn exact(
        &self,
        vector: &[f32],
        limit: usize,
        filter: Option<&Filter>,
        excluded: &HashSet<RowId>,
    ) -> Vec<(f32, RowId)> {
        let passes = |filters: &[u64]| {
            filter.is_none_or(|filter| filter.iter().any(|(field, value)| filters[*field] == *value))
        };
        let rows = self.rows.iter().filter(|(id, row)| passes(&row.1) && !excluded.contains(*id));
        rank(rows.map(|(id, row)| (cosine(vector, &row.0), *id)).collect(), limit)
    }
}

fn rank(mut rows: Vec<(f32, RowId)>, limit: usize) -> Vec<(f32, RowId)> {
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    rows.truncate(limit);
    rows
}

fn id(number: u64) -> RowId {
    (u128::from(number) << 40).to_be_bytes()
}

fn normal(random: &mut StdRng) -> f32 {
    let (u, v) = (random.random::<f32>().max(1e-9), random.random::<f32>());
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

/// Vectors of several kinds: what is easy for one method is hard for another.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Independent normal numbers: no structure to make use of.
    Noise,
    /// Clusters of few dimensions around a large mean, like embeddings.
    Clusters,
    /// Mostly zeros, never negative, like counts of words.
    Sparse,
    /// Very near to each other.
    Tight,
}

/// Makes vectors of one kind.
struct Maker {
    kind: Kind,
    random: StdRng,
    mean: Vec<f32>,
    /// For clusters: directions, and where each cluster is along them.
    directions: Vec<Vec<f32>>,
    clusters: Vec<Vec<f32>>,
}

impl Maker {
    fn new(kind: Kind, dimensions: usize, seed: u64) -> Maker {
        let mut random = StdRng::seed_from_u64(seed);
        let mut normals = |count| (0..count).map(|_| normal(&mut random)).collect::<Vec<f32>>();
        let mean = normals(dimensions);
        let directions = (0..16).map(|_| normals(dimensions)).collect();
        let clusters = (0..20).map(|_| normals(16)).collect();
        Maker { kind, mean, directions, clusters, random }
    }

    fn make(&mut self) -> Vec<f32> {
        let (random, mean) = (&mut self.random, &self.mean);
        match self.kind {
            Kind::Noise => mean.iter().map(|_| normal(random)).collect(),
            Kind::Clusters => {
                let cluster = &self.clusters[random.random_range(0..self.clusters.len())];
                let mut out: Vec<f32> = mean.iter().map(|x| 4.0 * x + normal(random)).collect();
                for (direction, place) in self.directions.iter().zip(cluster) {
                    let z = place + 0.7 * normal(random);
                    for (x, along) in out.iter_mut().zip(direction) {
                        *x += z * along;
                    }
                }
                out
            }
            Kind::Sparse => {
                let mut count = || if random.random_bool(0.03) { random.random_range(1..5) } else { 0 };
                mean.iter().map(|_| count() as f32).collect()
            }
            Kind::Tight => mean.iter().map(|x| x + 0.01 * normal(random)).collect(),
        }
    }
}

/// The share of the exact answer that the index finds; a row with the same score as the last one is as good as that.
fn recall(model: &Model, queries: &[Vec<f32>], filter: Option<&Filter>) -> f64 {
    let none = HashSet::new();
    let (mut hits, mut wanted) = (0, 0);
    for query in queries {
        let exact = model.exact(query, 10, filter, &none);
        let found = model.search(query, 10, filter, &none);
        wanted += exact.len();
        hits += exact.last().map_or(0, |last| found.iter().filter(|row| row.0 >= last.0).count());
    }
    hits as f64 / wanted as f64
}

fn filled(kind: Kind, rows: u64, dimensions: usize, budget: usize, seed: u64) -> (Model, Vec<Vec<f32>>) {
    let mut maker = Maker::new(kind, dimensions, seed);
    let mut model = Model::new(Shape { dimensions, filters: 1 }, budget);
    for number in 0..rows {
        // Filter values with half, a tenth and a four hundredth of the rows.
        let group = if number % 400 == 0 {
            3
        } else if number % 10 == 1 {
            2
        } else {
            number % 2
        };
        model.put(number, maker.make(), vec![group]);
        if model.index.tail_bytes() > 1_300_000 {
            model.seal();
            while model.merge() {}
        }
    }
    let queries = (0..20).map(|_| maker.make()).collect();
    (model, queries)
}

#[test]
fn recall_at_ten_is_at_least_99_percent_for_every_kind_of_data() {
    for kind in [Kind::Noise, Kind::Clusters, Kind::Sparse, Kind::Tight] {
        for (dimensions, rows) in [(32, 8000), (384, 4000)] {
            let (model, queries) = filled(kind, rows, dimensions, usize::MAX, 11);
            for filter in
                [None, Some(vec![(0, 0)]), Some(vec![(0, 2)]), Some(vec![(0, 3), (0, 2)]), Some(vec![(0, 3)])]
            {
                let recall = recall(&model, &queries, filter.as_ref());
                assert!(recall >= 0.99, "{kind:?} {dimensions} {filter:?}: {recall}");
            }
        }
    }
}

#[test]
fn without_memory_everything_is_read_from_where_it_was_written() {
    let (rich, queries) = filled(Kind::Clusters, 4000, 64, usize::MAX, 5);
    let (poor, _) = filled(Kind::Clusters, 4000, 64, 100_000, 5);
    assert!(poor.budget.used() <= 100_000 && rich.budget.used() > 300_000);
    let none = HashSet::new();
    for query in &queries {
        for filter in [None, Some(vec![(0, 2)])] {
            let answer = |model: &Model| model.search(query, 7, filter.as_ref(), &none);
            assert_eq!(answer(&rich), answer(&poor));
        }
    }
    drop(rich.index);
    assert_eq!(rich.budget.used(), 0);
}

#[test]
fn equal_vectors_come_by_descending_ids() {
    let mut model = Model::new(Shape { dimensions: 8, filters: 0 }, usize::MAX);
    for number in 0..5000 {
        let same = number % 2 == 0;
        model.put(
            number,
            (0..8).map(|at| if same { 1.0 } else { f32::from(at as u8) }).collect(),
            Vec::new(),
        );
    }
    model.seal();
    let none = HashSet::new();
    let found = model.search(&[2.0; 8], 3, None, &none);
    assert_eq!(found, [4998, 4996, 4994].map(|number| (1.0, id(number))));
    // A query without a direction is equally far from everything.
    let found = model.search(&[0.0; 8], 3, None, &none);
    assert_eq!(found, [4999, 4998, 4997].map(|number| (0.0, id(number))));
}

#[test]
fn segments_stay_few_and_what_has_gone_is_forgotten() {
    let mut model = Model::new(Shape { dimensions: 4, filters: 0 }, usize::MAX);
    for number in 0..3000_u64 {
        model.put(number % 1000, vec![1.0, number as f32, 3.0, 4.0], Vec::new());
        if number % 10 == 9 {
            model.seal();
            while model.merge() {}
        }
        assert!(model.index.segments().len() < 20, "{} segments", model.index.segments().len());
    }
    assert_eq!(model.index.rows(), 1000);
    let stored: usize = model.index.segments().iter().map(|held| held.segment.rows()).sum();
    assert!(stored < 1600, "{stored}");
    for number in 0..1000 {
        model.remove(number);
    }
    while model.merge() {}
    assert!(model.index.segments().is_empty());
}

#[test]
fn a_damaged_file_is_no_segment() {
    let shape = Shape { dimensions: 3, filters: 1 };
    let mut model = Model::new(shape, usize::MAX);
    for number in 0..20 {
        model.put(number, vec![number as f32, 1.0, 2.0], vec![number]);
    }
    let mut bytes = Vec::new();
    model.index.seal().unwrap().write(&mut bytes).unwrap();
    let open = |bytes: Vec<u8>, shape| {
        let length = bytes.len() as u64;
        let source: Arc<dyn Source> = Arc::new(Stored(bytes));
        Segment::open(&source, length, shape, &Budget::new(usize::MAX)).is_ok()
    };
    assert!(open(bytes.clone(), shape));
    assert!(!open(bytes.clone(), Shape { dimensions: 4, filters: 1 }));
    assert!(!open(bytes[..bytes.len() - 1].to_vec(), shape));
    assert!(!open(Vec::new(), shape));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(!open(damaged, shape), "byte {at}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Vec<f32>, u64),
    Remove(u64),
    Seal,
    Merge,
    Search(Vec<f32>, usize, Option<u64>, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let vector = || prop::collection::vec(prop_oneof![Just(0.0), -2.0_f32..2.0, Just(1.0)], 5);
    prop_oneof![
        6 => (0..60_u64, vector(), 0..3_u64).prop_map(|(id, vector, group)| Step::Put(id, vector, group)),
        2 => (0..60_u64).prop_map(Step::Remove),
        1 => Just(Step::Seal),
        1 => Just(Step::Merge),
        3 => (vector(), 0..15_usize, prop::option::of(0..3_u64), 0..60_u64)
            .prop_map(|(vector, limit, group, excluded)| Step::Search(vector, limit, group, excluded)),
    ]
}

proptest! {
    #[test]
    fn a_small_index_answers_like_the_model(
        steps in prop::collection::vec(step(), 1..120),
        budget in prop_oneof![Just(0), Just(3000), Just(usize::MAX)],
    ) {
        let mut model = Model::new(Shape { dimensions: 5, filters: 2 }, budget);
        for step in steps {
            match step {
                Step::Put(number, vector, group) => model.put(number, vector, vec![9, group]),
                Step::Remove(number) => model.remove(number),
                Step::Seal => model.seal(),
                Step::Merge => drop(model.merge()),
                Step::Search(vector, limit, group, excluded) => {
                    let filter = group.map(|group| vec![(1, group), (0, 8)]);
                    let excluded = HashSet::from([id(excluded)]);
                    let found = model.search(&vector, limit, filter.as_ref(), &excluded);
                    prop_assert_eq!(found, model.exact(&vector, limit, filter.as_ref(), &excluded));
                }
            }
            prop_assert_eq!(model.index.rows(), model.rows.len());
        }
    }
}
