//! The browser of the end-to-end tests.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::steps::execute;
use crate::workspace::{Workspace, find_program, works};

/// The variable that names the browser, here and for the tests.
pub(crate) const BROWSER_VARIABLE: &str = "CHROMIUM";

/// Finds Chromium, or installs Debian's where that is possible without asking.
pub(crate) fn find_or_install(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let advice = format!(
        "the end-to-end tests need Chromium: install it (`apt-get install chromium` on Debian) or name one in the \
         variable {BROWSER_VARIABLE}"
    );
    let prefix: &[&str] = match find_program("apt-get") {
        None => &[],
        Some(_) if works(workspace.tool("sh", &["-c", "test $(id -u) = 0"])) => &["env"],
        Some(_) if works(workspace.tool("sudo", &["-n", "true"])) => &["sudo", "-n", "env"],
        Some(_) => &[],
    };
    let Some((program, rest)) = prefix.split_first() else { anyhow::bail!(advice) };
    for action in [&["update", "-q"][..], &["install", "-y", "-q", "--no-install-recommends", "chromium"]] {
        let args = [rest, &["DEBIAN_FRONTEND=noninteractive", "apt-get"], action].concat();
        execute(workspace.tool(program, &args)).with_context(|| advice.clone())?;
    }
    find().context(advice)
}

fn find() -> Option<PathBuf> {
    let named = env::var_os(BROWSER_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    named.or_else(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find_program))
}
