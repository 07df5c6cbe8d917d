//! All rows of one index.

use std::io;
use std::sync::Arc;

use super::RowId;
use super::cosine::unit;
use super::merge::{self, Plan};
use super::rotation::Rotation;
use super::segment::{Held, Rows, Segment, SegmentData, Shape};
use super::tail::{Chunk, Tail};

/// A row to be indexed.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its name.
    pub id: RowId,
    /// As many numbers as the index has dimensions.
    pub vector: &'a [f32],
    /// A hash of the value of each filter field.
    pub filters: &'a [u64],
}

/// See the module.
pub struct Index {
    shape: Shape,
    rotation: Arc<Rotation>,
    segments: Vec<Held>,
    tail: Tail,
}

/// An index as it was at one moment. Cheap to make.
#[derive(Clone)]
pub struct View {
    pub(crate) shape: Shape,
    pub(crate) rotation: Arc<Rotation>,
    pub(crate) segments: Vec<Held>,
    pub(crate) tail: Vec<Arc<Chunk>>,
}

impl Index {
    /// An index of these segments, whose ids that are not gone are all different.
    #[must_use]
    pub fn new(shape: Shape, segments: Vec<Held>) -> Index {
        Index { shape, rotation: Arc::new(Rotation::new(shape.dimensions)), segments, tail: Tail::new(shape) }
    }

    /// What the rows have in common.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The segments; what is in the tail is in none of them.
    #[must_use]
    pub fn segments(&self) -> &[Held] {
        &self.segments
    }

    /// Adds a row, or replaces the one with its id.
    ///
    /// # Errors
    /// A segment cannot be read; nothing is changed.
    pub fn put(&mut self, row: Row<'_>) -> io::Result<()> {
        self.remove(&row.id)?;
        let mut vector = unit(row.vector);
        self.rotation.apply(&mut vector);
        self.tail.push(row.id, &vector, row.filters);
        Ok(())
    }

    /// Removes a row; returns whether it was there.
    ///
    /// # Errors
    /// A segment cannot be read; nothing is changed.
    pub fn remove(&mut self, id: &RowId) -> io::Result<bool> {
        if self.tail.remove(id) {
            return Ok(true);
        }
        for held in &mut self.segments {
            if let Some(row) = held.segment.find(id)?
                && !held.gone.contains(row)
            {
                Arc::make_mut(&mut held.gone).set(row);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.segments.iter().map(Held::live).sum::<usize>() + self.tail.live()
    }

    /// Bytes of the rows that are in no segment.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// The index as it is now.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            shape: self.shape,
            rotation: Arc::clone(&self.rotation),
            segments: self.segments.clone(),
            tail: self.tail.chunks().to_vec(),
        }
    }

    /// The segment that the tail makes, to be given to [`Index::sealed`] before anything else changes. `None` when there is no row.
    #[must_use]
    pub fn seal(&self) -> Option<SegmentData> {
        self.tail.rows().build()
    }

    /// The tail became a segment.
    pub fn sealed(&mut self, segment: Option<(Segment, u64)>) {
        self.segments.extend(segment.map(|(segment, number)| Held::new(segment, number)));
        self.tail = Tail::new(self.shape);
    }

    /// What should be merged, if anything.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        merge::plan(&self.segments, self.shape)
    }

    /// The segment that replaces those of a plan, to be given to [`Index::merged`] before anything else changes. `None`
    /// when all their rows are gone.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn merge(&self, plan: &Plan) -> io::Result<Option<SegmentData>> {
        let planned = self.segments.iter().filter(|held| plan.numbers.contains(&held.number));
        Ok(Rows::of(self.shape, planned)?.build())
    }

    /// The segments of a plan became one.
    pub fn merged(&mut self, plan: &Plan, segment: Option<(Segment, u64)>) {
        self.segments.retain(|held| !plan.numbers.contains(&held.number));
        self.segments.extend(segment.map(|(segment, number)| Held::new(segment, number)));
    }
}
