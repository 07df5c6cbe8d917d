//! `freshet admin-key`.

use crate::fixture::{HEALTHY_ENGINE, Scratch, finish};

#[test]
fn the_key_is_one_line_and_stays_the_same_whether_the_server_runs_or_not() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let data = scratch.data();
    let args = ["admin-key", "--data", data.to_str().unwrap()];
    let (code, first, errors) = finish(scratch.command(&args));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(
        first.starts_with("freshet|") && first.ends_with('\n') && first.lines().count() == 1,
        "{first:?}"
    );
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    assert_eq!(finish(scratch.command(&args)).1, first);
}

#[test]
fn the_same_name_and_secret_give_the_same_key_in_any_directory() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let key = |folder: &str| {
        let mut command = scratch.command(&["admin-key", "--data", folder]);
        command.env("INSTANCE_NAME", "shop").env("INSTANCE_SECRET", "5a".repeat(32));
        finish(command).1
    };
    assert!(key("one").starts_with("shop|"));
    assert_eq!(key("one"), key("two"));
}

#[test]
fn a_bad_secret_is_refused_without_being_repeated() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut command = scratch.command(&["admin-key"]);
    command.env("INSTANCE_SECRET", "hunter2");
    let (code, output, errors) = finish(command);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(errors.contains("INSTANCE_SECRET") && !errors.contains("hunter2"), "{errors}");
}
