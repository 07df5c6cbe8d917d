//! `freshet-loadgen`: puts load on a server of this machine and says what came of it.
//!
//! It speaks the public protocols only and shares no code with the server, so that both cannot be wrong in the same way.
//! One thread, because it shares the processors with what it measures; its own processor time is part of the result.
//! It never connects to another machine.

mod accounts;
mod choice;
mod cli;
mod fanout;
mod http;
mod http_load;
mod load;
mod outcome;
mod processor;
mod requests;
mod sqlite_load;
mod sync_load;
mod watcher;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::accounts::Accounts;
use crate::choice::Transfers;
use crate::cli::{Cli, Command};
use crate::http::Endpoint;
use crate::outcome::Outcome;
use crate::requests::Requests;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("freshet-loadgen: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("freshet-loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Transfer { server, accounts, load, admin_key } => {
            let endpoint = Endpoint::parse(&server.url)?;
            let table = Accounts::prepare(&endpoint, accounts.accounts).await?;
            let transfers = Transfers::new(table.ids(), accounts.alpha);
            let mut outcome = sync_load::run(&endpoint, transfers, load.load()?, server.server_pid).await?;
            outcome.retries = match admin_key {
                Some(key) => accounts::recent_retries(&endpoint, key).await?,
                None => None,
            };
            outcome.balanced = Some(table.is_balanced(&endpoint).await?);
            finish(&outcome, cli.json)
        }
        Command::Http { server, accounts, load, path } => {
            let endpoint = Endpoint::parse(&server.url)?;
            let numbers = (1..=accounts.accounts).map(|number| number.to_string()).collect();
            let transfers = Transfers::new(numbers, accounts.alpha);
            let requests = Requests::transfers(path, transfers);
            let outcome = http_load::run(&endpoint, requests, load.load()?, server.server_pid).await?;
            finish(&outcome, cli.json)
        }
        Command::Requests { server, load, path, body, values, numbers, expect } => {
            let endpoint = Endpoint::parse(&server.url)?;
            let requests = Requests::template(path, body, values.as_deref(), *numbers, expect)?;
            let outcome = http_load::run(&endpoint, requests, load.load()?, server.server_pid).await?;
            finish(&outcome, cli.json)
        }
        Command::Fanout { server, clients, distinct, rate, messages, deflate, seconds, warmup } => {
            let endpoint = Endpoint::parse(&server.url)?;
            let plan = fanout::Plan {
                clients: *clients as usize,
                distinct: *distinct,
                per_second: *rate,
                messages: *messages as usize,
                deflate: *deflate,
                time: cli::time(*warmup, *seconds)?,
            };
            fanout::run(&endpoint, plan, server.server_pid).await?.print(cli.json)
        }
        Command::Sqlite { accounts, group, seconds, warmup, directory } => {
            let numbers = (1..=accounts.accounts).map(|number| number.to_string()).collect();
            let transfers = Transfers::new(numbers, accounts.alpha);
            let time = cli::time(*warmup, *seconds)?;
            finish(&sqlite_load::run(directory.as_deref(), transfers, *group, time)?, cli.json)
        }
    }
}

/// Prints the outcome; an error when something in it was wrong, so that no script takes it for a good one.
fn finish(outcome: &Outcome, json: bool) -> Result<()> {
    outcome.print(json)?;
    if outcome.failed > 0 {
        let first = outcome.first_error.as_deref().unwrap_or("no reason given");
        bail!("{} calls failed; the first: {first}", outcome.failed);
    }
    if outcome.balanced == Some(false) {
        bail!("the balances do not add up");
    }
    Ok(())
}
