//! Names of files. A file that was made or removed without a sync of its directory may be absent, or back, after a
//! power cut.

use std::collections::BTreeMap;

/// Identifies a file for as long as the disk exists, whatever its name.
pub(super) type FileId = u64;

/// The one directory of the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    live: BTreeMap<String, FileId>,
    durable: BTreeMap<String, FileId>,
}

impl Directory {
    pub(super) fn find(&self, name: &str) -> Option<FileId> {
        self.live.get(name).copied()
    }

    pub(super) fn add(&mut self, name: &str, file: FileId) {
        self.live.insert(name.to_owned(), file);
    }

    /// Returns whether the name existed.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.live.remove(name).is_some()
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.live);
    }

    /// The files that programs can open.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        self.live.values().copied()
    }

    /// Whether a file has a name, or may get one back with the next power cut.
    pub(super) fn keeps(&self, file: FileId) -> bool {
        self.live.values().chain(self.durable.values()).any(|kept| *kept == file)
    }

    /// The power went: of each name that changed since the last sync, `survives` says whether the change did.
    pub(super) fn lose_power(&mut self, mut survives: impl FnMut(&str) -> bool) {
        let names: Vec<String> = self.live.keys().chain(self.durable.keys()).cloned().collect();
        for name in names {
            let (live, durable) = (self.live.get(&name).copied(), self.durable.get(&name).copied());
            if live == durable || survives(&name) {
                continue;
            }
            match durable {
                Some(file) => self.live.insert(name, file),
                None => self.live.remove(&name),
            };
        }
        self.sync();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_names_may_be_lost_or_come_back() {
        let mut directory = Directory::default();
        directory.add("old", 1);
        directory.sync();
        directory.add("new", 2);
        directory.remove("old");
        let mut all_lost = directory.clone();
        all_lost.lose_power(|_| false);
        assert_eq!((all_lost.find("old"), all_lost.find("new")), (Some(1), None));
        directory.lose_power(|_| true);
        assert_eq!((directory.find("old"), directory.find("new")), (None, Some(2)));
    }
}
