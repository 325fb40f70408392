mod logs;
mod undo;

use super::*;
use alloy_primitives::{Address, Bytes};
use og_crypto::merkle::verify_inclusion;
use og_types::{
    Amount, Computed, Header, ModelId, NodeId, Record, RequestId, Signature, Tier,
    limits::MAX_DESCENDANTS,
};

fn record(id: u8) -> SignedRecord {
    SignedRecord {
        record: Record {
            version: 1,
            chain_id: 1,
            request_id: RequestId([id; 32]),
            payer: Address::ZERO,
            payee: Address::ZERO,
            price: Amount(0),
            model: ModelId([2; 32]),
            tier: Tier::Signed,
            computed: Computed::Float,
            valid_from_ms: 1,
            valid_until_ms: 2,
            input_commitment: B256::ZERO,
            output_commitment: B256::ZERO,
            seed: 0,
            input_units: 1,
            output_units: 1,
            started_at_ms: 1,
            finished_at_ms: 1,
            node: NodeId([3; 32]),
            evidence: None,
        },
        signature: Signature([4; 64]),
    }
}

/// The index knows a transaction by its receipt and never decodes it, so any bytes will do.
fn receipt(number: u8, position: u32) -> TransactionReceipt {
    TransactionReceipt {
        transaction_hash: B256::repeat_byte(number),
        transaction_index: position,
        transaction_type: 2,
        from: Address::ZERO,
        to: None,
        contract_address: None,
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 21_000,
        effective_gas_price: Amount(1),
        logs: Vec::new(),
    }
}

/// What a block did that left these receipts.
fn receipts(receipts: impl Into<Vec<TransactionReceipt>>) -> Effects {
    Effects {
        receipts: receipts.into(),
        before: Vec::new(),
    }
}

/// That many blocks below the newest.
fn retain(blocks: u64) -> Retention {
    Retention {
        blocks: Some(blocks),
        states: None,
    }
}

/// The block after `parent` with these records and `transactions` transactions.
fn block(parent: Option<&Block>, transactions: usize, records: Vec<SignedRecord>) -> Block {
    let header = Header {
        version: 1,
        height: parent.map_or(0, |parent| parent.header().height + 1),
        parent: parent.map(Block::hash).unwrap_or_default(),
        ..Header::default()
    };
    let transactions = (0..transactions)
        .map(|_| Bytes::from_static(b"raw"))
        .collect();
    Block::new(header, transactions, records)
}

fn open(directory: &tempfile::TempDir) -> Index {
    Index::open(&directory.path().join("index.redb"), Retention::default()).unwrap()
}

/// An index with `length` blocks; the block at each height has one record, named by the height.
fn chain(directory: &tempfile::TempDir, length: u8) -> (Index, Vec<Block>) {
    let index = open(directory);
    let mut blocks: Vec<Block> = Vec::new();
    for height in 0..length {
        let next = block(blocks.last(), 0, vec![record(height)]);
        index.append(&next, &Effects::default()).unwrap();
        blocks.push(next);
    }
    (index, blocks)
}

#[test]
fn everything_is_found_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    assert!(index.head().unwrap().is_none());
    let genesis = block(None, 0, Vec::new());
    let next = block(Some(&genesis), 2, vec![record(1), record(2)]);
    let receipts = [receipt(7, 0), receipt(8, 1)];
    index.append(&genesis, &Effects::default()).unwrap();
    index
        .append(&next, &self::receipts(receipts.clone()))
        .unwrap();
    index.set_finalization(1, b"certificate").unwrap();
    drop(index);

    let index = open(&directory);
    assert_eq!(index.head().unwrap().unwrap(), next);
    assert_eq!(index.block(0).unwrap().unwrap(), genesis);
    assert!(index.block(2).unwrap().is_none());
    assert_eq!(index.block_by_hash(&next.hash()).unwrap().unwrap(), next);
    assert!(index.block_by_hash(&BlockHash([1; 32])).unwrap().is_none());
    let found = index.transaction(&B256::repeat_byte(8)).unwrap();
    assert_eq!(found, Some((next, 1)));
    assert!(index.transaction(&B256::repeat_byte(9)).unwrap().is_none());
    assert_eq!(index.receipts(1).unwrap(), receipts);
    assert!(index.receipts(0).unwrap().is_empty());
    let lookup = index.record_proof(&RequestId([2; 32])).unwrap();
    assert!(matches!(lookup, RecordLookup::Final(_)));
}

#[test]
fn only_the_next_block_is_appended() {
    let directory = tempfile::tempdir().unwrap();
    let (index, blocks) = chain(&directory, 3);
    for known in &blocks {
        index.append(known, &Effects::default()).unwrap();
    }
    let rival = block(Some(&blocks[0]), 0, Vec::new());
    let conflict = index.append(&rival, &Effects::default());
    assert!(matches!(
        conflict,
        Err(IndexError::Conflict { height: 1, .. })
    ));
    let child_of_rival = block(Some(&block(Some(&rival), 0, Vec::new())), 0, Vec::new());
    let conflict = index.append(&child_of_rival, &Effects::default());
    assert!(matches!(
        conflict,
        Err(IndexError::Conflict { height: 3, .. })
    ));
    let skipping = block(Some(&child_of_rival), 0, Vec::new());
    let gap = index.append(&skipping, &Effects::default());
    assert!(matches!(
        gap,
        Err(IndexError::Gap {
            expected: 3,
            found: 4
        })
    ));
    let unreceipted = block(blocks.last(), 1, Vec::new());
    let receipts = index.append(&unreceipted, &Effects::default());
    assert!(matches!(receipts, Err(IndexError::Receipts { .. })));
    assert_eq!(index.head().unwrap().as_ref(), blocks.last());
}

#[test]
fn an_index_can_begin_at_any_height() {
    let directory = tempfile::tempdir().unwrap();
    let start = block(Some(&block(None, 0, Vec::new())), 0, Vec::new());
    let index = open(&directory);
    index.append(&start, &Effects::default()).unwrap();
    assert_eq!(index.head().unwrap().unwrap().header().height, 1);
}

#[test]
fn the_first_certificate_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (index, _) = chain(&directory, 2);
    index.set_finalization(1, b"first").unwrap();
    index.set_finalization(1, b"second").unwrap();
    assert_eq!(proof(&index, 1).finalization.as_ref(), b"first");
    let long = index.set_finalization(1, &[0; MAX_FINALIZATION_BYTES + 1]);
    assert!(matches!(long, Err(IndexError::Certificate(_))));
}

fn proof(index: &Index, id: u8) -> RecordProof {
    match index.record_proof(&RequestId([id; 32])).unwrap() {
        RecordLookup::Final(proof) => *proof,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_proven_by_its_block_s_certificate_or_a_descendant_s() {
    let directory = tempfile::tempdir().unwrap();
    let (index, blocks) = chain(&directory, 6);
    let lookup = |id| index.record_proof(&RequestId([id; 32])).unwrap();
    assert_eq!(lookup(9), RecordLookup::Unknown);
    assert_eq!(lookup(2), RecordLookup::Uncertified);
    // A certificate for a block that has not arrived proves nothing yet.
    index.set_finalization(6, b"six").unwrap();
    assert_eq!(lookup(2), RecordLookup::Uncertified);
    index.set_finalization(4, b"four").unwrap();
    for id in 0..5 {
        let proof = proof(&index, id);
        let headers: Vec<_> = std::iter::once(&proof.header)
            .chain(&proof.descendants)
            .collect();
        let expected: Vec<_> = blocks[usize::from(id)..5]
            .iter()
            .map(Block::header)
            .collect();
        assert_eq!(headers, expected);
        assert_eq!(proof.finalization.as_ref(), b"four");
        assert_eq!(proof.record, record(id));
        let root = &proof.header.records_root;
        verify_inclusion(&proof.record.to_bytes(), &proof.inclusion, root).unwrap();
    }
    assert_eq!(lookup(5), RecordLookup::Uncertified);
    index.set_finalization(2, b"two").unwrap();
    assert_eq!(proof(&index, 2).finalization.as_ref(), b"two");
    assert!(proof(&index, 2).descendants.is_empty());
}

#[test]
fn an_answer_has_no_more_blocks_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let (index, _) = chain(&directory, 6);
    index.set_finalization(4, b"four").unwrap();
    let ids = [3, 1, 9, 3, 2].map(|id| RequestId([id; 32]));
    let proofs = index.record_proofs(&ids, 2).unwrap();
    let heights = |proofs: &RecordProofs| -> Vec<_> {
        let blocks = proofs.blocks.iter();
        blocks.map(|(header, _)| header.height).collect()
    };
    assert_eq!(heights(&proofs), [3, 1]);
    let places = proofs.records.iter().map(|placed| {
        let placed = placed.as_ref()?;
        let block = placed.proof.as_ref().map(|proof| proof.block);
        Some((placed.height, block))
    });
    let places: Vec<_> = places.collect();
    let first = Some((3, Some(0)));
    // Nobody asked about the last one's block before there were two.
    assert_eq!(
        places,
        [first, Some((1, Some(1))), None, first, Some((2, None))]
    );
    let all = index.record_proofs(&ids, 3).unwrap();
    assert_eq!(heights(&all), [3, 1, 2]);
    assert_eq!(
        index.record_proofs(&[], 3).unwrap(),
        RecordProofs::default()
    );
}

#[test]
fn a_certificate_too_far_away_proves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let far = u64::try_from(MAX_DESCENDANTS).unwrap() + 1;
    let mut last = block(None, 0, vec![record(1)]);
    index.append(&last, &Effects::default()).unwrap();
    for _ in 0..far {
        last = block(Some(&last), 0, Vec::new());
        index.append(&last, &Effects::default()).unwrap();
    }
    index.set_finalization(far, b"far").unwrap();
    let id = RequestId([1; 32]);
    assert_eq!(index.record_proof(&id).unwrap(), RecordLookup::Uncertified);
    index.set_finalization(far - 1, b"near enough").unwrap();
    assert_eq!(proof(&index, 1).descendants.len(), MAX_DESCENDANTS);
}

#[test]
fn the_newest_record_of_a_request_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (index, blocks) = chain(&directory, 2);
    let again = block(blocks.last(), 0, vec![record(7), record(0)]);
    index.append(&again, &Effects::default()).unwrap();
    index.set_finalization(2, b"two").unwrap();
    assert_eq!(&proof(&index, 0).header, again.header());
    assert_eq!(proof(&index, 0).inclusion.position, 1);
}

#[test]
fn a_file_that_is_no_index_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    std::fs::write(&path, b"no database").unwrap();
    assert!(matches!(
        Index::open(&path, Retention::default()),
        Err(IndexError::Database(_))
    ));
    let held = open(&tempfile::tempdir().unwrap());
    drop(held);
    let directory = tempfile::tempdir().unwrap();
    let _held = open(&directory);
    let twice = Index::open(&directory.path().join("index.redb"), Retention::default());
    assert!(matches!(twice, Err(IndexError::Database(_))));
}

#[test]
fn old_blocks_are_forgotten_with_all_that_belongs_to_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let index = Index::open(&path, retain(3)).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    for height in 0..10 {
        let next = block(blocks.last(), 1, vec![record(height), record(100)]);
        index
            .append(&next, &receipts([receipt(height, 0)]))
            .unwrap();
        index
            .set_finalization(height.into(), b"certificate")
            .unwrap();
        blocks.push(next);
    }
    assert_eq!(index.oldest().unwrap(), Some(6));
    for height in 0..6_u8 {
        let old = &blocks[usize::from(height)];
        let by_height = index.block(height.into());
        assert!(matches!(
            by_height,
            Err(IndexError::Pruned { oldest: 6, .. })
        ));
        let by_hash = index.block_by_hash(&old.hash());
        assert!(matches!(
            by_hash,
            Err(IndexError::UnknownOrPruned { oldest: 6, .. })
        ));
        assert_eq!(index.transaction(&B256::repeat_byte(height)).unwrap(), None);
        assert!(index.receipts(height.into()).unwrap().is_empty());
        let lookup = index.record_proof(&RequestId([height; 32])).unwrap();
        assert_eq!(lookup, RecordLookup::Unknown);
    }
    for height in 6..10_u8 {
        let kept = &blocks[usize::from(height)];
        assert_eq!(index.block(height.into()).unwrap().as_ref(), Some(kept));
        assert_eq!(index.receipts(height.into()).unwrap().len(), 1);
        assert_eq!(&proof(&index, height).header, kept.header());
    }
    // A newer record of a request stays when an older one's block is forgotten.
    assert_eq!(&proof(&index, 100).header, blocks[9].header());
    assert!(index.block(10).unwrap().is_none());
}

#[test]
fn an_index_that_is_told_to_keep_less_shrinks() {
    let directory = tempfile::tempdir().unwrap();
    let (index, mut blocks) = chain(&directory, 20);
    drop(index);
    let index = Index::open(&directory.path().join("index.redb"), retain(2)).unwrap();
    for _ in 0..8 {
        let next = block(blocks.last(), 0, Vec::new());
        index.append(&next, &Effects::default()).unwrap();
        blocks.push(next);
    }
    assert_eq!(index.oldest().unwrap(), Some(25));
}

#[test]
fn an_index_restarts_behind_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let (index, blocks) = chain(&directory, 3);
    index.set_finalization(2, b"two").unwrap();
    let skipped = block(blocks.last(), 0, Vec::new());
    let next = block(Some(&skipped), 1, vec![record(9)]);
    let unreceipted = index.restart(&next, &Effects::default());
    assert!(matches!(unreceipted, Err(IndexError::Receipts { .. })));
    assert_eq!(index.head().unwrap().as_ref(), blocks.last());
    index.restart(&next, &receipts([receipt(1, 0)])).unwrap();
    assert_eq!(index.oldest().unwrap(), Some(4));
    assert_eq!(index.head().unwrap().as_ref(), Some(&next));
    let old = index.record_proof(&RequestId([2; 32])).unwrap();
    assert_eq!(old, RecordLookup::Unknown);
    let after = block(Some(&next), 0, Vec::new());
    index.append(&after, &Effects::default()).unwrap();
    index.set_finalization(5, b"five").unwrap();
    assert_eq!(proof(&index, 9).finalization.as_ref(), b"five");
}

#[test]
fn the_file_does_not_grow_with_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let index = Index::open(&path, retain(50)).unwrap();
    let mut last = block(None, 1, vec![record(0)]);
    index.append(&last, &receipts([receipt(0, 0)])).unwrap();
    let mut sizes = Vec::new();
    for number in 1..=1000_u32 {
        last = block(Some(&last), 1, vec![record(number as u8)]);
        index
            .append(&last, &receipts([receipt(number as u8, 0)]))
            .unwrap();
        if number % 200 == 0 {
            sizes.push(std::fs::metadata(&path).unwrap().len());
        }
    }
    println!("bytes of the index every 200 blocks: {sizes:?}");
    assert_eq!(sizes.first(), sizes.last());
}
