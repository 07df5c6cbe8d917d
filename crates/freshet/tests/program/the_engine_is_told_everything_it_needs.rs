//! The environment and arguments of the engine.

use std::os::unix::fs::PermissionsExt;

use freshet_engine::launch::EngineConfig;
use rustix::process::Signal;

use crate::fixture::{Running, Scratch, eventually};

const RECORDING_ENGINE: &str = r#"
printf '%s\n' "$@" > "$SCRATCH/arguments"
env > "$SCRATCH/environment"
announce
trap 'exit 0' TERM
while :; do sleep 0.05; done
"#;

#[test]
fn flags_and_variables_reach_the_engine_and_the_secret_stays_out_of_its_environment() {
    let scratch = Scratch::with_engine(RECORDING_ENGINE);
    let mut command = scratch.command(&[
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--site-origin",
        "https://s.example/",
    ]);
    command
        .env("DATA_DIR", scratch.data())
        .env("INSTANCE_SECRET", "5a".repeat(32))
        .env("CONVEX_CLOUD_ORIGIN", "https://api.example")
        .env("RUST_LOG", "debug")
        .env("FRESHET_LANES", "3")
        // As compose files of the original backend have it.
        .env("SCHEDULED_JOB_EXECUTION_PARALLELISM", "17")
        .env("HTTP_SERVER_TIMEOUT_SECONDS", "60")
        .env("DISABLE_METRICS_ENDPOINT", "true")
        .env("APPLICATION_MAX_CONCURRENT_QUERIES", "16")
        .env("POSTGRES_URL", "");
    let mut server = Running::start(command);
    server.wait_for("Freshet is ready at https://api.example (HTTP actions at https://s.example)");
    let environment = eventually("the engine's environment", || scratch.read("environment"));
    let variable = |name: &str| {
        environment.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).map(str::to_owned)
    };
    let config: EngineConfig = serde_json::from_str(&variable("FRESHET_ENGINE_CONFIG").unwrap()).unwrap();
    assert_eq!(config.api_origin, "https://api.example");
    assert_eq!(config.site_origin, "https://s.example");
    assert_eq!(config.data_dir, scratch.data().canonicalize().unwrap());
    assert_eq!(config.instance_secret_hex, "5a".repeat(32));
    assert_eq!((config.lanes, config.log_filter.as_str()), (3, "debug"));
    assert_eq!((config.limits.scheduled_parallelism, config.limits.request_time_s), (17, 60));
    assert!(!config.metrics_endpoint);
    assert!(config.port != 0 && config.site_port.is_some_and(|port| port != 0));
    assert_eq!(variable("INSTANCE_SECRET"), None);
    // The test's end of standard error is no terminal.
    assert_eq!(variable("NO_COLOR").as_deref(), Some("1"));
    assert!(variable("FRESHET_ADDON").unwrap().ends_with("/engine-library"));
    let arguments = scratch.read("arguments").unwrap();
    assert!(std::path::Path::new(arguments.lines().last().unwrap()).is_file(), "{arguments}");
    let mode = scratch.data().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    server.signal(Signal::TERM);
    let (status, lines) = server.wait();
    assert!(status.success());
    let notice = "APPLICATION_MAX_CONCURRENT_QUERIES has no effect: ";
    assert!(lines.iter().any(|line| line.contains(notice)), "{lines:#?}");
}
