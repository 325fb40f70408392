//! Taking into the pool what the files of a journal hold.

use super::{
    Journal, MAX_FILE_BYTES,
    lines::{Reader, is_record},
};
use crate::intake::Intake;
use alloy_primitives::Bytes;
use commonware_runtime::{Blob, Clock, Error as RuntimeError, ReadOptions, Spawner};
use commonware_storage::Context as StorageContext;
use og_state::StateError;
use tracing::{info, warn};

/// Bytes that are read, and checked, at a time.
const READ_BYTES: u64 = 1024 * 1024;

impl<E> Journal<E>
where
    E: StorageContext + Spawner + Clock,
{
    /// Takes into the pool what the files hold and is still good.
    pub(super) async fn load(&mut self, intake: &Intake<E>) -> Result<(), StateError> {
        self.old = match self.context.scan(&self.partition).await {
            Ok(names) => names
                .into_iter()
                .filter_map(|name| Some(u64::from_be_bytes(name.try_into().ok()?)))
                .collect(),
            Err(RuntimeError::PartitionMissing(_)) => return Ok(()),
            Err(error) => {
                warn!(%error, "the journal of what waits cannot be read");
                return Ok(());
            }
        };
        self.old.sort_unstable();
        let mut found = Found::default();
        for name in self.old.clone() {
            let name = name.to_be_bytes();
            match self.context.open(&self.partition, &name).await {
                Ok((blob, bytes)) => found.load_file(&blob, bytes, intake).await?,
                Err(error) => warn!(%error, "a journal of what waits cannot be opened"),
            }
        }
        let Found {
            taken,
            refused,
            damaged,
        } = found;
        if taken > 0 || refused > 0 {
            info!(
                taken,
                refused, "transactions and records that waited before this start"
            );
        }
        if damaged > 0 {
            warn!(
                damaged,
                "passed over damaged lines of the journal of what waits"
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

impl Found {
    async fn load_file<E>(
        &mut self,
        blob: &impl Blob,
        bytes: u64,
        intake: &Intake<E>,
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
                    warn!(%error, "the rest of a journal of what waits cannot be read");
                    break;
                }
            };
            position += length;
            self.take(reader.read(piece.as_ref()), intake).await?;
        }
        self.damaged += reader.damaged();
        Ok(())
    }

    /// Gives `intake` some items and counts what became of them.
    async fn take<E>(&mut self, items: Vec<Bytes>, intake: &Intake<E>) -> Result<(), StateError>
    where
        E: StorageContext + Spawner + Clock,
    {
        let (records, transactions): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| is_record(item));
        let mut results = intake.accept_transactions(transactions).await?;
        results.extend(intake.accept_record_bytes(&records).await?);
        let taken = results.iter().filter(|result| result.is_ok()).count();
        self.taken += taken;
        self.refused += results.len() - taken;
        Ok(())
    }
}
