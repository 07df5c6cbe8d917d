//! Named steps with their times, and the summary at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The steps of one run, in order.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    elapsed: Duration,
    error: Option<String>,
}

impl Steps {
    /// Runs a step that the following ones build upon.
    ///
    /// # Errors
    /// When it fails; the error names it.
    pub(crate) fn require(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        match self.attempt(name, work) {
            true => Ok(()),
            false => bail!("{name} failed; the steps after it were not run"),
        }
    }

    /// Runs a step whose failure does not keep the following ones from telling more. Returns whether it passed.
    pub(crate) fn attempt(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let error = work().err().map(|error| format!("{error:#}"));
        let elapsed = started.elapsed();
        match &error {
            None => eprintln!("==> {name}: {:.1} s", elapsed.as_secs_f64()),
            Some(error) => {
                eprintln!("==> {name}: FAILED after {:.1} s: {error}", elapsed.as_secs_f64());
            }
        }
        let passed = error.is_none();
        self.done.push(Step { name: name.to_owned(), elapsed, error });
        passed
    }

    /// Whether no step has failed.
    pub(crate) fn all_passed(&self) -> bool {
        self.done.iter().all(|step| step.error.is_none())
    }

    /// Prints what was done, how long it took, and what failed.
    pub(crate) fn print_summary(&self) {
        if self.done.is_empty() {
            return;
        }
        eprintln!();
        for line in self.summary() {
            eprintln!("{line}");
        }
    }

    fn summary(&self) -> Vec<String> {
        let width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let mut lines: Vec<String> = self
            .done
            .iter()
            .map(|step| {
                let verdict = if step.error.is_none() { "ok    " } else { "FAILED" };
                format!("{verdict}  {:width$}  {:>7.1} s", step.name, step.elapsed.as_secs_f64())
            })
            .collect();
        let failed: Vec<&str> =
            self.done.iter().filter(|step| step.error.is_some()).map(|step| step.name.as_str()).collect();
        let total: Duration = self.done.iter().map(|step| step.elapsed).sum();
        lines.push(match failed.as_slice() {
            [] => format!("All {} steps passed in {:.0} s.", self.done.len(), total.as_secs_f64()),
            failed => format!("Failed: {}", failed.join(", ")),
        });
        lines
    }
}

/// Runs a tool whose output goes to the terminal.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn execute(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_is_named_at_the_end_and_the_next_step_runs() {
        let mut steps = Steps::default();
        assert!(!steps.attempt("one", || bail!("no")));
        assert!(steps.attempt("two", || Ok(())));
        assert!(!steps.all_passed());
        assert_eq!(steps.summary().last().unwrap(), "Failed: one");
    }

    #[test]
    fn a_failed_requirement_ends_the_run() {
        let mut steps = Steps::default();
        let error = steps.require("build", || bail!("no")).unwrap_err();
        assert!(error.to_string().starts_with("build failed"));
    }

    #[test]
    fn a_tool_that_fails_is_an_error() {
        assert!(execute(Command::new("true")).is_ok());
        assert!(execute(Command::new("false")).is_err());
        assert!(execute(Command::new("no-such-program-anywhere")).is_err());
    }
}
