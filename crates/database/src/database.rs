//! The handle of an open database.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use freshet_store::{Batch, Order, Store};
use freshet_values::{KeyInterval, Timestamp};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sha2::Digest;

use crate::catalog::system_tables::{FIRST_FREE_INTERNAL, INDEX, SYSTEM_TABLES, TABLES};
use crate::catalog::{Catalog, IndexState};
use crate::clock::{Clock, Randomness};
use crate::commit::changes::KeyChange;
use crate::commit::committer::{self, Committer};
use crate::commit::corpora;
use crate::commit::durability::Durability;
use crate::commit::exclusive::{ExclusiveGuard, ExclusiveToken};
use crate::commit::overlay::Overlay;
use crate::commit::state::State;
use crate::commit::undone::Undone;
use crate::conditional_read::ReadCheck;
use crate::document_cache::DocumentCache;
use crate::error::{CommitError, DatabaseError, DurabilityError, SystemError};
use crate::maintenance::{self, Maintenance};
use crate::namespace::Namespace;
use crate::options::DatabaseOptions;
use crate::query::cursor::CursorKey;
use crate::read_set::ReadSet;
use crate::shared::{META_NEXT_INTERNAL, Shared};
use crate::statistics::{DatabaseStatistics, Meters};
use crate::stepped::Stepped;
use crate::subscription::{Subscription, Subscriptions, Waker};
use crate::transaction::Transaction;
use crate::transaction::view::View;
use crate::vectors::{self, Vectors};

/// Name of the stored text from which the keys of cursors are made.
const META_CURSOR_SECRET: &str = "cursor_secret";

/// An open database; cheap to clone. The last handle to be dropped waits until all commits are stored.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
    /// Held for its end.
    threads: Arc<Threads>,
}

/// A commit that is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its timestamp: the value of commit timestamp placeholders, and what to wait for.
    pub ts: Timestamp,
}

/// The threads of a database; they end with its last handle.
struct Threads {
    shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
    maintenance: Mutex<Option<JoinHandle<()>>>,
    vectors: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Opens the database in a store and makes what every database has. Blocks.
    ///
    /// # Errors
    /// A storage failure, or contents that this release does not understand.
    pub fn open(
        store: Arc<dyn Store>,
        options: DatabaseOptions,
        clock: Arc<dyn Clock>,
        randomness: Randomness,
    ) -> Result<Database, CommitError> {
        let shared = share(store, options, clock, randomness, |_| None)?;
        let committer = Committer::new(&shared.state.lock());
        let committer = spawn("freshet-committer", &shared, |shared| committer::run(shared, committer))?;
        let database = Database::of(shared);
        *database.threads.committer.lock() = Some(committer);
        database.prepare()?;
        let maintenance = spawn("freshet-maintenance", &database.shared, maintenance::run)?;
        *database.threads.maintenance.lock() = Some(maintenance);
        let vectors = spawn("freshet-vectors", &database.shared, vectors::run)?;
        *database.threads.vectors.lock() = Some(vectors);
        Ok(database)
    }

    /// Opens the database without threads, for deterministic simulations and tests: nothing happens by itself. What the
    /// threads would do is done by [`Database::step_commit`] and [`Database::step_maintenance`], and by nobody else; the same
    /// calls with the same clock and randomness have the same results.
    ///
    /// Nothing blocks: where another database would wait for room in the queue or for the exclusive token, the
    /// answer is [`CommitError::Overloaded`] at once, and [`Database::wait_durable_blocking`] stores groups itself until the commit
    /// is durable. Dropping the last handle stores nothing: what was not stored by then is lost, as in a power cut.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_stepped(
        store: Arc<dyn Store>,
        options: DatabaseOptions,
        clock: Arc<dyn Clock>,
        randomness: Randomness,
    ) -> Result<Database, CommitError> {
        let database =
            Database::of(share(store, options, clock, randomness, |state| Some(Stepped::new(state)))?);
        database.prepare()?;
        Ok(database)
    }

    fn of(shared: Arc<Shared>) -> Database {
        let threads = Threads {
            shared: Arc::clone(&shared),
            committer: Mutex::new(None),
            maintenance: Mutex::new(None),
            vectors: Mutex::new(None),
        };
        Database { shared, threads: Arc::new(threads) }
    }

    /// Begins at the newest visible commit.
    ///
    /// # Errors
    /// A storage failure, or too many transactions under way.
    pub fn begin(&self) -> Result<Transaction, SystemError> {
        Ok(Transaction::new(Arc::clone(&self.shared), self.shared.newest()?))
    }

    /// Begins at a moment of the recent past.
    ///
    /// # Errors
    /// [`SystemError::OutOfRetention`] when it is too long ago or has not come yet, or a storage failure.
    pub fn begin_at(&self, ts: Timestamp) -> Result<Transaction, SystemError> {
        Ok(Transaction::new(Arc::clone(&self.shared), self.shared.at(ts)?))
    }

    /// Waits for the exclusive token; then begin the transaction, and let it [`Transaction::hold`] the guard. Blocks.
    ///
    /// # Errors
    /// [`CommitError::Overloaded`] when somebody else has it and the database was opened with [`Database::open_stepped`].
    pub fn exclusive(&self) -> Result<ExclusiveGuard, CommitError> {
        let token = &self.shared.exclusive;
        match &self.shared.stepped {
            None => Ok(token.exclusive()),
            Some(_) => token.try_exclusive().ok_or(CommitError::Overloaded),
        }
    }

    /// Commits. The writes are visible to whoever begins from now on, and durable after [`Database::wait_durable`]. A
    /// transaction without writes always succeeds, at the timestamp of its snapshot. Blocks while too many commits wait for the
    /// disk, or while another transaction holds the exclusive token.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when something read was written meanwhile: run it again.
    pub fn commit(&self, transaction: Transaction) -> Result<Commit, CommitError> {
        transaction.commit().map(|ts| Commit { ts })
    }

    /// Waits until the commit at this timestamp, and all before it, survive a power cut.
    ///
    /// # Errors
    /// It could not be stored; it is undone.
    pub async fn wait_durable(&self, ts: Timestamp) -> Result<(), DurabilityError> {
        self.shared.durability.wait(ts).await
    }

    /// Like [`Database::wait_durable`], for threads without a runtime.
    ///
    /// # Errors
    /// It could not be stored; it is undone.
    pub fn wait_durable_blocking(&self, ts: Timestamp) -> Result<(), DurabilityError> {
        self.shared.wait_durable_blocking(ts)
    }

    /// Stores one group of commits, all that wait up to a bound; returns whether any waited. Only for a database from
    /// [`Database::open_stepped`]; in others a thread does this, and the answer is always `false`. Blocks for one write to
    /// disk. If the store fails, the commits that waited are undone and the database accepts no more writes, as ever; see
    /// [`Database::failure`].
    pub fn step_commit(&self) -> bool {
        self.shared.stepped.as_ref().is_some_and(|stepped| stepped.committer.lock().step(&self.shared))
    }

    /// Does one short step of what goes on in the background: adds a chunk of documents to an index that is being built
    /// or completes it, removes a chunk of what was dropped or of the old log, checks a chunk of documents against a
    /// pending schema. `false` when nothing was left to do. Only for a database from [`Database::open_stepped`]; in others a
    /// thread does this (and [`crate::schema::SchemaWorker`] checks schemas), and the answer is always `false`. Groups of commits that
    /// a step has to find in the store are stored first.
    ///
    /// # Errors
    /// A storage failure, or [`CommitError::Overloaded`] while the queue is full or a transaction holds the exclusive token; the next
    /// step tries again.
    pub fn step_maintenance(&self) -> Result<bool, CommitError> {
        match &self.shared.stepped {
            Some(stepped) => stepped.step_maintenance(self),
            None => Ok(false),
        }
    }

    /// The newest commit that transactions see.
    #[must_use]
    pub fn visible_ts(&self) -> Timestamp {
        self.shared.state.lock().visible_ts
    }

    /// The newest commit that survives a power cut.
    #[must_use]
    pub fn durable_ts(&self) -> Timestamp {
        self.shared.state.lock().durable_ts
    }

    /// The oldest moment that [`Database::begin_at`] can reach.
    #[must_use]
    pub fn oldest_ts(&self) -> Timestamp {
        self.shared.state.lock().window.floor()
    }

    /// Whether commits that are undone here may be there again after a crash: then nobody may be told that they did not
    /// happen. Ends with [`Database::failure`].
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.shared.state.lock().failed.as_ref().is_some_and(|failure| failure.is_undecided)
    }

    /// Why nothing can be written for now and what to do about it, if the store has failed. The database tries by itself
    /// whether it can write again.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.shared.state.lock().failed.as_ref().map(|failure| Arc::clone(&failure.cause))
    }

    /// Tables and indexes as of now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.shared.state.lock().catalog)
    }

    /// How things stand, for whoever watches over the database. Takes some short locks: not for hot paths.
    #[must_use]
    pub fn statistics(&self) -> DatabaseStatistics {
        self.shared.statistics()
    }

    /// Commits and bytes that wait for the disk, for metrics.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        (state.queued_commits, state.queued_bytes)
    }

    /// Saves vector indexes and lets go of them: the next start need not catch up with the log. To be called before the
    /// store is closed by a process whose other threads still hold the database. Searches fail from now on. Blocks.
    pub fn save_vectors(&self) {
        self.shared.vectors.close();
        let thread = self.threads.vectors.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of vector indexes panicked");
        }
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &DatabaseOptions {
        &self.shared.options
    }

    /// The clock it was opened with.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The randomness it was opened with.
    #[must_use]
    pub fn randomness(&self) -> &Randomness {
        &self.shared.randomness
    }

    /// The store, for backups, exports and the log.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Watches what was read at `ts`. Writes since then count: the subscription may be invalid at once, and then nobody is
    /// woken. Otherwise `waker` is called when it becomes invalid.
    #[must_use]
    pub fn subscribe(&self, read_set: Arc<ReadSet>, ts: Timestamp, waker: Waker) -> Subscription {
        let check = ReadCheck::new(&read_set);
        let was_read = |change: &KeyChange| check.notices(change);
        // Held while registering, so that no commit falls between the look back and the watch.
        let mut state = self.shared.state.lock();
        let ready = |_: &mut MutexGuard<'_, State>| Ok::<(), Infallible>(());
        let Ok(hit) = self.shared.look_back(&mut state, ts, was_read, ready);
        let invalid_since = if ts < state.window.floor() || ts > state.visible_ts || state.undone.contains(ts)
        {
            // What changed since then is forgotten, or what was read was undone because it could not be stored.
            Some(ts.succ())
        } else {
            hit.map(|hit| hit.timestamp)
        };
        let changes = check.changes();
        self.shared.subscriptions.add(read_set, waker, invalid_since, &changes)
    }

    /// Makes system tables and their indexes that are missing, and reads the schemas.
    fn prepare(&self) -> Result<(), CommitError> {
        let mut transaction = self.begin().map_err(DatabaseError::from)?;
        let mut added = Vec::new();
        for definition in SYSTEM_TABLES {
            let name = definition.name.parse().expect("names of system tables are identifiers");
            let table = transaction.create_table_if_missing(Namespace::ROOT, &name)?;
            for (index, spec) in definition.index_specs() {
                let found = transaction.catalog().index_by_name(table.id, &index).cloned();
                let unfinished = match found {
                    None => Some(transaction.create_index(Namespace::ROOT, &name, &index, spec, false)?),
                    // Left behind by a start that was cut short.
                    Some(found) => (found.state != IndexState::Enabled).then_some(found.id),
                };
                added.extend(unfinished);
            }
        }
        transaction.commit()?;
        if !added.is_empty() {
            maintenance::build_system_indexes(&self.shared)?;
            let mut transaction = self.begin().map_err(DatabaseError::from)?;
            for index in added {
                transaction.enable_index(index)?;
            }
            transaction.commit()?;
        }
        let mut transaction = self.begin().map_err(DatabaseError::from)?;
        let namespaces: Vec<Namespace> = transaction
            .catalog()
            .tables()
            .filter(|table| table.name == "_schemas")
            .map(|table| table.namespace)
            .collect();
        let mut rows = Vec::new();
        for namespace in namespaces {
            rows.extend(transaction.live_schemas(namespace)?);
        }
        self.shared.state.lock().enforcer = crate::schema::compile(&rows);
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> Result<JoinHandle<()>, DatabaseError> {
    let shared = Arc::clone(shared);
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
    Ok(started.map_err(|error| SystemError::Defect(format!("thread {name} cannot start: {error}")))?)
}

impl Drop for Threads {
    fn drop(&mut self) {
        let join = |handle: Option<JoinHandle<()>>| {
            if handle.is_some_and(|handle| handle.join().is_err()) {
                tracing::error!("a thread of the database panicked");
            }
        };
        // The committer ends last: maintenance waits for it to store what it commits.
        self.shared.maintenance.close();
        self.shared.vectors.close();
        join(self.maintenance.get_mut().take());
        join(self.vectors.get_mut().take());
        self.shared.state.lock().closing = true;
        self.shared.queue_filled.notify_all();
        join(self.committer.get_mut().take());
    }
}

/// Reads what is stored and puts it where all handles find it.
fn share(
    store: Arc<dyn Store>,
    options: DatabaseOptions,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    stepped: impl FnOnce(&State) -> Option<Stepped>,
) -> Result<Arc<Shared>, CommitError> {
    let secret = cursor_secret(&*store, &randomness)?;
    let cursor_key = CursorKey::new(&secret);
    let (state, next_internal) = load(&*store, &options).map_err(DatabaseError::from)?;
    let durable = state.durable_ts;
    let vectors = Vectors::new(options.vectors.clone(), identity(&secret), durable);
    Ok(Arc::new(Shared {
        vectors,
        store,
        clock,
        randomness,
        cursor_key,
        stepped: stepped(&state),
        documents: Arc::new(DocumentCache::new(options.document_cache_bytes, options.check_document_cache)),
        options,
        state: Mutex::new(state),
        queue_filled: Condvar::new(),
        queue_drained: Condvar::new(),
        durability: Durability::new(durable),
        subscriptions: Arc::new(Subscriptions::default()),
        exclusive: Arc::new(ExclusiveToken::default()),
        next_internal: AtomicU32::new(next_internal),
        maintenance: Maintenance::default(),
        meters: Meters::default(),
        #[cfg(test)]
        weakness: crate::commit::weakness::Switch::default(),
    }))
}

/// A text that tells databases apart: every database has a secret of its own.
fn identity(secret: &[u8; 32]) -> String {
    let digest = sha2::Sha256::new().chain_update(b"vector indexes of ").chain_update(secret).finalize();
    hex::encode(&digest[..16])
}

fn cursor_secret(store: &dyn Store, randomness: &Randomness) -> Result<[u8; 32], CommitError> {
    let mut secret = [0; 32];
    if let Some(text) = store.meta(META_CURSOR_SECRET).map_err(DatabaseError::from)? {
        let damaged = |error| SystemError::Defect(format!("the stored cursor secret is damaged: {error}"));
        hex::decode_to_slice(text, &mut secret).map_err(damaged).map_err(DatabaseError::from)?;
        return Ok(secret);
    }
    secret = randomness.bytes();
    let meta = vec![(META_CURSOR_SECRET.to_owned(), hex::encode(secret))];
    store.commit(&Batch { meta, ..Batch::default() }).map_err(DatabaseError::from)?;
    Ok(secret)
}

/// Reads what is kept in memory.
fn load(store: &dyn Store, options: &DatabaseOptions) -> Result<(State, u32), SystemError> {
    let snapshot = Arc::from(store.snapshot()?);
    let view = View::new(Arc::clone(&snapshot), Overlay::default(), Arc::default(), snapshot.timestamp());
    let mut catalog = Catalog::bootstrap();
    let mut next_internal = FIRST_FREE_INTERNAL;
    for id in [TABLES, INDEX] {
        let table = Arc::clone(catalog.table(id).expect("every catalog has the tables that describe it"));
        let index = Arc::clone(catalog.index(table.by_creation_time).expect("every table has this index"));
        let mut rest = Some(KeyInterval::all());
        while let Some(interval) = rest {
            let chunk = view.scan(&table, &index, &interval, Order::Asc, 1000)?;
            for (_, row) in chunk.rows {
                catalog.apply(id, None, Some(&row))?;
            }
            rest = chunk.rest;
        }
    }
    for table in catalog.tables() {
        for index in catalog.indexes(table.id) {
            next_internal = next_internal.max(index.id.0 + 1);
        }
        next_internal = next_internal.max(table.id.0 + 1);
    }
    if let Some(stored) = store.meta(META_NEXT_INTERNAL)?.and_then(|text| text.parse().ok()) {
        next_internal = next_internal.max(stored);
    }
    let timestamp = snapshot.timestamp();
    let state = State {
        overlay: Overlay::default(),
        corpora: corpora::load(store, &catalog)?,
        catalog: Arc::new(catalog),
        enforcer: crate::schema::compile(&[]),
        counts: store.table_counts()?.into_iter().collect(),
        visible_ts: timestamp,
        last_ts: timestamp,
        durable_ts: timestamp,
        dropped_through: timestamp,
        window: Shared::new_window(options, timestamp),
        queue: std::collections::VecDeque::new(),
        queued_bytes: 0,
        queued_commits: 0,
        failed: None,
        undone: Undone::default(),
        closing: false,
    };
    Ok((state, next_internal))
}
