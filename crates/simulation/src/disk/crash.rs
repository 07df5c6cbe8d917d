//! Which of the changes that were under way reach the disk.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::file::File;

/// How the unsynced changes of one file fare.
///
/// Orders need no case of their own: on whole sectors, whatever order the disk writes in, what is there in the end is
/// what some subset of the changes in their own order leaves.
#[derive(Clone, Copy, Debug)]
enum Survival {
    Nothing,
    Everything,
    /// The first changes, and the first sectors of the next one.
    Prefix {
        changes: usize,
        sectors: usize,
    },
    /// The last changes, and the last sectors but some of the one before.
    Suffix {
        changes: usize,
        sectors: usize,
    },
    /// Each change wholly or not at all.
    Changes(f64),
    /// Each sector of each change.
    Sectors(f64),
}

/// Lets a part of the pending changes reach the disk and forgets the rest.
pub(super) fn settle(file: &mut File, rng: &mut ChaCha8Rng) {
    if !file.has_pending() {
        return;
    }
    let changes = file.pending();
    let survival = match rng.random_range(0..6) {
        0 => Survival::Nothing,
        1 => Survival::Everything,
        2 => Survival::Prefix { changes: rng.random_range(0..changes), sectors: rng.random_range(0..9) },
        3 => Survival::Suffix { changes: rng.random_range(0..changes), sectors: rng.random_range(0..9) },
        4 => Survival::Changes(rng.random()),
        _ => Survival::Sectors(rng.random()),
    };
    let mut current = None;
    let mut sector = 0;
    let mut lucky = false;
    file.settle(|number, _| {
        if current != Some(number) {
            current = Some(number);
            sector = 0;
            if let Survival::Changes(share) = survival {
                lucky = rng.random_bool(share);
            }
        }
        sector += 1;
        match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Prefix { changes, sectors } => {
                number < changes || (number == changes && sector <= sectors)
            }
            Survival::Suffix { changes, sectors } => {
                number > changes || (number == changes && sector > sectors)
            }
            Survival::Changes(_) => lucky,
            Survival::Sectors(share) => rng.random_bool(share),
        }
    });
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_sector_of_an_unsynced_write_is_sometimes_there_and_sometimes_not() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[1; 1536]);
            settle(&mut file, &mut ChaCha8Rng::seed_from_u64(seed));
            file.lose_power();
            let mut seen = [0; 1536];
            file.read(0, &mut seen);
            outcomes.insert([seen[0], seen[512], seen[1024]]);
        }
        assert_eq!(outcomes.len(), 8, "{outcomes:?}");
    }
}
