//! The benchmarks, against a build made for speed.

use anyhow::{Result, ensure};

use crate::node_packages;
use crate::steps::{Steps, execute};
use crate::workspace::Workspace;

/// Builds the program and the load generator and runs one measurement, with its options, or all.
pub(crate) fn run(
    steps: &mut Steps,
    workspace: &Workspace,
    name: Option<&str>,
    options: &[String],
) -> Result<()> {
    ensure!(workspace.path("benches/package.json").is_file(), "there are no benchmarks in benches/");
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
