//! The pool of action host processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use freshet_functions::host::{
    ActionCallbacks, ActionHost, ActionJob, CodePackage, Environment, EvaluationError, EvaluationJob,
    EvaluationReply, EvaluationTask, HostFailure, HostProcessStatistics, HttpActionFailure, HttpActionJob,
    HttpActionResponse, JsError, Outcome,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::bodies;
use super::process::{HostKind, HostProcess, HostProgram, Lease, Waiting};
use super::protocol::ToHost;

/// Invocations that share a process before another process is started.
const INVOCATIONS_PER_PROCESS: usize = 32;
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
}

/// A process for `"use node"` actions keeps module state, so it serves one version of code and environment only.
struct NodeProcess {
    version: u64,
    env: BTreeMap<String, String>,
    process: Arc<HostProcess>,
}

impl ProcessPool {
    pub(crate) fn new(program: HostProgram, times: ActionTimes, isolates_max: usize) -> Self {
        // What processes of an engine that was killed have left behind.
        let _ = std::fs::remove_dir_all(&program.scratch);
        Self { program, times, isolates_max, isolates: Mutex::default(), node: Mutex::default() }
    }

    /// Starts the first process ahead of the first action.
    pub(crate) async fn warm_up(&self) -> Result<(), HostFailure> {
        self.isolate(None).await.map(drop)
    }

    /// Ends all processes.
    pub(crate) async fn shut_down(&self) {
        for process in self.isolates.lock().await.drain(..) {
            process.terminate("the server is shutting down");
        }
        if let Some(node) = self.node.lock().await.take() {
            node.process.terminate("the server is shutting down");
        }
    }

    /// The default-runtime process with the fewest invocations.
    async fn isolate(&self, code: Option<&CodePackage>) -> Result<Lease, HostFailure> {
        let mut processes = self.isolates.lock().await;
        processes.retain(|process| process.is_alive());
        let least = processes.iter().min_by_key(|process| process.load()).cloned();
        let process = match least {
            Some(process)
                if process.load() < INVOCATIONS_PER_PROCESS || processes.len() >= self.isolates_max =>
            {
                process
            }
            _ => {
                let process = HostProcess::start(&self.program, HostKind::Isolate, &BTreeMap::new()).await?;
                processes.push(process.clone());
                process
            }
        };
        if let Some(code) = code {
            process.drop_old_code(code.version).await;
            process.send_code(code).await?;
        }
        Ok(process.lease())
    }

    /// The `"use node"` process for this code and environment; an older one ends when its actions have.
    async fn node(&self, code: &CodePackage, env: &BTreeMap<String, String>) -> Result<Lease, HostFailure> {
        let mut slot = self.node.lock().await;
        if let Some(node) = slot.as_ref()
            && node.version == code.version
            && node.env == *env
            && node.process.is_alive()
        {
            return Ok(node.process.lease());
        }
        if let Some(old) = slot.take() {
            tokio::spawn(retire(old.process));
        }
        let process = HostProcess::start(&self.program, HostKind::Node, env).await?;
        process.send_code(code).await?;
        let lease = process.lease();
        *slot = Some(NodeProcess { version: code.version, env: env.clone(), process });
        Ok(lease)
    }
}

/// Waits until nobody uses a process and ends it.
async fn retire(process: Arc<HostProcess>) {
    while process.is_alive() && process.load() > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    process.terminate("the app was deployed anew");
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
        let (lease, limit) = match environment {
            Environment::Isolate => (self.isolate(Some(&job.code)).await?, self.times.isolate),
            Environment::Node => (self.node(&job.code, &job.env).await?, self.times.node),
        };
        let process = &lease.process;
        let (sender, outcome) = oneshot::channel();
        process.register(&job.invocation_id, Waiting::Action { outcome: sender, callbacks });
        let mut abandon = Abandon { process: process.clone(), id: job.invocation_id.clone(), armed: true };
        process
            .send(&ToHost::Action {
                id: &job.invocation_id,
                version: job.code.version.to_string(),
                env: &job.env,
                module_path: &job.module_path,
                export_name: &job.export_name,
                args_json: &job.args_json,
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
        let lease = self.isolate(Some(&job.code)).await.map_err(HttpActionFailure::Host)?;
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
        process
            .register(&id, Waiting::Http { head: Some(sender), response_stream, request_stream, callbacks });
        let mut abandon = Abandon { process: process.clone(), id: id.clone(), armed: true };
        let message = ToHost::Http {
            id: &id,
            version: job.code.version.to_string(),
            env: &job.env,
            method: &job.method,
            url: &job.url,
            routed_path: &job.routed_path,
            headers: &job.headers,
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
            let process = HostProcess::start(&self.program, kind, &job.env).await?;
            let found = evaluate_in(&process, &job, &tasks).await;
            process.terminate("the evaluation is over");
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
) -> Result<Vec<EvaluationReply>, HostFailure> {
    const ID: &str = "evaluation";
    let (sender, mut incoming) = mpsc::unbounded_channel();
    process.send_code(&job.code).await?;
    process.register(ID, Waiting::Evaluation { replies: sender });
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
