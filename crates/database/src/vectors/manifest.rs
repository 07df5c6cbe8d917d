//! The file that says what an index consists of.
//!
//! One line of JSON after a line with its CRC-32. It names the segments with the rows that are gone from them, the commit
//! that they cover, and how far building has come.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use freshet_search::vector::Bitmap;
use freshet_values::{InternalId, Timestamp};
use serde::{Deserialize, Serialize};

use super::definition::Definition;

/// Changes whenever something is written differently; files of other formats are built again.
const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    format: u32,
    database: String,
    vector_field: String,
    dimensions: usize,
    filter_fields: Vec<String>,
    /// In nanoseconds.
    covered: u64,
    pub(super) building: Option<Building>,
    pub(super) segments: Vec<SegmentEntry>,
}

/// How far building has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Building {
    /// The last document that was read, in hexadecimal digits.
    cursor: Option<String>,
    pub(super) documents: u64,
    /// When all documents were read: the newest commit that was seen, in nanoseconds.
    complete_at: Option<u64>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentEntry {
    pub(super) number: u64,
    pub(super) rows: usize,
    gone: String,
}

impl Manifest {
    pub(super) fn new(database: &str, definition: &Definition, covered: Timestamp) -> Manifest {
        Manifest {
            format: FORMAT,
            database: database.to_owned(),
            vector_field: definition.vector_field.to_string(),
            dimensions: definition.dimensions,
            filter_fields: definition.filter_fields.iter().map(ToString::to_string).collect(),
            covered: covered.0,
            building: None,
            segments: Vec::new(),
        }
    }

    pub(super) fn covered(&self) -> Timestamp {
        Timestamp(self.covered)
    }

    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers become JSON");
        format!("{:08x}\n{json}\n", crc32fast::hash(json.as_bytes()))
    }

    /// `None` for anything but what was written for this index of this database.
    pub(super) fn from_text(text: &str, database: &str, definition: &Definition) -> Option<Manifest> {
        let (sum, json) = text.strip_suffix('\n')?.split_once('\n')?;
        if sum != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
            return None;
        }
        let manifest: Manifest = serde_json::from_str(json).ok()?;
        let expected = Manifest {
            building: manifest.building.clone(),
            segments: manifest.segments.clone(),
            ..Manifest::new(database, definition, manifest.covered())
        };
        (manifest == expected).then_some(manifest)
    }
}

impl Building {
    pub(super) fn new(
        cursor: Option<InternalId>,
        documents: u64,
        complete_at: Option<Timestamp>,
    ) -> Building {
        Building {
            cursor: cursor.map(|id| hex::encode(id.0)),
            documents,
            complete_at: complete_at.map(|timestamp| timestamp.0),
        }
    }

    /// `None` if it is damaged.
    pub(super) fn cursor(&self) -> Option<Option<InternalId>> {
        let Some(text) = &self.cursor else { return Some(None) };
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Some(InternalId(id)))
    }

    pub(super) fn complete_at(&self) -> Option<Timestamp> {
        self.complete_at.map(Timestamp)
    }
}

impl SegmentEntry {
    pub(super) fn new(number: u64, rows: usize, gone: &Bitmap) -> SegmentEntry {
        let gone = if gone.ones() == 0 { String::new() } else { STANDARD.encode(gone.as_bytes()) };
        SegmentEntry { number, rows, gone }
    }

    /// `None` if it is damaged.
    pub(super) fn gone(&self) -> Option<Bitmap> {
        if self.gone.is_empty() {
            return Some(Bitmap::new(self.rows));
        }
        Bitmap::from_bytes(STANDARD.decode(&self.gone).ok()?, self.rows)
    }
}
