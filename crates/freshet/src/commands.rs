//! The commands, one module for each, and the choice among them.

mod admin_key;
mod demo;
mod dev;
mod serve;

use std::future::Future;

use anyhow::{Context, Result};

use crate::checkout::Checkout;
use crate::cli::{Cli, Command, DemoArgs};
use crate::failure::misconfigured;

/// Folder of an instance's data unless another is asked for.
const DATA_DEFAULT: &str = ".freshet";

/// Runs what the command line asks for.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Some(Command::Serve(args)) => block_on(serve::run(&args)),
        Some(Command::AdminKey(args)) => admin_key::run(&args),
        Some(Command::Dev(args)) => block_on(dev::run(&args)),
        Some(Command::Demo(args)) => block_on(demo::run(&args)),
        None if Checkout::find().is_some() => block_on(demo::run(&DemoArgs::default())),
        None => Err(misconfigured(
            "say what to do: `freshet serve` runs the server, `freshet dev APP` runs it for an app, \
             `freshet --help` explains the rest. (Without a command the demonstration runs, but only in a checkout \
             of the project.)",
        )),
    }
}

/// One thread is plenty: the work is waiting for children.
fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(command)
}
