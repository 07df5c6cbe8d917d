//! A scratch folder with a stand-in for Node.js, and the program running with it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes longer unless it hangs; generous, because other builds may share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Script of an engine that says it is ready and stays until it is asked to stop or its standard input ends.
pub(crate) const HEALTHY_ENGINE: &str = r#"
trap 'echo "engine: asked to stop" >&2; exit 0' TERM
announce
# A shell gives its background jobs no standard input unless told to.
exec 3<&0
cat <&3 > /dev/null & reader=$!
wait $reader
echo "$$" >> "$SCRATCH/ended-by-eof"
"#;

/// A scratch folder; gone when dropped.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// With `script` as what `node` does when it is to run the engine. In it, `announce` reports readiness, and
    /// every life adds its process id to the file `lives`.
    pub(crate) fn with_engine(script: &str) -> Self {
        Self::with_node(&format!(
            r#"if [ "$1" = --version ]; then echo v24.1.0; exit 0; fi
announce() {{ echo 'FRESHET_READY {{"api_addr":"127.0.0.1:1","site_addr":"127.0.0.1:2","startup_ms":3}}'; }}
echo "$$" >> "$SCRATCH/lives"
{script}"#
        ))
    }

    /// With `script` as the whole of `node`.
    pub(crate) fn with_node(script: &str) -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap() };
        let script = format!("#!/bin/sh\n# Stands in for Node.js.\nSCRATCH={:?}\n{script}\n", scratch.path());
        scratch.write_program("node", &script);
        scratch.write("engine-library", "");
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn write_program(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The text of a file that a script writes, when it is there.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path().join(name)).ok()
    }

    /// Process ids of all engines so far.
    pub(crate) fn lives(&self) -> Vec<i32> {
        self.read("lives").unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
    }

    /// A command that runs the program with the stand-in, in the scratch folder, untouched by the test's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freshet"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("FRESHET_NODE", self.path().join("node"))
            .env("FRESHET_ENGINE", self.path().join("engine-library"));
        command
    }

    /// `freshet serve` on free ports.
    pub(crate) fn serve(&self) -> Running {
        let data = self.data();
        let args = ["serve", "--host", "127.0.0.1", "--port", "0", "--data", data.to_str().unwrap()];
        Running::start(self.command(&args))
    }
}

/// The program while it runs; killed when dropped.
pub(crate) struct Running {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        forward("out", process.stdout.take().unwrap(), sender.clone());
        forward("err", process.stderr.take().unwrap(), sender);
        Self { process, lines, seen: Vec::new() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(i32::try_from(self.process.id()).unwrap(), signal);
    }

    /// Waits for a new line that contains `text`; lines start with `out: ` or `err: `.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}) in {:#?}", self.seen),
            }
        }
    }

    /// Waits for the end; returns how it ended and everything it printed.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = eventually("the end of the program", || self.process.try_wait().unwrap());
        self.seen.extend(self.lines.iter());
        (status, std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn forward(name: &'static str, source: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            // The receiver goes when the test is over.
            let _ = lines.send(format!("{name}: {line}"));
        }
    });
}

/// Asks again until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn send(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}

/// Runs a command to its end; returns the exit code, standard output and standard error.
pub(crate) fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
