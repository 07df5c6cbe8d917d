//! Exit code 78 of the engine.

use crate::fixture::Scratch;

#[test]
fn the_engine_s_message_is_shown_and_it_is_not_started_again() {
    let scratch = Scratch::with_engine("echo 'this file was written by a newer version' >&2; exit 78");
    let (status, lines) = scratch.serve().wait();
    assert_eq!(status.code(), Some(2));
    assert!(lines.contains(&"err: this file was written by a newer version".to_owned()), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("err: freshet: the engine cannot run like this"), "{lines:#?}");
    assert_eq!(scratch.lives().len(), 1);
}
