//! All tests, in the order in which they tell most: units first, then the whole.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::python_app::ServedApp;
use crate::steps::{Steps, execute};
use crate::workspace::{Workspace, works};
use crate::{browser, node_packages, python};

/// Runs every test. One failing suite does not keep the others from running.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace) -> Result<()> {
    steps.require("npm packages", || node_packages::install(workspace))?;
    let mut chromium = None;
    steps.attempt("Chromium", || {
        chromium = Some(browser::find_or_install(workspace)?);
        Ok(())
    });
    let mut interpreter = None;
    steps.attempt("Python packages", || {
        interpreter = Some(python::prepare(workspace)?);
        Ok(())
    });
    // The development profile on purpose: the tests build the workspace in it anyway.
    steps.require("build", || execute(workspace.cargo(&["build", "--package", "freshet"])))?;
    let binary = workspace.binary("debug");

    steps.attempt("Rust tests", || execute(rust_tests(workspace)));
    for member in node_packages::unit_tested(workspace)? {
        let args = ["run", "--silent", "--if-present", "test", "--workspace", &member];
        steps.attempt(&format!("TypeScript tests of {member}"), || execute(workspace.npm(&args)));
    }
    if let Some(chromium) = chromium {
        steps.attempt("end-to-end tests", || {
            let mut command = workspace.npm(&["run", "--silent", "test", "--workspace", "tests"]);
            command.env("FRESHET_BIN", &binary).env(browser::BROWSER_VARIABLE, chromium);
            if let Some(interpreter) = &interpreter {
                command.env(python::MOTO_VARIABLE, python::moto(interpreter));
            }
            execute(command)
        });
    }
    steps.attempt("Rust client tests", || rust_client_tests(workspace, &binary));
    if let Some(interpreter) = interpreter {
        steps.attempt("Python client tests", || python_tests(workspace, &binary, &interpreter));
    }
    Ok(())
}

fn rust_tests(workspace: &Workspace) -> Command {
    if works(workspace.cargo(&["nextest", "--version"])) {
        workspace.cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        workspace.cargo(&["test", "--workspace", "--no-fail-fast"])
    }
}

fn python_tests(workspace: &Workspace, binary: &Path, interpreter: &Path) -> Result<()> {
    let app = ServedApp::start(workspace, binary)?;
    let mut command = workspace
        .tool(interpreter, &["-m", "pytest", "-p", "no:cacheprovider", "--timeout", "60", "tests/python"]);
    command.env("FRESHET_URL", app.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    execute(command)
}

/// The crates.io client has a workspace of its own, and is built apart: see `tests/rust/Cargo.toml`.
fn rust_client_tests(workspace: &Workspace, binary: &Path) -> Result<()> {
    let mut build = workspace.cargo(&["test", "--manifest-path", "tests/rust/Cargo.toml", "--no-run"]);
    build.env("CARGO_TARGET_DIR", workspace.target().join("xtask/rust-client"));
    execute(build)?;
    let app = ServedApp::start(workspace, binary)?;
    let mut command = workspace.cargo(&["test", "--manifest-path", "tests/rust/Cargo.toml"]);
    command
        .env("CARGO_TARGET_DIR", workspace.target().join("xtask/rust-client"))
        .env("FRESHET_URL", app.url());
    execute(command)
}
