//! Developer commands, run as `cargo xtask <command>`.
//!
//! Each command is a list of named steps; the tools speak for themselves, and a summary at the end says how long each
//! step took and which failed. Nothing here is part of the product.

mod bench;
mod browser;
mod checks;
mod node_packages;
mod older_clients;
mod python;
mod steps;
mod suites;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::steps::Steps;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, build, and run all of them: Rust, TypeScript, end to end
    Test,
    /// Everything a change has to pass: formatting, lints, types, then all tests
    Ci,
    /// Build for speed and run the benchmarks, all or one
    Bench {
        /// The benchmark: startup, recovery, tokens, transfer, reads, growth, fanout, calls, deploy, hostile, scheduler, files, search or vectors
        name: Option<String>,
        /// Options of that benchmark; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Format the code
    Fmt,
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut steps = Steps::default();
    let outcome = run(&command, &mut steps);
    steps.print_summary();
    match outcome {
        Ok(()) if steps.all_passed() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, steps: &mut Steps) -> Result<()> {
    let workspace = Workspace::of_this_build();
    match command {
        Command::Fmt => steps.require("rustfmt", || steps::execute(workspace.cargo(&["fmt", "--all"]))),
        Command::Test => suites::run(steps, &workspace),
        Command::Ci => {
            checks::run(steps, &workspace)?;
            suites::run(steps, &workspace)
        }
        Command::Bench { name, options } => bench::run(steps, &workspace, name.as_deref(), options),
    }
}
