//! The checkout of the project that this program runs in or was built in, if any.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Name in the package.json at the top of the checkout.
const WORKSPACE_NAME: &str = "freshet-workspace";

/// A checkout with its npm workspace.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The checkout around the current folder, else the one around this program.
    pub(crate) fn find() -> Option<Self> {
        [env::current_dir(), env::current_exe()].into_iter().flatten().find_map(|start| Self::around(&start))
    }

    fn around(start: &Path) -> Option<Self> {
        start.ancestors().find(|folder| is_workspace(folder)).map(|root| Self { root: root.to_owned() })
    }

    /// The top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The example app of the demonstration.
    pub(crate) fn chat(&self) -> PathBuf {
        self.root.join("examples/chat")
    }

    /// What says which versions of npm packages the checkout is built with.
    pub(crate) fn package_lock(&self) -> PathBuf {
        self.root.join("package-lock.json")
    }
}

fn is_workspace(folder: &Path) -> bool {
    let Ok(text) = fs::read(folder.join("package.json")) else { return false };
    serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|package| package["name"] == WORKSPACE_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found_from_deep_inside_and_not_mistaken_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("examples/chat/src");
        fs::create_dir_all(&app).unwrap();
        fs::write(folder.path().join("examples/chat/package.json"), r#"{"name":"chat"}"#).unwrap();
        assert!(Checkout::around(&app).is_none());
        fs::write(folder.path().join("package.json"), r#"{"name":"freshet-workspace"}"#).unwrap();
        assert_eq!(Checkout::around(&app).unwrap().root(), folder.path());
    }
}
