//! The unmodified crates.io client; `FRESHET_URL` says where a server with `tests/apps/basic` is. `cargo xtask test` runs it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use convex::{ConvexClient, FunctionResult, Value};
use freshet_rust_client_tests::{Scissors, args, soon, url, value};
use futures::StreamExt;

#[tokio::test]
async fn every_type_of_value_goes_there_and_back() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    let object = Value::Object(args([("a", Value::Float64(1.0)), ("b", Value::Array(vec![Value::Null]))]));
    let values = [
        Value::Null,
        Value::Boolean(true),
        Value::Int64(i64::MIN),
        Value::Float64(-0.0),
        Value::Float64(1e300),
        Value::Float64(f64::INFINITY),
        Value::String("grün 😀 \u{0}".to_owned()),
        Value::Bytes(vec![0, 1, 255]),
        Value::Array(vec![Value::Int64(7), Value::Array(Vec::new())]),
        object,
    ];
    for sent in values {
        let stored = soon(client.mutation("misc:store", args([("value", sent.clone())]))).await??;
        assert_eq!(value(stored)?, sent);
        let echoed = soon(client.query("misc:echo", args([("value", sent.clone())]))).await??;
        assert_eq!(value(echoed)?, sent);
    }
    let echoed = soon(client.query("misc:echo", args([("value", Value::Float64(f64::NAN))]))).await??;
    assert!(matches!(value(echoed)?, Value::Float64(number) if number.is_nan()));
    Ok(())
}

#[tokio::test]
async fn a_subscription_sees_what_another_client_does() -> Result<()> {
    let mut watching = ConvexClient::new(&url()).await?;
    let mut writing = ConvexClient::new(&url()).await?;
    let name = || Value::String("rust".to_owned());
    let mut updates = watching.subscribe("counters:get", args([("name", name())])).await?;
    let Value::Float64(first) = value(soon(updates.next()).await?.context("no first result")?)? else {
        bail!("a counter is a number")
    };
    for step in 1..=5 {
        let added = args([("name", name()), ("by", Value::Float64(1.0))]);
        value(soon(writing.mutation("counters:add", added)).await??)?;
        let seen = value(soon(updates.next()).await?.context("no update")?)?;
        assert_eq!(seen, Value::Float64(first + f64::from(step)));
    }
    Ok(())
}

#[tokio::test]
async fn errors_carry_their_data() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    match soon(client.mutation("misc:failWithData", BTreeMap::new())).await?? {
        FunctionResult::ConvexError(error) => match error.data {
            Value::Object(data) => assert_eq!(data["code"], Value::String("LIMIT".to_owned())),
            other => bail!("odd data: {other:?}"),
        },
        other => bail!("not an error with data: {other:?}"),
    }
    match soon(client.query("misc:nothing", BTreeMap::new())).await?? {
        FunctionResult::ErrorMessage(message) => {
            assert!(message.contains("Could not find public function for 'misc:nothing'"), "{message}");
        }
        other => bail!("not an error: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn an_action_returns_its_result() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    let relayed = args([("name", Value::String("rust action".to_owned()))]);
    match value(soon(client.action("misc:relay", relayed)).await??)? {
        Value::Object(result) => assert_eq!(result["secret"], Value::String("internal".to_owned())),
        other => bail!("odd result: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_the_subscription_goes_on() -> Result<()> {
    let scissors = Scissors::start().await?;
    let mut client = ConvexClient::new(&scissors.url()).await?;
    let mut direct = ConvexClient::new(&url()).await?;
    let name = || Value::String("rust reconnect".to_owned());
    let mut updates = client.subscribe("counters:get", args([("name", name())])).await?;
    let Value::Float64(mut expected) = value(soon(updates.next()).await?.context("no first result")?)? else {
        bail!("a counter is a number")
    };
    for _ in 0..3 {
        scissors.cut();
        let added = args([("name", name()), ("by", Value::Float64(1.0))]);
        value(soon(direct.mutation("counters:add", added)).await??)?;
        expected += 1.0;
        loop {
            if value(soon(updates.next()).await?.context("no update")?)? == Value::Float64(expected) {
                break;
            }
        }
    }
    Ok(())
}
