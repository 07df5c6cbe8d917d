//! What a change has to pass before its tests are run: formatting, lints and types.

use anyhow::{Result, bail};

use crate::node_packages;
use crate::steps::{Steps, execute};
use crate::workspace::Workspace;

/// Runs all checks, so that one run tells everything there is to mend.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace) -> Result<()> {
    steps.attempt("rustfmt", || execute(workspace.cargo(&["fmt", "--all", "--check"])));
    steps.attempt("clippy", || {
        execute(workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    steps.require("npm packages", || node_packages::install(workspace))?;
    steps.attempt("TypeScript types", || execute(workspace.npm(&["run", "--silent", "typecheck"])));
    steps.attempt("eslint", || execute(workspace.npm(&["run", "--silent", "lint"])));
    if !steps.all_passed() {
        bail!("the checks failed; the tests were not run (`cargo xtask test` runs them alone)");
    }
    Ok(())
}
