//! Load over HTTP: each connection keeps a number of requests in flight, pipelined.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::http::{Connection, Endpoint};
use crate::load::{DRAIN_TIME_MAX, Load, Window, measure};
use crate::outcome::{Outcome, Tally};
use crate::requests::{Requests, Verdict};

/// Runs the load.
///
/// # Errors
/// When a connection cannot be opened.
pub(crate) async fn run(
    endpoint: &Endpoint,
    mut requests: Requests,
    load: Load,
    server_pid: Option<u32>,
) -> Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(endpoint).await?);
    }
    let window = Window::begin(load.time);
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(drive(connection, requests.fork(), load.in_flight as usize, window));
    }
    measure(window, tasks, server_pid).await
}

async fn drive(
    mut connection: Connection,
    mut requests: Requests,
    in_flight: usize,
    window: Window,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut sent = VecDeque::with_capacity(in_flight);
    let deadline = (window.end + DRAIN_TIME_MAX).into();
    let outcome = timeout_at(
        deadline,
        converse(&mut connection, &mut requests, in_flight, window, &mut sent, &mut tally),
    );
    match outcome.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tally.fail(sent.len().max(1) as u64, || format!("{error:#}")),
        Err(_) => tally.fail(sent.len() as u64, || format!("no answer within {DRAIN_TIME_MAX:?}")),
    }
    Ok(tally)
}

async fn converse(
    connection: &mut Connection,
    requests: &mut Requests,
    in_flight: usize,
    window: Window,
    sent: &mut VecDeque<Instant>,
    tally: &mut Tally,
) -> Result<()> {
    let mut body = String::new();
    loop {
        let now = Instant::now();
        while sent.len() < in_flight && now < window.end {
            body.clear();
            requests.write(&mut body);
            connection.post(requests.path(), &body);
            sent.push_back(now);
        }
        connection.flush().await?;
        if sent.is_empty() {
            return Ok(());
        }
        loop {
            let verdict = connection.answer(|status, body| requests.judge(status, body)).await?;
            let asked = sent.pop_front().expect("the server has answered more than it was asked");
            match verdict {
                Verdict::Good => tally.answered(&window, asked),
                Verdict::Refused => {
                    tally.refused += 1;
                    tally.answered(&window, asked);
                }
                Verdict::Failed(reason) => tally.fail(1, || reason),
            }
            if sent.is_empty() || !connection.has_answer()? {
                break;
            }
        }
    }
}
