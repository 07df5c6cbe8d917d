//! The bytes of stored files: on the local disk, or in a bucket that speaks S3.
//!
//! A file's bytes live under a [`FileKey`], are written once, and never change. This crate knows neither documents nor
//! transactions, so it cannot tell which bytes somebody still wants: that is the business of the rows above it, which
//! claim a key before anything is written under it (see `freshet-functions`).
//!
//! | Room | What is in it |
//! |---|---|
//! | [`FileStore`] | what a place for bytes can do |
//! | [`LocalFiles`] | a folder; durable by `fsync` of file and folder |
//! | [`S3Files`] | a bucket; large files in parts |
//! | [`Upload`] | one file on its way in: counts, digests and batches its bytes |

mod error;
mod key;
mod local;
mod location;
mod nothing;
mod s3;
mod store;
mod upload;

pub use error::FilesError;
pub use key::{FileKey, KeyError};
pub use local::LocalFiles;
pub use location::{Location, LocationError};
pub use nothing::NoFiles;
pub use s3::S3Files;
pub use store::{ByteStream, FileStore, FileWriter, MultipartNote};
pub use upload::{Received, Upload};
