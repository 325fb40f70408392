//! Logs that are searched for are those that looking through everything finds.

use super::*;
use alloy_primitives::address;
use og_chain::receipts::Log;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use redb::ReadableTable as _;

const CONTRACT: Address = address!("0x0000000000000000000000000000000000000c01");

/// A log of one of three contracts with up to four of three topics.
fn log(random: &mut StdRng) -> Log {
    let topics = random.random_range(0..5);
    Log {
        address: Address::repeat_byte(random.random_range(0..3)),
        topics: (0..topics)
            .map(|_| B256::repeat_byte(random.random_range(0..3)))
            .collect(),
        data: Bytes::new(),
    }
}

fn query(random: &mut StdRng) -> LogQuery {
    let mut list = |most: u8| {
        let length = random.random_range(0..=most);
        (0..length)
            .map(|_| random.random_range(0..4_u8))
            .collect::<Vec<_>>()
    };
    LogQuery {
        addresses: list(2).into_iter().map(Address::repeat_byte).collect(),
        topics: [2, 1, 1, 0].map(|most| list(most).into_iter().map(B256::repeat_byte).collect()),
    }
}

/// An index of blocks with random logs, and all logs with the heights of their blocks.
fn logged(path: &Path, retention: Retention, random: &mut StdRng) -> (Index, Vec<(u64, Log)>) {
    let index = Index::open(path, retention).unwrap();
    let (mut last, mut all): (Option<Block>, Vec<(u64, Log)>) = (None, vec![]);
    for height in 0..60 {
        let receipts: Vec<_> = (0..random.random_range(0..3))
            .map(|position| TransactionReceipt {
                logs: (0..random.random_range(0..3))
                    .map(|_| log(random))
                    .collect(),
                ..receipt(height as u8, position)
            })
            .collect();
        let next = block(last.as_ref(), receipts.len(), vec![]);
        index
            .append(&next, &super::receipts(receipts.clone()))
            .unwrap();
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        all.extend(logs.map(|log| (height, log.clone())));
        last = Some(next);
    }
    (index, all)
}

/// The logs that an index finds, in order, with the heights of their blocks.
fn found(index: &Index, query: &LogQuery, first: u64, last: u64) -> Vec<(u64, Log)> {
    let found = index.logs(query, first..=last, usize::MAX).unwrap();
    let each = found.iter().flat_map(|found| {
        let mut earlier = None;
        found.logs.iter().map(move |one| {
            assert!(earlier < Some(one.position));
            earlier = Some(one.position);
            (found.header.height, one.log.clone())
        })
    });
    each.collect()
}

#[test]
fn a_search_finds_what_looking_at_everything_finds() {
    let directory = tempfile::tempdir().unwrap();
    let random = &mut StdRng::seed_from_u64(1);
    let (index, all) = logged(
        &directory.path().join("index.redb"),
        Retention::default(),
        random,
    );
    for _ in 0..500 {
        let query = query(random);
        let (first, last) = (random.random_range(0..60), random.random_range(0..70));
        let expected = all.iter().filter(|(height, log)| {
            let fits = |(list, topic): (&Vec<B256>, Option<&B256>)| {
                list.is_empty() || topic.is_some_and(|topic| list.contains(topic))
            };
            let topics = (0..4).map(|place| log.topics.get(place));
            (first..=last).contains(height)
                && (query.addresses.is_empty() || query.addresses.contains(&log.address))
                && query.topics.iter().zip(topics).all(fits)
        });
        let expected: Vec<_> = expected.cloned().collect();
        assert_eq!(found(&index, &query, first, last), expected, "{query:?}");
    }
    let most = index.logs(&LogQuery::default(), 0..=59, 3);
    assert!(matches!(most, Err(IndexError::TooManyLogs { most: 3, .. })));
}

#[test]
fn marks_go_with_their_blocks_and_are_made_anew_where_they_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let (index, all) = logged(&path, retain(10), &mut StdRng::seed_from_u64(2));
    let kept: Vec<_> = all
        .into_iter()
        .filter(|(height, _)| *height >= 49)
        .collect();
    let everything = LogQuery::default();
    assert_eq!(found(&index, &everything, 49, 59), kept);
    let gone = index.logs(&everything, 48..=59, usize::MAX);
    assert!(matches!(gone, Err(IndexError::Pruned { oldest: 49, .. })));
    let marks = |index: &Index| -> Vec<([u8; 33], u64)> {
        let transaction = index.database.begin_read().unwrap();
        let table = transaction.open_table(super::super::logs::LOGGED).unwrap();
        let marks = table.iter().unwrap();
        marks.map(|entry| entry.unwrap().0.value()).collect()
    };
    let before = marks(&index);
    assert!(before.iter().all(|(_, height)| *height >= 49));
    let transaction = index.database.begin_write().unwrap();
    transaction
        .delete_table(super::super::logs::LOGGED)
        .unwrap();
    transaction.commit().unwrap();
    drop(index);
    let index = Index::open(&path, retain(10)).unwrap();
    assert_eq!(marks(&index), before);
    let query = LogQuery {
        addresses: vec![CONTRACT],
        ..LogQuery::default()
    };
    assert!(found(&index, &query, 49, 59).is_empty());
}
