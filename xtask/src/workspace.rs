//! The checkout that the commands work on, and how tools are started in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The top of the checkout.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub(crate) fn of_this_build() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the checkout");
        Self { root: root.to_owned() }
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// Cargo's folder for build output.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), PathBuf::from)
    }

    /// Where that is which is installed for tests.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("xtask")
    }

    /// The program under test.
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target().join(profile).join("freshet")
    }

    /// A tool that runs at the top of the checkout.
    pub(crate) fn tool(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root);
        command
    }

    /// Cargo, the one that runs us.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        self.tool(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
    }

    /// npm.
    pub(crate) fn npm(&self, args: &[&str]) -> Command {
        self.tool("npm", args)
    }
}

/// The first program of that name on the PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether a tool runs at all.
pub(crate) fn works(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Standard output of a tool.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn output_of(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(output.status.success(), "{program} ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
