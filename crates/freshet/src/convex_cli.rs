//! The app's own `convex` command line tool, pointed at our server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;
use tokio::process::Command;

use crate::failure::misconfigured;

/// The tool of one app and the server it talks to. Not printable: it holds the admin key.
#[derive(Clone)]
pub(crate) struct ConvexCli {
    program: PathBuf,
    app: PathBuf,
    url: String,
    admin_key: String,
}

impl ConvexCli {
    /// Finds the tool that the app has installed, in its own `node_modules` or in that of a workspace around it.
    ///
    /// # Errors
    /// When there is none; the text says how to install it.
    pub(crate) fn find(app: &Path, url: &str, admin_key: &str) -> Result<Self> {
        let app = app
            .canonicalize()
            .map_err(|error| misconfigured(format!("cannot open the app {}: {error}", app.display())))?;
        if !app.join("package.json").is_file() {
            return Err(misconfigured(format!("{} is not an app: it has no package.json", app.display())));
        }
        let program =
            app.ancestors().map(|folder| folder.join("node_modules/.bin/convex")).find(|p| p.is_file());
        let Some(program) = program else {
            return Err(misconfigured(format!(
                "the app {} has no `convex` package installed; run `npm install convex` there",
                app.display()
            )));
        };
        Ok(Self { program, app, url: url.to_owned(), admin_key: admin_key.to_owned() })
    }

    /// A command that runs the tool in the app's folder, against our server and nothing else.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.app)
            .stdin(Stdio::null())
            .env("CONVEX_SELF_HOSTED_URL", &self.url)
            .env("CONVEX_SELF_HOSTED_ADMIN_KEY", &self.admin_key)
            // Empty rather than absent: an `.env.local` from another deployment would fill in what is absent, and
            // the tool refuses to choose between two deployments.
            .env("CONVEX_DEPLOYMENT", "")
            .env("CONVEX_DEPLOY_KEY", "")
            .env("CONVEX_DEPLOYMENT_TOKEN", "")
            // Its look-up of newer versions and its crash reports would otherwise leave the machine.
            .env("CONVEX_VERSION_API_ORIGIN", &self.url)
            .env("CI", "1")
            .env("NO_PROXY", no_proxy());
        command
    }
}

/// The proxy exceptions of the environment and this machine: the tool sends even local requests through a proxy.
fn no_proxy() -> String {
    let present = ["NO_PROXY", "no_proxy"].into_iter().find_map(|key| std::env::var(key).ok());
    match present.filter(|value| !value.is_empty()) {
        Some(value) => format!("{value},127.0.0.1,localhost"),
        None => "127.0.0.1,localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::*;

    #[test]
    fn the_tool_is_found_in_a_workspace_around_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("apps/one");
        fs::create_dir_all(&app).unwrap();
        fs::create_dir_all(folder.path().join("node_modules/.bin")).unwrap();
        assert!(ConvexCli::find(&app, "u", "k").err().unwrap().to_string().contains("package.json"));
        fs::write(app.join("package.json"), "{}").unwrap();
        assert!(ConvexCli::find(&app, "u", "k").err().unwrap().to_string().contains("npm install convex"));
        fs::write(folder.path().join("node_modules/.bin/convex"), "").unwrap();
        ConvexCli::find(&app, "u", "k").unwrap();
    }

    #[test]
    fn deployments_of_the_environment_are_masked() {
        let cli = ConvexCli {
            program: "convex".into(),
            app: ".".into(),
            url: "http://127.0.0.1:1".into(),
            admin_key: "a|0".into(),
        };
        let command = cli.command(&["dev"]);
        let value = |key: &str| {
            command
                .as_std()
                .get_envs()
                .find_map(|(name, value)| (name == OsStr::new(key)).then_some(value))
                .flatten()
                .map(|value| value.to_string_lossy().into_owned())
        };
        assert_eq!(value("CONVEX_DEPLOYMENT").as_deref(), Some(""));
        assert_eq!(value("CONVEX_SELF_HOSTED_URL").as_deref(), Some("http://127.0.0.1:1"));
        assert!(value("NO_PROXY").unwrap().contains("127.0.0.1"));
    }
}
