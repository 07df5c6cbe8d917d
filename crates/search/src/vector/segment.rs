//! An immutable set of rows, and how it is written.
//!
//! ```text
//! header    "FRSHVEC1", dimensions u32, filters u32, rows u64, CRC-32 of each column u32 x 6, CRC-32 of all this u32
//! center    mean of the rotated vectors: f32 for each dimension
//! ids       16 bytes a row, ascending
//! filters   u64 a row for the first filter field, then for the second one, ...
//! sketches  blocks of eight rows, see `sketch`
//! factors   16 bytes a row, see `sketch`
//! codes     12 bytes and one for each dimension a row, see `code`
//! ```
//!
//! Numbers are little-endian. The length follows from the header. Whoever opens a file has every byte of it checked.

use std::io::{self, Write};
use std::sync::Arc;

use super::RowId;
use super::bitmap::Bitmap;
use super::budget::Budget;
use super::code::{self, HEAD_BYTES};
use super::column::{Column, Source};
use super::sketch::{self, FACTOR_BYTES, LANES};

const MAGIC: &[u8; 8] = b"FRSHVEC1";
const COLUMNS: usize = 6;
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4 * COLUMNS + 4;
/// Bytes of codes and sketches up to which segments grow, roughly.
const SEGMENT_BYTES_MAX: usize = 32 << 20;
/// Rows of a segment, whatever they need.
const SEGMENT_ROWS_MAX: usize = 1 << 17;

/// What the rows of an index have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Length of the vectors; at least 2.
    pub dimensions: usize,
    /// Number of filter fields.
    pub filters: usize,
}

/// Why stored bytes are no segment.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// They cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are not what was written.
    #[error("{0}")]
    Wrong(&'static str),
}

impl Shape {
    pub(crate) fn sketch_words(self) -> usize {
        self.dimensions.div_ceil(64)
    }

    pub(crate) fn code_bytes(self) -> usize {
        self.dimensions + HEAD_BYTES
    }

    pub(crate) fn block_bytes(self) -> usize {
        self.sketch_words() * 8 * LANES
    }

    /// Rows that one segment should have at most.
    #[must_use]
    pub fn segment_rows_max(self) -> usize {
        let row = self.code_bytes() + self.sketch_words() * 8 + FACTOR_BYTES + 16 + 8 * self.filters;
        (SEGMENT_BYTES_MAX / row).clamp(1, SEGMENT_ROWS_MAX)
    }

    fn column_bytes(self, rows: usize) -> [usize; COLUMNS] {
        [
            4 * self.dimensions,
            16 * rows,
            8 * self.filters * rows,
            self.block_bytes() * rows.div_ceil(LANES),
            FACTOR_BYTES * rows,
            self.code_bytes() * rows,
        ]
    }
}

/// The rows of a segment before they have a place.
pub(crate) struct Rows {
    shape: Shape,
    /// Ids with the row's number here.
    ids: Vec<(RowId, u32)>,
    filters: Vec<u64>,
    vectors: Vectors,
}

enum Vectors {
    /// Rotated, one after the other.
    Exact(Vec<f32>),
    /// Codes, and for each the number of its center.
    Coded { codes: Vec<u8>, of: Vec<u16>, centers: Vec<Vec<f32>> },
}

impl Rows {
    /// No rows, for exact vectors.
    pub(crate) fn exact(shape: Shape) -> Rows {
        Rows { shape, ids: Vec::new(), filters: Vec::new(), vectors: Vectors::Exact(Vec::new()) }
    }

    /// The rows of some segments that are not gone.
    pub(crate) fn of<'a>(shape: Shape, segments: impl Iterator<Item = &'a Held>) -> io::Result<Rows> {
        let mut rows = Rows::exact(shape);
        let (mut codes, mut of, mut centers) = (Vec::new(), Vec::new(), Vec::new());
        for held in segments {
            held.segment.copy_rows(&held.gone, &mut rows, &mut codes)?;
            of.resize(rows.ids.len(), centers.len() as u16);
            centers.push(held.segment.center.clone());
        }
        rows.vectors = Vectors::Coded { codes, of, centers };
        Ok(rows)
    }

    /// Adds a row by its rotated vector.
    pub(crate) fn push(&mut self, id: RowId, filters: &[u64], vector: &[f32]) {
        self.name(id, filters);
        if let Vectors::Exact(vectors) = &mut self.vectors {
            vectors.extend_from_slice(vector);
        }
    }

    fn name(&mut self, id: RowId, filters: &[u64]) {
        debug_assert_eq!(filters.len(), self.shape.filters);
        self.ids.push((id, self.ids.len() as u32));
        self.filters.extend_from_slice(filters);
    }

    /// Fills in the vector of a row. Returns the standard deviation of its errors, and of a coded one its product with the center
    /// that is returned as well.
    fn vector(&self, row: u32, out: &mut [f32]) -> (f32, Option<(f32, &[f32])>) {
        let row = row as usize;
        match &self.vectors {
            Vectors::Exact(vectors) => {
                out.copy_from_slice(&vectors[row * out.len()..][..out.len()]);
                (0.0, None)
            }
            Vectors::Coded { codes, of, centers } => {
                let width = self.shape.code_bytes();
                let code = &codes[row * width..][..width];
                let center = &centers[usize::from(of[row])];
                code::decode(code, out);
                for (x, c) in out.iter_mut().zip(center) {
                    *x += c;
                }
                (code::error(code), Some((code::along(code), center)))
            }
        }
    }

    /// The segment of these rows; `None` if there are none.
    pub(crate) fn build(mut self) -> Option<SegmentData> {
        if self.ids.is_empty() {
            return None;
        }
        let (shape, rows) = (self.shape, self.ids.len());
        self.ids.sort_unstable();
        let mut vector = vec![0.0; shape.dimensions];
        let mut sums = vec![0.0_f64; shape.dimensions];
        for (_, row) in &self.ids {
            self.vector(*row, &mut vector);
            for (sum, x) in sums.iter_mut().zip(&vector) {
                *sum += f64::from(*x);
            }
        }
        let center: Vec<f32> = sums.iter().map(|sum| (sum / rows as f64) as f32).collect();
        let mut columns = shape.column_bytes(rows).map(Vec::with_capacity);
        let [centers, ids, filters, sketches, factors, codes] = &mut columns;
        centers.extend(center.iter().flat_map(|x| x.to_le_bytes()));
        sketches.resize(shape.block_bytes() * rows.div_ceil(LANES), 0);
        for (block_rows, block) in self.ids.chunks(LANES).zip(sketches.chunks_exact_mut(shape.block_bytes()))
        {
            for (lane, (id, row)) in block_rows.iter().enumerate() {
                ids.extend_from_slice(id);
                let (error, before) = self.vector(*row, &mut vector);
                let along = match before {
                    None => code::dot(&vector, &center),
                    // What is exact stays so, but for the difference of the centers.
                    Some((along, old)) => {
                        let moved: f32 =
                            vector.iter().zip(&center).zip(old).map(|((x, c), o)| x * (c - o)).sum();
                        along + moved
                    }
                };
                for (x, c) in vector.iter_mut().zip(&center) {
                    *x -= c;
                }
                code::encode(&vector, error, along, codes);
                factors.extend_from_slice(&sketch::encode(&vector, along, block, lane).to_bytes());
            }
        }
        for field in 0..shape.filters {
            let values = self.ids.iter().map(|(_, row)| self.filters[*row as usize * shape.filters + field]);
            filters.extend(values.flat_map(u64::to_le_bytes));
        }
        Some(SegmentData { shape, rows, columns })
    }
}

/// A segment that is not written yet.
pub struct SegmentData {
    shape: Shape,
    rows: usize,
    columns: [Vec<u8>; COLUMNS],
}

impl SegmentData {
    /// Number of rows; at least one.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&(self.shape.dimensions as u32).to_le_bytes());
        header.extend_from_slice(&(self.shape.filters as u32).to_le_bytes());
        header.extend_from_slice(&(self.rows as u64).to_le_bytes());
        for column in &self.columns {
            header.extend_from_slice(&crc32fast::hash(column).to_le_bytes());
        }
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        out.write_all(&header)?;
        self.columns.iter().try_for_each(|column| out.write_all(column))
    }

    /// The segment, with as much of it in memory as the budget allows. Without a place where it was written, all of it.
    #[must_use]
    pub fn into_segment(self, budget: &Arc<Budget>, stored: Option<&Arc<dyn Source>>) -> Segment {
        let mut offset = HEADER_BYTES as u64;
        let (shape, rows) = (self.shape, self.rows);
        let columns = self.columns.map(|column| {
            let start = offset;
            offset += column.len() as u64;
            (column, start)
        });
        let place = |(bytes, offset): (Vec<u8>, u64)| {
            Column::new(bytes, budget, stored.map(|source| (source, offset)))
        };
        Segment::of(shape, rows, columns, place)
    }
}

/// See the module.
pub struct Segment {
    pub(crate) shape: Shape,
    pub(crate) rows: usize,
    pub(crate) center: Vec<f32>,
    first: RowId,
    last: RowId,
    pub(crate) ids: Column,
    pub(crate) filters: Column,
    pub(crate) sketches: Column,
    pub(crate) factors: Column,
    pub(crate) codes: Column,
}

impl Segment {
    fn of(
        shape: Shape,
        rows: usize,
        columns: [(Vec<u8>, u64); COLUMNS],
        place: impl Fn((Vec<u8>, u64)) -> Column,
    ) -> Segment {
        let [center, ids, filters, sketches, factors, codes] = columns;
        let id = |row: usize| *ids.0[16 * row..].first_chunk().expect("every row has an id");
        let (first, last) = (id(0), id(rows - 1));
        Segment {
            shape,
            rows,
            center: center.0.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            first,
            last,
            // In the order of use: if there is too little memory, codes are left out.
            ids: place(ids),
            filters: place(filters),
            sketches: place(sketches),
            factors: place(factors),
            codes: place(codes),
        }
    }

    /// Reads what was written, checks it, and keeps as much of it in memory as the budget allows.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn open(
        source: &Arc<dyn Source>,
        length: u64,
        shape: Shape,
        budget: &Arc<Budget>,
    ) -> Result<Segment, Damage> {
        let mut header = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Err(Damage::Wrong("the file is too short"));
        }
        source.read_at(0, &mut header)?;
        let (body, sum) = header.split_at(HEADER_BYTES - 4);
        if crc32fast::hash(body).to_le_bytes() != sum || &body[..8] != MAGIC {
            return Err(Damage::Wrong("the header is damaged"));
        }
        let number = |at: usize| u32::from_le_bytes(*body[at..].first_chunk().expect("within the header"));
        let rows = u64::from_le_bytes(*body[16..].first_chunk().expect("within the header"));
        let rows = usize::try_from(rows).ok().filter(|rows| *rows > 0 && *rows <= 2 * SEGMENT_ROWS_MAX);
        let rows = rows.ok_or(Damage::Wrong("the number of rows is wrong"))?;
        if number(8) as usize != shape.dimensions || number(12) as usize != shape.filters {
            return Err(Damage::Wrong("it belongs to another index"));
        }
        let sizes = shape.column_bytes(rows);
        if sizes.iter().sum::<usize>() as u64 + HEADER_BYTES as u64 != length {
            return Err(Damage::Wrong("the length is wrong"));
        }
        let mut offset = HEADER_BYTES as u64;
        let mut columns: [(Vec<u8>, u64); COLUMNS] = Default::default();
        for (at, (column, size)) in columns.iter_mut().zip(sizes).enumerate() {
            column.0.resize(size, 0);
            column.1 = offset;
            source.read_at(offset, &mut column.0)?;
            if crc32fast::hash(&column.0) != number(24 + 4 * at) {
                return Err(Damage::Wrong("a checksum is wrong"));
            }
            offset += size as u64;
        }
        if !columns[1].0.as_chunks::<16>().0.is_sorted_by(|a, b| a < b) {
            return Err(Damage::Wrong("ids do not ascend"));
        }
        let place = |(bytes, offset): (Vec<u8>, u64)| Column::new(bytes, budget, Some((source, offset)));
        Ok(Segment::of(shape, rows, columns, place))
    }

    /// Number of rows, those that are gone included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of memory.
    #[must_use]
    pub fn resident(&self) -> usize {
        let columns = [&self.ids, &self.filters, &self.sketches, &self.factors, &self.codes];
        columns.iter().map(|column| column.resident()).sum::<usize>() + 4 * self.shape.dimensions
    }

    pub(crate) fn id(&self, row: usize) -> io::Result<RowId> {
        let mut buffer = Vec::new();
        Ok(*self.ids.read(16 * row, 16, &mut buffer)?.first_chunk().expect("an id has 16 bytes"))
    }

    /// The row of an id.
    pub(crate) fn find(&self, id: &RowId) -> io::Result<Option<usize>> {
        if *id < self.first || *id > self.last {
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle)?.cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// Adds the rows that are not gone to others.
    fn copy_rows(&self, gone: &Bitmap, out: &mut Rows, out_codes: &mut Vec<u8>) -> io::Result<()> {
        let mut buffers = (Vec::new(), Vec::new(), Vec::new());
        let ids = self.ids.read(0, 16 * self.rows, &mut buffers.0)?;
        let filters = self.filters.read(0, 8 * self.shape.filters * self.rows, &mut buffers.1)?;
        let (filters, _) = filters.as_chunks::<8>();
        let codes = self.codes.read(0, self.shape.code_bytes() * self.rows, &mut buffers.2)?;
        let rows = ids.as_chunks::<16>().0.iter().zip(codes.chunks_exact(self.shape.code_bytes()));
        let mut values = vec![0; self.shape.filters];
        for (row, (id, code)) in rows.enumerate().filter(|(row, _)| !gone.contains(*row)) {
            for (field, value) in values.iter_mut().enumerate() {
                *value = u64::from_le_bytes(filters[field * self.rows + row]);
            }
            out.name(*id, &values);
            out_codes.extend_from_slice(code);
        }
        Ok(())
    }
}

/// A segment of an index, with what has gone from it.
#[derive(Clone)]
pub struct Held {
    /// The rows.
    pub segment: Arc<Segment>,
    /// Which of them are gone.
    pub gone: Arc<Bitmap>,
    /// A number by which the caller knows it.
    pub number: u64,
}

impl Held {
    /// A segment with all its rows.
    #[must_use]
    pub fn new(segment: Segment, number: u64) -> Held {
        let gone = Arc::new(Bitmap::new(segment.rows));
        Held { segment: Arc::new(segment), gone, number }
    }

    /// Number of rows that are not gone.
    #[must_use]
    pub fn live(&self) -> usize {
        self.segment.rows - self.gone.ones()
    }
}
