//! One column of a segment: in memory, or where it was written.

use std::io;
use std::sync::Arc;

use super::budget::{Budget, Charge};

/// Where a segment was written, to be read again at any place.
pub trait Source: Send + Sync {
    /// Fills `buffer` with the bytes from `offset` on. Blocks.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// See the module.
pub(crate) enum Column {
    Memory { bytes: Vec<u8>, _charge: Option<Charge> },
    Stored { source: Arc<dyn Source>, offset: u64 },
}

impl Column {
    /// Keeps the bytes in memory if the budget has room for them, or if they are nowhere else.
    pub(crate) fn new(
        bytes: Vec<u8>,
        budget: &Arc<Budget>,
        stored: Option<(&Arc<dyn Source>, u64)>,
    ) -> Column {
        match (budget.charge(bytes.len()), stored) {
            (None, Some((source, offset))) => Column::Stored { source: Arc::clone(source), offset },
            (charge, _) => Column::Memory { bytes, _charge: charge },
        }
    }

    /// `length` bytes from `start` on.
    pub(crate) fn read<'a>(
        &'a self,
        start: usize,
        length: usize,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        match self {
            Column::Memory { bytes, .. } => Ok(&bytes[start..start + length]),
            Column::Stored { source, offset } => {
                buffer.resize(length, 0);
                source.read_at(offset + start as u64, buffer)?;
                Ok(buffer)
            }
        }
    }

    /// Bytes of memory.
    pub(crate) fn resident(&self) -> usize {
        match self {
            Column::Memory { bytes, .. } => bytes.len(),
            Column::Stored { .. } => 0,
        }
    }
}
