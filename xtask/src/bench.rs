//! The benchmarks, against a build made for speed.

use anyhow::{Result, ensure};

use crate::node_packages;
use crate::steps::{Steps, execute};
use crate::workspace::Workspace;

/// The one that runs in a process of its own, without a server.
const SEARCH: &str = "search";

/// Builds the program and the load generator and runs one measurement, with its options, or all.
pub(crate) fn run(
    steps: &mut Steps,
    workspace: &Workspace,
    name: Option<&str>,
    options: &[String],
) -> Result<()> {
    ensure!(workspace.path("benches/package.json").is_file(), "there are no benchmarks in benches/");
    if name.is_none_or(|name| name == SEARCH) {
        steps.require("search benchmark", || {
            let mut command =
                workspace.cargo(&["run", "--release", "--package", "freshet-search-bench", "--"]);
            command.args(if name.is_some() { options } else { &[] });
            execute(command)
        })?;
    }
    if name == Some(SEARCH) {
        return Ok(());
    }
    steps.require("npm packages", || node_packages::install(workspace))?;
    steps.require("release build", || {
        execute(workspace.cargo(&["build", "--release", "--package", "freshet"]))?;
        execute(workspace.cargo(&["build", "--release", "--package", "freshet-loadgen"]))
    })?;
    steps.require("benchmarks", || {
        let mut command = workspace.npm(&["run", "--silent", "bench", "--workspace", "benches"]);
        if let Some(name) = name {
            command.args(["--", name]).args(options);
        }
        command.env("FRESHET_BIN", workspace.binary("release"));
        execute(command)
    })
}
