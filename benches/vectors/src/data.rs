//! What is searched.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

/// Clusters of made vectors, directions along which they differ.
const CLUSTERS: usize = 500;
const DIRECTIONS: usize = 48;

/// How vectors are made.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Clusters that differ in few directions around a large mean, with some noise.
    Clusters,
    /// Independent normal numbers.
    Noise,
}

/// Vectors of the same length, one after the other, and queries of the same kind.
pub(crate) struct Data {
    pub(crate) dimensions: usize,
    vectors: Vec<f32>,
    queries: Vec<f32>,
}

#[derive(Deserialize)]
struct Words {
    vectors: BTreeMap<String, Vec<f32>>,
}

impl Data {
    pub(crate) fn made(kind: Kind, rows: usize, queries: usize, dimensions: usize, seed: u64) -> Data {
        let mut random = StdRng::seed_from_u64(seed);
        let mut normals = |count: usize| (0..count).map(|_| normal(&mut random)).collect::<Vec<f32>>();
        let mean = normals(dimensions);
        let directions = normals(DIRECTIONS * dimensions);
        let centers = normals(CLUSTERS * DIRECTIONS);
        let mut make = |out: &mut Vec<f32>| {
            let start = out.len();
            match kind {
                Kind::Noise => out.extend((0..dimensions).map(|_| normal(&mut random))),
                Kind::Clusters => {
                    out.extend(mean.iter().map(|x| 5.0 * x + 1.5 * normal(&mut random)));
                    let cluster = random.random_range(0..CLUSTERS) * DIRECTIONS;
                    for direction in 0..DIRECTIONS {
                        let z = centers[cluster + direction] + 0.7 * normal(&mut random);
                        let along = &directions[direction * dimensions..][..dimensions];
                        for (x, d) in out[start..].iter_mut().zip(along) {
                            *x += z * d;
                        }
                    }
                }
            }
            round(&mut out[start..]);
        };
        let (mut vectors, mut asked) = (Vec::with_capacity(rows * dimensions), Vec::new());
        (0..rows).for_each(|_| make(&mut vectors));
        (0..queries).for_each(|_| make(&mut asked));
        Data { dimensions, vectors, queries: asked }
    }

    /// Real vectors: every so manieth is a query.
    pub(crate) fn words(path: &Path, rows_max: usize, queries: usize) -> Result<Data> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let words: Words = serde_json::from_str(&text).context("the file has no vectors by name")?;
        // Some packages add norms and indexes behind the numbers.
        let dimensions = 100.min(words.vectors.values().map(Vec::len).min().unwrap_or(0));
        ensure!(dimensions >= 2, "the file has no vectors");
        let step = words.vectors.len().div_ceil(rows_max + queries).max(1);
        let mut data = Data { dimensions, vectors: Vec::new(), queries: Vec::new() };
        let share = (rows_max / queries.max(1)).max(2);
        for (at, vector) in words.vectors.into_values().step_by(step).enumerate() {
            let is_query = at % share == 1 && data.queries.len() < queries * dimensions;
            let out = if is_query { &mut data.queries } else { &mut data.vectors };
            out.extend_from_slice(&vector[..dimensions]);
        }
        Ok(data)
    }

    pub(crate) fn rows(&self) -> usize {
        self.vectors.len() / self.dimensions
    }

    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dimensions..][..self.dimensions]
    }

    pub(crate) fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dimensions)
    }
}

fn normal(random: &mut StdRng) -> f32 {
    let (u, v) = (random.random::<f32>().max(1e-9), random.random::<f32>());
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

/// Length one and eight decimals, as embedding services give them.
fn round(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    for x in vector {
        *x = ((f64::from(*x) / length * 1e8).round() / 1e8) as f32;
    }
}
