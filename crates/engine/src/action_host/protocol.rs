//! Messages between the engine and an action host. The TypeScript side of the same shapes is `runtime/src/protocol.ts`.

use std::collections::BTreeMap;
use std::path::Path;

use freshet_functions::host::{EvaluationReply, EvaluationTask, JsError};
use freshet_functions::log::LogLevel;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum ToHost<'a> {
    Code {
        version: String,
        modules: Vec<PackageModule<'a>>,
        /// Folder with the npm packages that modules import.
        #[serde(skip_serializing_if = "Option::is_none")]
        node_modules: Option<&'a Path>,
        import_seed: String,
        import_time_ms: f64,
    },
    DropCode {
        version: String,
    },
    Action {
        id: &'a str,
        version: String,
        env: &'a BTreeMap<String, String>,
        module_path: &'a str,
        export_name: &'a str,
        args_json: &'a str,
        /// Whether it may run in a context that other actions have used.
        shares_context: bool,
    },
    Http {
        id: &'a str,
        version: String,
        env: &'a BTreeMap<String, String>,
        method: &'a str,
        url: &'a str,
        routed_path: &'a str,
        headers: &'a [(String, String)],
        shares_context: bool,
        request_stream: Option<u32>,
        response_stream: u32,
    },
    Evaluate {
        id: &'a str,
        version: String,
        env: &'a BTreeMap<String, String>,
        tasks: &'a [EvaluationTask],
    },
    Reply {
        id: &'a str,
        call: u64,
        ok: bool,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a str>,
    },
    BodyEnd {
        stream: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    },
    BodyCredit {
        stream: u32,
    },
    BodyCancel {
        stream: u32,
    },
    /// The client of an HTTP action has left: the request's signal is aborted, and the action goes on.
    Abort {
        id: &'a str,
    },
    /// Nobody waits for an invocation any more, and its work is to end.
    End {
        id: &'a str,
    },
    Ping {
        token: u64,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct PackageModule<'a> {
    pub(crate) path: &'a str,
    pub(crate) source: &'a str,
    #[serde(rename = "sourceMap")]
    pub(crate) source_map: Option<&'a str>,
    pub(crate) environment: freshet_functions::host::Environment,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum FromHost {
    Ready,
    /// It fails what it runs and ends: nothing new is to be given to it.
    Ending,
    Pong {
        token: u64,
    },
    Log {
        id: String,
        level: LogLevel,
        messages: Vec<String>,
        truncated: bool,
        timestamp: u64,
    },
    Syscall {
        id: String,
        call: u64,
        op: String,
        args: String,
    },
    Outcome {
        id: String,
        ok: bool,
        value: Option<String>,
        error: Option<JsError>,
    },
    Head {
        id: String,
        status: u16,
        headers: Vec<(String, String)>,
    },
    BodyEnd {
        stream: u32,
        error: Option<JsError>,
    },
    BodyCredit {
        stream: u32,
    },
    Evaluated {
        id: String,
        reply: Box<EvaluationReply>,
    },
    /// An action stores a file, whose bytes follow as the body `stream`.
    Store {
        id: String,
        call: u64,
        stream: u32,
        content_type: String,
        sha256: Option<String>,
        size: u64,
    },
    /// An action reads a file, whose bytes are to follow the reply as the body `stream`.
    Load {
        id: String,
        call: u64,
        stream: u32,
        storage_id: String,
    },
}
