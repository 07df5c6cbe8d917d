//! Users of the crates.io client, also over connections that break.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use convex::{AuthTokenFetcher, AuthenticationToken, ConvexClient, FunctionResult, QuerySubscription, Value};
use freshet_rust_client_tests::{Scissors, args, soon, url, value};
use futures::StreamExt;

// Signed with the key of which `tests/apps/basic/convex/auth.config.ts` has the public half; good until the year 2100.
const ADA: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZpeHR1cmUifQ.\
    eyJpc3MiOiJodHRwczovL2ZpeHR1cmUuZXhhbXBsZS5jb20iLCJzdWIiOiJhZGEiLCJhdWQiOiJweXRob24iLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0.\
    _zN27I9RVJCHTFUDaBytV4ZaFjTJyuaoEPPkHCYrik0RHItRkKetIs49U6U7Z-4x3Nx5Hi09OjyH7PlV4ecnRQ";
const BOB: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZpeHR1cmUifQ.\
    eyJpc3MiOiJodHRwczovL2ZpeHR1cmUuZXhhbXBsZS5jb20iLCJzdWIiOiJib2IiLCJhdWQiOiJweXRob24iLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0.\
    Y3Sq46jU0DueLOCckFL9eWEVE8wd6iCXs44cvsZ06lbpaeEfZISMh_1YUBpn_Ilujeyzlsk6D5zm5Q_1CGCr6w";

fn name(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Waits for the result of a subscription to become this.
async fn becomes(updates: &mut QuerySubscription, wanted: &Value) -> Result<()> {
    loop {
        match soon(updates.next()).await?.context("the subscription ended")? {
            FunctionResult::Value(value) if value == *wanted => return Ok(()),
            FunctionResult::Value(_) => {}
            other => bail!("it failed: {other:?}"),
        }
    }
}

/// Waits until a number is among the entries of a session.
async fn arrival(client: &mut ConvexClient, session: Value, n: i32) -> Result<()> {
    let mut entries = client.subscribe("counters:entries", args([("session", session)])).await?;
    while let Some(result) = entries.next().await {
        if matches!(value(result)?, Value::Array(found) if found.contains(&Value::Float64(f64::from(n)))) {
            return Ok(());
        }
    }
    bail!("the subscription ended")
}

#[tokio::test]
async fn a_live_query_follows_who_is_logged_in() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    let mut me = client.subscribe("misc:me", BTreeMap::new()).await?;
    becomes(&mut me, &Value::Null).await?;
    client.set_auth(Some(ADA.to_owned())).await;
    becomes(&mut me, &name("ada")).await?;
    client.set_auth(Some(BOB.to_owned())).await;
    becomes(&mut me, &name("bob")).await?;
    client.set_auth(None).await;
    becomes(&mut me, &Value::Null).await
}

#[tokio::test]
async fn a_token_that_is_refused_reaches_no_function_and_a_good_one_afterwards_does() -> Result<()> {
    let mut client = ConvexClient::new(&url()).await?;
    let mut me = client.subscribe("misc:me", BTreeMap::new()).await?;
    becomes(&mut me, &Value::Null).await?;
    // The signature of another token.
    let forged =
        format!("{}.{}", ADA.rsplit_once('.').context("parts")?.0, BOB.rsplit_once('.').context("parts")?.1);
    client.set_auth(Some(forged)).await;
    client.set_auth(Some(BOB.to_owned())).await;
    loop {
        match value(soon(me.next()).await?.context("the subscription ended")?)? {
            who if who == name("bob") => return Ok(()),
            who => assert_eq!(who, Value::Null),
        }
    }
}

#[tokio::test]
async fn a_new_connection_asks_for_a_new_token_and_is_the_same_user() -> Result<()> {
    let scissors = Scissors::start().await?;
    let mut client = ConvexClient::new(&scissors.url()).await?;
    let mut direct = ConvexClient::new(&url()).await?;
    let forced = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&forced);
    let fetcher: AuthTokenFetcher = Box::new(move |force_refresh| {
        counted.fetch_add(usize::from(force_refresh), Ordering::Relaxed);
        Box::pin(async { Ok(AuthenticationToken::User(ADA.to_owned())) })
    });
    client.set_auth_callback(Some(fetcher)).await;
    let mut me = client.subscribe("misc:me", BTreeMap::new()).await?;
    becomes(&mut me, &name("ada")).await?;
    let counter = || args([("name", name("rust auth"))]);
    let mut updates = client.subscribe("counters:get", counter()).await?;
    let Value::Float64(mut expected) = value(soon(updates.next()).await?.context("no first result")?)? else {
        bail!("a counter is a number")
    };
    for round in 1..=3 {
        scissors.cut();
        soon(async {
            while forced.load(Ordering::Relaxed) < round {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await?;
        let added = args([("name", name("rust auth")), ("by", Value::Float64(1.0))]);
        value(soon(direct.mutation("counters:add", added)).await??)?;
        expected += 1.0;
        becomes(&mut updates, &Value::Float64(expected)).await?;
        assert_eq!(value(soon(client.query("misc:me", BTreeMap::new())).await??)?, name("ada"));
    }
    Ok(())
}

#[tokio::test]
async fn mutations_survive_connections_that_are_cut() -> Result<()> {
    let scissors = Scissors::start().await?;
    let mut client = ConvexClient::new(&scissors.url()).await?;
    let mut direct = ConvexClient::new(&url()).await?;
    let session = || name("rust cuts");
    for n in 0..60 {
        if n % 6 == 0 {
            scissors.cut();
        }
        let row = args([("session", session()), ("n", Value::Float64(f64::from(n)))]);
        // A call that is made as the connection breaks is sent again, but not answered.
        match soon(client.mutation("counters:append", row)).await? {
            Ok(result) => drop(value(result)?),
            Err(_) => soon(arrival(&mut direct, session(), n)).await??,
        }
    }
    let entries = value(soon(direct.query("counters:entries", args([("session", session())]))).await??)?;
    let Value::Array(entries) = entries else { bail!("entries are an array") };
    // The client names each connection anew, so that the server cannot tell a repetition from another mutation; but nothing is
    // lost, and nothing comes before its turn.
    let mut distinct: Vec<Value> = Vec::new();
    for entry in entries {
        if !distinct.contains(&entry) {
            distinct.push(entry);
        }
    }
    assert_eq!(distinct, (0..60).map(|n| Value::Float64(f64::from(n))).collect::<Vec<_>>());
    Ok(())
}
