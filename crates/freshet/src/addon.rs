//! Finding the engine's library, which Node.js loads.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::failure::misconfigured;

/// The variable that names the library, before any other place.
const ADDON_VARIABLE: &str = "FRESHET_ENGINE";

/// The engine's library: the one named by `FRESHET_ENGINE`, else beside this program (a release, or a build of the whole
/// workspace) or in `deps/` beside it (where cargo leaves the library when it builds this program). Of the two the newer
/// one: cargo brings only the second up to date when it builds this program alone.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os(ADDON_VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        // Absolute, because Node resolves it against another folder.
        return path.canonicalize().map_err(|error| {
            misconfigured(format!("{ADDON_VARIABLE} names {}, which cannot be read: {error}", path.display()))
        });
    }
    let program = env::current_exe().context("cannot tell where this program is")?;
    let folder = program.parent().context("this program is in no folder")?;
    let name = if cfg!(target_os = "macos") { "libfreshet_engine.dylib" } else { "libfreshet_engine.so" };
    let places = [folder.join(name), folder.join("deps").join(name)];
    let made = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    // Of equally old ones `max_by_key` takes the last.
    places.iter().rev().filter(|path| path.is_file()).max_by_key(|path| made(path)).cloned().ok_or_else(|| {
        misconfigured(format!(
            "the engine library {name} is missing: it should be in {} or its folder `deps`. Build both with \
             `cargo build`, or name the library with {ADDON_VARIABLE}",
            folder.display()
        ))
    })
}
