//! Finding logs: which blocks have one of a contract, or with a topic in a place.

use super::{Index, IndexError, RECEIPTS, damaged, oldest, receipts_at};
use alloy_primitives::{Address, B256};
use og_chain::receipts::{Log, TransactionReceipt};
use og_crypto::block_hash;
use og_types::{BlockHash, Canonical as _, Header};
use redb::{
    ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _,
    WriteTransaction,
};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// What logs of a block have (see [`marks`]), and the block's height.
pub(super) const LOGGED: TableDefinition<'_, ([u8; 33], u64), ()> = TableDefinition::new("logged");

/// What every block with a log is found by.
const ANY: [u8; 33] = [u8::MAX; 33];
/// Most places of the index that one question looks up.
const MOST_LOOKUPS: usize = 1_000_000;

/// Most bytes of data of the logs of one answer: twice as many in hexadecimal fit a response.
const MOST_DATA_BYTES: usize = 8 * 1024 * 1024;

/// What logs are asked for. An empty list means any value.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Contracts that emitted them.
    pub addresses: Vec<Address>,
    /// For each place, what may stand there.
    pub topics: [Vec<B256>; 4],
}

/// Logs of one block that were asked for.
#[derive(Clone, Debug)]
pub struct FoundLogs {
    /// The block's header.
    pub header: Header,
    /// The block's hash.
    pub hash: BlockHash,
    /// The logs, in order.
    pub logs: Vec<FoundLog>,
}

/// A log, and where it is.
#[derive(Clone, Debug)]
pub struct FoundLog {
    /// The transaction that emitted it.
    pub transaction_hash: B256,
    /// That transaction's position in the block.
    pub transaction_index: u32,
    /// The log's own position among all of the block.
    pub position: usize,
    /// The log.
    pub log: Log,
}

impl LogQuery {
    fn matches(&self, log: &Log) -> bool {
        let any = |list: &[B256], topic: Option<&B256>| {
            list.is_empty() || topic.is_some_and(|topic| list.contains(topic))
        };
        let mut places = self.topics.iter().enumerate();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && places.all(|(place, list)| any(list, log.topics.get(place)))
    }

    /// For each thing that is asked for, the marks of which a block must have one.
    fn alternatives(&self) -> Vec<Vec<[u8; 33]>> {
        let addresses = self
            .addresses
            .iter()
            .map(|address| mark(0, &address.into_word()));
        let topics = (1..).zip(&self.topics).map(|(kind, list)| {
            let marks = list.iter().map(|topic| mark(kind, topic));
            marks.collect()
        });
        let mut all: Vec<Vec<_>> = topics.chain([addresses.collect()]).collect();
        all.retain(|marks: &Vec<_>| !marks.is_empty());
        if all.is_empty() {
            all.push(vec![ANY]);
        }
        all
    }
}

impl Index {
    /// The logs that are asked for in the blocks of `heights`, oldest first.
    ///
    /// # Errors
    /// [`IndexError::TooManyLogs`] if there are more than `most`, they are more than an answer can hold, or finding them
    /// takes too long; [`IndexError::Pruned`], [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn logs(
        &self,
        query: &LogQuery,
        heights: RangeInclusive<u64>,
        most: usize,
    ) -> Result<Vec<FoundLogs>, IndexError> {
        let transaction = self.database.begin_read()?;
        let (first, last) = heights.into_inner();
        if let Some(oldest) = oldest(&transaction)?
            && first < oldest
        {
            return Err(IndexError::Pruned {
                height: first,
                oldest,
            });
        }
        let mut search = Search::new(&transaction, query.alternatives(), last)?;
        let (mut found, mut count, mut bytes, mut next) = (vec![], 0, 0, first);
        while let Some(height) = search.block_from(next)? {
            next = height + 1;
            let logs = matching(query, receipts_at(&transaction, height)?);
            count += logs.len();
            bytes += logs.iter().map(|found| found.log.data.len()).sum::<usize>();
            if count > most || bytes > MOST_DATA_BYTES {
                return Err(IndexError::TooManyLogs { most, height });
            }
            if logs.is_empty() {
                continue;
            }
            let Some(header) = self.header_at(&transaction, height)? else {
                return Err(missing(height));
            };
            found.push(FoundLogs {
                hash: block_hash(&header),
                header,
                logs,
            });
        }
        Ok(found)
    }
}

/// The logs of a block's receipts that are asked for.
fn matching(query: &LogQuery, receipts: Vec<TransactionReceipt>) -> Vec<FoundLog> {
    let logs = receipts.into_iter().flat_map(|receipt| {
        let (hash, index) = (receipt.transaction_hash, receipt.transaction_index);
        let logs = receipt.logs.into_iter();
        logs.map(move |log| (hash, index, log))
    });
    let numbered = logs.enumerate();
    let matching = numbered.filter(|(_, (_, _, log))| query.matches(log));
    matching
        .map(|(position, (hash, index, log))| FoundLog {
            transaction_hash: hash,
            transaction_index: index,
            position,
            log,
        })
        .collect()
}

/// Blocks that have one mark of each list.
struct Search {
    table: redb::ReadOnlyTable<([u8; 33], u64), ()>,
    alternatives: Vec<Vec<[u8; 33]>>,
    last: u64,
    lookups: usize,
}

impl Search {
    fn new(
        transaction: &ReadTransaction,
        alternatives: Vec<Vec<[u8; 33]>>,
        last: u64,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            table: transaction.open_table(LOGGED)?,
            alternatives,
            last,
            lookups: 0,
        })
    }

    /// The lowest such block from `height` on: each list in turn skips what it has nothing in.
    fn block_from(&mut self, mut height: u64) -> Result<Option<u64>, IndexError> {
        let mut agreeing = 0;
        let mut lists = (0..self.alternatives.len()).cycle();
        while agreeing < self.alternatives.len() {
            let Some(at) = self.lowest(lists.next().unwrap_or(0), height)? else {
                return Ok(None);
            };
            agreeing = if at == height { agreeing + 1 } else { 1 };
            height = at;
        }
        Ok(Some(height))
    }

    /// The lowest block from `height` on that has a mark of a list.
    fn lowest(&mut self, list: usize, height: u64) -> Result<Option<u64>, IndexError> {
        let mut lowest = None;
        for mark in self.alternatives.get(list).into_iter().flatten() {
            self.lookups += 1;
            if self.lookups > MOST_LOOKUPS {
                return Err(IndexError::TooManyLogs { most: 0, height });
            }
            let last = lowest.unwrap_or(self.last);
            if height > last {
                break;
            }
            let mut range = self.table.range((*mark, height)..=(*mark, last))?;
            if let Some(entry) = range.next() {
                lowest = Some(entry?.0.value().1);
            }
        }
        Ok(lowest)
    }
}

/// What the logs of a block are found by: addresses, topics in their places, and that there are any.
fn marks(receipts: &[TransactionReceipt]) -> BTreeSet<[u8; 33]> {
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    let of = |log: &Log| {
        let topics = (1..)
            .zip(&log.topics)
            .map(|(kind, topic)| mark(kind, topic));
        let mut marks: Vec<_> = topics.collect();
        marks.extend([ANY, mark(0, &log.address.into_word())]);
        marks
    };
    logs.flat_map(of).collect()
}

/// An address (kind 0), or a topic in the place `kind`.
fn mark(kind: u8, word: &B256) -> [u8; 33] {
    let mut mark = [kind; 33];
    mark[1..].copy_from_slice(word.as_slice());
    mark
}

/// Marks a block's logs.
pub(super) fn insert(
    transaction: &WriteTransaction,
    height: u64,
    receipts: &[TransactionReceipt],
) -> Result<(), IndexError> {
    let mut table = transaction.open_table(LOGGED)?;
    for mark in marks(receipts) {
        table.insert((mark, height), ())?;
    }
    Ok(())
}

/// Removes the marks of a block's logs.
pub(super) fn remove(
    transaction: &WriteTransaction,
    height: u64,
    receipts: &[TransactionReceipt],
) -> Result<(), IndexError> {
    let mut table = transaction.open_table(LOGGED)?;
    for mark in marks(receipts) {
        table.remove((mark, height))?;
    }
    Ok(())
}

/// Makes the table of marks and marks the logs of all blocks, if it is not there: an index of before there were marks.
pub(super) fn mark_all(transaction: &WriteTransaction) -> Result<(), IndexError> {
    let known = transaction
        .list_tables()?
        .any(|table| table.name() == LOGGED.name());
    transaction.open_table(LOGGED)?;
    if known {
        return Ok(());
    }
    let rows = transaction.open_table(RECEIPTS)?;
    for row in rows.iter()? {
        let (place, bytes) = row?;
        let (height, _) = place.value();
        let receipt = TransactionReceipt::from_bytes(bytes.value())
            .map_err(|error| damaged(height, &error))?;
        insert(transaction, height, &[receipt])?;
    }
    Ok(())
}

fn missing(height: u64) -> IndexError {
    IndexError::Damaged {
        height,
        reason: "its logs are known and the block is not there".to_owned(),
    }
}
