//! Installing the npm packages of the checkout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::Result;
use tokio::process::Command;

use super::step::Steps;
use crate::checkout::Checkout;
use crate::failure::misconfigured;
use crate::node;

/// The `npm` on the PATH.
pub(super) fn find_npm() -> Result<PathBuf> {
    node::search(env::var_os("PATH").as_deref(), "npm").ok_or_else(|| {
        misconfigured("the demonstration needs npm, and there is none on the PATH; it comes with Node.js from https://nodejs.org")
    })
}

/// A command that runs npm at the top of the checkout.
pub(super) fn npm_command(npm: &Path, checkout: &Checkout, args: &[&str]) -> Command {
    let mut command = Command::new(npm);
    command.args(args).current_dir(checkout.root()).stdin(Stdio::null());
    command
}

/// Installs exactly what the lock file says, unless that has been done.
pub(super) async fn install(steps: &Steps, checkout: &Checkout, npm: &Path) -> Result<()> {
    const TITLE: &str = "Installing npm packages";
    if is_installed(checkout.root()) {
        steps.skip(TITLE, "up to date");
        return Ok(());
    }
    let command = npm_command(npm, checkout, &["ci", "--no-audit", "--no-fund"]);
    steps
        .command(TITLE, command, "is the npm registry reachable? `npm ping` tells; then run this again")
        .await
}

/// Whether the packages are those of the lock file. npm writes its own copy of the lock file at the very end of an
/// installation, so a copy that is newer than the original is proof of a complete one, whoever ran it.
fn is_installed(root: &Path) -> bool {
    let modified =
        |path: PathBuf| -> Option<SystemTime> { fs::metadata(path).and_then(|data| data.modified()).ok() };
    let wanted = modified(root.join("package-lock.json"));
    let installed = modified(root.join("node_modules/.package-lock.json"));
    matches!((wanted, installed), (Some(wanted), Some(installed)) if installed >= wanted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packages_count_as_installed_until_the_lock_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("node_modules")).unwrap();
        fs::write(root.join("package-lock.json"), "{}").unwrap();
        assert!(!is_installed(root));
        fs::write(root.join("node_modules/.package-lock.json"), "{}").unwrap();
        assert!(is_installed(root));
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(root.join("package-lock.json"))
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert!(!is_installed(root));
    }
}
