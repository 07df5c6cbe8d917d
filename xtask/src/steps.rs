//! Named steps with their times, and the summary at the end.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long the output of a tool that has ended is waited for.
const LEFT_BEHIND: Duration = Duration::from_secs(5);
/// Bytes of a failed tool's output that are printed once more at the end, where those look who see only the end of a log.
const ENDING_BYTES: usize = 6_000;

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
            Some(_) => eprintln!("==> {name}: FAILED after {:.1} s", elapsed.as_secs_f64()),
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
        for step in &self.done {
            if let Some(error) = &step.error {
                eprintln!("\n---- {}: FAILED ----\n{error}", step.name);
            }
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

/// Runs a tool whose output goes to the terminal, or on to wherever ours does.
///
/// # Errors
/// When it cannot be started or does not succeed; unless the output is on a terminal, with how it ended.
pub(crate) fn execute(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    if io::stdout().is_terminal() {
        let status = command.status().with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("{program} ended with {status}");
        }
        return Ok(());
    }
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    // It holds the pipe's other end, and the output is over when nobody does.
    drop(command);
    let ending = Arc::new(Mutex::new(Ending::default()));
    let (done, over) = mpsc::channel();
    let kept = Arc::clone(&ending);
    thread::spawn(move || done.send(pass_on(reader, io::stdout(), &kept)));
    let status = child.wait()?;
    // Something that the tool left behind may hold the pipe for ever.
    if let Ok(copied) = over.recv_timeout(LEFT_BEHIND) {
        copied.context("cannot pass on output")?;
    }
    if !status.success() {
        let ending = ending.lock().expect("it is not poisoned: nothing panics under it").text();
        bail!("{ending}\n{program} ended with {status}");
    }
    Ok(())
}

/// Copies everything, and keeps the end.
fn pass_on(mut output: impl Read, mut to: impl Write, ending: &Mutex<Ending>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = output.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        ending.lock().expect("it is not poisoned: nothing panics under it").push(&buffer[..length]);
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

/// The last bytes of an output.
#[derive(Default)]
struct Ending {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Ending {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(ENDING_BYTES);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// The whole lines.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        match text.split_once('\n') {
            Some((_, lines)) if self.is_cut => lines.trim_end().to_owned(),
            _ => text.trim_end().to_owned(),
        }
    }
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

    #[test]
    fn all_output_is_passed_on_and_its_last_lines_are_kept() {
        let output = (0..2_000).map(|line| format!("line {line}\n")).collect::<String>();
        let (mut copy, ending) = (Vec::new(), Mutex::default());
        pass_on(output.as_bytes(), &mut copy, &ending).unwrap();
        assert_eq!(copy, output.as_bytes());
        let text = ending.into_inner().unwrap().text();
        assert!(text.len() <= ENDING_BYTES && text.starts_with("line 1") && text.ends_with("line 1999"));
    }

    #[test]
    fn a_failure_says_how_the_output_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo before; echo why >&2; exit 3"]);
        let error = execute(command).unwrap_err().to_string();
        assert!(error.starts_with("before\nwhy\nsh ended with"), "{error}");
    }
}
