//! The test of the tests: a conflict check that overlooks something is found out.

use super::random;
use super::world::World;
use crate::commit::weakness::Weakness;

/// Histories within which a defect must show. Half of a run by chance has many times as many.
const HISTORIES_MAX: u64 = 4000;

fn found_within(weakness: Weakness) -> Option<u64> {
    let mut world = World::new();
    world.database.shared().weakness.set(weakness);
    random::first_violation(&mut world, 0..HISTORIES_MAX)
}

#[test]
fn every_spoiled_conflict_check_lets_a_history_through_that_has_no_serial_explanation() {
    assert_eq!(found_within(Weakness::None), None);
    for weakness in [
        Weakness::NoCheck,
        Weakness::PointsOnly,
        Weakness::StartsOnly,
        Weakness::NewKeysOnly,
        Weakness::UndoneReads,
        Weakness::Gaps,
        Weakness::MissingDocuments,
        Weakness::Catalog,
        Weakness::FirstCommit,
    ] {
        let found = found_within(weakness);
        eprintln!("{weakness:?}: {found:?}");
        assert!(
            found.is_some(),
            "nothing was found in {HISTORIES_MAX} histories without a look at {weakness:?}"
        );
    }
}
