//! The same server with an older version of the crates.io client.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use convex_0_9::{ConvexClient, FunctionResult, Value};
use freshet_rust_client_tests::{soon, url};
use futures::StreamExt;

fn args<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn value(result: FunctionResult) -> Result<Value> {
    match result {
        FunctionResult::Value(value) => Ok(value),
        other => bail!("it failed: {other:?}"),
    }
}

#[tokio::test]
async fn version_0_9_subscribes_mutates_acts_and_gets_errors_with_their_data() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    let sent = Value::Array(vec![
        Value::Int64(i64::MIN),
        Value::Bytes(vec![0, 255]),
        Value::Float64(f64::INFINITY),
        Value::Null,
    ]);
    let echoed = soon(client.query("misc:echo", args([("value", sent.clone())]))).await??;
    assert_eq!(value(echoed)?, sent);
    let name = || Value::String("rust 0.9".to_owned());
    let mut updates = client.subscribe("counters:get", args([("name", name())])).await?;
    let Value::Float64(first) = value(soon(updates.next()).await?.context("no first result")?)? else {
        bail!("a counter is a number")
    };
    value(
        soon(client.mutation("counters:add", args([("name", name()), ("by", Value::Float64(1.0))])))
            .await??,
    )?;
    assert_eq!(value(soon(updates.next()).await?.context("no update")?)?, Value::Float64(first + 1.0));
    match value(soon(client.action("misc:relay", args([("name", name())]))).await??)? {
        Value::Object(result) => assert_eq!(result["secret"], Value::String("internal".to_owned())),
        other => bail!("odd result: {other:?}"),
    }
    match soon(client.mutation("misc:failWithData", BTreeMap::new())).await?? {
        FunctionResult::ConvexError(error) => match error.data {
            Value::Object(data) => assert_eq!(data["code"], Value::String("LIMIT".to_owned())),
            other => bail!("odd data: {other:?}"),
        },
        other => bail!("not an error with data: {other:?}"),
    }
    Ok(())
}
