//! Running functions over HTTP: `/api/query`, `/api/mutation`, `/api/action`, `/api/function`, `/api/run/…`.
//!
//! A function that throws is a 200 with `"status":"error"`; only failures of the request or the server have another
//! status.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use freshet_functions::{CallError, Caller, FunctionCall, QueryOptions, RequestId, RequestMetadata};
use freshet_values::{ComponentPath, FunctionPath, Timestamp};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::call_format::{self, AnswerStyle, CallAnswer};
use crate::access::{Operation, Visitor};
use crate::edge::body::{Call, JsonBody};
use crate::edge::credentials::Credentials;
use crate::edge::error::ApiError;
use crate::edge::path_args::PathArgs;
use crate::edge::query_args::QueryArgs;
use crate::edge::{client_version, request_ids};
use crate::queries::{self, Answered, Asker, Question, Refusal};
use crate::state::{ClientAddress, State};

type Shared = axum::extract::State<Arc<State>>;

/// Queries of one batch.
const BATCH_MAX: usize = 1_000;
/// Queries of one batch that run at the same time.
const BATCH_PARALLELISM: usize = 8;

/// One call as clients write it.
#[derive(Deserialize)]
pub(super) struct CallBody {
    path: String,
    args: Box<RawValue>,
    format: Option<String>,
}

/// `/api/function`: a call into any component.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnyCallBody {
    path: String,
    args: Box<RawValue>,
    format: Option<String>,
    component_path: Option<String>,
}

/// `GET /api/query`.
#[derive(Deserialize)]
pub(super) struct CallQuery {
    path: String,
    args: String,
    format: Option<String>,
}

/// `/api/query_at_ts`.
#[derive(Deserialize)]
pub(super) struct CallAtBody {
    path: String,
    args: Box<RawValue>,
    format: Option<String>,
    ts: String,
}

/// `/api/query_batch`.
#[derive(Deserialize)]
pub(super) struct BatchBody {
    queries: Vec<CallBody>,
}

/// `/api/run/…`.
#[derive(Deserialize)]
pub(super) struct RunBody {
    args: Option<Box<RawValue>>,
    format: Option<String>,
}

/// Answer of `/api/query_ts`.
#[derive(Serialize)]
pub(super) struct QueryTs {
    ts: String,
}

/// Answer of `/api/query_batch`.
#[derive(Serialize)]
pub(super) struct BatchAnswer {
    results: Vec<CallAnswer>,
}

/// Who calls, and how the request is named. Refuses bad credentials and ancient clients before the body is read.
pub(super) struct CallContext {
    pub(super) state: Arc<State>,
    pub(super) visitor: Arc<Visitor>,
    pub(super) request_id: RequestId,
    metadata: Arc<RequestMetadata>,
    /// Whether the caller wants a query to run, however good a kept result would be.
    wants_fresh: bool,
}

impl FromRequestParts<Arc<State>> for CallContext {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, ApiError> {
        client_version::of_headers(&parts.headers)?;
        let credentials = Credentials::from_request(&parts.headers, parts.uri.query())?;
        let visitor = state.identify(credentials).await?;
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let metadata = RequestMetadata {
            ip: parts.extensions.get::<ClientAddress>().map(|address| address.0.ip().to_string().into()),
            user_agent: user_agent.map(Arc::from),
            auth_token: visitor.token.clone(),
        };
        Ok(Self {
            state: Arc::clone(state),
            request_id: request_ids::of(&parts.extensions),
            visitor: Arc::new(visitor),
            metadata: Arc::new(metadata),
            wants_fresh: wants_fresh(&parts.headers),
        })
    }
}

/// `Cache-Control: no-cache`, which is how HTTP asks for an answer that no cache gave.
fn wants_fresh(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

impl CallContext {
    pub(super) fn style(&self, format: Option<&str>) -> Result<AnswerStyle, ApiError> {
        Ok(AnswerStyle { format: call_format::parse(format)?, redact: self.state.config.redact })
    }

    pub(super) fn call(&self, path: FunctionPath, args: String, caller: Caller) -> FunctionCall {
        FunctionCall {
            path,
            component: ComponentPath::root(),
            args,
            identity: self.visitor.identity.clone(),
            caller,
            request_id: self.request_id,
            metadata: self.metadata.as_ref().clone(),
        }
    }

    /// Mutations and actions change things; a key that may only look does not run them.
    fn require(&self, operation: Operation) -> Result<(), ApiError> {
        self.visitor.admin.map_or(Ok(()), |admin| admin.require(operation))
    }

    async fn query(
        &self,
        path: &str,
        args: String,
        format: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<CallAnswer, ApiError> {
        let style = self.style(format)?;
        if self.wants_fresh {
            let call = self.call(parse_path(path)?, args, Caller::HttpApi);
            let options = QueryOptions { at, journal: None };
            let outcome = self.state.services.functions.query(call, options).await?;
            return style.answer(self.request_id, outcome.result, &outcome.log_lines);
        }
        let asker = Asker {
            visitor: Arc::clone(&self.visitor),
            metadata: Arc::clone(&self.metadata),
            caller: Caller::HttpApi,
            request_id: Some(self.request_id),
        };
        // As WebSockets write it, so that both ask the same question.
        let args = if args.starts_with('{') { format!("[{args}]").into() } else { Arc::from(args) };
        let component = ComponentPath::root();
        let question = Question::new(&parse_path(path)?, &component, &args, None, &asker.visitor.identity);
        let (Answered { shared, reused }, ts) = match at {
            None => {
                let answered = queries::newest(&self.state, &question, &asker).await?;
                let ts = answered.shared.ts;
                (answered, ts)
            }
            Some(ts) => match queries::answer(&self.state, &question, &asker, ts, false).await {
                Ok(answered) => (answered, ts),
                Err(Refusal::Call(error, _)) => return Err(error.into()),
                Err(Refusal::Passed) => return Err(ApiError::internal()),
            },
        };
        if reused {
            queries::record(&self.state, &question, &asker, &shared, ts);
        }
        // Another caller may have got it before it was on disk.
        self.state.services.functions.wait_durable(shared.ts).await?;
        style.answer(shared.request_id, shared.result(), &shared.log_lines)
    }
}

/// `POST /api/query`
pub(super) async fn query(
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<CallBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    context.query(&body.path, text(body.args), body.format.as_deref(), None).await.map(Json)
}

/// `GET /api/query`
pub(super) async fn query_by_get(
    context: CallContext,
    QueryArgs(query): QueryArgs<CallQuery>,
) -> Result<Json<CallAnswer>, ApiError> {
    let args = RawValue::from_string(query.args).map_err(|error| {
        ApiError::bad_request("BadQueryArgs", format!("The 'args' parameter is not JSON: {error}"))
    })?;
    context.query(&query.path, text(args), query.format.as_deref(), None).await.map(Json)
}

/// `POST /api/query_ts`: the newest timestamp that may be read; durable, so that it never turns out too new.
pub(super) async fn query_ts(state: Shared) -> Json<QueryTs> {
    Json(QueryTs { ts: state.services.database.durable_ts().to_wire() })
}

/// `POST /api/query_at_ts`
pub(super) async fn query_at_ts(
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<CallAtBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    let at = Timestamp::from_wire(&body.ts).map_err(|_| {
        ApiError::bad_request(
            "BadJsonBody",
            format!("'{}' is not a timestamp as returned by /api/query_ts.", body.ts),
        )
    })?;
    context.query(&body.path, text(body.args), body.format.as_deref(), Some(at)).await.map(Json)
}

/// `POST /api/query_batch`: all at one timestamp.
pub(super) async fn query_batch(
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<BatchBody, Call>,
) -> Result<Json<BatchAnswer>, ApiError> {
    if body.queries.len() > BATCH_MAX {
        return Err(ApiError::bad_request(
            "TooManyQueries",
            format!("A batch can hold {BATCH_MAX} queries, this one has {}.", body.queries.len()),
        ));
    }
    let at = Some(context.state.services.database.durable_ts());
    let context = &context;
    let mut answers = futures::stream::iter(body.queries)
        .map(|query| async move {
            context.query(&query.path, text(query.args), query.format.as_deref(), at).await
        })
        .buffered(BATCH_PARALLELISM);
    let mut results = Vec::new();
    while let Some(answer) = answers.next().await {
        results.push(answer?);
    }
    Ok(Json(BatchAnswer { results }))
}

/// `POST /api/mutation`
pub(super) async fn mutation(
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<CallBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    context.require(Operation::RUN_MUTATIONS)?;
    let style = context.style(body.format.as_deref())?;
    let call = context.call(parse_path(&body.path)?, text(body.args), Caller::HttpApi);
    let outcome = context.state.services.functions.mutation(call, None).await?;
    style.answer(context.request_id, outcome.result, &outcome.log_lines).map(Json)
}

/// `POST /api/action`
pub(super) async fn action(
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<CallBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    context.require(Operation::RUN_ACTIONS)?;
    let style = context.style(body.format.as_deref())?;
    let call = context.call(parse_path(&body.path)?, text(body.args), Caller::HttpApi);
    let outcome = context.state.services.functions.action(call).await?;
    style.answer(context.request_id, outcome.result, &outcome.log_lines).map(Json)
}

/// `POST /api/function`: any kind, any visibility, any component; admins only.
pub(super) async fn function(
    credentials: Presented,
    context: CallContext,
    JsonBody { value: body, .. }: JsonBody<AnyCallBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    let access = context.state.require_any_admin(&credentials.0)?;
    let style = context.style(body.format.as_deref())?;
    let mut call = context.call(parse_path(&body.path)?, text(body.args), Caller::Tester);
    call.component = parse_component(body.component_path.as_deref().unwrap_or_default())?;
    let functions = &context.state.services.functions;
    let (result, log_lines) = if access.is_read_only() {
        let outcome = functions.query(call, QueryOptions::default()).await?;
        (outcome.result, outcome.log_lines)
    } else {
        functions.any(call).await?.into_parts()
    };
    style.answer(context.request_id, result, &log_lines).map(Json)
}

/// `POST /api/run/{module path}/{function}`
pub(super) async fn run(
    context: CallContext,
    PathArgs(identifier): PathArgs<String>,
    JsonBody { value: body, .. }: JsonBody<RunBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    let (module, function) = match identifier.rsplit_once('/') {
        Some((module, function)) if !module.is_empty() && !function.is_empty() => (module, function),
        _ => {
            return Err(ApiError::bad_request(
                "MissingIdentifier",
                "The path must name a module and a function: /api/run/<module path>/<function>.",
            ));
        }
    };
    let style = context.style(body.format.as_deref())?;
    let path = parse_path(&format!("{module}:{function}"))?;
    let args = body.args.map_or_else(|| "{}".to_owned(), text);
    let call = context.call(path, args, Caller::HttpApi);
    let functions = &context.state.services.functions;
    let may_only_look = context.visitor.admin.is_some_and(|admin| admin.is_read_only());
    let (result, log_lines) = if may_only_look {
        let outcome = functions.query(call, QueryOptions::default()).await?;
        (outcome.result, outcome.log_lines)
    } else {
        functions.any(call).await?.into_parts()
    };
    style.answer(context.request_id, result, &log_lines).map(Json)
}

/// Credentials as presented, for endpoints that judge them themselves.
pub(super) struct Presented(pub(super) Credentials);

impl<S: Send + Sync> FromRequestParts<S> for Presented {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Credentials::from_request(&parts.headers, parts.uri.query()).map(Self)
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        let status = axum::http::StatusCode::from_u16(error.class.status())
            .expect("every class of errors has an HTTP status");
        Self::new(status, error.code, error.message)
    }
}

pub(super) fn text(args: Box<RawValue>) -> String {
    Box::<str>::from(args).into_string()
}

fn parse_path(path: &str) -> Result<FunctionPath, ApiError> {
    path.parse().map_err(|error| ApiError::bad_request("BadConvexFunctionIdentifier", format!("{error}")))
}

fn parse_component(path: &str) -> Result<ComponentPath, ApiError> {
    path.parse().map_err(|error| ApiError::bad_request("InvalidComponentPath", format!("{error}")))
}
