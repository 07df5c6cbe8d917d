//! Every bound of one connection, in one place.
//!
//! The first group is part of the protocol as clients know it. The second group exists because nothing on the server may
//! grow without end; well-behaved clients stay far below it.

use std::time::Duration;

/// Mutations received and not yet answered.
pub const MUTATIONS_OUTSTANDING_MAX: usize = 1000;
/// Actions received and not yet answered.
pub const ACTIONS_RUNNING_MAX: usize = 1000;
/// Time for one mutation, with all its retries.
pub const MUTATION_TIME_MAX: Duration = Duration::from_secs(60);
/// Transitions handed to the driver and not yet written to the socket; at this number no new one is computed, so that a
/// slow client skips intermediate states.
pub const TRANSITIONS_UNSENT_MAX: usize = 2;
/// Silence of the server after which it says `Ping`.
pub const PING_AFTER_SILENCE: Duration = Duration::from_secs(15);
/// Silence of the client (no frame of any kind) after which it counts as gone.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(120);
/// Size in bytes above which a Transition is cut into pieces, and of the pieces.
pub const CHUNK_BYTES_MAX: usize = 5_000_000;
/// Pause before the first retry of a computation that failed for a passing reason; doubles each time.
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause between two retries.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(600);
/// Pause before queries that had to be left out of a Transition are tried again.
pub const UNAVAILABLE_RETRY_PAUSE: Duration = Duration::from_secs(3);

/// Queries of one connection.
pub const QUERIES_MAX: usize = 16_384;
/// Query-set changes received while a Transition was being computed.
pub const PENDING_MODIFICATIONS_MAX: usize = 4 * QUERIES_MAX;
/// Bytes of arguments, paths and journals held for the queries of one connection.
pub const QUERY_BYTES_MAX: usize = 256 << 20;
/// Bytes of arguments held for waiting mutations of one connection.
pub const MUTATION_BYTES_MAX: usize = 256 << 20;
/// Messages that arrived while a token was being verified.
pub const HELD_MESSAGES_MAX: usize = 10_000;
/// Bytes of messages that arrived while a token was being verified.
pub const HELD_BYTES_MAX: usize = 256 << 20;
/// Characters of a client's own text that an error message repeats.
pub const ECHO_CHARS_MAX: usize = 200;
