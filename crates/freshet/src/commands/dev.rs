//! `freshet dev`: the server, and the app's own `convex dev` pushing to it, in one terminal.

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;

use super::DATA_DEFAULT;
use crate::child::{Child, describe};
use crate::cli::DevArgs;
use crate::console;
use crate::convex_cli::ConvexCli;
use crate::service::{Service, ServiceStyle};
use crate::settings::{self, ListenSettings};
use crate::shutdown::Shutdown;

/// A development server is for this machine only.
const HOST_DEFAULT: &str = "127.0.0.1";

/// Runs both until one Ctrl-C ends both.
pub(super) async fn run(args: &DevArgs) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let listen = ListenSettings::resolve(&args.listen, HOST_DEFAULT, &settings::environment)?;
    if listen.log_json {
        console::log_json();
    }
    let data = settings::data_path(&args.instance, &args.app.join(DATA_DEFAULT), &settings::environment);
    // Looked for first of all, so that a missing package is reported before anything is made.
    ConvexCli::find(&args.app, "", "")?;
    let credentials = settings::credentials(&args.instance, &settings::environment)?;
    let service = Service::prepare(&data, credentials, &listen, ServiceStyle::with_flags(true))?;
    let convex = ConvexCli::find(&args.app, &service.local_url(), &service.admin_key())?;

    let (announce, ready) = oneshot::channel();
    let engine = async {
        let outcome = service
            .run(&shutdown, |_| {
                // Nobody waits for it any more when the other side was stopped first.
                let _ = announce.send(());
            })
            .await;
        // However it ended, the other side has nothing to push to any more.
        shutdown.request();
        outcome
    };
    let pusher = async {
        if ready.await.is_err() {
            return Ok(());
        }
        console::say(&format!(
            "Freshet is ready at {}; pushing {} whenever it changes. Ctrl-C stops both.",
            listen.api_origin,
            args.app.display()
        ));
        let outcome = push(&convex, &shutdown).await;
        shutdown.request();
        outcome
    };
    let (engine, pusher) = tokio::join!(engine, pusher);
    engine.and(pusher)
}

async fn push(convex: &ConvexCli, shutdown: &Shutdown) -> Result<()> {
    let mut child =
        Child::spawn(convex.command(&["dev"]), |_, line: &[u8]| console::log_bytes("convex", line))
            .context("cannot start the app's `convex dev`")?;
    tokio::select! {
        status = child.wait() => bail!("`convex dev` ended by itself ({}); its message is above", describe(status?)),
        () = shutdown.requested() => {
            child.stop(shutdown).await.context("stopping `convex dev`")?;
            Ok(())
        }
    }
}
