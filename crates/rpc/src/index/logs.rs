//! Finding logs: which blocks have one of a contract, or with a topic in a place.

use super::{Index, IndexError, RECEIPTS, damaged, oldest};
use alloy_primitives::{Address, B256};
use og_chain::{
    block::Block,
    receipts::{Log, TransactionReceipt},
};
use og_types::Canonical as _;
use redb::{
    ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// What logs of a block have (see [`marks`]), and the block's height.
pub(super) const LOGGED: TableDefinition<'_, ([u8; 33], u64), ()> = TableDefinition::new("logged");

/// What every block with a log is found by.
const ANY: [u8; 33] = [u8::MAX; 33];
/// Most places of the index that one question looks up.
const MOST_LOOKUPS: usize = 1_000_000;

/// What logs are asked for. An empty list means any value.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Contracts that emitted them.
    pub addresses: Vec<Address>,
    /// For each place, what may stand there.
    pub topics: [Vec<B256>; 4],
}

/// A block with logs that were asked for.
#[derive(Clone, Debug)]
pub struct FoundLogs {
    /// The block.
    pub block: Block,
    /// The receipts of its transactions.
    pub receipts: Vec<TransactionReceipt>,
    /// Which logs: the number of the receipt, the log's place in it, and its place in the block.
    pub places: Vec<(usize, usize, usize)>,
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
    /// [`IndexError::TooManyLogs`] if there are more than `most`, or finding them takes too long;
    /// [`IndexError::Pruned`], [`IndexError::Damaged`], [`IndexError::Database`].
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
        let (mut found, mut count, mut next) = (vec![], 0, first);
        while let Some(height) = search.block_from(next)? {
            next = height + 1;
            let Some(block) = self.block_at(&transaction, height)? else {
                return Err(missing(height));
            };
            let receipts = self.receipts(height)?;
            let places = places(query, &receipts);
            count += places.len();
            if count > most {
                return Err(IndexError::TooManyLogs { most, height });
            }
            if !places.is_empty() {
                found.push(FoundLogs {
                    block,
                    receipts,
                    places,
                });
            }
        }
        Ok(found)
    }
}

/// Where a block's receipts have logs that are asked for.
fn places(query: &LogQuery, receipts: &[TransactionReceipt]) -> Vec<(usize, usize, usize)> {
    let logs = receipts.iter().enumerate().flat_map(|(receipt, of)| {
        let logs = of.logs.iter().enumerate();
        logs.map(move |(log, one)| (receipt, log, one))
    });
    let numbered = logs.enumerate();
    let matching = numbered.filter(|(_, (_, _, log))| query.matches(log));
    matching
        .map(|(place, (receipt, log, _))| (receipt, log, place))
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

/// Marks the logs of all blocks, if none are marked: an index of before there were marks.
pub(super) fn mark_all(transaction: &WriteTransaction) -> Result<(), IndexError> {
    if transaction.open_table(LOGGED)?.first()?.is_some() {
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
