//! `/api/storage`: files come in and go out, in constant memory however large they are.

mod download;
mod pace;
mod range;
mod upload;

pub(super) use download::download;
pub(super) use upload::upload;

/// Where files are sent to.
pub(super) const UPLOAD_PATH: &str = "/api/storage/upload";
