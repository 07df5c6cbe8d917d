//! `freshet dev`.

use rustix::process::Signal;

use crate::fixture::{HEALTHY_ENGINE, Running, Scratch};

fn scratch_with_tool(script: &str) -> Scratch {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    scratch.write("app/package.json", "{}");
    scratch.write_program("app/node_modules/.bin/convex", &format!("#!/bin/sh\n{script}\n"));
    scratch
}

fn dev(scratch: &Scratch) -> Running {
    Running::start(scratch.command(&["dev", "app", "--port", "0"]))
}

#[test]
fn the_tool_is_pointed_at_the_server_and_one_signal_ends_both() {
    let scratch = scratch_with_tool(
        r#"trap 'echo "tool: asked to stop"; exit 0' TERM
echo "$1 at $CONVEX_SELF_HOSTED_URL with $CONVEX_SELF_HOSTED_ADMIN_KEY not [$CONVEX_DEPLOYMENT]"
while :; do sleep 0.05; done"#,
    );
    let mut command = scratch.command(&["dev", "app", "--port", "0"]);
    command.env("CONVEX_DEPLOYMENT", "prod:elsewhere");
    let mut dev = Running::start(command);
    let line = dev.wait_for("[convex] dev at http://127.0.0.1:");
    assert!(line.contains("with freshet|") && line.ends_with("not []"), "{line}");
    dev.signal(Signal::INT);
    let (status, lines) = dev.wait();
    assert!(status.success(), "{lines:#?}");
    assert!(lines.contains(&"err: [convex] tool: asked to stop".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"err: [freshet] engine: asked to stop".to_owned()), "{lines:#?}");
}

#[test]
fn the_server_ends_when_the_tool_does() {
    let scratch = scratch_with_tool("echo 'no functions here' >&2; exit 1");
    let (status, lines) = dev(&scratch).wait();
    assert_eq!(status.code(), Some(1));
    assert!(lines.contains(&"err: [convex] no functions here".to_owned()), "{lines:#?}");
    assert!(lines.last().unwrap().contains("`convex dev` ended by itself (exit code 1)"), "{lines:#?}");
}
