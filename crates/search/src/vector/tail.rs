//! The newest rows, with exact vectors.

use std::collections::HashMap;
use std::sync::Arc;

use super::RowId;
use super::segment::{Rows, Shape};

/// Rows of a chunk. Adding to a chunk that somebody searches copies it.
const CHUNK_ROWS: usize = 128;

/// Some rows.
#[derive(Clone, Default)]
pub(crate) struct Chunk {
    pub(crate) ids: Vec<RowId>,
    pub(crate) gone: Vec<bool>,
    /// Rotated and of length one, one after the other.
    pub(crate) vectors: Vec<f32>,
    pub(crate) filters: Vec<u64>,
}

/// See the module. Bounded by the caller, who seals it.
pub(crate) struct Tail {
    shape: Shape,
    chunks: Vec<Arc<Chunk>>,
    /// Where rows are that are not gone.
    places: HashMap<RowId, (usize, usize)>,
}

impl Tail {
    pub(crate) fn new(shape: Shape) -> Tail {
        Tail { shape, chunks: Vec::new(), places: HashMap::new() }
    }

    /// The id must not be there.
    pub(crate) fn push(&mut self, id: RowId, vector: &[f32], filters: &[u64]) {
        if self.chunks.last().is_none_or(|chunk| chunk.ids.len() == CHUNK_ROWS) {
            self.chunks.push(Arc::default());
        }
        let at = self.chunks.len() - 1;
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        self.places.insert(id, (at, chunk.ids.len()));
        chunk.ids.push(id);
        chunk.gone.push(false);
        chunk.vectors.extend_from_slice(vector);
        chunk.filters.extend_from_slice(filters);
    }

    /// Returns whether it was there.
    pub(crate) fn remove(&mut self, id: &RowId) -> bool {
        let Some((chunk, row)) = self.places.remove(id) else { return false };
        Arc::make_mut(&mut self.chunks[chunk]).gone[row] = true;
        true
    }

    /// Number of rows that are not gone.
    pub(crate) fn live(&self) -> usize {
        self.places.len()
    }

    /// Bytes of memory, rows that are gone included.
    pub(crate) fn bytes(&self) -> usize {
        let rows: usize = self.chunks.iter().map(|chunk| chunk.ids.len()).sum();
        rows * (4 * self.shape.dimensions + 8 * self.shape.filters + 80)
    }

    pub(crate) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// The rows that are not gone.
    pub(crate) fn rows(&self) -> Rows {
        let mut rows = Rows::exact(self.shape);
        for chunk in &self.chunks {
            for (row, id) in chunk.ids.iter().enumerate().filter(|(row, _)| !chunk.gone[*row]) {
                rows.push(*id, chunk.filters(self.shape, row), chunk.vector(self.shape, row));
            }
        }
        rows
    }
}

impl Chunk {
    pub(crate) fn vector(&self, shape: Shape, row: usize) -> &[f32] {
        &self.vectors[row * shape.dimensions..][..shape.dimensions]
    }

    pub(crate) fn filters(&self, shape: Shape, row: usize) -> &[u64] {
        &self.filters[row * shape.filters..][..shape.filters]
    }
}
