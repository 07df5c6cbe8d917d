//! The language model of the chat: OpenAI's or another one that the user has set up, else the stand-in of the example.

use std::env;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow};
use tokio::process::Command;
use tokio::sync::{Mutex, mpsc};

use super::step::Steps;
use crate::checkout::Checkout;
use crate::child::{Child, Stream, describe};
use crate::{console, node};

/// What the page calls the stand-in, so that nobody takes its answers for a model's.
const STAND_IN_LABEL: &str = "local stand-in";

/// The variables of the app that choose its model.
const KEY: &str = "OPENAI_API_KEY";
const BASE_URL: &str = "OPENAI_BASE_URL";
const MODEL: &str = "OPENAI_MODEL";
const LABEL: &str = "MODEL_LABEL";

/// The model that answers.
pub(super) enum Model {
    /// One that the user's environment names.
    Configured { variables: Vec<(&'static str, Option<String>)> },
    /// The one of the example, running on this machine.
    StandIn { url: String, process: Box<Mutex<Child>> },
}

impl Model {
    /// The model of the environment, else a stand-in, started here.
    pub(super) async fn choose(steps: &Steps, checkout: &Checkout) -> Result<Self> {
        let set = |key: &str| env::var(key).ok().filter(|value| !value.is_empty());
        if set(KEY).is_some() || set(BASE_URL).is_some() {
            let variables = [KEY, BASE_URL, MODEL, LABEL].map(|key| (key, set(key))).to_vec();
            return Ok(Self::Configured { variables });
        }
        steps.run("Starting the stand-in model", start_stand_in(checkout)).await
    }

    /// The variables that the app is to have; `None` means that one must not be set, for instance since an earlier
    /// run with another model.
    pub(super) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        match self {
            Self::Configured { variables } => variables.clone(),
            Self::StandIn { url, .. } => vec![
                // Not a key: the client package insists on one.
                (KEY, Some("stand-in".to_owned())),
                (BASE_URL, Some(url.clone())),
                (MODEL, Some("stand-in".to_owned())),
                (LABEL, Some(STAND_IN_LABEL.to_owned())),
            ],
        }
    }

    /// What to tell the user about it.
    pub(super) fn description(&self) -> String {
        match self {
            Self::StandIn { .. } => {
                format!("a {STAND_IN_LABEL}, not a real model; set {KEY} and start again for one")
            }
            Self::Configured { variables } => {
                let base_url =
                    variables.iter().find(|(key, _)| *key == BASE_URL).and_then(|(_, url)| url.clone());
                format!("the one at {}", base_url.as_deref().unwrap_or("OpenAI, with your key"))
            }
        }
    }

    /// Resolves when the model has ended though it should not have.
    pub(super) async fn watch(&self) {
        match self {
            Self::Configured { .. } => std::future::pending().await,
            Self::StandIn { process, .. } => drop(process.lock().await.wait().await),
        }
    }
}

async fn start_stand_in(checkout: &Checkout) -> Result<Model> {
    let mut command = Command::new(node::find()?);
    command.args(["model/server.mjs", "--port", "0"]).current_dir(checkout.chat()).stdin(Stdio::null());
    let (announce, mut announced) = mpsc::channel(1);
    let mut process = Child::spawn(command, move |stream, line: &[u8]| match base_url(stream, line) {
        Some(url) => drop(announce.try_send(url)),
        None => console::log_bytes("model", line),
    })
    .context("cannot start the stand-in model")?;
    tokio::select! {
        biased;
        Some(url) = announced.recv() => Ok(Model::StandIn { url, process: Box::new(Mutex::new(process)) }),
        status = process.wait() => Err(anyhow!("the stand-in model did not start ({})", describe(status?))),
    }
}

/// The address in the line with which the stand-in says that it listens.
fn base_url(stream: Stream, line: &[u8]) -> Option<String> {
    if stream != Stream::Stdout {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    text.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_stand_in_is_read_from_its_announcement() {
        let line = b"Stand-in model (not a real one) at http://127.0.0.1:40123/v1";
        assert_eq!(base_url(Stream::Stdout, line).as_deref(), Some("http://127.0.0.1:40123/v1"));
        assert_eq!(base_url(Stream::Stderr, line), None);
        assert_eq!(base_url(Stream::Stdout, b"something else"), None);
    }

    #[test]
    fn variables_of_an_earlier_model_are_removed() {
        let key = Some("sk-1".to_owned());
        let model = Model::Configured { variables: vec![(KEY, key), (BASE_URL, None), (LABEL, None)] };
        assert!(model.variables().contains(&(BASE_URL, None)));
        assert!(model.variables().contains(&(LABEL, None)));
        assert_eq!(model.description(), "the one at OpenAI, with your key");
    }
}
