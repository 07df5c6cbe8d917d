//! `freshet serve`: the server until it is stopped.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use anyhow::Result;

use super::DATA_DEFAULT;
use crate::cli::ServeArgs;
use crate::console;
use crate::recipe;
use crate::service::{Service, ServiceStyle};
use crate::settings::{self, ListenSettings};
use crate::shutdown::Shutdown;

/// The whole network: a server is there to be reached. `dev` and `demo` keep to this machine.
const HOST_DEFAULT: &str = "0.0.0.0";

/// Runs the server.
pub(super) async fn run(args: &ServeArgs) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    recipe::check(&settings::environment)?;
    let listen = ListenSettings::resolve(&args.listen, HOST_DEFAULT, &settings::environment)?;
    if listen.log_json {
        console::log_json();
    }
    for notice in recipe::notices(&settings::environment) {
        console::log(&notice);
    }
    let data = settings::data_path(&args.instance, Path::new(DATA_DEFAULT), &settings::environment);
    let credentials = settings::credentials(&args.instance, &settings::environment)?;
    let service = Service::prepare(&data, credentials, &listen, ServiceStyle::with_flags(false))?;
    service
        .run(&shutdown, |_| {
            console::say(&ready_line(&listen, service.data()));
            // Only at a terminal, and only once: keys do not belong into log files.
            if service.is_first_start() && stdout().is_terminal() {
                console::say(&format!("Admin key of the new instance: {}", service.admin_key()));
            }
        })
        .await
}

fn ready_line(listen: &ListenSettings, data: &Path) -> String {
    format!(
        "Freshet is ready at {} (HTTP actions at {}); data in {data}; admin key: freshet admin-key --data {data}",
        listen.api_origin,
        listen.site_origin,
        data = data.display()
    )
}
