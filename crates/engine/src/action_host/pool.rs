//! The pool of action host processes.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use freshet_functions::code::ContextMode;
use freshet_functions::host::{
    ActionCallbacks, ActionHost, ActionJob, CodePackage, Environment, EvaluationError, EvaluationJob,
    EvaluationReply, EvaluationTask, HostFailure, HostProcessStatistics, HttpActionFailure, HttpActionJob,
    HttpActionResponse, JsError, NodePackage, Outcome,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::bodies;
use super::invocations::Waiting;
use super::process::{HostProcess, Lease};
use super::protocol::ToHost;
use super::spawn::{HostKind, HostProgram};
use super::suspects::Suspects;
use crate::node_packages::NodePackages;

/// Invocations that share a process before another process is started. An action that exhausts the memory of its process, or
/// crashes it, takes these along.
const INVOCATIONS_PER_PROCESS: usize = 8;
/// Processes for functions that are run apart from others.
const APART_MAX: usize = 4;
/// How long a process without work is kept; one of them stays for good.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Time that the evaluation of one module may take.
const EVALUATION_MAX: Duration = Duration::from_secs(4);

/// Bounds on how long actions may run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActionTimes {
    pub(crate) isolate: Duration,
    pub(crate) node: Duration,
}

/// Starts processes as they are needed and replaces those that end.
pub(crate) struct ProcessPool {
    program: HostProgram,
    times: ActionTimes,
    /// Processes of the default runtime.
    isolates_max: usize,
    isolates: Mutex<Vec<Arc<HostProcess>>>,
    node: Mutex<Option<NodeProcess>>,
    suspects: Arc<Suspects>,
    apart: Mutex<VecDeque<Apart>>,
    packages: NodePackages,
}

/// A process for one function that is suspected of ending processes.
struct Apart {
    function: String,
    kind: HostKind,
    version: u64,
    env: BTreeMap<String, String>,
    process: Arc<HostProcess>,
}

/// A process for `"use node"` actions keeps module state, so it serves one version of code and environment only.
struct NodeProcess {
    version: u64,
    env: BTreeMap<String, String>,
    process: Arc<HostProcess>,
}

impl ProcessPool {
    pub(crate) fn new(
        program: HostProgram,
        times: ActionTimes,
        isolates_max: usize,
        packages: NodePackages,
    ) -> Self {
        // What processes of an engine that was killed have left behind.
        let _ = std::fs::remove_dir_all(&program.scratch);
        Self {
            program,
            times,
            isolates_max,
            isolates: Mutex::default(),
            node: Mutex::default(),
            suspects: Arc::default(),
            apart: Mutex::default(),
            packages,
        }
    }

    /// Starts the first process ahead of the first action.
    pub(crate) async fn warm_up(&self) -> Result<(), HostFailure> {
        self.isolate(None).await.map(drop)
    }

    /// Ends processes that have had no work for a while, for as long as the pool exists.
    pub(crate) async fn trim(&self) {
        loop {
            tokio::time::sleep(IDLE_MAX / 2).await;
            let mut isolates = self.isolates.lock().await;
            isolates.retain(|process| process.is_alive());
            while isolates.len() > 1
                && let Some(index) = isolates.iter().rposition(|process| process.idle_for() > IDLE_MAX)
            {
                isolates.remove(index).terminate("was not needed any more");
            }
            drop(isolates);
            self.apart.lock().await.retain(|apart| {
                let is_needed = apart.process.is_alive() && apart.process.idle_for() <= IDLE_MAX;
                if !is_needed {
                    apart.process.terminate("was not needed any more");
                }
                is_needed
            });
        }
    }

    /// Ends all processes.
    pub(crate) async fn shut_down(&self) {
        for apart in self.apart.lock().await.drain(..) {
            apart.process.terminate("is shut down with the server");
        }
        for process in self.isolates.lock().await.drain(..) {
            process.terminate("is shut down with the server");
        }
        if let Some(node) = self.node.lock().await.take() {
            node.process.terminate("is shut down with the server");
        }
    }

    /// The default-runtime process with the fewest invocations.
    async fn isolate(&self, code: Option<&CodePackage>) -> Result<Lease, HostFailure> {
        let mut processes = self.isolates.lock().await;
        processes.retain(|process| process.is_usable());
        let least = processes.iter().min_by_key(|process| process.load()).cloned();
        let process = match least {
            Some(process)
                if process.load() < INVOCATIONS_PER_PROCESS || processes.len() >= self.isolates_max =>
            {
                process
            }
            _ => {
                let process =
                    HostProcess::start(&self.program, HostKind::Isolate, &BTreeMap::new(), &self.suspects)
                        .await?;
                processes.push(process.clone());
                process
            }
        };
        if let Some(code) = code {
            process.drop_old_code(code.version).await;
            process.send_code(code, None).await?;
        }
        Ok(process.lease())
    }

    /// Where the npm packages of the code are, for Node. They are installed anew where they are missing, as in a data
    /// directory that was restored without them.
    async fn node_modules(&self, kind: HostKind, code: &CodePackage) -> Result<Option<PathBuf>, HostFailure> {
        if kind == HostKind::Isolate || code.node_packages.is_empty() {
            return Ok(None);
        }
        let name = self.packages.ensure(&code.node_packages).await.map_err(HostFailure::Crashed)?;
        Ok(Some(self.packages.modules_folder(&name)))
    }

    /// A process for a function that is not to share one with others. The environment counts for Node alone.
    async fn apart(
        &self,
        function: &str,
        kind: HostKind,
        code: &CodePackage,
        env: &BTreeMap<String, String>,
    ) -> Result<Lease, HostFailure> {
        let mut all = self.apart.lock().await;
        all.retain(|apart| apart.process.is_usable());
        let fits = |apart: &&Apart| {
            apart.function == function
                && apart.version == code.version
                && apart.kind == kind
                && apart.env == *env
        };
        if let Some(own) = all.iter().find(fits) {
            return Ok(own.process.lease());
        }
        if all.len() >= APART_MAX
            && let Some(oldest) = all.pop_front()
        {
            tokio::spawn(retire(oldest.process));
        }
        let node_modules = self.node_modules(kind, code).await?;
        let process = HostProcess::start(&self.program, kind, env, &self.suspects).await?;
        process.send_code(code, node_modules.as_deref()).await?;
        let lease = process.lease();
        let (function, env) = (function.to_owned(), env.clone());
        all.push_back(Apart { function, kind, version: code.version, env, process });
        Ok(lease)
    }

    /// The `"use node"` process for this code and environment; an older one ends when its actions have.
    async fn node(&self, code: &CodePackage, env: &BTreeMap<String, String>) -> Result<Lease, HostFailure> {
        let mut slot = self.node.lock().await;
        if let Some(node) = slot.as_ref()
            && node.version == code.version
            && node.env == *env
            && node.process.is_usable()
        {
            return Ok(node.process.lease());
        }
        if let Some(old) = slot.take() {
            tokio::spawn(retire(old.process));
        }
        let node_modules = self.node_modules(HostKind::Node, code).await?;
        let process = HostProcess::start(&self.program, HostKind::Node, env, &self.suspects).await?;
        process.send_code(code, node_modules.as_deref()).await?;
        let lease = process.lease();
        *slot = Some(NodeProcess { version: code.version, env: env.clone(), process });
        Ok(lease)
    }
}

/// Only where that cannot be told from a context of its own: what modules keep by choice is kept by lanes alone.
fn shares_context(mode: ContextMode) -> bool {
    mode == ContextMode::Verified
}

/// How a function is called among suspects: other code is another function.
fn suspect_name(code: &CodePackage, module_path: &str, export_name: &str) -> String {
    format!("{} {module_path}:{export_name}", code.version)
}

/// Waits until nobody uses a process and ends it.
async fn retire(process: Arc<HostProcess>) {
    while process.is_alive() && process.load() > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    process.terminate("was replaced because the app was deployed anew");
}

/// Tells a process that nobody waits for an invocation any more.
struct Abandon {
    process: Arc<HostProcess>,
    id: String,
    armed: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if self.armed {
            self.process.give_up(&self.id);
        }
    }
}

impl ProcessPool {
    fn statistics(&self) -> Vec<HostProcessStatistics> {
        // Somebody who is starting a process holds the lock; those who watch come back.
        let isolates = self.isolates.try_lock().map(|isolates| isolates.clone()).unwrap_or_default();
        let node = self.node.try_lock().ok().and_then(|node| node.as_ref().map(|node| node.process.clone()));
        let describe = |environment| {
            move |process: Arc<HostProcess>| HostProcessStatistics {
                environment,
                pid: process.pid(),
                running: process.load() as u64,
            }
        };
        let isolates = isolates.into_iter().map(describe(Environment::Isolate));
        isolates.chain(node.map(describe(Environment::Node))).collect()
    }
}

#[async_trait]
impl ActionHost for ProcessPool {
    fn processes(&self) -> Vec<HostProcessStatistics> {
        self.statistics()
    }

    async fn run_action(
        &self,
        job: ActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<Outcome, HostFailure> {
        let environment = environment_of(&job.code, &job.module_path);
        let name = suspect_name(&job.code, &job.module_path, &job.export_name);
        let lease = match environment {
            Environment::Isolate if self.suspects.contains(&name) => {
                self.apart(&name, HostKind::Isolate, &job.code, &BTreeMap::new()).await?
            }
            Environment::Isolate => self.isolate(Some(&job.code)).await?,
            Environment::Node if self.suspects.contains(&name) => {
                self.apart(&name, HostKind::Node, &job.code, &job.env).await?
            }
            Environment::Node => self.node(&job.code, &job.env).await?,
        };
        let limit = match environment {
            Environment::Isolate => self.times.isolate,
            Environment::Node => self.times.node,
        };
        let process = &lease.process;
        let (sender, outcome) = oneshot::channel();
        process.register(&job.invocation_id, name, Waiting::Action { outcome: sender, callbacks });
        let mut abandon = Abandon { process: process.clone(), id: job.invocation_id.clone(), armed: true };
        process
            .send(&ToHost::Action {
                id: &job.invocation_id,
                version: job.code.version.to_string(),
                env: &job.env,
                module_path: &job.module_path,
                export_name: &job.export_name,
                args_json: &job.args_json,
                shares_context: shares_context(job.context),
            })
            .await?;
        match tokio::time::timeout(limit, outcome).await {
            Ok(Ok(outcome)) => {
                abandon.armed = false;
                outcome
            }
            Ok(Err(_dropped)) => Err(process.failure()),
            Err(_elapsed) => Err(HostFailure::Timeout),
        }
    }

    async fn run_http_action(
        &self,
        job: HttpActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<HttpActionResponse, HttpActionFailure> {
        let name = suspect_name(&job.code, "http.js", &format!("{} {}", job.method, job.routed_path));
        let lease = if self.suspects.contains(&name) {
            self.apart(&name, HostKind::Isolate, &job.code, &BTreeMap::new()).await
        } else {
            self.isolate(Some(&job.code)).await
        };
        let lease = lease.map_err(HttpActionFailure::Host)?;
        let process = &lease.process;
        let deadline = Instant::now() + self.times.isolate;
        let id = job.invocation_id.clone();
        let (response_stream, pieces) = process.open_response();
        let request_stream = job.body.map(|mut body| {
            let body = futures::stream::poll_fn(move |context| body.poll_recv(context));
            let (stream, credits) = process.open_request();
            tokio::spawn(bodies::forward_request(process.clone(), stream, body, credits));
            stream
        });
        let (sender, mut head) = oneshot::channel();
        process.register(
            &id,
            name,
            Waiting::Http { head: Some(sender), response_stream, request_stream, callbacks },
        );
        let mut abandon = Abandon { process: process.clone(), id: id.clone(), armed: true };
        let message = ToHost::Http {
            id: &id,
            version: job.code.version.to_string(),
            env: &job.env,
            method: &job.method,
            url: &job.url,
            routed_path: &job.routed_path,
            headers: &job.headers,
            shares_context: shares_context(job.context),
            request_stream,
            response_stream,
        };
        process.send(&message).await.map_err(HttpActionFailure::Host)?;
        let early = tokio::select! {
            biased;
            head = timeout_at(deadline, &mut head) => Some(head),
            // There is no message, only the end of whoever could send one.
            _ = job.client_left => None,
        };
        let head = match early {
            Some(head) => head,
            None => {
                // The function goes on, but it may want to know.
                process.send(&ToHost::Abort { id: &id }).await.map_err(HttpActionFailure::Host)?;
                timeout_at(deadline, head).await
            }
        };
        let head = match head {
            Ok(Ok(Ok(head))) => head,
            Ok(Ok(Err(failure))) => {
                abandon.armed = false;
                return Err(match failure {
                    Ok(error) => HttpActionFailure::Threw(error),
                    Err(failure) => HttpActionFailure::Host(failure),
                });
            }
            Ok(Err(_dropped)) => return Err(HttpActionFailure::Host(process.failure())),
            Err(_elapsed) => return Err(HttpActionFailure::Host(HostFailure::Timeout)),
        };
        abandon.armed = false;
        let (body_sender, body) = mpsc::channel(1);
        tokio::spawn(bodies::forward_response(lease, id, response_stream, pieces, body_sender, deadline));
        Ok(HttpActionResponse { status: head.status, headers: head.headers, body })
    }

    async fn install(&self, packages: &[NodePackage]) -> Result<String, String> {
        self.packages.ensure(packages).await
    }

    async fn evaluate(&self, job: EvaluationJob) -> Result<Vec<EvaluationReply>, HostFailure> {
        let mut replies: Vec<Option<EvaluationReply>> = vec![None; job.tasks.len()];
        for kind in [HostKind::Isolate, HostKind::Node] {
            let chosen: Vec<usize> =
                (0..job.tasks.len()).filter(|index| kind_of(&job.code, &job.tasks[*index]) == kind).collect();
            if chosen.is_empty() {
                continue;
            }
            let tasks: Vec<EvaluationTask> = chosen.iter().map(|index| job.tasks[*index].clone()).collect();
            // Pushed code is unknown code: it gets a process of its own, which ends with the evaluation.
            let node_modules = self.node_modules(kind, &job.code).await?;
            let process = HostProcess::start(&self.program, kind, &job.env, &Arc::default()).await?;
            let found = evaluate_in(&process, &job, &tasks, node_modules.as_deref()).await;
            process.terminate("ended with the evaluation");
            for (index, reply) in chosen.into_iter().zip(found?) {
                replies[index] = Some(reply);
            }
        }
        Ok(replies
            .into_iter()
            .map(|reply| reply.unwrap_or_else(|| Err(failed("skipped", "not evaluated"))))
            .collect())
    }
}

/// Evaluates tasks one after the other. The first that never ends is reported as such, and nothing after it is tried.
async fn evaluate_in(
    process: &Arc<HostProcess>,
    job: &EvaluationJob,
    tasks: &[EvaluationTask],
    node_modules: Option<&Path>,
) -> Result<Vec<EvaluationReply>, HostFailure> {
    const ID: &str = "evaluation";
    let (sender, mut incoming) = mpsc::unbounded_channel();
    process.send_code(&job.code, node_modules).await?;
    process.register(ID, ID.to_owned(), Waiting::Evaluation { replies: sender });
    let version = job.code.version.to_string();
    process.send(&ToHost::Evaluate { id: ID, version, env: &job.env, tasks }).await?;
    let mut replies = Vec::with_capacity(tasks.len());
    while replies.len() < tasks.len() {
        match tokio::time::timeout(EVALUATION_MAX, incoming.recv()).await {
            Ok(Some(reply)) => replies.push(reply),
            Ok(None) => {
                let (code, text) = match process.failure() {
                    HostFailure::OutOfMemory => {
                        ("outOfMemory", "Evaluating the module ran out of memory".to_owned())
                    }
                    other => ("crashed", other.to_string()),
                };
                replies.push(Err(failed(code, &text)));
                break;
            }
            Err(_elapsed) => {
                replies.push(Err(failed(
                    "timeout",
                    &format!("Evaluating the module took longer than {} seconds", EVALUATION_MAX.as_secs()),
                )));
                break;
            }
        }
    }
    Ok(replies)
}

fn failed(code: &str, message: &str) -> Box<EvaluationError> {
    Box::new(EvaluationError {
        error: JsError { message: message.to_owned(), ..JsError::default() },
        code: code.to_owned(),
        ..EvaluationError::default()
    })
}

fn kind_of(code: &CodePackage, task: &EvaluationTask) -> HostKind {
    let path = match task {
        EvaluationTask::Functions { path }
        | EvaluationTask::Schema { path }
        | EvaluationTask::AuthConfig { path }
        | EvaluationTask::Definition { path } => path,
    };
    match environment_of(code, path) {
        Environment::Isolate => HostKind::Isolate,
        Environment::Node => HostKind::Node,
    }
}

fn environment_of(code: &CodePackage, path: &str) -> Environment {
    code.modules.get(path).map_or(Environment::Isolate, |module| module.environment)
}
