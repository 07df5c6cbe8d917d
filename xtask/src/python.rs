//! The Python of the tests: a virtual environment with the published client and a server that stands in for S3, pinned.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::steps::execute;
use crate::workspace::{Workspace, find_program};

/// What the tests are written against.
const PACKAGES: [&str; 4] =
    ["convex==0.8.1", "moto[s3,server]==5.2.5", "pytest==9.2.0", "pytest-timeout==2.4.0"];
/// Environment variable that tells tests where the server is that stands in for S3.
pub(crate) const MOTO_VARIABLE: &str = "FRESHET_TEST_MOTO";

/// Makes the environment, unless it is there with these packages; returns its interpreter.
pub(crate) fn prepare(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("xtask/python");
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("packages");
    let wanted = PACKAGES.join("\n");
    if interpreter.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        eprintln!("up to date");
        return Ok(interpreter);
    }
    let python =
        find_program("python3").context("the tests of the Python client need python3 on the PATH")?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    execute(workspace.tool(python, &["-m", "venv", text(&folder)?]))
        .context("cannot make a virtual environment; on Debian it needs the package python3-venv")?;
    let mut install =
        workspace.tool(&interpreter, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(PACKAGES);
    execute(install).context("cannot install the Python packages")?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(interpreter)
}

/// The server that stands in for S3, of the environment of `interpreter`.
pub(crate) fn moto(interpreter: &Path) -> PathBuf {
    interpreter.with_file_name("moto_server")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not a text", path.display()))
}
