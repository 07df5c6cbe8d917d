//! npm packages that `"use node"` modules import instead of being bundled with them: installed once for each set of
//! packages, in a folder of the data directory that is named by what is in it.
//!
//! npm is the machine's own, and takes packages from where it is configured to. Packages' install scripts are not run:
//! they would run with the server's rights, before anybody has called anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use freshet_functions::host::NodePackage;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::Mutex;

/// How long one installation may take.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(300);
/// Packages that an app may ask for, those that they depend on not counted.
const PACKAGES_MAX: usize = 256;
/// What one set may take on disk.
const SET_BYTES_MAX: u64 = 1 << 30;
/// Sets that are kept; the one that was not used for longest goes first.
const SETS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 214;
/// How much of what npm says a developer is shown.
const NPM_OUTPUT_BYTES_MAX: usize = 4096;
/// Touched whenever a set is used.
const USED: &str = ".used";

/// The sets of packages that are installed.
pub(crate) struct NodePackages {
    folder: PathBuf,
    /// One installation at a time.
    installing: Mutex<()>,
}

impl NodePackages {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, installing: Mutex::default() }
    }

    /// Installs a set of packages unless it is there, and gives its name.
    ///
    /// # Errors
    /// For the developer: what could not be installed, and why.
    pub(crate) async fn ensure(&self, packages: &[NodePackage]) -> Result<String, String> {
        check(packages)?;
        let name = name_of(packages);
        let _guard = self.installing.lock().await;
        let folder = self.folder.join(&name);
        if !folder.join("node_modules").is_dir() {
            self.install(packages, &folder).await?;
            self.drop_unused(&name);
        }
        // Only decides which set goes first when there are too many.
        let _ = fs::write(folder.join(USED), "");
        Ok(name)
    }

    /// Where the packages of a set are found.
    pub(crate) fn modules_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("node_modules")
    }

    async fn install(&self, packages: &[NodePackage], folder: &Path) -> Result<(), String> {
        let staged = folder.with_extension("new");
        let storage = |error: io::Error| format!("The npm packages could not be stored: {error}");
        remove(&staged).map_err(storage)?;
        fs::create_dir_all(&staged).map_err(storage)?;
        let dependencies: serde_json::Map<String, serde_json::Value> =
            packages.iter().map(|it| (it.name.clone(), it.version.clone().into())).collect();
        let manifest = serde_json::json!({ "private": true, "dependencies": dependencies });
        fs::write(staged.join("package.json"), manifest.to_string()).map_err(storage)?;
        tracing::info!(packages = packages.len(), "installing npm packages for an app");
        let installed = run_npm(&staged).await;
        let outcome = installed.and_then(|()| {
            let bytes = size_of_folder(&staged).map_err(storage)?;
            if bytes > SET_BYTES_MAX {
                return Err(format!(
                    "The npm packages take {} MiB on disk; at most {} MiB are allowed. Bundle some of them by taking \
                     them out of `node.externalPackages` in convex.json.",
                    bytes >> 20,
                    SET_BYTES_MAX >> 20
                ));
            }
            // Even where nothing was to be installed, so that it is found.
            fs::create_dir_all(staged.join("node_modules")).map_err(storage)?;
            remove(folder).map_err(storage)?;
            fs::rename(&staged, folder).map_err(storage)
        });
        if outcome.is_err() {
            let _ = remove(&staged);
        }
        outcome
    }

    /// Removes sets beyond the number that is kept, `current` excepted. An app that still uses one gets it anew.
    fn drop_unused(&self, current: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut sets: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_str() != Some(current))
            .map(|entry| {
                let used = fs::metadata(entry.path().join(USED)).and_then(|it| it.modified());
                (used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
            })
            .collect();
        sets.sort();
        let surplus = (sets.len() + 1).saturating_sub(SETS_MAX);
        for (_, path) in sets.into_iter().take(surplus) {
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "npm packages that nobody uses could not be removed");
            }
        }
    }
}

async fn run_npm(folder: &Path) -> Result<(), String> {
    let mut command = Command::new("npm");
    command
        .args(["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock"])
        .args(["--no-save", "--no-progress", "--loglevel=error"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // Secrets of the instance, and what is meant for the Node that runs the engine.
        if ["FRESHET_", "CONVEX_", "INSTANCE_", "NODE_OPTIONS"].iter().any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    match tokio::time::timeout(INSTALL_TIME_MAX, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let text = text.trim();
            let mut end = text.len().min(NPM_OUTPUT_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            Err(format!("npm could not install the packages of `node.externalPackages`:\n{}", &text[..end]))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err("The server has no npm on its PATH, which \
            it needs for `node.externalPackages`. Install npm there, or take the packages out of convex.json, so that \
            they are bundled."
            .into()),
        Ok(Err(error)) => Err(format!("npm could not be started: {error}")),
        Err(_elapsed) => Err(format!(
            "npm took more than {} s to install the packages of `node.externalPackages`",
            INSTALL_TIME_MAX.as_secs()
        )),
    }
}

/// Lets through names and exact versions only: npm would take folders, archives and repositories as well.
fn check(packages: &[NodePackage]) -> Result<(), String> {
    if packages.len() > PACKAGES_MAX {
        return Err(format!(
            "The push asks for {} npm packages; at most {PACKAGES_MAX} are allowed.",
            packages.len()
        ));
    }
    for package in packages {
        if !is_package_name(&package.name) {
            return Err(format!("{:?} is not the name of an npm package.", package.name));
        }
        if !is_exact_version(&package.version) {
            return Err(format!(
                "The npm package {} has the version {:?}, which is not an exact one. Install it in the app from the \
                 registry, or take it out of `node.externalPackages` in convex.json, so that it is bundled.",
                package.name, package.version
            ));
        }
    }
    Ok(())
}

fn is_package_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '~'))
    };
    name.len() <= NAME_BYTES_MAX
        && match name.strip_prefix('@') {
            Some(scoped) => {
                scoped.split_once('/').is_some_and(|(scope, part)| is_part(scope) && is_part(part))
            }
            None => is_part(name),
        }
}

fn is_exact_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or("");
    let mut numbers = core.split('.');
    version.len() <= NAME_BYTES_MAX
        && (0..3).all(|_| {
            numbers.next().is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
        })
        && numbers.next().is_none()
        && version.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '+' | '.'))
}

/// Native parts of packages differ between systems, so their names do, too.
fn name_of(packages: &[NodePackage]) -> String {
    let mut sorted: Vec<String> = packages.iter().map(|it| format!("{}@{}\n", it.name, it.version)).collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    hasher.update(format!("{} {}\n", std::env::consts::OS, std::env::consts::ARCH));
    for package in sorted {
        hasher.update(package);
    }
    hex::encode(&hasher.finalize()[..16])
}

fn size_of_folder(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        bytes += if metadata.is_dir() { size_of_folder(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> NodePackage {
        NodePackage { name: name.into(), version: version.into() }
    }

    #[test]
    fn only_names_and_exact_versions_reach_npm() {
        for (name, version) in [("sharp", "0.33.5"), ("@scope/a.b", "1.0.0-rc.1+x"), ("JSONStream", "1.3.5")]
        {
            assert!(check(&[package(name, version)]).is_ok(), "{name} {version}");
        }
        for name in ["", "../x", "-g", "a b", "@scope", "@/x", "a/b", "https://x"] {
            assert!(check(&[package(name, "1.0.0")]).is_err(), "{name}");
        }
        for version in
            ["", "^1.0.0", "latest", "1.0", "file:../x", "git+ssh://x", "1.0.0 --registry=x", "1.0.0.0"]
        {
            assert!(check(&[package("a", version)]).is_err(), "{version}");
        }
        assert!(check(&vec![package("a", "1.0.0"); PACKAGES_MAX + 1]).is_err());
    }

    #[test]
    fn a_set_is_named_by_what_is_in_it() {
        let (a, b) = (package("a", "1.0.0"), package("b", "1.0.0"));
        assert_eq!(name_of(&[a.clone(), b.clone()]), name_of(&[b.clone(), a.clone()]));
        assert_ne!(name_of(std::slice::from_ref(&a)), name_of(&[a, b]));
    }

    #[test]
    fn the_sets_that_were_not_used_for_longest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let packages = NodePackages::new(folder.path().to_owned());
        for number in 0..SETS_MAX + 2 {
            let set = folder.path().join(format!("set{number}"));
            fs::create_dir_all(&set).unwrap();
            let used = fs::File::create(set.join(USED)).unwrap();
            used.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64)).unwrap();
        }
        packages.drop_unused("set0");
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["set0", "set3", "set4", "set5", "set6", "set7", "set8", "set9"]);
    }
}
