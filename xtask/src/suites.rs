//! All tests, in the order in which they tell most: units first, then the whole.

use std::process::Command;

use anyhow::Result;

use crate::steps::{Steps, execute};
use crate::workspace::{Workspace, works};
use crate::{browser, node_packages, older_clients, python};

/// Tells the end-to-end tests where that is which was installed for them.
const TOOLS_VARIABLE: &str = "FRESHET_TEST_TOOLS";

/// Runs every test. One failing suite does not keep the others from running.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace) -> Result<()> {
    steps.require("npm packages", || node_packages::install(workspace))?;
    let mut chromium = None;
    steps.attempt("Chromium", || {
        chromium = Some(browser::find_or_install(workspace)?);
        Ok(())
    });
    steps.attempt("older npm clients", || older_clients::install(workspace));
    steps.attempt("Python packages", || python::prepare(workspace));
    // The development profile on purpose: the tests build the workspace in it anyway.
    steps.require("build", || execute(workspace.cargo(&["build", "--package", "freshet"])))?;
    let binary = workspace.binary("debug");

    steps.attempt("Rust tests", || execute(rust_tests(workspace)));
    for member in node_packages::unit_tested(workspace)? {
        let args = ["run", "--silent", "--if-present", "test", "--workspace", &member];
        steps.attempt(&format!("TypeScript tests of {member}"), || execute(workspace.npm(&args)));
    }
    // The end-to-end tests run them.
    steps.attempt("build of the Rust client's tests", || execute(rust_client_tests(workspace)));
    if let Some(chromium) = chromium {
        steps.attempt("end-to-end tests", || {
            let mut command = workspace.npm(&["run", "--silent", "test", "--workspace", "tests"]);
            command.env("FRESHET_BIN", &binary).env(browser::BROWSER_VARIABLE, chromium);
            command.env(TOOLS_VARIABLE, workspace.tools());
            execute(command)
        });
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

/// The crates.io client has a workspace of its own, and is built apart: see `tests/rust/Cargo.toml`.
fn rust_client_tests(workspace: &Workspace) -> Command {
    let mut build = workspace.cargo(&["test", "--manifest-path", "tests/rust/Cargo.toml", "--no-run"]);
    build.env("CARGO_TARGET_DIR", workspace.tools().join("rust-client"));
    build
}
