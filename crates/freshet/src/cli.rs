//! The command line as the user sees it. No defaults that depend on the environment live here: see `settings`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::limits::LimitArgs;

/// An open reactive backend for apps written against the Convex client.
///
/// Without a command, in a checkout of the project, this runs `freshet demo`.
#[derive(Debug, Parser)]
#[command(name = "freshet", version, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server: the database, the functions and the API, until stopped
    Serve(ServeArgs),
    /// Print the admin key of the instance, and nothing else
    ///
    /// The instance is made if the directory holds none yet. The key stays the same for as long as the instance's
    /// name and secret do. Use it as CONVEX_SELF_HOSTED_ADMIN_KEY.
    AdminKey(AdminKeyArgs),
    /// Run the server and push an app to it whenever its functions change
    ///
    /// Runs the app's own `convex dev` against the server, in one terminal.
    Dev(DevArgs),
    /// Build, push and open up the example chat, from a checkout of the project
    ///
    /// Needs Node.js and npm. Uses OPENAI_API_KEY when it is set, and a stand-in model otherwise.
    Demo(DemoArgs),
}

/// Where an instance lives and who it is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InstanceArgs {
    /// Data directory [env: DATA_DIR] [default: .freshet]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Name of the instance, the first part of admin keys [env: INSTANCE_NAME]
    /// [default: the stored one, at first "freshet"]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_name: Option<String>,
    /// Secret of the instance, 64 hexadecimal characters [env: INSTANCE_SECRET] [default: the stored one]
    ///
    /// Prefer the variable: other users of the machine can see command lines.
    #[arg(long, value_name = "HEX")]
    pub(crate) instance_secret: Option<String>,
}

/// How the server is reached and how it runs.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ListenArgs {
    /// Address to listen on [default: 0.0.0.0 for `serve`, 127.0.0.1 otherwise]
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Port of the API; 0 picks a free one [env: PORT] [default: 3210]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Port of HTTP actions; 0 picks a free one [env: SITE_PROXY_PORT] [default: the port after the API's]
    #[arg(long, alias = "site-proxy-port")]
    pub(crate) site_port: Option<u16>,
    /// Serve HTTP actions below /http of the API's port only, and listen on no other
    #[arg(long, conflicts_with = "site_port")]
    pub(crate) single_port: bool,
    /// URL at which clients reach the API; it may have a path [env: CONVEX_CLOUD_ORIGIN] [default: http://127.0.0.1:PORT]
    #[arg(long, value_name = "URL", alias = "convex-origin")]
    pub(crate) origin: Option<String>,
    /// URL at which HTTP actions are reached [env: CONVEX_SITE_ORIGIN] [default: http://127.0.0.1:SITE_PORT, with --single-port
    /// the API's with /http]
    #[arg(long, value_name = "URL", alias = "convex-site")]
    pub(crate) site_origin: Option<String>,
    /// Threads that run queries and mutations [env: FRESHET_LANES] [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) lanes: Option<usize>,
    /// Memory for pages of the database file, in MB, at least 1; the operating system keeps more of the file in memory that it
    /// can take back [env: FRESHET_CACHE_MB] [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) cache_mb: Option<usize>,
    /// How long the database keeps what each commit wrote, in seconds; indexes that lag behind and whoever follows the log
    /// read it, and it takes room on the disk [env: DOCUMENT_RETENTION_DELAY] [default: 172800]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) log_retention: Option<u64>,
    /// Where files of `ctx.storage` are kept: a folder that no other server uses, or s3://BUCKET/PREFIX with endpoint, region
    /// and credentials of the usual AWS_ variables [env: FRESHET_STORAGE] [default: the folder `storage` of the data directory]
    #[arg(long, value_name = "PLACE")]
    pub(crate) storage: Option<String>,
    /// How long the bytes of a deleted file stay, for those who are reading them, in seconds
    /// [env: FRESHET_DELETED_FILES_KEPT] [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deleted_files_kept: Option<u64>,
    /// JavaScript heap of each thread that runs queries and mutations, and as much again for array buffers, in MB, at least
    /// 64; a call that needs more fails [env: FRESHET_FUNCTION_MEMORY_MB] [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) function_memory_mb: Option<usize>,
    /// Memory for vector indexes, in MB, at least 1; what does not fit is read from their files
    /// [env: FRESHET_VECTOR_MEMORY_MB] [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) vector_memory_mb: Option<usize>,
    /// Contexts of queries and mutations: `verified` shares one among the calls of a thread where that cannot be told
    /// from fresh ones, `fresh` evaluates the modules again for each call, `reuse` shares one whatever the code keeps
    /// in it [env: FRESHET_CONTEXTS] [default: verified]
    #[arg(long, value_name = "MODE")]
    pub(crate) contexts: Option<String>,
    /// Header in which your own proxy appends the client's address, such as `x-forwarded-for`; without, no header is believed
    /// [env: FRESHET_CLIENT_IP_HEADER]
    #[arg(long, value_name = "HEADER")]
    pub(crate) client_ip_header: Option<String>,
    /// Requests per second that one address may make without an admin key, with bursts of four seconds' worth; opening a
    /// WebSocket is one request [env: FRESHET_RATE_LIMIT] [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) rate_limit: Option<NonZeroU32>,
    /// Compression for WebSocket clients that offer it: `off`, or the base-2 logarithm of the window that clients are to keep,
    /// 9 to 15 [env: FRESHET_WEBSOCKET_COMPRESSION] [default: 15]
    #[arg(long, value_name = "BITS|off")]
    pub(crate) websocket_compression: Option<String>,
    /// Run queries a second time in a fresh context, and log where the results differ: slow, for development
    /// [env: FRESHET_AUDIT_DETERMINISM]
    #[arg(long)]
    pub(crate) audit_determinism: bool,
    /// Show clients `Server Error` instead of error messages, and no log lines [env: REDACT_LOGS_TO_CLIENT]
    #[arg(long)]
    pub(crate) redact_logs_to_client: bool,
    /// Address and port where metrics and health are shown to whoever can reach it, for instance 127.0.0.1:9310; without it,
    /// metrics are at /metrics of the API for holders of an admin key [env: FRESHET_METRICS_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics_listen: Option<String>,
    /// No metrics at /metrics of the API, not even for holders of an admin key [env: DISABLE_METRICS_ENDPOINT]
    #[arg(long)]
    pub(crate) disable_metrics_endpoint: bool,
    /// How log lines are written: `text`, or `json` with one object a line [env: FRESHET_LOG_FORMAT] [default: text]
    ///
    /// What is logged is chosen with RUST_LOG, for instance `debug` or `warn,freshet_server=debug` [default: info].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AdminKeyArgs {
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder of the app, the one with its package.json; its data goes to APP/.freshet unless --data says otherwise
    #[arg(default_value = ".")]
    pub(crate) app: PathBuf,
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DemoArgs {
    /// First of the three ports: API, HTTP actions, page [default: 3210]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Data directory [default: .freshet/demo in the checkout]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_common_deployment_recipes_are_understood() {
        let cli = Cli::try_parse_from([
            "freshet",
            "serve",
            "--site-proxy-port",
            "4001",
            "--convex-origin",
            "https://api.example",
            "--convex-site",
            "https://site.example",
            "--instance-name",
            "a",
            "--redact-logs-to-client",
        ])
        .unwrap();
        let Some(Command::Serve(args)) = cli.command else { panic!("serve was asked for") };
        assert_eq!(args.listen.site_port, Some(4001));
        assert_eq!(args.listen.origin.as_deref(), Some("https://api.example"));
        assert!(args.listen.redact_logs_to_client);
    }
}
