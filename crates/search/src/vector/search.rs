//! One search.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::io;

use super::RowId;
use super::code::{self, CodeQuery};
use super::cosine::unit;
use super::index::View;
use super::nearest::{Candidate, Nearest};
use super::segment::Held;
use super::sketch::{FACTOR_BYTES, LANES, SketchQuery};
use super::tail::Chunk;

/// With this many rows or fewer, their codes are looked at without a look at their sketches.
const DIRECT_ROWS: usize = 512;
/// Likewise when fewer than one row in this many pass the filter: sketches are read in blocks.
const DIRECT_SHARE: usize = LANES;
/// Rows whose sketches are read at once.
const STEP_ROWS: usize = 64 * LANES;

/// A row passes if one of the alternatives holds: the number of a filter field and the hash of its value.
pub type Filter = Vec<(usize, u64)>;

/// What is searched.
pub struct Request<'a> {
    /// As many numbers as the index has dimensions.
    pub vector: &'a [f32],
    /// How many rows are wanted.
    pub limit: usize,
    /// Which rows may be found; `None` if all.
    pub filter: Option<&'a Filter>,
    /// Rows that are not to be found.
    pub excluded: &'a HashSet<RowId>,
}

/// The query in all forms, and room that is used again.
struct Search<'a> {
    request: &'a Request<'a>,
    vector: Vec<f32>,
    /// The query has no direction: every row has the score 0.
    is_blind: bool,
    nearest: Nearest<'a>,
    buffer: Vec<u8>,
    factors: Vec<u8>,
    weights: Vec<u32>,
    /// For each row of a segment, its estimated score and the highest one that it may have.
    estimates: Vec<(f32, f32)>,
}

impl View {
    /// The rows that may be the nearest ones, best first: by their exact scores, those wanted are among them. More than wanted,
    /// because scores here are not exact. Rows at about the same distance are more than can be returned only in rare data;
    /// then those with the greater ids are preferred.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn search(&self, request: &Request<'_>) -> io::Result<Vec<Candidate>> {
        if request.limit == 0 {
            return Ok(Vec::new());
        }
        let mut vector = unit(request.vector);
        self.rotation.apply(&mut vector);
        let mut search = Search {
            request,
            is_blind: vector.iter().all(|x| *x == 0.0),
            vector,
            nearest: Nearest::new(request.limit, request.excluded),
            buffer: Vec::new(),
            factors: Vec::new(),
            weights: Vec::new(),
            estimates: Vec::new(),
        };
        for chunk in &self.tail {
            search.chunk(self, chunk);
        }
        for held in &self.segments {
            search.segment(held)?;
        }
        Ok(search.nearest.finish())
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        let tail = self.tail.iter().map(|chunk| chunk.gone.iter().filter(|gone| !**gone).count());
        self.segments.iter().map(Held::live).sum::<usize>() + tail.sum::<usize>()
    }
}

impl Search<'_> {
    fn chunk(&mut self, view: &View, chunk: &Chunk) {
        for (row, id) in chunk.ids.iter().enumerate().filter(|(row, _)| !chunk.gone[*row]) {
            let values = chunk.filters(view.shape, row);
            let passes = |filter: &Filter| filter.iter().any(|(field, value)| values[*field] == *value);
            if self.request.filter.is_none_or(passes) {
                let score = code::dot(&self.vector, chunk.vector(view.shape, row));
                self.nearest.push(Candidate { id: *id, score, uncertainty: code::ROUNDING });
            }
        }
    }

    fn segment(&mut self, held: &Held) -> io::Result<()> {
        let rows = held.segment.rows;
        if self.is_blind {
            let passing = self.passing(held)?.unwrap_or_else(|| (0..held.segment.rows).collect());
            return passing.into_iter().try_for_each(|row| {
                self.nearest.push(Candidate { id: held.segment.id(row)?, score: 0.0, uncertainty: 0.0 });
                Ok(())
            });
        }
        let center = &held.segment.center;
        let residual: Vec<f32> = self.vector.iter().zip(center).map(|(q, c)| q - c).collect();
        let codes = CodeQuery::new(&self.vector, &residual, center);
        let passing = self.passing(held)?;
        let count = passing.as_ref().map_or(rows, Vec::len);
        if count <= DIRECT_ROWS || count * DIRECT_SHARE < rows {
            return match passing {
                None => (0..rows).try_for_each(|row| self.score(held, &codes, row)),
                Some(passing) => passing.into_iter().try_for_each(|row| self.score(held, &codes, row)),
            };
        }
        self.estimate(held, &residual)?;
        let mut estimates = std::mem::take(&mut self.estimates);
        if let Some(passing) = passing {
            let mut kept = vec![(f32::NEG_INFINITY, f32::NEG_INFINITY); rows];
            for row in passing {
                kept[row] = estimates[row];
            }
            estimates = kept;
        }
        // The most promising rows first, so that few others have to be looked at.
        for row in best(&estimates, self.request.limit) {
            estimates[row].1 = f32::NEG_INFINITY;
            self.score(held, &codes, row)?;
        }
        let mut threshold = self.nearest.threshold();
        for (row, (_, at_most)) in estimates.iter().enumerate() {
            if *at_most >= threshold && *at_most > f32::NEG_INFINITY {
                self.score(held, &codes, row)?;
                threshold = self.nearest.threshold();
            }
        }
        self.estimates = estimates;
        Ok(())
    }

    /// The rows that are not gone and pass the filter; `None` if all do.
    fn passing(&mut self, held: &Held) -> io::Result<Option<Vec<usize>>> {
        let rows = held.segment.rows;
        let Some(filter) = self.request.filter else {
            if held.gone.ones() == 0 {
                return Ok(None);
            }
            return Ok(Some((0..rows).filter(|row| !held.gone.contains(*row)).collect()));
        };
        let mut passes = vec![false; rows];
        for (field, value) in filter {
            let column = held.segment.filters.read(8 * field * rows, 8 * rows, &mut self.buffer)?;
            for (passes, bytes) in passes.iter_mut().zip(column.as_chunks::<8>().0) {
                *passes |= u64::from_le_bytes(*bytes) == *value;
            }
        }
        let passing = passes.iter().enumerate().filter(|(row, passes)| **passes && !held.gone.contains(*row));
        Ok(Some(passing.map(|(row, _)| row).collect()))
    }

    /// Fills the estimates of all rows.
    fn estimate(&mut self, held: &Held, residual: &[f32]) -> io::Result<()> {
        let segment = &held.segment;
        let query = SketchQuery::new(&self.vector, residual, &segment.center, segment.shape);
        let block = segment.shape.block_bytes();
        self.estimates.clear();
        for start in (0..segment.rows).step_by(STEP_ROWS) {
            let rows = STEP_ROWS.min(segment.rows - start);
            let (at, length) = (start / LANES * block, rows.div_ceil(LANES) * block);
            let blocks = segment.sketches.read(at, length, &mut self.buffer)?;
            let factors =
                segment.factors.read(FACTOR_BYTES * start, FACTOR_BYTES * rows, &mut self.factors)?;
            query.estimate(blocks, factors, &mut self.weights, &mut self.estimates);
        }
        Ok(())
    }

    /// Scores a row by its code.
    fn score(&mut self, held: &Held, codes: &CodeQuery, row: usize) -> io::Result<()> {
        let segment = &held.segment;
        let width = segment.shape.code_bytes();
        let code = segment.codes.read(row * width, width, &mut self.buffer)?;
        let candidate =
            Candidate { id: [0; 16], score: codes.score(code), uncertainty: codes.uncertainty(code) };
        if candidate.at_most() >= self.nearest.threshold() {
            self.nearest.push(Candidate { id: segment.id(row)?, ..candidate });
        }
        Ok(())
    }
}

/// The rows with the highest estimates.
fn best(estimates: &[(f32, f32)], count: usize) -> Vec<usize> {
    let mut heap: BinaryHeap<Reverse<(Estimate, usize)>> = BinaryHeap::with_capacity(count + 1);
    let mut least = f32::NEG_INFINITY;
    for (row, (score, _)) in estimates.iter().enumerate() {
        if *score > least {
            heap.push(Reverse((Estimate(*score), row)));
            if heap.len() > count {
                heap.pop();
                least = heap.peek().map_or(least, |Reverse((Estimate(score), _))| *score);
            }
        }
    }
    heap.into_iter().map(|Reverse((_, row))| row).collect()
}

#[derive(PartialEq)]
struct Estimate(f32);

impl Eq for Estimate {}

impl PartialOrd for Estimate {
    fn partial_cmp(&self, other: &Estimate) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Estimate {
    fn cmp(&self, other: &Estimate) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
