//! Finding the Node.js that runs the engine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::failure::misconfigured;

/// The variable that names the Node.js binary to use, before any other.
const NODE_VARIABLE: &str = "FRESHET_NODE";
/// What the engine needs.
pub(crate) const ENGINE_NODE: NodeVersion = NodeVersion { major: 20, minor: 0 };

/// A version as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeVersion {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl std::fmt::Display for NodeVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.minor == 0 { write!(f, "{}", self.major) } else { write!(f, "{}.{}", self.major, self.minor) }
    }
}

/// Finds the engine's Node.js: the one named by `FRESHET_NODE`, else one shipped beside this program or installed by
/// the checkout it was built in, else the first on the PATH.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os(NODE_VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        return match version_of(&path) {
            Some(version) if version >= ENGINE_NODE => Ok(path),
            Some(version) => Err(misconfigured(format!(
                "{NODE_VARIABLE} names Node.js {version} ({}), but Freshet needs {ENGINE_NODE} or newer",
                path.display()
            ))),
            None => Err(misconfigured(format!(
                "{NODE_VARIABLE} names {}, which does not run as Node.js",
                path.display()
            ))),
        };
    }
    let pinned =
        pinned().into_iter().find(|path| version_of(path).is_some_and(|version| version >= ENGINE_NODE));
    match pinned {
        Some(path) => Ok(path),
        None => on_path(ENGINE_NODE),
    }
}

/// The first `node` on the PATH, if it is new enough.
pub(crate) fn on_path(needed: NodeVersion) -> Result<PathBuf> {
    let advice = "install a current one from https://nodejs.org, or name one with FRESHET_NODE";
    let Some(path) = search(env::var_os("PATH").as_deref(), "node") else {
        return Err(misconfigured(format!(
            "Freshet needs Node.js {needed} or newer, and there is none on the PATH; {advice}"
        )));
    };
    match version_of(&path) {
        Some(version) if version >= needed => Ok(path),
        Some(version) => Err(misconfigured(format!(
            "Freshet needs Node.js {needed} or newer, but {} is version {version}; {advice}",
            path.display()
        ))),
        None => Err(misconfigured(format!("{} does not run; {advice}", path.display()))),
    }
}

/// The first executable of that name in a list of folders as `PATH` has it.
pub(crate) fn search(folders: Option<&OsStr>, name: &str) -> Option<PathBuf> {
    env::split_paths(folders?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Places where a Node.js of our own choosing may be: beside this program in a release, and in a checkout the npm
/// packages `node` and `node-<platform>-<processor>`, which carry the binary.
fn pinned() -> Vec<PathBuf> {
    let Ok(program) = env::current_exe() else { return Vec::new() };
    let mut places = vec![program.with_file_name("node")];
    for folder in program.ancestors().skip(1) {
        let modules = folder.join("node_modules");
        places.push(modules.join("node/bin/node"));
        places.push(modules.join(platform_package()).join("bin/node"));
    }
    places.retain(|path| path.is_file());
    places
}

fn platform_package() -> String {
    let platform = if cfg!(target_os = "macos") { "darwin" } else { env::consts::OS };
    let processor = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("node-{platform}-{processor}")
}

fn version_of(path: &Path) -> Option<NodeVersion> {
    let output = Command::new(path).arg("--version").output().ok()?;
    if !output.status.success() {
        return None;
    }
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<NodeVersion> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some(NodeVersion { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_number() {
        let version = |text| parse_version(text).unwrap();
        assert_eq!(version("v20.20.2\n"), NodeVersion { major: 20, minor: 20 });
        assert!(version("v18.19.0") < ENGINE_NODE);
        assert!(version("v20.0.0") >= ENGINE_NODE);
        assert!(version("v100.1.0-nightly") > ENGINE_NODE);
        assert_eq!(parse_version("bun 1.0"), None);
    }
}
