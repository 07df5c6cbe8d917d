//! Byte offsets as lines and columns.

/// Converts positions the way source maps count them.
pub(crate) struct Positions;

impl Positions {
    /// Line and column, from 0; columns in UTF-16 units.
    pub(crate) fn of(source: &str, offset: u32) -> (u32, u32) {
        let mut offset = (offset as usize).min(source.len());
        while !source.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &source[..offset];
        let line = before.bytes().filter(|&byte| byte == b'\n').count();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].encode_utf16().count();
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}
