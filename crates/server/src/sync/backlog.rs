//! What waits for slow clients, all of them together: bounded, whatever each of them may have on its own.
//!
//! Texts are shared, so bytes for which many wait count once. When it is too much, the client that the most waits for has to
//! go, and comes back by itself. Clients that take their frames at once are never counted and cost nothing here.
//! Nothing here knows a socket or a frame.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Shorter pieces are hardly ever shared, and are counted without looking.
const SHARED_BYTES_MIN: usize = 1_024;

/// One for a server.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Bytes in memory.
    bytes: usize,
    /// Bytes of clients that were told to go and have not gone.
    leaving: usize,
    /// How many wait for a longer piece. Bytes that somebody waits for stay where they are, so that their address names them.
    pieces: HashMap<PieceId, usize>,
    /// Clients for which something waits.
    clients: HashMap<u64, Client>,
    next_client: u64,
}

#[derive(Debug)]
struct Client {
    bytes: usize,
    end: Arc<End>,
}

/// How a client's task learns that it has to go.
#[derive(Debug)]
struct End {
    is_near: AtomicBool,
    wake: Arc<Notify>,
}

/// A piece that was counted; to be handed back when it no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PieceId {
    address: usize,
    length: usize,
}

/// One client's part. Its owner hands everything back before it goes.
#[derive(Debug)]
pub(super) struct Share {
    backlog: Arc<Backlog>,
    /// Once something waited.
    client: Option<u64>,
    end: Arc<End>,
}

impl Backlog {
    /// Lets so many bytes wait.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// Bytes that wait at the moment.
    pub(crate) fn bytes(&self) -> usize {
        self.held.lock().bytes
    }

    /// Bytes that may wait.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The part of a new client, whose task `wake` wakes.
    pub(super) fn share(self: &Arc<Self>, wake: Arc<Notify>) -> Share {
        let end = End { is_near: AtomicBool::new(false), wake };
        Share { backlog: Arc::clone(self), client: None, end: Arc::new(end) }
    }
}

impl Share {
    /// Whether this client has to go, so that others can stay.
    pub(super) fn has_to_go(&self) -> bool {
        self.end.is_near.load(Ordering::Relaxed)
    }

    /// Counts what begins to wait.
    pub(super) fn add<'a>(&mut self, pieces: impl Iterator<Item = &'a Bytes>) -> Vec<PieceId> {
        let mut held = self.backlog.held.lock();
        let client = *self.client.get_or_insert_with(|| {
            held.next_client += 1;
            held.next_client
        });
        let ids: Vec<PieceId> = pieces.map(|bytes| held.add(bytes)).collect();
        let added: usize = ids.iter().map(|piece| piece.length).sum();
        let end = &self.end;
        held.clients.entry(client).or_insert_with(|| Client { bytes: 0, end: Arc::clone(end) }).bytes +=
            added;
        if end.is_near.load(Ordering::Relaxed) {
            held.leaving += added;
        }
        held.make_room(self.backlog.bytes_max);
        ids
    }

    /// Hands back what no longer waits.
    pub(super) fn remove(&mut self, pieces: &[PieceId]) {
        let (Some(client), false) = (self.client, pieces.is_empty()) else { return };
        let mut held = self.backlog.held.lock();
        for piece in pieces {
            held.remove(*piece);
        }
        let removed: usize = pieces.iter().map(|piece| piece.length).sum();
        if self.end.is_near.load(Ordering::Relaxed) {
            held.leaving -= removed;
        }
        if let Some(entry) = held.clients.get_mut(&client) {
            entry.bytes -= removed;
            if entry.bytes == 0 {
                held.clients.remove(&client);
            }
        }
    }
}

impl Held {
    fn add(&mut self, bytes: &Bytes) -> PieceId {
        let piece = PieceId { address: bytes.as_ptr() as usize, length: bytes.len() };
        if piece.length < SHARED_BYTES_MIN {
            self.bytes += piece.length;
            return piece;
        }
        let waiting = self.pieces.entry(piece).or_default();
        *waiting += 1;
        if *waiting == 1 {
            self.bytes += piece.length;
        }
        piece
    }

    fn remove(&mut self, piece: PieceId) {
        if piece.length < SHARED_BYTES_MIN {
            self.bytes -= piece.length;
            return;
        }
        let waiting = self.pieces.get_mut(&piece).expect("what is handed back was counted");
        *waiting -= 1;
        if *waiting == 0 {
            self.pieces.remove(&piece);
            self.bytes -= piece.length;
        }
    }

    /// Tells the client to go for which the most waits, unless enough are about to.
    fn make_room(&mut self, bytes_max: usize) {
        if self.bytes.saturating_sub(self.leaving) <= bytes_max {
            return;
        }
        let staying = self.clients.values().filter(|client| !client.end.is_near.load(Ordering::Relaxed));
        if let Some(largest) = staying.max_by_key(|client| client.bytes) {
            largest.end.is_near.store(true, Ordering::Relaxed);
            self.leaving += largest.bytes;
            largest.end.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(backlog: &Arc<Backlog>) -> Share {
        backlog.share(Arc::default())
    }

    /// A text of its own, which stays where it is, as one does that somebody waits for.
    fn text(bytes: usize) -> Bytes {
        Bytes::from_static(vec![b'x'; bytes].leak())
    }

    #[test]
    fn a_text_that_many_wait_for_counts_once() {
        let backlog = Arc::new(Backlog::new(1 << 20));
        let shared = text(100_000);
        let mut shares: Vec<_> = (0..50).map(|_| share(&backlog)).collect();
        let held: Vec<_> =
            shares.iter_mut().map(|share| share.add([shared.clone(), text(10)].iter())).collect();
        assert_eq!(backlog.bytes(), 100_000 + 50 * 10);
        assert!(shares.iter().all(|share| !share.has_to_go()));
        for (share, pieces) in shares.iter_mut().zip(&held) {
            share.remove(pieces);
        }
        assert_eq!(backlog.bytes(), 0);
        assert!(backlog.held.lock().clients.is_empty());
    }

    #[test]
    fn whom_the_most_waits_for_has_to_go_and_nobody_else() {
        let backlog = Arc::new(Backlog::new(10_000));
        let (mut small, mut large, mut last) = (share(&backlog), share(&backlog), share(&backlog));
        small.add([text(2_000)].iter());
        let pieces = large.add([text(7_000)].iter());
        assert!(!large.has_to_go());
        let wake = Arc::clone(&large.end.wake);
        last.add([text(3_000)].iter());
        assert!(large.has_to_go() && !small.has_to_go() && !last.has_to_go());
        assert!(futures::FutureExt::now_or_never(wake.notified()).is_some(), "it was not woken");
        // While it is on its way out, there is room already.
        small.add([text(4_000)].iter());
        assert!(!small.has_to_go() && !last.has_to_go());
        large.remove(&pieces);
        assert_eq!((backlog.bytes(), backlog.held.lock().leaving), (9_000, 0));
        last.add([text(4_000)].iter());
        assert!(last.has_to_go() && !small.has_to_go());
    }

    #[test]
    fn what_is_added_to_a_client_that_has_to_go_is_handed_back_too() {
        let backlog = Arc::new(Backlog::new(1_000));
        let mut only = share(&backlog);
        let first = only.add([text(2_000)].iter());
        assert!(only.has_to_go());
        let second = only.add([text(500)].iter());
        only.remove(&second);
        only.remove(&first);
        let held = backlog.held.lock();
        assert_eq!((held.bytes, held.leaving, held.pieces.len()), (0, 0, 0));
    }
}
