//! Stopping, gently and otherwise.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fixture::{HEALTHY_ENGINE, Scratch, eventually};

#[test]
fn a_signal_is_passed_on_to_the_engine_and_ends_the_server_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let scratch = Scratch::with_engine(HEALTHY_ENGINE);
        let mut server = scratch.serve();
        server.wait_for("Freshet is ready");
        server.signal(signal);
        let (status, lines) = server.wait();
        assert!(status.success(), "{lines:#?}");
        assert!(lines.contains(&"err: engine: asked to stop".to_owned()), "{lines:#?}");
        assert_eq!(scratch.lives().len(), 1);
    }
}

const STUBBORN_ENGINE: &str = "trap '' TERM; announce; while :; do sleep 0.1; done";

#[test]
fn an_engine_that_does_not_end_is_killed_after_five_seconds() {
    let scratch = Scratch::with_engine(STUBBORN_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    let asked = Instant::now();
    server.signal(Signal::TERM);
    let (status, lines) = server.wait();
    assert!(status.success());
    assert!(asked.elapsed().as_secs() >= 5, "{:?}", asked.elapsed());
    assert!(lines.last().unwrap().contains("killed by signal 9"), "{lines:#?}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let scratch = Scratch::with_engine(STUBBORN_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    let asked = Instant::now();
    server.signal(Signal::INT);
    // Sooner, it would count as part of the first.
    std::thread::sleep(Duration::from_millis(600));
    server.signal(Signal::INT);
    assert!(server.wait().0.success());
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
}

const UNHURRIED_ENGINE: &str = r#"
trap 'sleep 0.3; echo "engine: took its time" >&2; exit 0' TERM
announce
while :; do sleep 0.02; done
"#;

#[test]
fn a_burst_of_signals_leaves_the_engine_its_time() {
    let scratch = Scratch::with_engine(UNHURRIED_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    // As `timeout` does it: the process, and then its whole group.
    for signal in [Signal::TERM, Signal::TERM, Signal::INT] {
        server.signal(signal);
        std::thread::sleep(Duration::from_millis(2));
    }
    let (status, lines) = server.wait();
    assert!(status.success());
    assert!(lines.last().unwrap().contains("took its time"), "{lines:#?}");
}

#[test]
fn the_engine_ends_when_its_supervisor_is_killed() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    server.signal(Signal::KILL);
    eventually("the engine's end", || scratch.read("ended-by-eof"));
}
