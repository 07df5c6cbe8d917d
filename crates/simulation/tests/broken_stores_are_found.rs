//! The simulation has to notice when the store is broken, and soon.

#![allow(clippy::print_stdout)] // What was found, and how much happened, is for whoever looks.

use freshet_simulation::{Sabotage, run};

/// Seeds within which each defect is found. Thousands of seeds run on every change, so this leaves a margin.
const SEEDS: u64 = 400;

fn find(sabotage: Sabotage) {
    let failure = (0..SEEDS).find_map(|seed| run(seed, sabotage).err());
    let failure = failure.unwrap_or_else(|| panic!("{sabotage:?} was not found with {SEEDS} seeds"));
    println!("{sabotage:?} is found with seed {}: {}", failure.seed, failure.violation);
    let sound = run(failure.seed, Sabotage::None);
    assert!(sound.is_ok(), "the seed fails without {sabotage:?}, too: {}", failure.violation);
}

#[test]
fn a_store_that_does_not_sync() {
    find(Sabotage::NoSyncs);
}

#[test]
fn a_store_that_writes_a_group_in_two_transactions() {
    find(Sabotage::TornGroups);
}

#[test]
fn a_database_that_acknowledges_before_it_stores() {
    find(Sabotage::EarlyAcknowledgement);
}

#[test]
fn a_store_that_loses_entries_while_indexes_are_built() {
    find(Sabotage::LostEntries);
}

#[test]
fn a_store_that_forgets_the_secret_of_cursors() {
    find(Sabotage::ForgottenSecrets);
}

#[test]
fn a_database_that_approves_schemas_without_looking_at_documents() {
    find(Sabotage::UncheckedSchemas);
}

#[test]
fn a_store_that_leaves_stale_entries_in_indexes() {
    find(Sabotage::StaleEntries);
}
