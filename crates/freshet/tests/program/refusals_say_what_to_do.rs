//! What is refused before anything runs.

use std::net::TcpListener;

use crate::fixture::{HEALTHY_ENGINE, Scratch, finish};

#[test]
fn a_second_server_on_the_same_directory() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut server = scratch.serve();
    server.wait_for("Freshet is ready");
    let (status, lines) = scratch.serve().wait();
    assert_eq!(status.code(), Some(2));
    let directory = scratch.data().canonicalize().unwrap();
    assert!(lines[0].contains(directory.to_str().unwrap()) && lines[0].contains("--data"), "{lines:#?}");
    assert_eq!(scratch.lives().len(), 1);
}

#[test]
fn a_port_that_is_taken() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["serve", "--host", "127.0.0.1", "--site-port", "0", "--port", &port];
    let (code, _, errors) = finish(scratch.command(&args));
    assert_eq!(code, Some(2));
    assert!(
        errors.contains(&format!("port {port} is already in use")) && errors.contains("--port"),
        "{errors}"
    );
    let args = ["serve", "--host", "127.0.0.1", "--port", "0", "--site-port", &port];
    let (_, _, errors) = finish(scratch.command(&args));
    assert!(errors.contains("--site-port"), "{errors}");
}

#[test]
fn a_node_that_is_too_old_or_none() {
    let scratch = Scratch::with_node("echo v18.19.1");
    let (code, _, errors) = finish(scratch.command(&["serve"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("Node.js 18.19") && errors.contains("needs 20 or newer"), "{errors}");
    let scratch = Scratch::with_node("exit 1");
    let (code, _, errors) = finish(scratch.command(&["serve"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("does not run as Node.js"), "{errors}");
}

#[test]
fn a_database_that_is_not_ours() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut command = scratch.command(&["serve"]);
    command.env("POSTGRES_URL", "postgres://db");
    let (code, _, errors) = finish(command);
    assert_eq!(code, Some(2));
    assert!(errors.contains("unset POSTGRES_URL") && errors.contains("--data"), "{errors}");
    assert!(scratch.lives().is_empty());
}

#[test]
fn an_engine_library_that_is_not_there() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let mut command = scratch.command(&["serve"]);
    command.env("FRESHET_ENGINE", "/nowhere/lib.so");
    let (code, _, errors) = finish(command);
    assert_eq!(code, Some(2));
    assert!(errors.contains("/nowhere/lib.so"), "{errors}");
}

#[test]
fn an_app_without_the_client_package() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    scratch.write("app/package.json", "{}");
    let (code, _, errors) = finish(scratch.command(&["dev", "app"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("npm install convex"), "{errors}");
    assert!(!scratch.path().join("app/.freshet").exists(), "something was made before the refusal");
}

#[test]
fn help_explains_every_command() {
    let scratch = Scratch::with_engine(HEALTHY_ENGINE);
    let (code, help, _) = finish(scratch.command(&["--help"]));
    assert_eq!(code, Some(0));
    for command in ["serve", "admin-key", "dev", "demo"] {
        assert!(help.contains(command), "{help}");
    }
}
