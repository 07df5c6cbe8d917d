//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::load::{Load, Time};

/// Puts load on a server of this machine and prints what came of it.
///
/// `cargo xtask bench transfer|reads|growth|fanout` runs it in all the ways that are compared. One configuration by hand, with
/// the app of benches/apps/transfer pushed to the server:
///
///     freshet-loadgen transfer --url http://127.0.0.1:3210 --connections 16 --in-flight 40 --alpha 1.5 --seconds 10
///
/// `cargo xtask bench transfer --serve` starts such a server, pushes the app, makes the accounts, and prints this
/// command with everything filled in.
#[derive(Parser)]
#[command(name = "freshet-loadgen", verbatim_doc_comment)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print the result as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fund transfers through the WebSocket protocol, as mutations of the app in benches/apps/transfer
    Transfer {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        accounts: AccountArgs,
        #[command(flatten)]
        load: LoadArgs,
        /// The server's admin key; with it, the log of recent executions is asked how many conflicts there were
        #[arg(long, value_name = "KEY")]
        admin_key: Option<String>,
    },
    /// Fund transfers as HTTP requests, one POST each, to a peer that answers `true` or `false`
    Http {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        accounts: AccountArgs,
        #[command(flatten)]
        load: LoadArgs,
        /// Path of the requests
        #[arg(long, default_value = "/transfer")]
        path: String,
    },
    /// Any HTTP requests: a body with another value in it each time
    Requests {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        load: LoadArgs,
        /// Path of the requests
        #[arg(long)]
        path: String,
        /// Body; every $VALUE in it is replaced, and every $UNIQUE by a number of its own
        #[arg(long)]
        body: String,
        /// File with one value in each line, chosen at random
        #[arg(long, value_name = "FILE", conflicts_with = "numbers")]
        values: Option<PathBuf>,
        /// Values are the integers from 0 to below this, chosen at random
        #[arg(long, value_name = "N", default_value_t = 1)]
        numbers: u64,
        /// What an answer begins with when it is a good one
        #[arg(long, value_name = "TEXT", default_value = "")]
        expect: String,
    },
    /// Many clients watch a list while one of its messages changes now and then, with the app of benches/apps/feed
    Fanout {
        #[command(flatten)]
        server: ServerArgs,
        /// Clients that watch
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
        clients: u32,
        /// Each client watches a list of its own, and one of the lists changes
        #[arg(long)]
        distinct: bool,
        /// Changes per second
        #[arg(long, default_value_t = 1.0)]
        rate: f64,
        /// Messages of a list
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        messages: u32,
        /// Ask for compression
        #[arg(long)]
        deflate: bool,
        /// Seconds to measure
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Seconds before that
        #[arg(long, default_value_t = 1.0)]
        warmup: f64,
    },
    /// The limit of the disk: the same transfers on a bare SQLite file, in this process, one thread
    Sqlite {
        #[command(flatten)]
        accounts: AccountArgs,
        /// Transfers that share one commit, and thereby one wait for the disk
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        group: u32,
        /// Seconds to measure
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Seconds before that
        #[arg(long, default_value_t = 1.0)]
        warmup: f64,
        /// Folder for the file [default: the system's for temporary files]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct ServerArgs {
    /// The server; must be of this machine
    #[arg(long)]
    pub(crate) url: String,
    /// Process whose processor time, with that of its descendants, is the server's
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
}

#[derive(Args)]
pub(crate) struct AccountArgs {
    /// Number of accounts
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) accounts: u32,
    /// Exponent of the Zipf distribution by which accounts are chosen; 0 is uniform
    #[arg(long, default_value_t = 0.0)]
    pub(crate) alpha: f64,
}

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests that each connection has sent and not got an answer to
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
}

impl LoadArgs {
    pub(crate) fn load(&self) -> Result<Load> {
        Ok(Load {
            connections: self.connections,
            in_flight: self.in_flight,
            time: time(self.warmup, self.seconds)?,
        })
    }
}

/// Checks the two durations, given in seconds.
///
/// # Errors
/// When they are out of bounds.
pub(crate) fn time(warmup: f64, seconds: f64) -> Result<Time> {
    ensure!((0.0..=600.0).contains(&warmup), "--warmup must be from 0 to 600 seconds");
    ensure!((0.1..=3600.0).contains(&seconds), "--seconds must be from 0.1 to 3600");
    Ok(Time { warmup: Duration::from_secs_f64(warmup), measured: Duration::from_secs_f64(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_out_of_bounds_are_refused() {
        assert!(time(1.0, 5.0).is_ok());
        assert!(time(-1.0, 5.0).is_err());
        assert!(time(f64::NAN, 5.0).is_err());
        assert!(time(1.0, 0.0).is_err());
    }
}
