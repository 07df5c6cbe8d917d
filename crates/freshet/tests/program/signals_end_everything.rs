//! Stopping, gently and otherwise.

use std::time::Instant;

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
    // Two signals at the same moment may arrive as one.
    std::thread::sleep(std::time::Duration::from_millis(200));
    server.signal(Signal::INT);
    assert!(server.wait().0.success());
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
}

#[test]
fn the_engine_ends_when_its_supervisor_is_killed() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    server.signal(Signal::KILL);
    eventually("the engine's end", || scratch.read("ended-by-eof"));
}
