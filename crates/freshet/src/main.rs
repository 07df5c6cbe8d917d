//! The `freshet` program: command line, supervisor of the engine process, and the demonstration.
//!
//! This crate never opens the database and never speaks to clients: that is the engine's work, in the `node` process
//! that the supervisor starts and restarts.

mod addon;
mod checkout;
mod child;
mod cli;
mod commands;
mod console;
mod convex_cli;
mod failure;
mod limits;
mod lines;
mod node;
mod ports;
mod recipe;
mod service;
mod settings;
mod shutdown;
mod supervisor;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::log(&format!("freshet: {error:#}"));
            failure::exit_code(&error)
        }
    }
}
