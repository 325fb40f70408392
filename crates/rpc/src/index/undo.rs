//! Old values of the state: for each block of the last ones, what the keys that it changed had been before.

use super::{Index, IndexError};
use og_chain::{Key, Value, Writes};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

/// A key of the state and the height of a block that changed it, to the value before: a byte that says whether there
/// was one, then the value.
pub(super) const BEFORE: TableDefinition<'_, ([u8; 32], u64), &[u8]> =
    TableDefinition::new("values_before");
/// Height to the keys that the block there changed, one after another.
pub(super) const CHANGED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("keys_changed");

const KEY_BYTES: usize = 32;
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
/// Blocks whose old values one append forgets at most: more than one, so that it shrinks when it is told to keep less.
const MAX_FORGOTTEN_PER_BLOCK: usize = 4;

impl Index {
    /// What `keys` had in the state after the block at `height`, given what they have in a newer state that is not newer
    /// than the newest block here.
    ///
    /// # Errors
    /// [`IndexError::StatePruned`], [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn values_at(
        &self,
        height: u64,
        keys: &[Key],
        newer: Vec<Option<Value>>,
    ) -> Result<Vec<Option<Value>>, IndexError> {
        let transaction = self.database.begin_read()?;
        let blocks = transaction.open_table(super::BLOCKS)?;
        let newest = blocks.last()?.map_or(0, |(height, _)| height.value());
        let changed = transaction.open_table(CHANGED)?;
        let oldest = changed
            .first()?
            .map_or(newest, |(height, _)| height.value().saturating_sub(1));
        if height < oldest {
            return Err(IndexError::StatePruned { height, oldest });
        }
        let before = transaction.open_table(BEFORE)?;
        let mut values = newer;
        for (key, value) in keys.iter().zip(&mut values) {
            let next = height.saturating_add(1);
            let mut changes = before.range((key.0.0, next)..=(key.0.0, u64::MAX))?;
            if let Some(change) = changes.next() {
                let (place, stored) = change?;
                *value = decode(place.value().1, stored.value())?;
            }
        }
        Ok(values)
    }
}

/// Remembers what the block at `height` has changed, and forgets what is older than the last `retain` blocks.
pub(super) fn insert(
    transaction: &WriteTransaction,
    height: u64,
    before: &Writes,
    retain: Option<u64>,
) -> Result<(), IndexError> {
    forget_before_gap(transaction, height)?;
    let mut values = transaction.open_table(BEFORE)?;
    let mut changed = transaction.open_table(CHANGED)?;
    let mut keys = Vec::with_capacity(before.len().saturating_mul(KEY_BYTES));
    for (key, value) in before {
        values.insert((key.0.0, height), encode(value.as_ref()).as_slice())?;
        keys.extend_from_slice(key.0.as_slice());
    }
    changed.insert(height, keys.as_slice())?;
    let Some(retain) = retain else {
        return Ok(());
    };
    for _ in 0..MAX_FORGOTTEN_PER_BLOCK {
        let oldest = {
            let first = changed.first()?;
            first.map(|(height, keys)| (height.value(), keys.value().to_vec()))
        };
        match oldest {
            Some((old, keys)) if old.saturating_add(retain) <= height => {
                for key in keys.as_chunks::<KEY_BYTES>().0 {
                    values.remove((*key, old))?;
                }
                changed.remove(old)?;
            }
            _ => break,
        }
    }
    Ok(())
}

/// Forgets everything if the block before `height` is not remembered, as by a version that did not: what is older
/// could not be told from it.
fn forget_before_gap(transaction: &WriteTransaction, height: u64) -> Result<(), IndexError> {
    let last = {
        let changed = transaction.open_table(CHANGED)?;
        changed.last()?.map(|(last, _)| last.value())
    };
    if last.is_some_and(|last| last.saturating_add(1) != height) {
        transaction.delete_table(BEFORE)?;
        transaction.delete_table(CHANGED)?;
    }
    Ok(())
}

fn encode(value: Option<&Value>) -> Vec<u8> {
    match value {
        None => vec![ABSENT],
        Some(value) => [&[PRESENT], value.as_ref()].concat(),
    }
}

fn decode(height: u64, stored: &[u8]) -> Result<Option<Value>, IndexError> {
    match stored.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&PRESENT, value)) => Ok(Some(Value::copy_from_slice(value))),
        _ => Err(IndexError::Damaged {
            height,
            reason: "an old value of the state is malformed".to_owned(),
        }),
    }
}
