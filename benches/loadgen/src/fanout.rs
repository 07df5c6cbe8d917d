//! Many clients watch, one changes something: how long until all of them know.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

use crate::http::Endpoint;
use crate::load::{DRAIN_TIME_MAX, Time};
use crate::processor::{Usage, resident_bytes};
use crate::watcher::{Seen, Watcher};

/// Handshakes at the same time.
const HANDSHAKES: usize = 64;
/// Clients whose frames are read and not only counted.
const SAMPLED_MAX: usize = 100;
/// One read of a client.
const READ_BYTES: usize = 64 << 10;
/// Changes per second up to which every change reaches every client as a frame of its own.
const SEPARATE_PER_SECOND_MAX: f64 = 2.0;
/// For everybody to settle before memory is read.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    /// Each client watches a query of its own, and only one of them is touched.
    pub(crate) distinct: bool,
    pub(crate) per_second: f64,
    pub(crate) messages: usize,
    pub(crate) deflate: bool,
    pub(crate) time: Time,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Fanout {
    changes: usize,
    /// Until the last client that it concerns has a change, in milliseconds.
    all_p50_ms: f64,
    all_p99_ms: f64,
    /// Until one client has it.
    one_p50_ms: f64,
    one_p99_ms: f64,
    /// Processor time of the server for each change.
    server_cpu_ms: Option<f64>,
    generator_cpu_ms: f64,
    /// Bytes on the wire for each client and change.
    bytes: f64,
    /// Resident memory of the server for each client that does nothing.
    memory_bytes: Option<f64>,
    /// Updates that reached a client whose query nobody touched.
    stray: u64,
    /// Changes that somebody still had not heard of half a minute after the end.
    unreached: usize,
    elsewhere: Option<f64>,
}

/// What all clients report to.
struct Board {
    distinct: bool,
    separate: bool,
    clients: Vec<ClientState>,
    /// Changes that have not reached everybody, by their versions.
    open: VecDeque<Change>,
    all: Vec<Duration>,
    one: Vec<Duration>,
    /// Clients that have seen their first result.
    ready: usize,
    measuring: bool,
    stray: u64,
    bytes: u64,
}

#[derive(Clone, Default)]
struct ClientState {
    sampled: bool,
    is_ready: bool,
    version: u64,
}

struct Change {
    version: u64,
    at: Instant,
    waiting: usize,
    /// The only client that it concerns.
    client: Option<usize>,
    measured: bool,
}

/// Runs it.
///
/// # Errors
/// When a client cannot connect, or a change does not reach everybody.
pub(crate) async fn run(endpoint: &Endpoint, plan: Plan, server_pid: Option<u32>) -> Result<Fanout> {
    LocalSet::new().run_until(run_local(endpoint, plan, server_pid)).await
}

async fn run_local(endpoint: &Endpoint, plan: Plan, server_pid: Option<u32>) -> Result<Fanout> {
    let separate = plan.per_second <= SEPARATE_PER_SECOND_MAX;
    let sampled = |client: usize| plan.distinct || client.is_multiple_of(plan.clients.div_ceil(SAMPLED_MAX));
    let clients = (0..plan.clients)
        .map(|client| ClientState { sampled: sampled(client), ..ClientState::default() })
        .collect();
    let board = Rc::new(RefCell::new(Board {
        distinct: plan.distinct,
        separate,
        clients,
        open: VecDeque::new(),
        all: Vec::new(),
        one: Vec::new(),
        ready: 0,
        measuring: false,
        stray: 0,
        bytes: 0,
    }));
    let buffer = Rc::new(RefCell::new(vec![0; READ_BYTES]));
    let memory_before = server_pid.and_then(resident_bytes);
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    connect(endpoint, plan, &board, &buffer, &mut tasks).await?;
    tokio::time::sleep(SETTLE_TIME).await;
    let memory_after = server_pid.and_then(resident_bytes);
    let mut control = Watcher::connect(endpoint, false, false, &greeting(None)).await?;

    let period = Duration::from_secs_f64(1.0 / plan.per_second);
    let begin = tokio::time::Instant::now();
    let measured_from = begin + plan.time.warmup;
    let end = measured_from + plan.time.measured;
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut version, mut changes, mut before) = (0_u64, 0, None);
    loop {
        tokio::select! {
            read = control.read(&buffer, |_| {}) => read?,
            ended = tasks.join_next() => ended.context("all clients are gone")???,
            now = ticks.tick() => {
                if now >= end {
                    break;
                }
                if now >= measured_from && before.is_none() {
                    before = Some(Usage::now(server_pid));
                    board.borrow_mut().measuring = true;
                }
                version += 1;
                changes += usize::from(before.is_some());
                let channel = if plan.distinct { version as usize * 7 % plan.clients } else { 0 };
                let position = version as usize % plan.messages;
                let mutation = format!(
                    r#"{{"type":"Mutation","requestId":{version},"udfPath":"feed:touch","args":[{{"channel":{channel},"position":{position},"version":{version}}}]}}"#
                );
                board.borrow_mut().changed(version, plan.distinct.then_some(channel));
                control.send(&mutation).await?;
            }
        }
    }
    let drained = tokio::time::Instant::now() + DRAIN_TIME_MAX;
    while !board.borrow().open.is_empty() && tokio::time::Instant::now() < drained {
        tokio::select! {
            read = control.read(&buffer, |_| {}) => read?,
            ended = tasks.join_next() => ended.context("all clients are gone")???,
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    let after = Usage::now(server_pid);
    let before = before.context("the time is too short for one change")?;
    let mut board = board.borrow_mut();
    let changes = changes.max(1);
    let each_ms = |time: Duration| time.as_secs_f64() * 1e3 / changes as f64;
    let receivers = if plan.distinct { 1 } else { plan.clients };
    let grown = |(before, after): (u64, u64)| after.saturating_sub(before) as f64 / plan.clients as f64;
    Ok(Fanout {
        changes,
        all_p50_ms: at(&mut board.all, 0.5),
        all_p99_ms: at(&mut board.all, 0.99),
        one_p50_ms: at(&mut board.one, 0.5),
        one_p99_ms: at(&mut board.one, 0.99),
        server_cpu_ms: after.server_since(&before).map(each_ms),
        generator_cpu_ms: each_ms(after.own_since(&before)),
        bytes: board.bytes as f64 / (changes * receivers) as f64,
        memory_bytes: memory_before.zip(memory_after).map(grown),
        stray: board.stray,
        unreached: board.open.len(),
        elsewhere: after.elsewhere_since(&before),
    })
}

fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What a client says first.
fn greeting(channel: Option<usize>) -> Vec<String> {
    let session = uuid::Uuid::new_v4();
    let add = channel.map_or(String::new(), |channel| {
        format!(r#"{{"type":"Add","queryId":0,"udfPath":"feed:list","args":[{{"channel":{channel}}}]}}"#)
    });
    vec![
        format!(
            r#"{{"type":"Connect","sessionId":"{session}","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":{}}}"#,
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |time| time.as_millis())
        ),
        format!(r#"{{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{add}]}}"#),
    ]
}

async fn connect(
    endpoint: &Endpoint,
    plan: Plan,
    board: &Rc<RefCell<Board>>,
    buffer: &Rc<RefCell<Vec<u8>>>,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let places = Rc::new(tokio::sync::Semaphore::new(HANDSHAKES));
    for client in 0..plan.clients {
        let place = Rc::clone(&places).acquire_rc().await;
        let (endpoint, board, buffer) = (endpoint.clone(), Rc::clone(board), Rc::clone(buffer));
        tasks.spawn_local(async move {
            let sampled = board.borrow().clients[client].sampled;
            let channel = if plan.distinct { client } else { 0 };
            let greeting = greeting(Some(channel));
            let mut watcher = Watcher::connect(&endpoint, plan.deflate, sampled, &greeting).await?;
            let mut place = Some(place);
            loop {
                let before = watcher.bytes;
                watcher.read(&buffer, |seen| board.borrow_mut().saw(client, seen)).await?;
                let mut board = board.borrow_mut();
                if board.measuring {
                    board.bytes += watcher.bytes - before;
                }
                if board.clients[client].is_ready {
                    place = None;
                }
                let _ = &place;
            }
        });
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    while board.borrow().ready < plan.clients {
        ensure!(Instant::now() < deadline, "only {} clients have a result", board.borrow().ready);
        tokio::select! {
            ended = tasks.join_next() => match ended.context("there are no clients")?? {
                Ok(()) => bail!("a client has left"),
                Err(error) => return Err(error),
            },
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    Ok(())
}

/// A semaphore's permit that one thread holds.
trait AcquireRc {
    async fn acquire_rc(self) -> Permit;
}

struct Permit(Rc<tokio::sync::Semaphore>);

impl AcquireRc for Rc<tokio::sync::Semaphore> {
    async fn acquire_rc(self) -> Permit {
        self.acquire().await.expect("the semaphore is never closed").forget();
        Permit(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl Board {
    /// A change is about to be sent.
    fn changed(&mut self, version: u64, client: Option<usize>) {
        let waiting = match client {
            Some(_) => 1,
            None => self.clients.iter().filter(|client| self.separate || client.sampled).count(),
        };
        self.open.push_back(Change {
            version,
            at: Instant::now(),
            waiting,
            client,
            measured: self.measuring,
        });
    }

    /// A client has got a data message.
    fn saw(&mut self, number: usize, Seen { version }: Seen) {
        let client = &mut self.clients[number];
        if !client.is_ready {
            client.is_ready = true;
            self.ready += 1;
            return;
        }
        let before = client.version;
        let now = Instant::now();
        // A client that is not sampled shows what was changed last, as long as changes come one by one.
        let newest = self.open.back().map_or(before, |change| change.version);
        let reached = match version {
            Some(version) => version,
            None if self.separate => newest,
            None => return,
        };
        if self.distinct && !self.open.iter().any(|change| change.client == Some(number)) {
            self.stray += 1;
        }
        client.version = client.version.max(reached);
        for change in &mut self.open {
            let concerned = change.client.is_none_or(|client| client == number);
            if concerned && change.version > before && change.version <= reached && change.waiting > 0 {
                change.waiting -= 1;
                let time = now - change.at;
                if change.measured {
                    self.one.push(time);
                    if change.waiting == 0 {
                        self.all.push(time);
                    }
                }
            }
        }
        self.open.retain(|change| change.waiting > 0);
    }
}

impl Fanout {
    /// Writes it to standard output.
    ///
    /// # Errors
    /// When nobody reads there.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{self:#?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(clients: usize, separate: bool) -> Board {
        let clients = vec![ClientState { sampled: true, is_ready: true, version: 0 }; clients];
        Board {
            distinct: false,
            separate,
            clients,
            open: VecDeque::new(),
            all: Vec::new(),
            one: Vec::new(),
            ready: 0,
            measuring: true,
            stray: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_client_that_skips_a_version_has_reached_both() {
        let mut board = board(2, false);
        board.changed(1, None);
        board.changed(2, None);
        board.saw(0, Seen { version: Some(2) });
        assert_eq!((board.open.len(), board.one.len(), board.all.len()), (2, 2, 0));
        board.saw(1, Seen { version: Some(1) });
        assert_eq!(board.open.len(), 1);
        board.saw(1, Seen { version: Some(2) });
        assert_eq!((board.open.len(), board.one.len(), board.all.len()), (0, 4, 2));
    }

    #[test]
    fn a_frame_of_a_client_that_is_only_counted_shows_the_newest_change() {
        let mut board = board(1, true);
        board.changed(1, None);
        board.saw(0, Seen { version: None });
        assert_eq!((board.open.len(), board.all.len()), (0, 1));
    }
}
