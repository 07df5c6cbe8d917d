//! The Python of the tests: a virtual environment with the published client, a server that stands in for S3 and a reference
//! for relevance, pinned, and beside it an older version of the client.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::steps::execute;
use crate::workspace::{Workspace, find_program};

/// What the tests are written against.
const PACKAGES: [&str; 5] =
    ["convex==0.8.1", "moto[s3,server]==5.2.5", "pytest==9.2.0", "pytest-timeout==2.4.0", "rank-bm25==0.2.2"];
/// The older client, in a folder of its own.
const OLDER_CLIENT: &str = "convex==0.7.0";
/// Makes the environment, unless it is there with these packages.
pub(crate) fn prepare(workspace: &Workspace) -> Result<()> {
    let folder = workspace.tools().join("python");
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("packages");
    let wanted = format!("{}\n{OLDER_CLIENT}", PACKAGES.join("\n"));
    if interpreter.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        eprintln!("up to date");
        return Ok(());
    }
    let python =
        find_program("python3").context("the tests of the Python client need python3 on the PATH")?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    execute(workspace.tool(python, &["-m", "venv", text(&folder)?]))
        .context("cannot make a virtual environment; on Debian it needs the package python3-venv")?;
    let pip = |args: &[&str]| {
        let mut install =
            workspace.tool(&interpreter, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(args);
        execute(install).context("cannot install the Python packages")
    };
    pip(&PACKAGES)?;
    let older = workspace.tools().join("python-older");
    if older.exists() {
        fs::remove_dir_all(&older).with_context(|| format!("cannot remove {}", older.display()))?;
    }
    pip(&["--no-deps", "--target", text(&older)?, OLDER_CLIENT])?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not a text", path.display()))
}
