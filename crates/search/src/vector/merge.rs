//! Which segments become one.
//!
//! Segments are merged with others of about their size, so that a row is copied a few times in its life however many rows
//! there are, and a search looks into few segments. Where much has gone, the rest moves together.

use super::segment::{Held, Shape};

/// Segments of about the same size that are merged.
const FAN: usize = 4;
/// A segment is written again when more than one row in this many has gone.
const GONE_SHARE: usize = 3;

/// Some segments to be replaced by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Their numbers.
    pub numbers: Vec<u64>,
}

/// What should be merged next, if anything.
pub(crate) fn plan(segments: &[Held], shape: Shape) -> Option<Plan> {
    let max = shape.segment_rows_max();
    let mut by_size: Vec<&Held> = segments.iter().collect();
    by_size.sort_unstable_by_key(|held| (held.live(), held.number));
    if let Some(sparse) = by_size.iter().find(|held| held.gone.ones() * GONE_SHARE > held.segment.rows()) {
        return Some(Plan { numbers: vec![sparse.number] });
    }
    // From every segment on: those that are at most a fan larger, as far as they fit into one.
    for (at, smallest) in by_size.iter().enumerate() {
        let mut rows = 0;
        let numbers: Vec<u64> = by_size[at..]
            .iter()
            .take_while(|held| {
                rows += held.live();
                rows <= max && held.live() <= smallest.live() * FAN
            })
            .map(|held| held.number)
            .collect();
        // Two halves of the largest size are worth a merge as well: otherwise many would stay that are just too large for four.
        let is_large = rows.min(max) * 2 > max && numbers.len() > 1;
        if numbers.len() >= FAN || (is_large && smallest.live() * FAN > max) {
            return Some(Plan { numbers });
        }
    }
    None
}
