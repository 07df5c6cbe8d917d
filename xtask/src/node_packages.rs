//! Node.js, npm, and the packages of the npm workspace.

use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::steps::execute;
use crate::workspace::{Workspace, output_of};

/// Oldest version that the build tools run on.
const NODE_VERSION_MIN: (u32, u32) = (20, 19);

/// Installs exactly what the lock file of the workspace says, unless that has been done.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    check_node(workspace)?;
    install_in(workspace, ".")
}

/// Installs exactly what the lock file in a folder says, unless that has been done.
pub(crate) fn install_in(workspace: &Workspace, folder: &str) -> Result<()> {
    let folder = workspace.path(folder);
    let modified = |path: &str| -> Option<SystemTime> {
        fs::metadata(folder.join(path)).and_then(|data| data.modified()).ok()
    };
    // npm writes this copy of the lock file at the very end of an installation.
    let installed = modified("node_modules/.package-lock.json");
    let wanted = modified("package-lock.json");
    if wanted.is_some() && installed >= wanted {
        eprintln!("up to date");
        return Ok(());
    }
    let mut command = workspace.npm(&["ci", "--no-audit", "--no-fund"]);
    command.current_dir(&folder);
    execute(command)
}

/// The workspaces whose tests need nothing but Node.js: all but the end-to-end tests and the load generators.
pub(crate) fn unit_tested(workspace: &Workspace) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace.path("package.json")).context("package.json")?;
    let package: serde_json::Value = serde_json::from_str(&text).context("package.json")?;
    let members = package["workspaces"].as_array().context("package.json lists no workspaces")?;
    Ok(members
        .iter()
        .filter_map(|member| member.as_str())
        .filter(|member| !matches!(*member, "tests" | "benches"))
        .filter(|member| workspace.path(member).join("package.json").is_file())
        .map(str::to_owned)
        .collect())
}

fn check_node(workspace: &Workspace) -> Result<()> {
    let (major, minor) = NODE_VERSION_MIN;
    let text = output_of(workspace.tool("node", &["--version"]))
        .with_context(|| format!("Node.js {major}.{minor} or newer is needed, see https://nodejs.org"))?;
    let mut parts = text.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < NODE_VERSION_MIN {
        bail!("Node.js {major}.{minor} or newer is needed, and this is {text}; see https://nodejs.org");
    }
    Ok(())
}
