//! `1.0/actions/vectorSearch`: the host call behind `ctx.vectorSearch`.

use std::fmt::Write as _;
use std::sync::Arc;

use freshet_database::{Namespace, VectorAnswer, VectorQuery};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::call_error::CallError;
use crate::own_transaction::durability_failure;
use crate::services::Services;
use crate::syscalls::{self, Fault};

#[derive(Deserialize)]
struct Args {
    query: Json,
}

/// Searches, and waits until what the answer is made of is durable.
pub(crate) async fn search(services: &Arc<Services>, args: &str) -> Result<String, Fault> {
    let args: Args = syscalls::parse("vectorSearch", args)?;
    let query = VectorQuery::from_json(&args.query)?;
    // Searches need the processor and nothing else: more at once would only make all of them slower.
    let permit = services.vector_slot().await?;
    let searching = services.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        searching.database.vector_search(Namespace::ROOT, &query)
    })
    .await
    .map_err(|error| CallError::internal(&error))??;
    let durable = services.database.wait_durable(answer.ts).await;
    durable.map_err(|error| Fault::System(durability_failure(&error)))?;
    Ok(reply(&answer))
}

/// `{"results": [{"_id", "_score"}, ...]}`.
fn reply(answer: &VectorAnswer) -> String {
    let mut json = String::with_capacity(16 + 80 * answer.hits.len());
    json.push_str("{\"results\":[");
    for (at, hit) in answer.hits.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(json, "{comma}{{\"_id\":\"{}\",\"_score\":{}}}", hit.id, f64::from(hit.score))
            .expect("writing to a string does not fail");
    }
    json.push_str("]}");
    json
}
