//! Inflating one message of a client, within a bound.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

/// First allocation, and what is added at least when it does not suffice.
const STEP_BYTES: usize = 4 << 10;

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// It is no compressed data.
    Invalid,
    /// It would become larger than allowed.
    TooLarge,
}

thread_local! {
    /// Messages do not depend on each other, so one inflater serves all connections of a thread.
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Inflates a message whose last four bytes, `00 00 FF FF`, were left out as the protocol demands.
pub(crate) fn inflate(message: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let mut out = Vec::new();
        for input in [message, &[0, 0, 0xFF, 0xFF]] {
            if !push(inflater, input, &mut out, bytes_max)? {
                // A final block ends the message early; the rest says nothing.
                break;
            }
        }
        Ok(out)
    })
}

/// `false` when the data have ended.
fn push(
    inflater: &mut Decompress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<bool, InflateError> {
    loop {
        if out.len() == out.capacity() {
            if out.len() > bytes_max {
                return Err(InflateError::TooLarge);
            }
            // One byte beyond the bound tells that it is crossed.
            let step = out.len().max(STEP_BYTES).min(bytes_max + 1 - out.len());
            out.reserve_exact(step);
        }
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let status =
            inflater.decompress_vec(input, out, FlushDecompress::Sync).map_err(|_| InflateError::Invalid)?;
        let taken = usize::try_from(inflater.total_in() - before_in).map_err(|_| InflateError::Invalid)?;
        input = &input[taken..];
        if out.len() > bytes_max {
            return Err(InflateError::TooLarge);
        }
        match status {
            Status::StreamEnd => return Ok(false),
            _ if input.is_empty() && out.len() < out.capacity() => return Ok(true),
            Status::BufError
                if taken == 0 && inflater.total_out() == before_out && out.len() < out.capacity() =>
            {
                return Err(InflateError::Invalid);
            }
            _ => {}
        }
    }
}
