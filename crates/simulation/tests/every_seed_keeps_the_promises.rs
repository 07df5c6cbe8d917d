//! Thousands of seeds: nothing acknowledged is lost, nothing half written is seen, every reader sees a prefix.
//!
//! `FRESHET_SEEDS=n` runs n seeds instead of the usual number; `FRESHET_SEED=s` makes `one_seed` run that one.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // What was found, and how much happened, is for whoever looks.

use freshet_simulation::{Counters, Deeds, Sabotage, Summary, run};

/// Seeds of all parts together, unless `FRESHET_SEEDS` says otherwise.
const SEEDS: u64 = 3000;
/// The parts run side by side.
const PARTS: u64 = 8;
/// From this number on, one part has enough seeds for every sort of trouble to happen.
const ENOUGH: u64 = 300;

#[test]
fn one_seed() {
    let Ok(seed) = std::env::var("FRESHET_SEED") else { return };
    let seed = seed.parse().expect("FRESHET_SEED is a number");
    let summary = run(seed, Sabotage::None).unwrap_or_else(|failure| panic!("\n{failure}\n"));
    println!("{summary:?}");
}

fn part(number: u64) {
    let seeds = std::env::var("FRESHET_SEEDS")
        .map_or(SEEDS, |seeds| seeds.parse().expect("FRESHET_SEEDS is a number"));
    let mut disk = Counters::default();
    let mut deeds = Deeds::default();
    let mut count = 0;
    for seed in (number..seeds).step_by(usize::try_from(PARTS).unwrap()) {
        let summary: Summary = run(seed, Sabotage::None).unwrap_or_else(|failure| panic!("\n{failure}\n"));
        disk += summary.disk;
        deeds += summary.deeds;
        count += 1;
    }
    println!("{count} seeds: {deeds:?}, {disk:?}");
    if count >= ENOUGH {
        // A simulation in which nothing happens breaks no promises either.
        assert!(deeds.commits > count && deeds.conflicts > count / 10, "{deeds:?}");
        let Deeds {
            searches, pages, staged_indexes, refused_writes, activated_schemas, failed_schemas, ..
        } = deeds;
        for happened in [searches, pages, staged_indexes, refused_writes, activated_schemas, failed_schemas] {
            assert!(happened > count / 30, "{deeds:?}");
        }
        let Counters { operations, write_errors, sync_errors, lies, slow_syncs, full, power_cuts } = disk;
        for happened in [operations, write_errors, sync_errors, lies, slow_syncs, full, power_cuts] {
            assert!(happened > 0, "{disk:?}");
        }
    }
}

macro_rules! parts {
    ($($name:ident $number:literal)*) => {
        $(#[test] fn $name() { part($number); })*
    };
}

parts! { part_0 0 part_1 1 part_2 2 part_3 3 part_4 4 part_5 5 part_6 6 part_7 7 }
