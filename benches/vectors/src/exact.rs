//! The peer: a comparison with every vector, in memory, with the same instructions of the processor that the index may use.

use freshet_search::vector::dot;

use crate::data::Data;

/// Vectors of length one, as 32-bit floats.
pub(crate) struct Exact {
    dimensions: usize,
    vectors: Vec<f32>,
}

impl Exact {
    pub(crate) fn new(data: &Data, rows: usize) -> Exact {
        let mut vectors = Vec::with_capacity(rows * data.dimensions);
        for row in 0..rows {
            let vector = data.vector(row);
            let length = dot(vector, vector).sqrt();
            vectors.extend(vector.iter().map(|x| x / length));
        }
        Exact { dimensions: data.dimensions, vectors }
    }

    /// The best rows among those that pass.
    pub(crate) fn search(&self, query: &[f32], limit: usize, passes: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut best: Vec<(f32, usize)> = Vec::with_capacity(limit + 1);
        let rows = self.vectors.chunks_exact(self.dimensions).enumerate();
        for (row, vector) in rows.filter(|(row, _)| passes(*row)) {
            let score = dot(query, vector);
            if best.len() < limit || best.last().is_some_and(|last| score > last.0) {
                let at = best.partition_point(|other| other.0 >= score);
                best.insert(at, (score, row));
                best.truncate(limit);
            }
        }
        best.into_iter().map(|(_, row)| row).collect()
    }
}
