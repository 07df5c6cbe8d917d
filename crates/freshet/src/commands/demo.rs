//! `freshet demo`: from a checkout to a running chat in one command.
//!
//! Installs packages, builds the page, starts the server and a model, pushes the app, serves the page. Uses no network
//! but the npm registry (and the model's, when there is a key for one).

mod environment;
mod model;
mod packages;
mod page;
mod step;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::model::Model;
use self::step::Steps;
use crate::checkout::Checkout;
use crate::cli::{DemoArgs, InstanceArgs, ListenArgs};
use crate::convex_cli::ConvexCli;
use crate::failure::misconfigured;
use crate::service::{Service, ServiceStyle};
use crate::settings::{self, ListenSettings, PORT_DEFAULT};
use crate::shutdown::Shutdown;
use crate::{console, node, ports};

const HOST: &str = "127.0.0.1";
const PORT_ADVICE: &str = "choose other ports, for example with `cargo run --release -- demo --port 3310`";
/// What the build of the page needs; the engine itself is content with less.
const TOOLS_NODE: node::NodeVersion = node::NodeVersion { major: 20, minor: 19 };

/// Runs the demonstration until one Ctrl-C ends all of it.
pub(super) async fn run(args: &DemoArgs) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let Some(checkout) = Checkout::find() else {
        return Err(misconfigured(
            "the demonstration is part of the project's checkout, and neither this folder nor this program is in \
             one. Run it there, or use `freshet dev APP` with an app of your own",
        ));
    };
    let outcome = demonstrate(args, &checkout, &shutdown).await;
    match outcome {
        Err(error) if error.is::<step::Interrupted>() => Ok(()),
        outcome => outcome,
    }
}

async fn demonstrate(args: &DemoArgs, checkout: &Checkout, shutdown: &Shutdown) -> Result<()> {
    // Everything that can be refused is refused before the long steps.
    node::on_path(TOOLS_NODE)?;
    let npm = packages::find_npm()?;
    let listen = listen_settings(args)?;
    let page_listener = bind_page(args.port.unwrap_or(PORT_DEFAULT)).await?;
    let page_url = format!("http://{HOST}:{}", page_listener.local_addr()?.port());
    let data = args.data.clone().unwrap_or_else(|| checkout.root().join(".freshet/demo"));
    let credentials = settings::credentials(&InstanceArgs::default(), &settings::environment)?;
    let style = ServiceStyle { mark_lines: true, port_advice: PORT_ADVICE, site_port_advice: PORT_ADVICE };
    let service = Service::prepare(&data, credentials, &listen, style)?;

    let steps = Steps::new(shutdown.clone());
    packages::install(&steps, checkout, &npm).await?;
    let page = page::build(&steps, checkout, &npm, &listen, &data).await?;
    let convex = ConvexCli::find(&checkout.chat(), &service.local_url(), &service.admin_key())?;

    let (announce, ready) = oneshot::channel();
    let engine = async {
        let outcome = service
            .run(shutdown, |_| {
                // Nobody waits for it any more when the other side was stopped first.
                let _ = announce.send(());
            })
            .await;
        shutdown.request();
        outcome
    };
    let chat = async {
        let outcome = async {
            // When it ended instead, its own outcome says why.
            steps
                .run("Starting the server", async { ready.await.map_err(|_| step::Interrupted.into()) })
                .await?;
            let model = Model::choose(&steps, checkout).await?;
            environment::update(&steps, &service, &model).await?;
            steps
                .command(
                    "Pushing the chat's functions",
                    convex.command(&["deploy", "-y", "--typecheck", "disable", "--codegen", "disable"]),
                    "the checkout may be incomplete: `git status examples/chat` shows what differs",
                )
                .await?;
            steps
                .command(
                    "Filling an empty chat",
                    convex.command(&["run", "init"]),
                    "`--data DIR` starts over with another data directory",
                )
                .await?;
            announce_running(&listen, &page_url, &service, &model);
            tokio::select! {
                served = page::serve(page_listener, page) => served,
                () = model.watch() => unreachable_model(),
                () = shutdown.requested() => Ok(()),
            }
        }
        .await;
        shutdown.request();
        outcome
    };
    let (engine, chat) = tokio::join!(engine, chat);
    engine.and(chat)
}

fn unreachable_model() -> Result<()> {
    Err(anyhow!("the stand-in model ended by itself; its last lines are above"))
}

fn listen_settings(args: &DemoArgs) -> Result<ListenSettings> {
    let listen = ListenArgs { port: Some(args.port.unwrap_or(PORT_DEFAULT)), ..ListenArgs::default() };
    // Ports and origins of the demonstration follow from --port alone; only the way it runs may come from outside.
    let variable = |key: &str| match key {
        "RUST_LOG" => Some(settings::environment(key).unwrap_or_else(|| "warn".to_owned())),
        "FRESHET_LANES" | "FRESHET_AUDIT_DETERMINISM" => settings::environment(key),
        _ => None,
    };
    ListenSettings::resolve(&listen, HOST, &variable)
}

/// Takes the page's port at once, so that nobody else has it when the page is ready.
async fn bind_page(api_port: u16) -> Result<TcpListener> {
    let port = match api_port {
        0 => 0,
        port => {
            port.checked_add(2).ok_or_else(|| misconfigured(format!("{port} is too high; {PORT_ADVICE}")))?
        }
    };
    if port != 0 {
        ports::ensure_free(HOST, port, PORT_ADVICE)?;
    }
    Ok(TcpListener::bind((HOST, port)).await?)
}

fn announce_running(listen: &ListenSettings, page_url: &str, service: &Service, model: &Model) {
    console::say_framed(&[
        "The chat is running. Open it in two windows:".to_owned(),
        String::new(),
        format!("    {page_url}"),
        String::new(),
        format!("API           {}", listen.api_origin),
        format!("HTTP actions  {}", listen.site_origin),
        format!("Data          {}", service.data().display()),
        format!("Model         {}", model.description()),
        String::new(),
        "Ctrl-C stops everything.".to_owned(),
    ]);
}
