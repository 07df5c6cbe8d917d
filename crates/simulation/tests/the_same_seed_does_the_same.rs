//! A seed that fails must fail again, or it explains nothing.

use freshet_simulation::{Sabotage, run};

#[test]
fn two_runs_of_a_seed_leave_the_same_trace() {
    for seed in 0..60 {
        let run = || run(seed, Sabotage::None).unwrap_or_else(|failure| panic!("\n{failure}\n"));
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn two_failing_runs_of_a_seed_leave_the_same_trace() {
    let failure = |seed| run(seed, Sabotage::EarlyAcknowledgement).err();
    let (seed, first) = (0..500).find_map(|seed| Some((seed, failure(seed)?))).expect("some seed finds it");
    let second = failure(seed).expect("it fails again");
    assert_eq!((first.trace.digest(), first.violation), (second.trace.digest(), second.violation));
}
