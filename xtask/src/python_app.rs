//! A server with an app pushed to it, for the tests of the Python and Rust clients, which do not start one themselves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::steps::execute;
use crate::workspace::{Workspace, output_of};

/// What the program says before its address when it is ready.
const READY_PREFIX: &str = "Freshet is ready at ";

/// A running server; stopped when dropped.
pub(crate) struct ServedApp {
    process: Child,
    url: String,
}

impl ServedApp {
    /// Starts a server with an empty data directory and pushes `tests/apps/basic` to it.
    pub(crate) fn start(workspace: &Workspace, binary: &Path) -> Result<Self> {
        let folder = workspace.target().join("xtask/python-app");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        copy_folder(&workspace.path("tests/apps/basic"), &folder.join("app"))?;
        fs::write(
            folder.join("app/package.json"),
            r#"{"private":true,"type":"module","dependencies":{"convex":"*"}}"#,
        )?;
        let data =
            folder.join("data").into_os_string().into_string().ok().context("the path is not a text")?;
        let serve = ["serve", "--host", "127.0.0.1", "--port", "0", "--data", &data];
        let mut process = workspace
            .tool(binary, &serve)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let stdout = process.stdout.take().context("standard output was piped")?;
        let mut app = Self { process, url: String::new() };
        app.url = wait_for_url(stdout)?;

        let admin_key = output_of(workspace.tool(binary, &["admin-key", "--data", &data]))?;
        let mut push = workspace.tool(
            workspace.path("node_modules/.bin/convex"),
            &["deploy", "-y", "--typecheck", "disable", "--codegen", "disable"],
        );
        push.current_dir(folder.join("app"))
            .stdin(Stdio::null())
            .env("CONVEX_SELF_HOSTED_URL", &app.url)
            .env("CONVEX_SELF_HOSTED_ADMIN_KEY", admin_key)
            .env("CONVEX_DEPLOYMENT", "")
            .env("CONVEX_VERSION_API_ORIGIN", &app.url)
            .env("CI", "1");
        execute(push).context("cannot push the app of the tests")?;
        Ok(app)
    }

    /// Where the server listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for ServedApp {
    fn drop(&mut self) {
        // The engine notices the end of its supervisor by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wait_for_url(stdout: impl std::io::Read + Send + 'static) -> Result<String> {
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let url = lines
        .find_map(|line| Some(line.strip_prefix(READY_PREFIX)?.split_whitespace().next()?.to_owned()))
        .context("the server ended before it was ready")?;
    // Read on, or the server would wait for a full pipe.
    thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
    Ok(url)
}

fn copy_folder(from: &Path, to: &PathBuf) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() && entry.file_name() == "node_modules" => {}
            kind if kind.is_dir() => copy_folder(&entry.path(), &target)?,
            _ => drop(fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}
