//! Older versions of the npm client, which the end-to-end tests use besides the current one.

use anyhow::Result;

use crate::node_packages;
use crate::workspace::Workspace;

/// Where they are listed. Not a member of the workspace, whose command `convex` they would take.
const FOLDER: &str = "tests/old-clients";

/// Installs exactly what their lock file says, unless that has been done.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    node_packages::install_in(workspace, FOLDER)
}
