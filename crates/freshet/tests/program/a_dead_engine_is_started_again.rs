//! Restarts and the pauses before them.

use rustix::process::Signal;

use crate::fixture::{HEALTHY_ENGINE, Scratch, send};

#[test]
fn a_killed_engine_comes_back_and_readiness_is_announced_once() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("out: Freshet is ready at http://127.0.0.1:");
    send(scratch.lives()[0], Signal::KILL);
    let line = server.wait_for("ended unexpectedly");
    assert!(line.contains("killed by signal 9") && line.contains("again in 100 ms"), "{line}");
    server.wait_for("err: freshet: the engine is back");
    assert_eq!(scratch.lives().len(), 2);
    server.signal(Signal::TERM);
    let (status, lines) = server.wait();
    assert!(status.success());
    assert_eq!(lines.iter().filter(|line| line.contains("Freshet is ready")).count(), 1, "{lines:#?}");
}

#[test]
fn pauses_grow_while_the_engine_keeps_dying_and_can_be_interrupted() {
    let scratch = Scratch::with_engine("announce; exit 1");
    let mut server = scratch.serve();
    for pause in ["100 ms", "200 ms", "400 ms", "800 ms"] {
        let line = server.wait_for("ended unexpectedly");
        assert!(line.contains("exit code 1") && line.ends_with(pause), "{line} does not end with {pause}");
    }
    let lives = scratch.lives().len();
    server.signal(Signal::TERM);
    assert!(server.wait().0.success());
    assert_eq!(scratch.lives().len(), lives, "an engine was started after the request to stop");
}

#[test]
fn an_engine_that_never_gets_ready_is_given_up() {
    let scratch = Scratch::with_engine("echo 'cannot load the library' >&2; exit 1");
    let (status, lines) = scratch.serve().wait();
    assert_eq!(status.code(), Some(1));
    assert!(lines.last().unwrap().contains("giving up"), "{lines:#?}");
    assert!(lines.iter().any(|line| line == "err: cannot load the library"), "{lines:#?}");
    assert_eq!(scratch.lives().len(), 8);
}
