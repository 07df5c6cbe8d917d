//! One file: what programs see, what would survive a power cut, and what lies between.
//!
//! Never decides what survives; `crash` does.

/// Disks write whole sectors, so a torn write ends at a multiple of this many bytes.
pub(super) const SECTOR: usize = 512;

/// A change that the operating system has and the disk may not have yet.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// Bytes written at an offset.
    Write { offset: usize, bytes: Vec<u8> },
    /// The file was cut or extended to this length.
    Truncate(usize),
}

/// The contents of a file. It has no name: names belong to the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// What reads return.
    live: Vec<u8>,
    /// What is on the disk for certain.
    durable: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pending: Vec<Pending>,
}

impl File {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Copies what is there into `out`; returns how many bytes there were.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let there = self.live.get(offset..).unwrap_or(&[]);
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        count
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        lay(&mut self.live, offset, bytes);
        self.pending.push(Pending::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.live.resize(length, 0);
        self.pending.push(Pending::Truncate(length));
    }

    /// Whether a change of the first bytes of the file is pending.
    pub(super) fn head_is_pending(&self) -> bool {
        self.pending.iter().any(|change| !matches!(change, Pending::Write { offset, .. } if *offset > 0))
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Write { offset, bytes } => lay(&mut self.durable, offset, &bytes),
                Pending::Truncate(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// Makes the pending changes that `survives` picks durable, sector by sector, and forgets the others. Reads still
    /// return all of them: that is a failed sync. `survives` gets the change's number and, for writes, the sector.
    pub(super) fn settle(&mut self, mut survives: impl FnMut(usize, Option<usize>) -> bool) {
        for (number, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            match change {
                Pending::Truncate(length) => {
                    if survives(number, None) {
                        self.durable.resize(length, 0);
                    }
                }
                Pending::Write { offset, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let at = offset + done;
                        let piece = (SECTOR - at % SECTOR).min(bytes.len() - done);
                        if survives(number, Some(at / SECTOR)) {
                            lay(&mut self.durable, at, &bytes[done..done + piece]);
                        }
                        done += piece;
                    }
                }
            }
        }
    }

    /// The power went: what is not on the disk is gone.
    pub(super) fn lose_power(&mut self) {
        self.pending.clear();
        self.live.clone_from(&self.durable);
    }

    /// The number of pending changes.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }
}

fn lay(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_synced_bytes_survive_a_power_cut() {
        let mut file = File::default();
        file.write(0, b"first");
        file.sync();
        file.write(0, b"later");
        file.truncate(3);
        let mut seen = [0; 5];
        assert_eq!(file.read(0, &mut seen), 3);
        assert_eq!(&seen[..3], b"lat");
        file.lose_power();
        assert_eq!(file.read(0, &mut seen), 5);
        assert_eq!(&seen, b"first");
    }

    #[test]
    fn a_torn_write_is_torn_at_sectors() {
        let mut file = File::default();
        file.write(100, &[7; 1000]);
        file.settle(|_, sector| sector == Some(1));
        file.lose_power();
        assert_eq!(file.len(), 1024);
        let mut seen = [0; 1024];
        file.read(0, &mut seen);
        assert!(seen[..512].iter().all(|byte| *byte == 0));
        assert!(seen[512..].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_a_failed_sync_lost_stays_lost_although_reads_return_it() {
        let mut file = File::default();
        file.write(0, b"lost");
        file.settle(|_, _| false);
        let mut seen = [0; 4];
        assert_eq!((file.read(0, &mut seen), &seen), (4, b"lost"));
        file.sync();
        file.lose_power();
        assert_eq!(file.len(), 0);
    }
}
