//! Waiting transactions and records on disk, so that they outlive the process that took them.
//!
//! New ones are appended to a file as they arrive. When it has grown to more than twice what it
//! began with, what still waits goes to a new file and the old one is removed, as at every start.
//! Nothing here is trusted: all that is read is checked anew, and damaged lines are passed over.

use crate::{intake::Intake, pool::Pool};
use alloy_primitives::Bytes;
use commonware_macros::select_loop;
use commonware_runtime::{
    Blob as _, Clock, ContextCell, Error as RuntimeError, Handle, Spawner, Storage, WriteOptions,
    spawn_cell,
};
use commonware_storage::Context as StorageContext;
use og_chain::mempool::{MAX_POOL_RECORDS, MAX_POOL_TRANSACTION_BYTES};
use og_types::{Canonical as _, limits::MAX_RECORD_BYTES};
use std::time::{Duration, SystemTime};
use tracing::{debug, error, warn};

pub mod lines;
mod load;

/// Bytes that a file may grow by before it is written anew, however little it began with.
const MIN_GROWTH_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of what waits, which is twice as long in hexadecimal.
const MAX_POOL_BYTES: u64 =
    (MAX_POOL_TRANSACTION_BYTES + MAX_POOL_RECORDS * MAX_RECORD_BYTES) as u64;
/// Most bytes of a file that are read: more than any that was written here has.
const MAX_FILE_BYTES: u64 = 2 * (4 * MAX_POOL_BYTES + MIN_GROWTH_BYTES);
/// How long after its arrival something is written.
const WRITE_PAUSE: Duration = Duration::from_millis(5);
/// How long after a failure writing is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How old what is written may be when it is safe from a loss of power. A process that is killed
/// loses nothing that was written.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps what waits in a pool in files.
pub(crate) struct Journal<E: Storage> {
    context: ContextCell<E>,
    partition: String,
    pool: Pool,
    /// The file that is appended to.
    file: Option<File<E::Blob>>,
    /// Names of files before that one.
    old: Vec<u64>,
    /// Arrivals in the pool from these on are in no file yet.
    next: Arrivals,
    /// Whether the last attempt to write failed, which is said once.
    is_failing: bool,
}

/// Places in the orders in which things arrived in the pool.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    transaction: u64,
    record: u64,
}

/// A file of the journal; files are numbered in the order in which they were begun.
struct File<B> {
    name: u64,
    blob: B,
    bytes: u64,
    rewrite_at_bytes: u64,
    /// Since when there is something that a loss of power would take.
    unsynced_since: Option<SystemTime>,
}

impl<E> Journal<E>
where
    E: StorageContext + Spawner + Clock,
{
    /// A journal of `pool`, in files under `prefix`.
    pub(crate) fn new(context: E, prefix: &str, pool: Pool) -> Self {
        Self {
            // Checking what is read recovers many senders at once.
            context: ContextCell::new(context.dedicated()),
            // Its name is of the time when only transactions were kept.
            partition: format!("{prefix}-waiting-transactions"),
            pool,
            file: None,
            old: Vec::new(),
            next: Arrivals::default(),
            is_failing: false,
        }
    }

    /// Gives `intake` what waited when the last process ended, then runs until the runtime stops.
    pub(crate) fn start(mut self, intake: Intake<E>) -> Handle<()> {
        spawn_cell!(self.context, self.run(intake))
    }

    async fn run(mut self, intake: Intake<E>) {
        if let Err(error) = self.load(&intake).await {
            // Going on would take what could not be checked for invalid, and forget it.
            error!(%error, "what waited before this start cannot be checked against the state");
            return;
        }
        let pool = self.pool.clone();
        select_loop! {
            self.context,
            on_start => {
                let changed = pool.changed();
                let kept = self.keep().await;
                self.report(kept);
                let look_again = self.context.sleep(SYNC_INTERVAL);
            },
            on_stopped => {
                let synced = self.sync(Duration::ZERO).await;
                self.report(synced);
            },
            // Others that arrive soon are written with it.
            _ = changed => {
                let pause = if self.is_failing { RETRY_PAUSE } else { WRITE_PAUSE };
                self.context.sleep(pause).await;
            },
            _ = look_again => {},
        }
    }

    /// Says that writing fails when it begins to.
    fn report(&mut self, result: Result<(), RuntimeError>) {
        match result {
            Ok(()) => self.is_failing = false,
            Err(error) if self.is_failing => debug!(%error, "still not written"),
            Err(error) => {
                self.is_failing = true;
                warn!(%error, "what waits cannot be written down: a restart would lose it");
            }
        }
    }

    /// Writes what is new.
    async fn keep(&mut self) -> Result<(), RuntimeError> {
        match &self.file {
            Some(file) if file.bytes <= file.rewrite_at_bytes => self.append().await?,
            _ => self.rewrite().await?,
        }
        self.sync(SYNC_INTERVAL).await
    }

    /// What arrived in the pool since `from`, and what will be the next.
    fn arrived(&self, from: Arrivals) -> (Vec<Bytes>, Arrivals) {
        let mut next = from;
        let mut items = Vec::new();
        let mut records = Vec::new();
        self.pool.with(|pool| {
            for (arrival, transaction) in pool.transactions_since(from.transaction) {
                next.transaction = arrival + 1;
                items.push(transaction.raw().clone());
            }
            for (arrival, signed) in pool.records_since(from.record) {
                next.record = arrival + 1;
                records.push(signed.clone());
            }
        });
        items.extend(records.iter().map(|signed| signed.to_bytes().into()));
        (items, next)
    }

    async fn append(&mut self) -> Result<(), RuntimeError> {
        let (items, next) = self.arrived(self.next);
        let now = self.context.current();
        if let Some(file) = &mut self.file
            && !items.is_empty()
        {
            let text = lines::write(&items);
            let bytes = text.len() as u64;
            let written = file
                .blob
                .write_at(file.bytes, text, WriteOptions::default());
            written.await?;
            file.bytes += bytes;
            file.unsynced_since.get_or_insert(now);
        }
        self.next = next;
        Ok(())
    }

    /// Writes all that waits to a new file and removes those before.
    async fn rewrite(&mut self) -> Result<(), RuntimeError> {
        let (items, next) = self.arrived(Arrivals::default());
        let text = lines::write(&items);
        let bytes = text.len() as u64;
        self.old.extend(self.file.take().map(|file| file.name));
        let name = self.old.last().map_or(0, |last| last + 1);
        // One that an attempt before has left may hold something.
        let (blob, _) = self
            .context
            .open(&self.partition, &name.to_be_bytes())
            .await?;
        blob.resize(0).await?;
        blob.write_at(0, text, WriteOptions::default()).await?;
        blob.sync().await?;
        self.file = Some(File {
            name,
            blob,
            bytes,
            rewrite_at_bytes: 2 * bytes + MIN_GROWTH_BYTES,
            unsynced_since: None,
        });
        self.next = next;
        for old in std::mem::take(&mut self.old) {
            let name = old.to_be_bytes();
            // Whatever stays is read and checked once more at the next start.
            if let Err(error) = self.context.remove(&self.partition, Some(&name)).await {
                debug!(%error, "an old journal of what waits stays");
            }
        }
        Ok(())
    }

    /// Makes durable what was written more than `age` ago.
    async fn sync(&mut self, age: Duration) -> Result<(), RuntimeError> {
        let now = self.context.current();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if file.unsynced_since.is_some_and(|since| since + age <= now) {
            file.blob.sync().await?;
            file.unsynced_since = None;
        }
        Ok(())
    }
}
