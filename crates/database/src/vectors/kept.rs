//! One index in the keeper's hands: its rows, its files, and the commit that it covers.

use std::io;
use std::path::Path;
use std::sync::Arc;

use freshet_search::vector::{Damage, Held, Index, Row, Segment, SegmentData};
use freshet_store::{IndexId, TableId};
use freshet_values::{InternalId, Object, TableNumber, Timestamp};

use super::definition::Definition;
use super::files::Folder;
use super::manifest::{Building, Manifest, SegmentEntry};
use super::{Published, Vectors};

/// Bytes of rows that are in no segment, before they become one.
const TAIL_BYTES_MAX: usize = 16 << 20;
/// Share of the memory for one index's rows that are in no segment.
const TAIL_SHARE: usize = 8;

/// How far building has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The last document that was read.
    pub(super) cursor: Option<InternalId>,
    /// Number of documents that were read.
    pub(super) documents: u64,
    /// All were read; the index is complete when it covers this commit.
    pub(super) complete_at: Option<Timestamp>,
}

/// See the module.
pub(super) struct Kept {
    pub(super) id: IndexId,
    pub(super) table: TableId,
    pub(super) number: TableNumber,
    pub(super) definition: Definition,
    pub(super) covered: Timestamp,
    /// `None` when all documents are in it.
    pub(super) building: Option<Progress>,
    /// What the saved state covers.
    saved: Timestamp,
    /// When it was saved, on the database's clock.
    pub(super) saved_at: Timestamp,
    /// Rows changed since then, or building went on.
    is_changed: bool,
    index: Index,
    folder: Option<Folder>,
    next_segment: u64,
}

impl Kept {
    /// Reads the index from its files, or begins an empty one.
    pub(super) fn open(
        vectors: &Vectors,
        (id, table, number): (IndexId, TableId, TableNumber),
        definition: Definition,
        (durable, now): (Timestamp, Timestamp),
    ) -> io::Result<Kept> {
        let root = vectors.options.directory.as_deref();
        let folder = root.map(|root: &Path| Folder::open(root, id)).transpose()?;
        let index = Index::new(definition.shape(), Vec::new());
        let mut kept = Kept {
            id,
            table,
            number,
            definition,
            covered: durable,
            building: Some(Progress::default()),
            saved: Timestamp::ZERO,
            saved_at: now,
            is_changed: true,
            index,
            folder,
            next_segment: 1,
        };
        if let Err(reason) = kept.load(vectors) {
            tracing::warn!(
                index = id.0,
                reason,
                "the files of a vector index cannot be used; it is built again from the documents"
            );
        }
        if let Some(folder) = &kept.folder {
            let numbers: Vec<u64> = kept.index.segments().iter().map(|held| held.number).collect();
            folder.keep_only(&numbers)?;
        }
        Ok(kept)
    }

    /// Takes over what the files hold. Changes nothing when it fails.
    fn load(&mut self, vectors: &Vectors) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let Some(text) = folder.manifest() else { return Ok(()) };
        let manifest = Manifest::from_text(&text, &vectors.identity, &self.definition)
            .ok_or("the manifest is damaged, or of another release, database or definition")?;
        if manifest.covered() > vectors.opened_at {
            return Err("they are newer than the database, which was restored".to_owned());
        }
        let damaged = || "the manifest makes no sense".to_owned();
        let building = match &manifest.building {
            None => None,
            Some(building) => Some(Progress {
                cursor: building.cursor().ok_or_else(damaged)?,
                documents: building.documents,
                complete_at: building.complete_at(),
            }),
        };
        let mut segments = Vec::new();
        for entry in &manifest.segments {
            let open = || -> Result<Segment, Damage> {
                let (source, length) = folder.open_segment(entry.number)?;
                Segment::open(&source, length, self.definition.shape(), &vectors.budget)
            };
            let segment = open().map_err(|error| format!("segment {}: {error}", entry.number))?;
            let gone = entry.gone().filter(|_| segment.rows() == entry.rows).ok_or_else(damaged)?;
            segments.push(Held { gone: Arc::new(gone), ..Held::new(segment, entry.number) });
        }
        self.next_segment = manifest.segments.iter().map(|entry| entry.number + 1).max().unwrap_or(1);
        self.covered = manifest.covered();
        self.saved = manifest.covered();
        self.is_changed = false;
        self.building = building;
        self.index = Index::new(self.definition.shape(), segments);
        #[cfg(test)]
        vectors.loaded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// The new version of a document; `None` if it is gone.
    pub(super) fn put(&mut self, id: InternalId, object: Option<&Object>) -> io::Result<()> {
        self.is_changed = true;
        match object.and_then(|object| self.definition.contribution(object)) {
            Some(row) => self.index.put(Row { id: id.0, vector: &row.vector, filters: &row.filters }),
            None => self.index.remove(&id.0).map(drop),
        }
    }

    /// Whether all documents are in it.
    pub(super) fn is_ready(&self) -> bool {
        self.building.is_none()
    }

    /// Whether there is more in memory than there should be.
    pub(super) fn is_full(&self, vectors: &Vectors) -> bool {
        self.index.tail_bytes() > TAIL_BYTES_MAX.min(vectors.budget.bytes_max() / TAIL_SHARE)
    }

    /// Whether the files do not cover what the index does.
    pub(super) fn is_unsaved(&self) -> bool {
        self.folder.is_some() && (self.is_changed || self.saved < self.covered)
    }

    pub(super) fn publish(&self, vectors: &Vectors) {
        let published =
            Published { view: self.index.view(), covered: self.covered, is_ready: self.is_ready() };
        vectors.publish(self.id, published);
    }

    /// Makes a segment of the newest rows, merges segments where that is due, and brings all that to disk.
    pub(super) fn save(&mut self, vectors: &Vectors, now: Timestamp) -> io::Result<()> {
        self.saved_at = now;
        let sealed = self.index.seal();
        let sealed = self.place(vectors, sealed)?;
        self.index.sealed(sealed);
        while let Some(plan) = self.index.plan() {
            let merged = self.index.merge(&plan)?;
            let merged = self.place(vectors, merged)?;
            self.index.merged(&plan, merged);
        }
        self.publish(vectors);
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut manifest = Manifest::new(&vectors.identity, &self.definition, self.covered);
        manifest.building = self
            .building
            .map(|building| Building::new(building.cursor, building.documents, building.complete_at));
        let segments = self.index.segments();
        let entry = |held: &Held| SegmentEntry::new(held.number, held.segment.rows(), &held.gone);
        manifest.segments = segments.iter().map(entry).collect();
        folder.write_manifest(&manifest.to_text())?;
        self.saved = self.covered;
        self.is_changed = false;
        folder.keep_only(&segments.iter().map(|held| held.number).collect::<Vec<_>>())
    }

    /// Writes a segment, if there are files.
    fn place(&mut self, vectors: &Vectors, data: Option<SegmentData>) -> io::Result<Option<(Segment, u64)>> {
        let Some(data) = data else { return Ok(None) };
        let number = self.next_segment;
        let stored = self.folder.as_ref().map(|folder| folder.write_segment(number, &data)).transpose()?;
        self.next_segment += 1;
        Ok(Some((data.into_segment(&vectors.budget, stored.as_ref()), number)))
    }
}
