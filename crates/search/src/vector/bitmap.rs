//! Marks for the rows of a segment that are gone.

/// A set of row numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    ones: usize,
}

impl Bitmap {
    /// No row of `rows`.
    #[must_use]
    pub fn new(rows: usize) -> Bitmap {
        Bitmap { bytes: vec![0; rows.div_ceil(8)], ones: 0 }
    }

    /// From [`Bitmap::as_bytes`]; `None` when the length does not fit the number of rows or there are marks beyond them.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, rows: usize) -> Option<Bitmap> {
        let beyond = rows % 8;
        let clean = beyond == 0 || bytes.last().is_none_or(|last| last >> beyond == 0);
        let ones = bytes.iter().map(|byte| byte.count_ones() as usize).sum();
        (bytes.len() == rows.div_ceil(8) && clean).then_some(Bitmap { bytes, ones })
    }

    /// Row 0 is the lowest bit of the first byte.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of marked rows.
    #[must_use]
    pub fn ones(&self) -> usize {
        self.ones
    }

    /// Marks a row; returns whether it was not marked.
    pub fn set(&mut self, row: usize) -> bool {
        let bit = 1 << (row % 8);
        let byte = &mut self.bytes[row / 8];
        let is_new = *byte & bit == 0;
        *byte |= bit;
        self.ones += usize::from(is_new);
        is_new
    }

    /// Whether a row is marked.
    #[must_use]
    pub fn contains(&self, row: usize) -> bool {
        self.bytes[row / 8] & (1 << (row % 8)) != 0
    }
}
