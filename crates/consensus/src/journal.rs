//! Waiting transactions on disk, so that they outlive the process that took them.
//!
//! New ones are appended to a file as they arrive. When it has grown to more than twice what it
//! began with, what still waits goes to a new file and the old one is removed, as at every start.
//! Nothing here is trusted: all that is read is checked anew, and damaged lines are passed over.

use crate::{intake::Intake, pool::Pool};
use alloy_primitives::Bytes;
use commonware_macros::select_loop;
use commonware_runtime::{
    Blob, Clock, ContextCell, Error as RuntimeError, Handle, ReadOptions, Spawner, Storage,
    WriteOptions, spawn_cell,
};
use commonware_storage::Context as StorageContext;
use lines::Reader;
use og_chain::mempool::MAX_POOL_TRANSACTION_BYTES;
use og_state::StateError;
use std::time::{Duration, SystemTime};
use tracing::{debug, error, info, warn};

pub mod lines;

/// Bytes that a file may grow by before it is written anew, however little it began with.
const MIN_GROWTH_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of a file that are read: more than any that was written here has.
const MAX_FILE_BYTES: u64 = 2 * (4 * MAX_POOL_TRANSACTION_BYTES as u64 + MIN_GROWTH_BYTES);
/// Bytes that are read, and checked, at a time.
const READ_BYTES: u64 = 1024 * 1024;
/// How long after its arrival a transaction is written.
const WRITE_PAUSE: Duration = Duration::from_millis(5);
/// How long after a failure writing is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How old what is written may be when it is safe from a loss of power. A process that is killed
/// loses nothing that was written.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the transactions of a pool in files.
pub(crate) struct Journal<E: Storage> {
    context: ContextCell<E>,
    partition: String,
    pool: Pool,
    /// The file that is appended to.
    file: Option<File<E::Blob>>,
    /// Names of files before that one.
    old: Vec<u64>,
    /// Arrivals in the pool from this one on are in no file yet.
    next_arrival: u64,
    /// Whether the last attempt to write failed, which is said once.
    is_failing: bool,
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
            partition: format!("{prefix}-waiting-transactions"),
            pool,
            file: None,
            old: Vec::new(),
            next_arrival: 0,
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
            error!(%error, "waiting transactions cannot be checked against the state");
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
                warn!(%error, "transactions that wait cannot be written down: a restart would lose them");
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

    /// What arrived in the pool since `arrival`, and what will be the next.
    fn arrived(&self, arrival: u64) -> (Vec<Bytes>, u64) {
        self.pool.with(|pool| {
            let mut next = arrival;
            let raws = pool.transactions_since(arrival);
            let raws = raws.map(|(arrival, transaction)| {
                next = arrival + 1;
                transaction.raw().clone()
            });
            (raws.collect(), next)
        })
    }

    async fn append(&mut self) -> Result<(), RuntimeError> {
        let (raws, next) = self.arrived(self.next_arrival);
        let now = self.context.current();
        if let Some(file) = &mut self.file
            && !raws.is_empty()
        {
            let text = lines::write(&raws);
            let bytes = text.len() as u64;
            let written = file
                .blob
                .write_at(file.bytes, text, WriteOptions::default());
            written.await?;
            file.bytes += bytes;
            file.unsynced_since.get_or_insert(now);
        }
        self.next_arrival = next;
        Ok(())
    }

    /// Writes all that waits to a new file and removes those before.
    async fn rewrite(&mut self) -> Result<(), RuntimeError> {
        let (raws, next) = self.arrived(0);
        let text = lines::write(&raws);
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
        self.next_arrival = next;
        for old in std::mem::take(&mut self.old) {
            let name = old.to_be_bytes();
            // Whatever stays is read and checked once more at the next start.
            if let Err(error) = self.context.remove(&self.partition, Some(&name)).await {
                debug!(%error, "an old journal of transactions stays");
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

    /// Takes into the pool what the files hold and is still good.
    async fn load(&mut self, intake: &Intake<E>) -> Result<(), StateError> {
        self.old = match self.context.scan(&self.partition).await {
            Ok(names) => names
                .into_iter()
                .filter_map(|name| Some(u64::from_be_bytes(name.try_into().ok()?)))
                .collect(),
            Err(RuntimeError::PartitionMissing(_)) => return Ok(()),
            Err(error) => {
                warn!(%error, "the journal of waiting transactions cannot be read");
                return Ok(());
            }
        };
        self.old.sort_unstable();
        let mut found = Found::default();
        for name in self.old.clone() {
            let name = name.to_be_bytes();
            match self.context.open(&self.partition, &name).await {
                Ok((blob, bytes)) => load_file(&blob, bytes, intake, &mut found).await?,
                Err(error) => warn!(%error, "a journal of waiting transactions cannot be opened"),
            }
        }
        let Found {
            taken,
            refused,
            damaged,
        } = found;
        if taken > 0 || refused > 0 {
            info!(taken, refused, "transactions that waited before this start");
        }
        if damaged > 0 {
            warn!(
                damaged,
                "passed over damaged lines of the journal of waiting transactions"
            );
        }
        Ok(())
    }
}

/// What was found in the files.
#[derive(Debug, Default)]
struct Found {
    taken: usize,
    refused: usize,
    damaged: usize,
}

async fn load_file<E>(
    blob: &impl Blob,
    bytes: u64,
    intake: &Intake<E>,
    found: &mut Found,
) -> Result<(), StateError>
where
    E: StorageContext + Spawner + Clock,
{
    let mut reader = Reader::default();
    let bytes = bytes.min(MAX_FILE_BYTES);
    let mut position = 0;
    while position < bytes {
        let length = READ_BYTES.min(bytes - position);
        let read = blob.read_at(position, length as usize, ReadOptions::default());
        let piece = match read.await {
            Ok(piece) => piece.coalesce(),
            Err(error) => {
                warn!(%error, "the rest of a journal of waiting transactions cannot be read");
                break;
            }
        };
        position += length;
        let raws = reader.read(piece.as_ref());
        for result in intake.accept_transactions(raws).await? {
            match result {
                Ok(()) => found.taken += 1,
                Err(_) => found.refused += 1,
            }
        }
    }
    found.damaged += reader.damaged();
    Ok(())
}
